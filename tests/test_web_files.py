"""Files for browsers: dials that need no defaults, and operators that WebGPU has."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import hyperguide
from conftest import Cli
from hyperguide.engines import OnnxRuntimeCpu
from hyperguide.engines.proof import compare_golden, seal_breaks
from hyperguide.export.graph import export_graph, widen_convolutions
from hyperguide.export.half_precision import choose, largest_values, to_half
from hyperguide.export.model import Lower, export_model
from hyperguide.model_format.contract import DEFAULTS, DIALS, KERNEL
from hyperguide.model_format.model_file import default_feeds, read_model_file
from hyperguide.training.checkpoint import load_run
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.model_weights import load_model_weights
from hyperguide.training.network_settings import (
    CompactProxySettings,
    ScatteringSettings,
    UnfoldedSettings,
)
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.preset import load_preset
from made_runs import export_untrained

pytestmark = pytest.mark.usefixtures("few_crops")

OPERATORS = Path(__file__).parents[1] / "bindings" / "web" / "src" / "webgpu-operators.ts"


@pytest.fixture(scope="module")
def web_file(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("web") / "web.onnx"
    export_model(load_run(run_folder), path, io="web")
    return path


def _turned(height: int, width: int) -> dict[str, np.ndarray]:
    """Every dial away from its default, of all the shapes that they may have."""
    ramp = np.linspace(0, 0.2, height * width, dtype=np.float32).reshape(1, 1, height, width)
    return {
        "guidance_in": ramp,
        "guidance_mix": np.full((1, 1, 1, 1), 0.5, np.float32),
        "guidance_scale": np.full((1, 1, 1, width), 1.5, np.float32),
        "strength": np.full((1, 1, height, 1), 0.75, np.float32),
    }


def test_a_host_that_knows_no_defaults_sees_all_dials(web_file: Path, exported: Path) -> None:
    session, usual = onnxruntime.InferenceSession(web_file), onnxruntime.InferenceSession(exported)
    assert [value.name for value in session.get_inputs()] == ["image", *DIALS]
    assert session.get_overridable_initializers() == []
    assert [value.name for value in usual.get_inputs()] == ["image"]
    assert all(len(value.shape) == 4 for value in session.get_inputs())


@pytest.mark.parametrize("turned", [False, True])
def test_it_gives_the_very_numbers_of_a_float_file(
    web_file: Path, exported: Path, turned: bool
) -> None:
    image = np.random.default_rng(0).random((2, 3, 64, 96), np.float32)
    dials = _turned(64, 96) if turned else {}
    results = [
        onnxruntime.InferenceSession(file).run(["enhanced", "guidance"], {"image": image, **feeds})
        for file, feeds in ((web_file, default_feeds(DIALS) | dials), (exported, dials))
    ]
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_all_dials_onnx_runtime_names_what_is_missing(web_file: Path) -> None:
    session = onnxruntime.InferenceSession(web_file)
    with pytest.raises(ValueError, match="strength"):
        session.run(None, {"image": np.zeros((1, 3, 64, 64), np.float32)})


def test_it_differs_from_a_float_file_in_the_defaults_only(web_file: Path, exported: Path) -> None:
    file, usual = read_model_file(web_file), read_model_file(exported)
    assert seal_breaks(file) == []
    assert file.required == ("image", *DIALS)
    assert usual.required == ("image",)
    assert file.info == usual.info
    assert file.digests["graph"] == usual.digests["graph"]
    assert file.digests["metadata"] == usual.digests["metadata"]


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_the_runtime_feeds_the_dials(
    web_file: Path, exported: Path, astronaut: np.ndarray, device: str
) -> None:
    if device == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    picture = astronaut[:51, :83]
    guidance = np.full(picture.shape[:2], 0.1, np.float32)
    web, usual = (hyperguide.load(path, device=device) for path in (web_file, exported))
    for options in ({}, {"strength": 0.5}, {"guidance": guidance, "guidance_scale": 1.5}):
        one, other = web(picture, **options), usual(picture, **options)  # type: ignore[arg-type]
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.guidance, other.guidance)


def test_the_command_writes_checks_and_describes_it(
    run_folder: Path, tmp_path: Path, cli: Cli
) -> None:
    path = tmp_path / "web.onnx"
    assert cli("export", run_folder, "-o", path, "--io", "web").code == 0
    checked = cli("verify", path)
    assert checked.code == 0, checked.err
    facts = json.loads(cli("info", path, "--json").out)
    assert facts["io"] == "float"
    assert facts["required_inputs"] == ["image", *DIALS]
    assert facts["dials"] == dict(DIALS)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lower_precisions_come_for_the_web_too(
    run_folder: Path, photos: Path, tmp_path: Path, precision: str
) -> None:
    lower = Lower(precision, [photos], steps=0, accept_loss=True)  # type: ignore[arg-type]
    path = tmp_path / "web.onnx"
    export_model(load_run(run_folder), path, lower=lower, io="web")
    file = read_model_file(path)
    assert file.required == ("image", *DIALS)
    assert file.info.precision == precision
    assert all(one.passed for one in compare_golden(file, OnnxRuntimeCpu(file)))


def test_other_precisions_and_engines_are_made_of_it(web_file: Path, exported: Path) -> None:
    """Where dials are to be constants, they are."""
    file, usual = read_model_file(web_file), read_model_file(exported)
    for one in (file, usual):
        session = onnxruntime.InferenceSession(one.frozen())
        assert [value.name for value in session.get_inputs()] == ["image"]
    assert file.weights().keys() == usual.weights().keys() - DEFAULTS.keys()


def _pair(task: str) -> GuidedModel:
    """An untrained pair of a task, with all that its networks may have."""
    torch.manual_seed(0)
    preset = load_preset(task, "fast")
    proxy, network = preset.proxy, preset.reconstruction
    if isinstance(network, UnfoldedSettings):
        network = replace(network, stages=1)
    if isinstance(network, ScatteringSettings):
        network = replace(network, exposure=True, grain=True)
        assert isinstance(proxy, CompactProxySettings)
        proxy = replace(proxy, edges=True, grain=True)
    return fold_layers(build_model(replace(preset, proxy=proxy, reconstruction=network))).eval()


@pytest.fixture(scope="module", params=["denoise", "derain", "dehaze", "deblur"])
def graph(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return export_graph(_pair(request.param), request.param == "deblur")


def _operators(proto: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in proto.graph.node}


def _picture(proto: onnx.ModelProto) -> tuple[int, int, int]:
    """The shape of a picture that a graph takes."""
    planes = proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    return planes, 64, 96


def _on_webgpu() -> set[str]:
    """The operators that the npm package gives to WebGPU."""
    text = OPERATORS.read_text("utf-8")
    found = {name for part in re.findall(r'"([A-Z][\w ]+?) ?"', text) for name in part.split()}
    assert {"Conv", "DepthToSpace", "Where"} <= found
    return found


def test_webgpu_has_all_operators_of_new_files(graph: onnx.ModelProto) -> None:
    assert _operators(graph) - _on_webgpu() == set()


def test_webgpu_has_all_operators_of_new_files_in_fp16(graph: onnx.ModelProto) -> None:
    names = [value.name for value in graph.graph.input]
    feeds = {"image": np.random.default_rng(0).random((1, *_picture(graph)), np.float32)}
    if KERNEL in names:
        feeds[KERNEL] = np.full((1, 1, 3, 5), 1 / 15, np.float32)
    half = to_half(graph, choose(graph, largest_values(graph, [feeds])))
    assert onnx.TensorProto.FLOAT16 in {tensor.data_type for tensor in half.graph.initializer}
    assert _operators(half) - _on_webgpu() == set()


def _filters(proto: onnx.ModelProto) -> list[tuple[int, ...]]:
    """The shapes of the convolutions' weights."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    return [shapes[node.input[1]] for node in proto.graph.node if node.op_type == "Conv"]


def _is_miscomputed(shape: tuple[int, ...]) -> bool:
    """Whether WebGPU takes the planes in threes."""
    filters, planes, *sides = shape
    in_threes = planes > 3 and planes % 3 == 0 and planes % 4 != 0
    return in_threes and filters % 4 == 0 and max(sides) > 1


def test_convolutions_that_webgpu_miscomputes_get_further_planes(graph: onnx.ModelProto) -> None:
    wide = onnx.ModelProto()
    wide.CopyFrom(graph)
    widen_convolutions(wide.graph)
    onnx.checker.check_model(wide, full_check=True)
    assert not any(map(_is_miscomputed, _filters(wide)))
    assert _operators(wide) - _on_webgpu() == set()
    image = np.random.default_rng(0).random((2, *_picture(graph)), np.float32)
    results = [
        onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"image": image})
        for proto in (graph, wide)
    ]
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_the_weights_come_back_without_the_further_planes(tmp_path: Path) -> None:
    model = export_untrained(load_preset("dehaze", "fast"), tmp_path / "web.onnx", io="web")
    shapes = {t.name: t.dims for t in onnx.load(tmp_path / "web.onnx").graph.initializer}
    first = "proxy.convs.0.weight"
    assert [shapes[first][1], model.state_dict()[first].shape[1]] == [88, 87]
    loaded, _ = load_model_weights(tmp_path / "web.onnx")
    for name, weights in model.state_dict().items():
        torch.testing.assert_close(loaded[name], weights, atol=1e-6, rtol=1e-6, msg=name)
