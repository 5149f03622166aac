"""fp16 files: what computes in fp16, what must not, the loss, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import pytest
import torch
from onnx import TensorProto

import hyperguide
from conftest import Cli, fails
from hyperguide.export.graph import export_graph
from hyperguide.export.half_precision import Halves, choose, largest_values, to_half
from hyperguide.export.model import Lower, export_model
from hyperguide.model_format.contract import DIALS
from hyperguide.model_format.model_file import read_model_file
from hyperguide.training.checkpoint import load_run
from hyperguide.training.model import GuidedModel
from hyperguide.training.networks.folding import fold_layers
from made_data import fill

pytestmark = pytest.mark.usefixtures("few_crops")


@pytest.fixture(scope="module")
def half_file(
    run_folder: Path, photos: Path, few_crops: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("fp16") / "model.onnx"
    export_model(load_run(run_folder), path, lower=Lower("fp16", [photos]))
    return path


@pytest.fixture(scope="module")
def pair(run_folder: Path) -> GuidedModel:
    return fold_layers(load_run(run_folder).model).eval()


def _picture(astronaut: np.ndarray) -> np.ndarray:
    planes = astronaut[100:164, 200:296].transpose(2, 0, 1)[None] / np.float32(255)
    return np.ascontiguousarray(planes.astype(np.float32))


def _run(proto: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    results: list[np.ndarray] = session.run(["enhanced", "guidance"], {"image": image})
    return results


def _types(proto: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor."""
    graph = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def test_all_convolutions_compute_in_fp16_and_what_touches_the_picture_does_not(
    half_file: Path,
) -> None:
    proto = onnx.load(half_file)
    types = _types(proto)
    convs = [node for node in proto.graph.node if node.op_type == "Conv"]
    assert len(convs) > 10
    for conv in convs:
        assert {types[name] for name in (*conv.input, *conv.output)} == {TensorProto.FLOAT16}
    for value in (*proto.graph.input, *proto.graph.output):
        assert types[value.name] == TensorProto.FLOAT
    # Everything between the picture, the dials or the results and the next cast is fp32.
    near = {"image", *DIALS}
    for node in proto.graph.node:
        if node.op_type != "Cast" and near.intersection(node.input):
            assert {types[name] for name in node.output} <= {
                TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64,
            }  # fmt: skip
    makers = {name: node for node in proto.graph.node for name in node.output}
    node = makers["enhanced"]
    while node.op_type != "Mul":  # clip, image + ..., strength * correction
        inputs = [name for name in node.input if name in makers]
        assert all(types[name] == TensorProto.FLOAT for name in inputs)
        node = makers[inputs[-1]]


def test_an_fp16_file_is_half_as_large_and_computes_nearly_the_same(
    half_file: Path, exported: Path, astronaut: np.ndarray, quick_cli: Cli
) -> None:
    sizes = [
        sum(len(tensor.raw_data) for tensor in onnx.load(path).graph.initializer)
        for path in (half_file, exported)
    ]
    assert sizes[0] < 0.55 * sizes[1]
    picture = astronaut[100:164, 200:296]
    results = [hyperguide.load(path)(picture) for path in (half_file, exported)]
    noisy = np.abs(results[0].image.astype(int) - results[1].image)
    assert noisy.max() <= 1
    info = read_model_file(half_file).info
    assert info.precision == "fp16"
    assert abs(info.quality["fp16"]["loss_db"]) < 0.02
    for device in ("cpu", "openvino"):
        assert quick_cli("verify", half_file, "--device", device).code == 0


@pytest.fixture(scope="module")
def overflowing(pair: GuidedModel) -> tuple[onnx.ModelProto, str]:
    """The pair with a convolution whose results overflow fp16, and the name of its weights."""
    proto = export_graph(pair)
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    first, second = (f"reconstruction.middle.0.conv{number}.weight" for number in (1, 2))
    bias = first.replace("weight", "bias")
    for name, factor in ((first, 2.0**20), (bias, 2.0**20), (second, 2.0**-20)):
        values = onnx.numpy_helper.to_array(weights[name]) * np.float32(factor)
        weights[name].CopyFrom(onnx.numpy_helper.from_array(values, name))
    return proto, first


def test_a_convolution_whose_values_do_not_fit_stays_in_fp32(
    overflowing: tuple[onnx.ModelProto, str], pair: GuidedModel, astronaut: np.ndarray
) -> None:
    proto, weight = overflowing
    image = _picture(astronaut)
    expected = _run(export_graph(pair), image)[0]
    halves = choose(proto, largest_values(proto, [{"image": image}]))
    by_weight = {node.input[1]: node.name for node in proto.graph.node if node.op_type == "Conv"}
    partner = weight.replace("conv1", "conv2")
    assert set(halves.islands) == {by_weight[weight], by_weight[partner]}
    assert all(size > 65504 / 8 for size in halves.islands.values())
    np.testing.assert_allclose(_run(to_half(proto, halves), image)[0], expected, atol=3e-3)
    # Without the fp32 islands the result is lost.
    everything = Halves(halves.nodes | set(halves.islands), {})
    lost = _run(to_half(proto, everything), image)[0]
    assert not np.allclose(lost, expected, atol=3e-3)


def test_ranges_of_values_are_those_on_the_calibration_pictures(
    pair: GuidedModel, astronaut: np.ndarray
) -> None:
    proto = export_graph(pair)
    image = _picture(astronaut)
    largest = largest_values(proto, [{"image": image}, {"image": 0 * image}])
    assert largest["image"] == image.max()
    with torch.no_grad():
        maps = [pair.predict(torch.from_numpy(picture)) for picture in (image, 0 * image)]
    assert largest["guidance"] == pytest.approx(float(torch.cat(maps).max()), rel=1e-4)


def test_fp16_needs_pictures(run_folder: Path, tmp_path: Path, quick_cli: Cli) -> None:
    out = ("-o", tmp_path / "a.onnx")
    fails(quick_cli("export", run_folder, *out, "--precision", "fp16"), "fp16", "--calib")
    words = ("--precision", "fp16", "--calib", tmp_path, "--steps", 3)
    fails(quick_cli("export", run_folder, *out, *words), "--steps belong to --precision int8")
    assert not list(tmp_path.iterdir())


def test_export_tells_what_the_folder_of_calib_holds_and_errors_name_it(
    run_folder: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    words = ("export", run_folder, "-o", tmp_path / "a.onnx", "--precision", "fp16", "--calib")
    alike = fill(tmp_path / "alike", ["a/1.png", "b/1.png"])
    one = fill(tmp_path / "one", ["1.png"])
    (tmp_path / "empty").mkdir()
    for folder, told in (
        (tmp_path / "none", "does not exist"),
        (tmp_path / "empty", "holds no photos"),
        (one, "At least two photos"),
        (alike, "equal names"),
    ):
        result = quick_cli(*words, folder)
        fails(result, told, "--calib")
        assert "--data" not in result.err
    pairs = fill(tmp_path / "mine", ["lq/1.png", "lq/2.png", "gt/1.png", "gt/2.png"], 64, 64)
    result = quick_cli(*words, pairs, "--accept-loss")
    assert result.code == 0, result.err
    told = f"2 pairs in {pairs}: degraded lq/1.png, clean gt/1.png and so on"
    assert told in result.out.splitlines()


def test_a_model_file_is_written_to_no_other_name(
    run_folder: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    run = tmp_path / "best.safetensors"
    run.write_bytes((run_folder / "best.safetensors").read_bytes())
    fails(quick_cli("export", run, "-o", run, "--force"), "give a name with .onnx")
    assert run.read_bytes() == (run_folder / "best.safetensors").read_bytes()
