"""Damaged, edited or malicious model files: read correctly, or refused in one sentence."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_models import GAIN, entry, replace_node, tensor, tiny_model, write
from onnx import TensorProto, helper

import hyperguide
from conftest import Cli, fails
from hyperguide.engines import OnnxRuntimeCpu, OpenVino
from hyperguide.engines.byte_graph import of_bytes
from hyperguide.engines.proof import seal_breaks
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import bundled_models
from hyperguide.model_format.golden import Golden, read_golden
from hyperguide.model_format.graph_size import shapes
from hyperguide.model_format.model_file import read_model_file, replace_info
from hyperguide.model_format.onnx_outline import read_outline
from hyperguide.model_format.protobuf import submessage, varint_field
from hyperguide.training.model_weights import load_model_weights

DEVICES = ("cpu", "openvino")
PICTURE = (np.arange(6 * 8).reshape(6, 8) * 5).astype(np.uint8)

Change = Callable[[onnx.ModelProto], object]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write(tmp_path / "tiny.onnx", tiny_model())


@pytest.mark.parametrize("device", [*DEVICES, "auto"])
def test_a_model_file_made_by_hand_runs(tiny: Path, device: str) -> None:
    """Otherwise the tests below would prove nothing."""
    with hyperguide.load(tiny, device=device) as enhancer:
        result = enhancer(PICTURE)
    np.testing.assert_allclose(result.image, np.rint(GAIN * PICTURE), atol=1)
    np.testing.assert_allclose(result.guidance, PICTURE.mean() / 255, atol=1e-6)


def _elsewhere(proto: TensorProto, place: str) -> None:
    proto.ClearField("raw_data")
    proto.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", "0"), ("length", "4")):
        proto.external_data.add(key=key, value=value)


def _weights_elsewhere(place: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        _elsewhere(next(t for t in model.graph.initializer if t.name == "gain"), place)

    return change


def _constant_elsewhere(model: onnx.ModelProto) -> None:
    constant = helper.make_node("Constant", [], ["gained"], value=tensor("v", [[[[1]]]]))
    _elsewhere(constant.attribute[0].t, "beside.bin")
    model.graph.node.insert(0, constant)


def _location_alone(model: onnx.ModelProto) -> None:
    """EXTERNAL location without any entries, set by a number that is EXTERNAL only in 32 bits."""
    weights = next(t for t in model.graph.initializer if t.name == "gain")
    weights.MergeFromString(varint_field(14, (1 << 32) + 1))


def _subgraph(model: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["e"], ["f"]), helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("e", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("f", TensorProto.FLOAT, None),
        ],
    )
    model.graph.initializer.extend(
        [tensor("rounds", 1 << 60, np.int64), tensor("true", True, np.bool_)]
    )
    loop = helper.make_node("Loop", ["rounds", "true", "image"], ["looped"], body=body)
    model.graph.node.insert(0, loop)


def _own_function(model: onnx.ModelProto) -> None:
    imports = [helper.make_opsetid("", 18)]
    inner = [helper.make_node("Relu", ["x"], ["y"])]
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], inner, imports))


def _foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"


def _foreign_operators(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _absurd_version(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 1 << 31


def _absurd_format(model: onnx.ModelProto) -> None:
    model.ir_version = 1 << 40


def _sparse(model: onnx.ModelProto) -> None:
    sparse = helper.make_sparse_tensor(
        tensor("s", [1.0]), helper.make_tensor("i", TensorProto.INT64, [1], [0]), [4]
    )
    model.graph.sparse_initializer.append(sparse)


def _training(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.name = "step"


def _circle(model: onnx.ModelProto) -> None:
    kept = next(node for node in model.graph.node if "kept" in node.output)
    kept.input[1] = "kept"


def _random(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("RandomNormalLike", ["image"], ["r"]))


def _negative_side(model: onnx.ModelProto) -> None:
    next(t for t in model.graph.initializer if t.name == "gain").dims[0] = -1


def _missing_values(model: onnx.ModelProto) -> None:
    next(t for t in model.graph.initializer if t.name == "gain").dims[0] = 1 << 40


def _typed_values(model: onnx.ModelProto) -> None:
    weights = next(t for t in model.graph.initializer if t.name == "gain")
    weights.CopyFrom(helper.make_tensor("gain", TensorProto.FLOAT, [1, 1, 1, 1], [0.5]))


def _made_twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["image"], ["enhanced"]))


def _reads_nothing(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "imagine"


def _bytes_of_picture(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Cast", ["image"], ["enhanced"], to=TensorProto.UINT8)]
    replace_node(model, "enhanced", nodes)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8


HARMFUL: dict[str, tuple[Change, str]] = {
    "beside": (_weights_elsewhere("beside.bin"), "another file"),
    "above": (_weights_elsewhere("../beside.bin"), "another file"),
    "absolute": (_weights_elsewhere("/etc/hostname"), "another file"),
    "in a constant": (_constant_elsewhere, "another file"),
    "by a number of 33 bits": (_location_alone, "another file"),
    "subgraph": (_subgraph, "a graph within a graph"),
    "function": (_own_function, "operators of its own"),
    "foreign operator": (_foreign_operator, "not a standard one"),
    "foreign operators": (_foreign_operators, "other operators"),
    "absurd version": (_absurd_version, "a version of ONNX"),
    "absurd format": (_absurd_format, "a version of ONNX"),
    "sparse": (_sparse, "sparse"),
    "training": (_training, "training"),
    "circle": (_circle, "in a circle"),
    "negative side": (_negative_side, "no valid shape"),
    "missing values": (_missing_values, "as its shape says"),
    "typed values": (_typed_values, "plain bytes"),
    "made twice": (_made_twice, "'enhanced' twice"),
    "reads nothing": (_reads_nothing, "'imagine'"),
    "bytes of a picture of floats": (_bytes_of_picture, "another type"),
}


@pytest.mark.parametrize("harm", HARMFUL)
def test_graphs_that_no_export_writes_are_refused_before_an_engine_loads_them(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.bin").write_bytes(b"secret" * 20)
    change, word = HARMFUL[harm]
    model = tiny_model()
    change(model)
    path = write(tmp_path / "model.onnx", model)
    readers: list[Callable[[], object]] = [lambda: load_model_weights(path)]
    readers += [lambda: read_model_file(path), lambda: hyperguide.load(path)]
    for read in readers:
        with pytest.raises(HyperguideError, match=word) as error:
            read()
        assert "again" in str(error.value)


def _asks_for_much(operator: str, sizes: Any) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(tensor("sizes", sizes, np.int64))
        model.graph.node.insert(0, helper.make_node(operator, ["gain", "sizes"], ["much"]))

    return change


def _doubled(count: int) -> Change:
    """Steps that each concatenate a tensor with itself."""

    def change(model: onnx.ModelProto) -> None:
        names = ["image", *(f"double{i}" for i in range(count))]
        model.graph.node.extend(
            helper.make_node("Concat", [a, a], [b], axis=3) for a, b in itertools.pairwise(names)
        )

    return change


def _every_pixel_with_every_other(model: onnx.ModelProto) -> None:
    flat = tensor("flat", [1, 1, -1, 1], np.int64), tensor("lying", [1, 1, 1, -1], np.int64)
    model.graph.initializer.extend(flat)
    model.graph.node.extend(
        [
            helper.make_node("Reshape", ["image", "flat"], ["a"]),
            helper.make_node("Reshape", ["image", "lying"], ["b"]),
            helper.make_node("Mul", ["a", "b"], ["c"]),
            helper.make_node("Concat", ["c", "c"], ["d"], axis=0),
            helper.make_node("Concat", ["d", "d"], ["e"], axis=0),
            helper.make_node("Concat", ["e", "e"], ["f"], axis=0),
        ]
    )


def _computed_size(model: onnx.ModelProto) -> None:
    """2^48, computed by squaring 64 three times."""
    model.graph.initializer.append(tensor("64", [64], np.int64))
    names = ["64", "square0", "square1", "square2"]
    model.graph.node.extend(
        helper.make_node("Mul", [a, a], [b]) for a, b in itertools.pairwise(names)
    )
    model.graph.node.append(helper.make_node("ConstantOfShape", ["square2"], ["zeros"]))


def _size_out_of_the_picture(model: onnx.ModelProto) -> None:
    whole = helper.make_node("Cast", ["image"], ["whole"], to=TensorProto.INT64)
    model.graph.initializer.append(tensor("list", [-1], np.int64))
    model.graph.node.extend(
        [
            whole,
            helper.make_node("Reshape", ["whole", "list"], ["sizes"]),
            helper.make_node("Expand", ["gain", "sizes"], ["much"]),
        ]
    )


def _long_work(model: onnx.ModelProto) -> None:
    """The weights of one convolution, used a thousand times."""
    model.graph.initializer.append(tensor("w", np.ones((64, 64, 9, 9))))
    model.graph.initializer.append(tensor("in", np.ones((64, 1, 1, 1))))
    names = [f"wide{i}" for i in range(1000)]
    model.graph.node.append(helper.make_node("Conv", ["image", "in"], [names[0]]))
    model.graph.node.extend(
        helper.make_node("Conv", [a, "w"], [b], pads=[4] * 4) for a, b in itertools.pairwise(names)
    )


def _wide_border(model: onnx.ModelProto) -> None:
    node = helper.make_node(
        "AveragePool", ["image"], ["pooled"], kernel_shape=[1, 1], pads=[1 << 20] * 4
    )
    model.graph.node.insert(0, node)


GREEDY: dict[str, Change] = {
    "expand": _asks_for_much("Expand", [1 << 20, 1 << 20, 1, 1]),
    "tile": _asks_for_much("Tile", [1, 1, 1 << 30, 1]),
    "pad": _asks_for_much("Pad", [0, 0, 0, 0, 0, 0, 1 << 40, 0]),
    "border": _wide_border,
    "doubled": _doubled(30),
    "random": _random,
    "every pixel with every other": _every_pixel_with_every_other,
    "computed size": _computed_size,
    "size out of the picture": _size_out_of_the_picture,
    "long work": _long_work,
}


@pytest.mark.parametrize("greed", GREEDY)
def test_a_graph_that_takes_far_more_than_its_picture_is_never_run(
    greed: str, tmp_path: Path
) -> None:
    model = tiny_model()
    GREEDY[greed](model)
    path = write(tmp_path / "model.onnx", model)
    with pytest.raises(
        HyperguideError, match=r"too (large a result|much)|(un)?known size|no export"
    ):
        hyperguide.load(path)


def test_a_graph_that_doubles_its_picture_a_few_times_is_run(tmp_path: Path) -> None:
    model = tiny_model()
    _doubled(3)(model)
    with hyperguide.load(write(tmp_path / "model.onnx", model), device="cpu") as enhancer:
        np.testing.assert_allclose(enhancer(PICTURE).image, np.rint(GAIN * PICTURE), atol=1)


@pytest.mark.parametrize("path", bundled_models(), ids=lambda path: path.stem)
def test_graph_shapes_equal_those_of_onnx_inference(path: Path) -> None:
    """Compared with ONNX's inference with data propagation, wherever that finds a shape."""
    model, file = onnx.load(path), read_model_file(path)
    image = (1, file.info.channels, 64, 128)
    for side, size in zip(model.graph.input[0].type.tensor_type.shape.dim, image, strict=True):
        side.dim_value = size
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    found = shapes(read_outline(file.content), {"image": image})
    compared = 0
    for value in [*inferred.graph.value_info, *inferred.graph.output]:
        sides = [side.dim_value for side in value.type.tensor_type.shape.dim]
        if 0 not in sides and value.name in found:
            assert list(found[value.name]) == sides, value.name
            compared += 1
    assert compared > 10
    assert found["enhanced"] == image
    assert found["guidance"] == (1, 1, 64, 128)


@pytest.mark.parametrize("verb", ["info", "verify", "build", "enhance", "export", "eval"])
def test_every_verb_refuses_weights_in_another_file(
    verb: str, tmp_path: Path, photo: Path, quick_cli: Cli
) -> None:
    model = tiny_model()
    _weights_elsewhere("photo.png")(model)
    path = write(tmp_path / "model.onnx", model)
    output = tmp_path / "out.png"
    words: dict[str, tuple[object, ...]] = {
        "build": ("-o", tmp_path / "a.engine"),
        "export": ("-o", tmp_path / "b.onnx"),
        "eval": ("--suite", f"pairs:{tmp_path}"),
    }
    if verb == "enhance":
        result = quick_cli("enhance", "-i", photo, "-o", output, "-m", path)
    else:
        result = quick_cli(verb, path, *words.get(verb, ()))
    fails(result, "another file")
    assert not output.exists()


def test_nodes_of_a_graph_may_be_in_any_order(tmp_path: Path) -> None:
    model = tiny_model()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    with hyperguide.load(write(tmp_path / "model.onnx", model), device="cpu") as enhancer:
        np.testing.assert_allclose(enhancer(PICTURE).image, np.rint(GAIN * PICTURE), atol=1)


def test_what_one_reader_of_protocol_buffers_passes_over_is_refused(tiny: Path) -> None:
    """Unknown fields, other wire types, a second graph: readers interpret them differently."""
    content = tiny.read_bytes()
    graph = submessage(7, b"")
    for more in (graph, varint_field(7, 1), varint_field(99, 1), submessage(99, b"x"), b"\x0b\x0c"):
        tiny.write_bytes(content + more)
        with pytest.raises(HyperguideError, match="damaged"):
            read_model_file(tiny)


def test_a_message_of_very_many_empty_fields_is_refused(tiny: Path) -> None:
    model = tiny_model()
    model.ClearField("graph")
    tiny.write_bytes(model.SerializeToString() + submessage(7, submessage(1, b"") * 200_000))
    with pytest.raises(HyperguideError, match="too many fields"):
        read_model_file(tiny)


def test_any_flipped_bit_of_a_model_file_is_refused_or_changes_nothing(tiny: Path) -> None:
    content = tiny.read_bytes()
    expected = _result(tiny)
    refused = same = 0
    for place in range(0, 8 * len(content), 61):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        tiny.write_bytes(changed)
        try:
            np.testing.assert_array_equal(_result(tiny), expected, str(place))
            same += 1
        except HyperguideError:
            refused += 1
    assert refused > 300
    assert same <= 2  # a number or size may have several encodings


def _result(path: Path) -> np.ndarray:
    with hyperguide.load(path, device="cpu") as enhancer:
        return enhancer(PICTURE).image


@pytest.mark.parametrize("part", ["weights", "graph", "metadata"])
@pytest.mark.parametrize("device", [*DEVICES, "auto"])
def test_a_changed_model_file_is_described_but_not_run(
    part: str, device: str, tmp_path: Path, photo: Path, quick_cli: Cli
) -> None:
    model = tiny_model()
    if part == "weights":
        model.graph.initializer[0].raw_data = b"\0\0\0\1"
    elif part == "graph":
        model.graph.doc_string = "mine"
    else:
        entry(model, "tier").value = "paper"
    path = write(tmp_path / "model.onnx", model, sealed=False)
    with pytest.raises(HyperguideError, match=rf"not what was exported: the {part} w.*again"):
        hyperguide.load(path, device=device)
    assert quick_cli("info", path).code == 0
    fails(quick_cli("verify", path), f"the {part} w")
    output = tmp_path / "out.png"
    fails(quick_cli("enhance", "-i", photo, "-o", output, "-m", path), f"the {part} w")
    with pytest.raises(HyperguideError, match="not what was exported"):
        load_model_weights(path)


@pytest.mark.parametrize("missing", ["sha256.weights", "sha256.graph", "sha256.metadata"])
def test_a_model_file_without_its_seal_is_not_run(missing: str, tmp_path: Path) -> None:
    model = tiny_model()
    model.metadata_props.remove(entry(model, missing))
    with pytest.raises(HyperguideError, match="not what was exported"):
        hyperguide.load(write(tmp_path / "model.onnx", model, sealed=False))


@pytest.mark.parametrize("sealed", [False, True])
def test_a_file_whose_dials_were_folded_away_says_what_took_them(
    sealed: bool, tmp_path: Path
) -> None:
    """Like onnxslim and onnxsim, which turn inputs with defaults into constants."""
    model = tiny_model()
    kept = [value for value in model.graph.input if value.name == "image"]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    path = write(tmp_path / "model.onnx", model, sealed)
    assert read_model_file(path).info.task == "denoise"
    with pytest.raises(HyperguideError, match=r"simplif.*leave it as it is|leave it as.*simplif"):
        hyperguide.load(path)


def test_bundled_files_are_sealed() -> None:
    for path in bundled_models():
        assert seal_breaks(read_model_file(path)) == []


_DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("guidance", _DEEP), ("training", _DEEP), ("quality", '{"a":' * 40 + "1" + "}" * 40)),
        *(("size_multiple", "20000"), ("size_multiple", "1" * 5000), ("size_multiple", "2.0")),
        *(("size_multiple", "true"), ("size_multiple", "Infinity"), ("receptive_field", "1e400")),
        *(("receptive_field", str(10**9)), ("receptive_field", "null"), ("whole_picture", "1")),
        *(("cost", '{"bytes_per_pixel": -5}'), ("cost", '{"bytes_per_pixel": Infinity}')),
        *(("cost", "[]"), ("cost", '{"operators": {"fp32": 3}}'), ("card", '"words"')),
        *(("training", "[]"), ("quality", "7"), ("training", '{"a": 1, "a": 2}')),
        *(("tier", "a\nb"), ("tier", "\x1b[2J"), ("tier", ""), ("tier", "x" * 10_000)),
        *(("precision", "fp64"), ("guidance", "[]"), ("guidance", "null")),
    ],
)
def test_metadata_of_another_type_or_range_is_one_sentence(
    key: str, value: str, tmp_path: Path
) -> None:
    model = tiny_model(whole_picture=False)
    entry(model, key).value = value
    path = write(tmp_path / "model.onnx", model)
    with pytest.raises(HyperguideError, match=r"metadata of .* is damaged") as error:
        hyperguide.load(path)
    _is_a_sentence(str(error.value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("minimum", "true"), ("minimum", "2"), ("maximum", "NaN"), ("maximum", "1" + "0" * 400)),
        *(("smoothing", "7"), ("smoothing", "1"), ("smoothing", "-0.1"), ("unit", "3")),
        *(("name", '"a\\nb"'), ("more", "1")),
    ],
)
def test_a_map_without_a_meaning_is_refused(name: str, value: str, tmp_path: Path) -> None:
    model = tiny_model()
    text = entry(model, "guidance").value
    entry(model, "guidance").value = text[:-1] + f', "{name}": {value}}}'
    if name != "more":  # replaces an existing value
        fields = json.loads(text) | {name: json.loads(value)}
        entry(model, "guidance").value = json.dumps(fields)
    with pytest.raises(HyperguideError, match=r"metadata of .* is damaged"):
        hyperguide.load(write(tmp_path / "model.onnx", model))


def test_a_very_long_format_entry_is_refused_in_one_short_sentence(tmp_path: Path) -> None:
    model = tiny_model()
    entry(model, "format").value = "2\n\x1b[31m" * 10_000
    with pytest.raises(HyperguideError, match="has model format 2") as error:
        hyperguide.load(write(tmp_path / "model.onnx", model))
    _is_a_sentence(str(error.value))


def _is_a_sentence(text: str) -> None:
    assert text.isprintable()
    assert len(text) <= 1300
    assert text.endswith(".")


def test_info_prints_no_escape_codes(tmp_path: Path, quick_cli: Cli) -> None:
    model = tiny_model(card={"purpose": "to \x1b[31m redden\nthe terminal", "\x07": "bell"})
    result = quick_cli("info", write(tmp_path / "model.onnx", model))
    assert "to \\x1b[31m redden\\nthe terminal" in result.out
    assert "\x1b" not in result.out
    assert "\x07" not in result.out


def test_errors_of_model_files_are_one_printable_line_of_bounded_length() -> None:
    error = HyperguideError(
        "The model says:\n\tbad \x1b[31mthing\u202e at 日本\u3000語" + "x" * 5000
    )
    text = str(error)
    assert text.startswith("The model says:\\n\\tbad \\x1b[31mthing\\u202e at 日本\u3000語xxx")
    assert text.endswith("x.")
    assert len(text) < 1300
    assert str(HyperguideError(text)) == text
    assert str(HyperguideError("Is it there?")) == "Is it there?"


def _smaller_map(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("ReduceMean", ["image", "axes"], ["guidance"])]
    replace_node(model, "guidance", nodes)


def _one_number(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("ReduceMean", ["image"], ["enhanced"], keepdims=0)]
    replace_node(model, "enhanced", nodes)
    del model.graph.output[0].type.tensor_type.shape.dim[:]


def _cut_picture(model: onnx.ModelProto) -> None:
    model.graph.initializer.extend(
        [tensor("from", [0], np.int64), tensor("to", [2], np.int64), tensor("of", [3], np.int64)]
    )
    nodes = [helper.make_node("Slice", ["image", "from", "to", "of"], ["enhanced"])]
    replace_node(model, "enhanced", nodes)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("change", [_smaller_map, _one_number, _cut_picture])
def test_an_engine_result_of_another_shape_or_type_is_refused(
    change: Change, device: str, tmp_path: Path
) -> None:
    model = tiny_model()
    change(model)
    path = write(tmp_path / "model.onnx", model)
    with hyperguide.load(path, device=device) as enhancer:
        for picture in (PICTURE, PICTURE.astype(np.float32) / 255):
            with pytest.raises(HyperguideError, match=r"gave (enhanced|guidance)|failed"):
                enhancer(picture)
            with pytest.raises(HyperguideError, match=r"gave (enhanced|guidance)|failed"):
                enhancer(picture, strength=0.5)


def test_no_other_engine_tries_what_onnx_runtime_takes_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried(*arguments: object) -> None:
        raise AssertionError("OpenVINO was given the file")

    monkeypatch.setattr(OpenVino, "__init__", tried)
    model = tiny_model()
    model.graph.initializer.append(tensor("whole", 2, np.int64))
    node = helper.make_node("Mul", ["image", "whole"], ["enhanced"])  # of different types
    replace_node(model, "enhanced", [node])
    path = write(tmp_path / "model.onnx", model)
    with pytest.raises(HyperguideError, match=r"ONNX Runtime rejects .* again\.") as error:
        hyperguide.load(path)
    _is_a_sentence(str(error.value))


def test_what_is_derived_from_a_model_file_that_was_read_never_fails(tiny: Path) -> None:
    """Tested with single flipped bits."""
    content = tiny.read_bytes()
    read = 0
    for place in range(0, 8 * len(content), 29):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        tiny.write_bytes(changed)
        try:
            file = read_model_file(tiny)
        except HyperguideError as error:
            _is_a_sentence(str(error))
            continue
        read += 1
        for make in (file.weights, file.frozen, file.with_inputs, lambda f=file: f.digests):
            make()
        for make in (lambda f=file: of_bytes(f), lambda f=file: f.with_info(f.info)):
            try:
                make()
            except HyperguideError as error:
                _is_a_sentence(str(error))
    assert read > 100


def test_weights_of_a_model_file_equal_those_that_onnx_reads(tiny: Path) -> None:
    weights = read_model_file(tiny).weights()
    stored = {
        t.name: onnx.numpy_helper.to_array(t)
        for t in onnx.load(tiny).graph.initializer
        if t.data_type == TensorProto.FLOAT
    }
    assert weights.keys() == stored.keys()
    for name, values in stored.items():
        np.testing.assert_array_equal(weights[name], values)


def test_the_outline_is_what_an_onnx_library_reads() -> None:
    path = bundled_models()[0]
    outline, model = read_outline(path.read_bytes()), onnx.load(path)
    assert [n.operator for n in outline.nodes] == [n.op_type for n in model.graph.node]
    assert [n.inputs for n in outline.nodes] == [tuple(n.input) for n in model.graph.node]
    assert [t.shape for t in outline.tensors] == [tuple(t.dims) for t in model.graph.initializer]
    assert [v.name for v in outline.inputs] == [v.name for v in model.graph.input]
    assert dict(outline.metadata) == {e.key: e.value for e in model.metadata_props}


def _sample(**changed: Any) -> dict[str, str]:
    image = np.full((1, 1, 4, 4), 0.5, np.float32)
    parts: dict[str, Any] = {
        "name": "a",
        "feeds": {"image": image},
        "outputs": {"enhanced": image, "guidance": image},
        "tolerance": {"enhanced": 0.1, "guidance": 0.1},
    }
    return Golden(**parts | changed).to_metadata()


@pytest.mark.parametrize(
    "changed",
    [
        {"outputs": {"enhanced": np.zeros((1, 1, 4, 4), np.float32)}},
        {"outputs": dict.fromkeys(("enhanced", "guidance"), np.zeros((4, 4), np.float32))},
        {"outputs": dict.fromkeys(("enhanced", "guidance"), np.zeros((1, 1, 4, 4), "U3"))},
        {"outputs": dict.fromkeys(("enhanced", "guidance"), np.zeros((1, 1, 4, 4), "c8"))},
        {"feeds": {"image": np.zeros((1, 1, 4, 4), np.float32), "other": np.zeros(1, np.float32)}},
        {"feeds": {}},
        {"tolerance": {"enhanced": np.nan, "guidance": 0.1}},
        {"tolerance": {"enhanced": np.inf, "guidance": 0.1}},
        {"tolerance": {"enhanced": -1.0, "guidance": 0.1}},
        {"tolerance": {"enhanced": np.zeros(2), "guidance": 0.1}},
    ],
)
def test_a_golden_sample_of_other_arrays_is_refused(changed: dict[str, Any]) -> None:
    read_golden(_sample(), "x")
    with pytest.raises(HyperguideError, match=r"golden sample 'a' of x is damaged"):
        read_golden(_sample(**changed), "x")


def test_a_golden_sample_that_unpacks_to_very_much_is_left_packed() -> None:
    big = np.zeros((1, 1, 4096, 4096), np.float32)  # 64 MB in 64 kB
    with pytest.raises(HyperguideError, match="too large"):
        read_golden(_sample(outputs={"enhanced": big, "guidance": big}), "x")


def test_golden_samples_that_no_input_takes_are_one_sentence(
    tmp_path: Path, quick_cli: Cli
) -> None:
    model = tiny_model()
    one = np.ones((1, 1, 1, 1), np.float32)
    sample = _sample(
        name="plain", feeds={"image": np.full((1, 1, 4, 4), 0.5, np.float32), "kernel": one}
    )
    entry(model, "golden.plain").value = sample["hyperguide.golden.plain"]
    result = quick_cli("verify", write(tmp_path / "model.onnx", model), "--device", "cpu")
    fails(result, "golden samples")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_no_model_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "endless.onnx").symlink_to("/dev/zero")
    for name in ("pipe.onnx", "endless.onnx"):
        with pytest.raises(HyperguideError, match=r"a named pipe|a device"):
            read_model_file(tmp_path / name)


def test_a_model_file_with_new_metadata_is_sealed_again(tiny: Path) -> None:
    file = read_model_file(tiny)
    replace_info(file, file.info)
    assert seal_breaks(read_model_file(tiny)) == []


def _cases() -> list[Path]:
    data = os.environ.get("HYPERGUIDE_DATA")
    folder = Path(data).resolve().parent / "cases" if data else Path("nowhere")
    found = [*folder.glob("hostile/*.onnx"), *folder.glob("fuzz/*.onnx")]
    return sorted(found + list(folder.glob("fuzz/model*")))


@pytest.mark.skipif(not _cases(), reason="HYPERGUIDE_DATA has no folder 'cases' beside it")
def test_model_files_that_broke_the_reader_before_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for path in _cases():
        monkeypatch.chdir(path.parent)
        for device in DEVICES:
            with pytest.raises(HyperguideError) as error:
                hyperguide.load(path, device=device)
            _is_a_sentence(str(error.value))


def test_onnx_runtime_still_runs_a_graph_without_metadata(tiny: Path) -> None:
    """Exports check graphs before there is a file."""
    file = read_model_file(tiny)
    image = np.full((1, 1, 2, 2), 0.5, np.float32)
    outputs = OnnxRuntimeCpu(file).run({"image": image})
    np.testing.assert_allclose(outputs["enhanced"], GAIN * image)
