"""Damaged or malicious weight files: read correctly, or refused in one sentence."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from made_models import entry, tiny_model, write
from torch import Tensor

from hyperguide.errors import HyperguideError
from hyperguide.training.model_weights import load_model, load_model_weights
from hyperguide.training.official import load_official, read_state_dict
from hyperguide.training.preset import StackSettings, load_preset
from hyperguide.training.run_record import Settings
from made_runs import export_untrained

PLAIN = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(0), "c": torch.tensor(3)}


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("zipped", [True, False])
def test_plain_tensors_of_a_weight_file_are_read(zipped: bool, tmp_path: Path) -> None:
    """Also tensors that share values or have another memory order, and torch's old format."""
    picture = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    state = PLAIN | {"d": PLAIN["a"], "e": picture, "f": PLAIN["a"].T}
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert _same(read_state_dict(tmp_path / "a.pth"), state)


HARMFUL: dict[str, Callable[[], Tensor]] = {
    "one number, repeated": lambda: torch.ones(1).expand(1_000_000_000),
    "overlapping rows": lambda: torch.ones(1000).as_strided((900, 1000), (1, 0)),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "compressed rows": lambda: torch.eye(3).to_sparse_csr(),
    "without values": lambda: torch.empty(3, device="meta"),
    "complex": lambda: torch.ones(3, dtype=torch.complex64),
    "quantised": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
    "8 bits": lambda: torch.ones(3).to(torch.float8_e5m2),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("harm", HARMFUL)
def test_tensors_that_are_not_plain_are_refused(harm: str, tmp_path: Path) -> None:
    torch.save(PLAIN | {"d": HARMFUL[harm]()}, tmp_path / "a.pth")
    with pytest.raises(HyperguideError, match="not a state dict of plain tensors"):
        read_state_dict(tmp_path / "a.pth")


def test_one_tensor_under_very_many_names_is_refused(tmp_path: Path) -> None:
    shared = torch.rand(100_000)
    torch.save({str(i): shared for i in range(50)}, tmp_path / "a.pth")
    with pytest.raises(HyperguideError, match="claims more weights than it holds"):
        read_state_dict(tmp_path / "a.pth")


def test_packed_weights_are_left_packed(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as plain,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert (tmp_path / "b.pth").stat().st_size < 20_000
    with pytest.raises(HyperguideError, match="is packed"):
        read_state_dict(tmp_path / "b.pth")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_no_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "endless.pth").symlink_to("/dev/zero")
    for name in ("pipe.pth", "endless.pth"):
        with pytest.raises(HyperguideError, match=r"a named pipe|a device"):
            read_state_dict(tmp_path / name)


def test_any_damage_to_weights_is_one_sentence(tmp_path: Path) -> None:
    """Bytes are overwritten with zeros, ones, or other parts of the file."""
    torch.save(PLAIN, tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        changed = bytearray(content)
        place, size = rng.integers(len(content)), rng.integers(1, 9)
        fill = (bytes(size), b"\xff" * size, content[rng.integers(len(content)) :][:size])
        changed[place : place + size] = fill[rng.integers(3)]
        (tmp_path / "a.pth").write_bytes(changed)
        try:
            read_state_dict(tmp_path / "a.pth")
        except HyperguideError:
            refused += 1
    assert refused > 30


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A model file with a folded branch."""
    path = tmp_path_factory.mktemp("stack") / "model.onnx"
    stack = StackSettings("stack", 2, 16, 1)
    export_untrained(replace(load_preset("denoise", "fast"), reconstruction=stack), path)
    return onnx.load(path)


def _weights(model: onnx.ModelProto, shape: tuple[int, ...]) -> onnx.TensorProto:
    """Some of the branch's weights, replaced by zeros of a given shape."""
    found = next(t for t in model.graph.initializer if ".blocks." in t.name and len(t.dims) == 4)
    values = np.zeros(shape, np.float32)
    found.CopyFrom(onnx.numpy_helper.from_array(values, found.name))
    return found


def test_a_whole_model_file_gives_its_weights(stack: onnx.ModelProto, tmp_path: Path) -> None:
    assert load_model(write(tmp_path / "model.onnx", stack)).preset.task == "denoise"


@pytest.mark.parametrize("shape", [(), (16,), (16, 16, 1, 1), (8, 16, 3, 3), (0, 16, 3, 3)])
def test_weights_of_another_shape_are_refused(
    shape: tuple[int, ...], stack: onnx.ModelProto, tmp_path: Path
) -> None:
    model = onnx.ModelProto.FromString(stack.SerializeToString())
    _weights(model, shape)
    with pytest.raises(HyperguideError, match=r"merged|another architecture|no known size"):
        load_model(write(tmp_path / "model.onnx", model))


def test_weights_that_are_no_numbers_are_refused(stack: onnx.ModelProto, tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(stack.SerializeToString())
    found = next(t for t in model.graph.initializer if t.name.endswith("weight"))
    values = onnx.numpy_helper.to_array(found).copy()
    values.flat[0] = np.nan
    found.CopyFrom(onnx.numpy_helper.from_array(values, found.name))
    with pytest.raises(HyperguideError, match="not finite"):
        load_model_weights(write(tmp_path / "model.onnx", model))


@pytest.mark.parametrize("width", [4096, 10**18])
def test_networks_far_larger_than_the_file_are_not_built(
    width: int, stack: onnx.ModelProto, tmp_path: Path
) -> None:
    model = onnx.ModelProto.FromString(stack.SerializeToString())
    training = json.loads(entry(model, "training").value)
    training["preset"]["reconstruction"] |= {"width": width, "depth": 16}
    entry(model, "training").value = json.dumps(training)
    with pytest.raises(HyperguideError):
        load_model_weights(write(tmp_path / "model.onnx", model))


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"preset": None},
        {"preset": []},
        {"preset": {"task": "denoise"}},
        {"preset": {"task": {}}, "settings": []},
    ],
)
def test_a_record_without_networks_is_refused(training: object, tmp_path: Path) -> None:
    model = tiny_model()
    entry(model, "training").value = json.dumps(training)
    with pytest.raises(HyperguideError):
        load_model_weights(write(tmp_path / "model.onnx", model))


@pytest.mark.parametrize("settings", [[], "strict", {"strategy": 3}, {"strategy": "luck"}])
def test_a_record_without_a_strategy_is_refused(
    settings: object, stack: onnx.ModelProto, tmp_path: Path
) -> None:
    model = onnx.ModelProto.FromString(stack.SerializeToString())
    training = json.loads(entry(model, "training").value)
    entry(model, "training").value = json.dumps(training | {"settings": settings})
    path = write(tmp_path / "model.onnx", model)
    if settings == []:  # old files do not contain it
        assert load_model_weights(path)[1].settings == Settings(strategy="strict")
        return
    with pytest.raises(HyperguideError, match="how it was trained"):
        load_model_weights(path)


def _cases() -> list[Path]:
    data = os.environ.get("HYPERGUIDE_DATA")
    folder = Path(data).parent / "cases" if data else Path("nowhere")
    found = [*folder.glob("hostile/*.pth"), *folder.glob("fuzz/train_read_state_dict*")]
    return sorted(found)


@pytest.mark.skipif(not _cases(), reason="HYPERGUIDE_DATA has no folder 'cases' beside it")
def test_weight_files_that_broke_the_reader_before_are_refused() -> None:
    for path in _cases():
        with pytest.raises(HyperguideError):
            load_official(path)
