"""The exported file: contract, equality with torch, seal, and no local information."""

from __future__ import annotations

import getpass
import importlib.util
import re
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import hyperguide
from conftest import TASKS, Cli, fails, roughen
from hyperguide.engines import OnnxRuntimeCpu
from hyperguide.engines.proof import seal_breaks
from hyperguide.errors import HyperguideError
from hyperguide.export import cost
from hyperguide.export.cost import bytes_per_pixel, kilo_macs
from hyperguide.export.graph import cancel_differences, export_graph
from hyperguide.export.model import compare_with_torch, export_model, seal
from hyperguide.export.overlap import sufficient_overlap
from hyperguide.export.probe import receptive_field
from hyperguide.model_format.bundled import bundled_models, bundled_path
from hyperguide.model_format.contract import DIALS
from hyperguide.model_format.golden import read_golden
from hyperguide.model_format.model_file import read_model_file
from hyperguide.training.checkpoint import BEST, load_run, save_tensors
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.preset import load_preset

pytestmark = pytest.mark.lowest


def _one(value: float) -> np.ndarray:
    return np.full((1, 1, 1, 1), value, np.float32)


def _noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


@pytest.fixture(scope="module", params=TASKS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[GuidedModel, Path]:
    """An untrained, roughened pair for each task, and its exported file."""
    run = tmp_path_factory.mktemp(request.param)
    preset = load_preset(request.param, "fast")
    torch.manual_seed(0)
    record = {
        **{"preset": asdict(preset), "settings": {"strategy": "strict"}, "origin": ""},
        **{"step": 0, "seconds": 0},
        **{"data": {}, "validation": {}},
    }
    save_tensors({run / BEST: build_model(preset).state_dict()}, record)
    roughen(run)
    trained = load_run(run)
    export_model(trained, run / "model.onnx")
    return trained.model, run / "model.onnx"


def test_the_model_file_equals_torch_on_image_and_guidance_at_odd_multiples(
    pair: tuple[GuidedModel, Path],
) -> None:
    model, path = pair
    differences = compare_with_torch(model, OnnxRuntimeCpu(read_model_file(path)))
    m = model.size_multiple
    assert [d.size for d in differences] == [(m, m), (3 * m, 5 * m), (7 * m, 2 * m)]
    assert max(d.enhanced for d in differences) < 1e-5
    assert max(d.guidance for d in differences) < 1e-5


def test_a_given_map_at_mix_one_equals_torch_fed_that_map(pair: tuple[GuidedModel, Path]) -> None:
    model, path = pair
    height, width = 3 * model.size_multiple, 4 * model.size_multiple
    image = _noise(1, 3, height, width)
    guidance = model.reconstruction.maximum * _noise(1, 1, height, width, seed=1)
    session = onnxruntime.InferenceSession(path.read_bytes())

    def run(given: np.ndarray) -> list[np.ndarray]:
        return session.run(
            ["enhanced", "guidance"],
            {"image": image, "guidance_in": given, "guidance_mix": _one(1)},
        )

    enhanced, used = run(guidance)
    with torch.no_grad():
        given = torch.from_numpy(guidance)
        expected = model.restore(torch.from_numpy(image), None, lambda read, stage: given).restored
    np.testing.assert_array_equal(used, guidance)
    np.testing.assert_allclose(enhanced, expected.clamp(0, 1).numpy(), atol=1e-4)
    # Any error in the map would show: a tenth less changes far more than the tolerance.
    assert np.abs(run(0.9 * guidance)[0] - enhanced).max() > 1e-3


def test_the_graph_has_no_reshapes_and_no_superfluous_subtractions(tmp_path: Path) -> None:
    preset = load_preset("denoise", "fast")
    proxy = replace(preset.proxy, view="image")  # type: ignore[type-var]
    proto = export_graph(fold_layers(build_model(replace(preset, proxy=proxy))))
    counts = Counter(node.op_type for node in proto.graph.node)
    assert counts.keys().isdisjoint({"Reshape", "Transpose", "Shape"})
    assert counts["Div"] == 1  # of the weighted mean of the surroundings
    # The image minus one half, and 1 - guidance_mix; not the restored picture minus the image.
    assert counts["Sub"] == 2


def test_subtractions_that_undo_an_addition_are_cancelled_and_no_others() -> None:
    graph = onnx.parser.parse_graph("""
        cancels (float[2] a, float[2] b, float[2] c) => (float[2] out) {
            s = Add(a, b)
            d = Sub(s, a)
            e = Sub(a, s)
            f = Mul(d, e)
            unused = Sub(s, b)
            t = Add(c, a)
            g = Sub(t, b)
            out = Add(f, g)
        }""")
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 10
    feeds = {name: _noise(2, seed=seed) for seed, name in enumerate("abc")}
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0]
    cancel_differences(model.graph)
    assert [node.op_type for node in model.graph.node] == ["Add", "Sub", "Mul", "Add", "Sub", "Add"]
    actual = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0]
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_an_exporter_that_deviates_writes_nothing(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hyperguide.export import model as exporter

    def wrong_graph(*arguments: Any) -> onnx.ModelProto:
        proto = real(*arguments)
        bias = next(t for t in proto.graph.initializer if t.name.endswith("tail.bias"))
        changed = onnx.numpy_helper.to_array(bias) + 0.01
        bias.CopyFrom(onnx.numpy_helper.from_array(changed, bias.name))
        return proto

    real = exporter.export_graph
    monkeypatch.setattr(exporter, "export_graph", wrong_graph)
    with pytest.raises(HyperguideError, match="enhanced differs from torch"):
        exporter.export_model(load_run(run_folder), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", TASKS)
def test_bundled_files_keep_the_contract(task: str) -> None:
    path = bundled_path(task, "fast")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == ["image", *DIALS]
    assert [o.name for o in model.graph.output] == ["enhanced", "guidance"]
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    defaults = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert {name: defaults[name].item() for name in DIALS} == DIALS
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["N", 3, "H", "W"]
    info = read_model_file(path).info
    assert info.task == task
    assert info.guidance == hyperguide.TASKS[task].guidance
    assert info.context == ("global" if task == "dehaze" else "local")
    assert info.training["step"] > 1000
    held_out = info.quality["validation"]
    to_restore = 1 - info.training["preset"]["degradation"].get("clean", 0)  # the rest stays clean
    assert held_out["output_psnr"] > held_out["input_psnr"] + 4 * to_restore
    assert info.training["data"]["photos"] > 100


def test_bundled_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in bundled_models()) < 16e6


def test_files_carry_no_trace_of_the_machine_that_made_them(exported: Path) -> None:
    for path in (*bundled_models(), exported):
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            tensor.ClearField("raw_data")
        for entry in list(model.metadata_props):
            if ".golden." in entry.key:
                model.metadata_props.remove(entry)
        text = model.SerializeToString()
        assert b"noise_level" in text or b"rain_region" in text or b"scene_depth" in text
        folders = [str(folder) for folder in (Path.home(), Path.cwd()) if folder != Path("/")]
        words = [*folders, "site-packages", ".py", "Traceback", "pkg."]
        words += [str(exported.parents[1]), f"/{getpass.getuser()}/"]
        assert [word for word in words if word.encode() in text] == []
        assert re.findall(rb"/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", text) == []


@pytest.mark.parametrize("task", TASKS)
def test_nan_in_an_unused_map_does_not_reach_the_output(task: str) -> None:
    session = onnxruntime.InferenceSession(bundled_path(task, "fast").read_bytes())
    image = _noise(1, 3, 64, 64)
    plain = session.run(None, {"image": image})
    unused = np.full((1, 1, 64, 64), np.nan, np.float32)
    fed = session.run(None, {"image": image, "guidance_in": unused, "guidance_mix": _one(0)})
    for a, b in zip(plain, fed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_feeding_the_map_back_does_not_compound_the_scale() -> None:
    session = onnxruntime.InferenceSession(bundled_path("denoise", "fast").read_bytes())
    image = _noise(1, 3, 64, 64)
    first = session.run(None, {"image": image, "guidance_scale": _one(2)})
    again = session.run(
        None,
        {
            "image": image,
            "guidance_scale": _one(2),
            "guidance_in": first[1],
            "guidance_mix": _one(1),
        },
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_verify_runs_all_engines_and_prints_both_deviations(exported: Path, quick_cli: Cli) -> None:
    result = quick_cli("verify", exported)
    assert result.code == 0, result.err
    for engine in ("ONNX Runtime, CPU", "OpenVINO, CPU"):
        (line,) = (line for line in result.out.splitlines() if line.startswith(engine))
        assert re.search(r"enhanced off by \S+ of 1e-04, \S+ dB", line), line
        assert re.search(r"guidance off by \S+ of \S+, \S+ dB", line), line
        assert line.endswith("ok")


def test_verify_says_why_an_engine_did_not_run(
    exported: Path, quick_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name)
    )
    result = quick_cli("verify", exported)
    assert result.code == 0, result.err
    assert "openvino: not run, openvino is not installed, pip install" in result.out
    fails(quick_cli("verify", exported, "--device", "openvino"), "hyperguide[openvino]")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    fails(quick_cli("verify", exported), "No engine is installed", "hyperguide[cpu]")


def test_verify_fails_for_any_one_changed_weight(model_copy: Path) -> None:
    model = onnx.load(model_copy)
    names = [t.name for t in model.graph.initializer]
    assert len(names) > 30
    for i in range(len(names)):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        tensor = changed.graph.initializer[i]
        values = onnx.numpy_helper.to_array(tensor).copy()
        values.flat[0] += 1
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        onnx.save(changed, model_copy)
        assert seal_breaks(read_model_file(model_copy)) == ["the weights were changed"], names[i]


def test_verify_exits_1_with_a_changed_weight(model_copy: Path, quick_cli: Cli) -> None:
    content = bytearray(model_copy.read_bytes())
    tensor = onnx.load(model_copy).graph.initializer[3]
    position = content.find(tensor.raw_data)
    content[position] ^= 1  # the last bit of one weight
    model_copy.write_bytes(content)
    result = quick_cli("verify", model_copy)
    assert result.code == 1
    assert "weights were changed" in result.err


@pytest.mark.parametrize(
    ("part", "sentence"),
    [("metadata", "the metadata was edited"), ("graph", "the graph was changed")],
)
def test_verify_exits_1_with_other_edits(
    part: str, sentence: str, model_copy: Path, quick_cli: Cli
) -> None:
    model = onnx.load(model_copy)
    if part == "metadata":
        entry = next(e for e in model.metadata_props if e.key == "hyperguide.tier")
        entry.value = "paper"
    else:
        next(n for n in model.graph.node if n.op_type == "Relu").op_type = "Sigmoid"
    onnx.save(model, model_copy)
    result = quick_cli("verify", model_copy)
    assert result.code == 1
    assert sentence in result.err


def test_a_metadata_entry_given_twice_is_refused(model_copy: Path) -> None:
    model = onnx.load(model_copy)
    entry = model.metadata_props.add()
    entry.key, entry.value = "hyperguide.tier", "paper"
    model.metadata_props.sort(key=lambda e: e.value != "paper")  # the false one first
    onnx.save(model, model_copy)
    with pytest.raises(HyperguideError, match="a metadata entry twice"):
        read_model_file(model_copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("task", "detoast"),
        ("color", "cmyk"),
        ("io", "nchw16"),
        ("size_multiple", "0"),
        ("size_multiple", '"8"'),
        ("receptive_field", "-1"),
        ("overlap", "-1"),
        ("overlap", "1000"),
        ("overlap", "1.5"),
        ("guidance", "{}"),
        ("guidance", '{"name": "x"'),
    ],
)
def test_metadata_that_this_version_cannot_run_is_refused(
    key: str, value: str, model_copy: Path
) -> None:
    model = onnx.load(model_copy)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, entries | {f"hyperguide.{key}": value})
    onnx.save(model, model_copy)
    with pytest.raises(HyperguideError, match=r"metadata of .* is damaged"):
        hyperguide.load(model_copy)


def test_damage_in_a_golden_sample_is_one_sentence_or_other_numbers(exported: Path) -> None:
    metadata = read_model_file(exported).metadata
    key = next(k for k in metadata if ".golden." in k)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        text = list(metadata[key])
        text[rng.integers(len(text))] = chr(rng.integers(43, 123))
        try:
            read_golden({key: "".join(text)}, "x")
        except HyperguideError:
            refused += 1  # any other error fails the test
    assert refused > 250


def test_golden_samples_catch_changed_weights_under_a_new_seal(
    model_copy: Path, quick_cli: Cli
) -> None:
    """Changed weights under a new seal are detected by the golden outputs."""
    model = onnx.load(model_copy)
    tensor = next(t for t in model.graph.initializer if t.name.endswith("convs.3.bias"))
    values = onnx.numpy_helper.to_array(tensor) + np.float32(0.1)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    seal(model)
    onnx.save(model, model_copy)
    assert seal_breaks(read_model_file(model_copy)) == []
    result = quick_cli("verify", model_copy)
    assert result.code == 1
    assert "FAILED" in result.out
    assert "not computed right" in result.err
    assert "cpu, openvino" in result.err


@pytest.mark.parametrize(
    ("output", "operator", "operand"),
    [
        ("enhanced", "Gather", np.array([2, 1, 0])),  # red and blue swapped
        ("guidance", "Mul", np.array(1.1, np.float32)),  # another unit
    ],
)
def test_golden_samples_catch_exchanged_channels_and_another_unit(
    output: str, operator: str, operand: np.ndarray, model_copy: Path, quick_cli: Cli
) -> None:
    model = onnx.load(model_copy)
    next(node for node in model.graph.node if output in node.output).output[0] = "right"
    model.graph.initializer.append(onnx.numpy_helper.from_array(operand, "operand"))
    wrong = onnx.helper.make_node(operator, ["right", "operand"], [output])
    if operator == "Gather":
        wrong.attribute.append(onnx.helper.make_attribute("axis", 1))
    model.graph.node.append(wrong)
    seal(model)
    onnx.save(model, model_copy)
    result = quick_cli("verify", model_copy, "--device", "cpu")
    fails(result, "not computed right")
    assert "FAILED" in result.out


def test_golden_samples_are_small_and_cover_the_dials(exported: Path) -> None:
    samples = read_golden(read_model_file(exported).metadata, "x")
    assert {sample.name for sample in samples} == {"plain", "dials"}
    used = {name for sample in samples for name in sample.feeds}
    assert used == {"image", *DIALS}
    size = sum(len(v) for k, v in read_model_file(exported).metadata.items() if ".golden." in k)
    assert size < 150_000


class _Blocks(nn.Module):
    """Mean over blocks, then a 5x5 convolution of the blocks, then enlargement."""

    size_multiple = 4

    def forward(self, image: Tensor) -> Tensor:
        x = nn.functional.avg_pool2d(image, 4)
        x = nn.functional.conv2d(x, torch.ones(1, 1, 5, 5), padding=2)
        return nn.functional.interpolate(x, scale_factor=4.0)


class _Mean(nn.Module):
    size_multiple = 1

    def forward(self, image: Tensor) -> Tensor:
        return image - image.mean((2, 3), keepdim=True)


def test_the_receptive_field_is_exact() -> None:
    # From the first pixel of a block: 8 back (two blocks), 11 ahead (to the last pixel of the
    # third block).
    assert receptive_field(_Blocks(), [1], 0) == 11
    assert receptive_field(_Mean(), [1], 0) is None


def _taps(image: Tensor, near: float, far: float) -> Tensor:
    """Add pixels 12 and 40 away, with these weights."""
    wide = nn.functional.pad(image, (40, 40))
    at = {d: wide[..., 40 + d : 40 + d + image.shape[3]] for d in (-40, -12, 12, 40)}
    return image + near * (at[-12] + at[12]) + far * (at[-40] + at[40])


@pytest.mark.parametrize(
    ("near", "far", "overlap"), [(0.1, 0.1, 40), (0.1, 1e-4, 12), (1e-4, 1e-4, 0), (0.1, 0, 12)]
)
def test_tiles_overlap_by_what_changes_a_pixel_by_a_quarter_of_a_level(
    near: float, far: float, overlap: int
) -> None:
    assert sufficient_overlap(lambda image: _taps(image, near, far), 1, 4, 40) == overlap


@pytest.mark.parametrize("task", ["denoise", "deblur", "dehaze"])
def test_the_work_of_a_graph_is_that_of_its_convolutions(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted by hand: inputs times outputs times taps, at the resolution of each layer.

    Deblurring also computes the border that it pads, and dehazing a scene of fixed size.
    """
    preset = load_preset(task, "fast")
    model = build_model(preset)
    reach: list[float] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        taps = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
        reach.append(taps * output.numel())

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model.restore(torch.rand(1, preset.channels, 96, 160))
    counted = sum(reach) / 96 / 160 / 1000
    monkeypatch.setattr(cost, "_FRAME", (96, 160))
    assert kilo_macs(build_model(preset)) == pytest.approx(counted, rel=1e-6)


def test_info_tells_work_operators_and_dials(exported: Path, quick_cli: Cli) -> None:
    text = quick_cli("info", exported).out
    assert re.search(r"cost.kilo_macs_per_pixel +\d+\.\d", text)
    assert re.search(r"cost.operators.fp32.Conv +\d\d", text)
    assert re.search(r"dials.strength +1", text)


def test_a_plain_file_computes_the_same_in_more_steps(
    run_folder: Path, exported: Path, tmp_path: Path, quick_cli: Cli, astronaut: np.ndarray
) -> None:
    plain = tmp_path / "plain.onnx"
    assert quick_cli("export", run_folder, "-o", plain, "--plain").code == 0
    counts = [len(onnx.load(path).graph.node) for path in (exported, plain)]
    assert counts[0] < 0.8 * counts[1]
    picture = astronaut[:64, :96].astype(np.float32) / 255
    fused, unfused = (hyperguide.load(path)(picture) for path in (exported, plain))
    np.testing.assert_allclose(fused.image, unfused.image, atol=1e-5)
    np.testing.assert_allclose(fused.guidance, unfused.guidance, atol=1e-5)
    words = ("--plain", "--precision", "fp16", "--calib", tmp_path)
    fails(quick_cli("export", run_folder, "-o", tmp_path / "b.onnx", *words), "--plain")


def test_memory_per_pixel_is_that_of_the_tensors_that_live_at_once() -> None:
    """Counted by hand: three tensors of 16 planes at half the size."""

    def conv(source: str, output: str, planes: int, stride: int) -> list[onnx.NodeProto]:
        shape = (planes, 3 if source == "image" else 16, stride, stride)
        weights = onnx.numpy_helper.from_array(np.ones(shape, np.float32), f"{output}.weight")
        initializers.append(weights)
        return [
            onnx.helper.make_node("Conv", [source, weights.name], [output], strides=[stride] * 2)
        ]

    initializers: list[onnx.TensorProto] = []
    nodes = [*conv("image", "a", 16, 2), *conv("a", "b", 16, 1), *conv("a", "c", 16, 1)]
    nodes.append(onnx.helper.make_node("Add", ["b", "c"], ["enhanced"]))
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("image", floats, ["N", 3, "H", "W"])],
        [onnx.helper.make_tensor_value_info("enhanced", floats, ["N", 16, "H", "W"])],
        initializers,
    )
    quarter_planes = 16 * 4 / 4  # bytes per pixel of 16 planes at half the size
    # a, b and c live while c is computed; then b, c and their sum.
    opset = [onnx.helper.make_opsetid("", 18)]  # supported by every version of ONNX Runtime
    model = onnx.helper.make_model(graph, opset_imports=opset)
    assert bytes_per_pixel(model) == 3 * quarter_planes
