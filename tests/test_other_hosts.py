"""Hosts that know nothing of us run the same file with the single input `image`."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
import pytest

from conftest import TASKS
from hyperguide.model_format.bundled import bundled_path


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [(64, 96), (160, 32)])
def test_openvino_and_plain_onnxruntime_agree_fed_only_the_image(
    task: str, size: tuple[int, int]
) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    path = bundled_path(task, "fast")
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, *size)).astype(np.float32)
    expected = onnxruntime.InferenceSession(path).run(["enhanced", "guidance"], {"image": image})
    core = openvino.Core()
    model = core.read_model(path)
    assert [i.get_any_name() for i in model.inputs] == ["image"]
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    actual = compiled({"image": image})
    for name, value in zip(("enhanced", "guidance"), expected, strict=True):
        np.testing.assert_allclose(actual[name], value, atol=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_opencv_runs_the_model_file(task: str) -> None:
    """OpenCV's own engine for ONNX, from version 5 on."""
    if not hasattr(cv2.dnn, "ENGINE_NEW"):
        pytest.skip("this OpenCV has only the engine that needs fixed sizes")
    path = str(bundled_path(task, "fast"))
    network = cv2.dnn.readNetFromONNX(path, cv2.dnn.ENGINE_NEW)
    session = onnxruntime.InferenceSession(path)
    for size in ((64, 96), (32, 160)):
        image = np.random.default_rng(0).uniform(0, 1, (1, 3, *size)).astype(np.float32)
        network.setInput(image, "image")
        names = ["enhanced", "guidance"]
        expected = session.run(names, {"image": image})
        for actual, value in zip(network.forward(names), expected, strict=True):
            np.testing.assert_allclose(actual, value, atol=1e-4)
