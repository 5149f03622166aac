"""Weights and checkpoints: torch files, safetensors, and model files to start from."""

from __future__ import annotations

import io
import pickle
import zlib
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from hyperguide.export.model import export_model
from hyperguide.training.checkpoint import TrainedModel, load_run, save_tensors
from hyperguide.training.model import build_model
from hyperguide.training.model_weights import load_model
from hyperguide.training.official import load_official, read_state_dict
from hyperguide.training.preset import Preset, UNetSettings, load_preset
from hyperguide.training.run_record import RunRecord, Settings

from ..mutation.archives import safetensors, zipped
from ..target import Target, as_file
from .models import resealed


@cache
def small_preset() -> Preset:
    """A denoising preset with networks of a few hundred weights."""
    preset = load_preset("denoise", "fast")
    assert isinstance(preset.reconstruction, UNetSettings)
    network = replace(preset.reconstruction, widths=(4, 4), blocks=(1,), encoder_blocks=None)
    return replace(preset, proxy=replace(preset.proxy, width=4), reconstruction=network)


def record() -> RunRecord:
    """The training record of a checkpoint."""
    return RunRecord(small_preset(), Settings(), "", step=0, seconds=0, data={}, validation={})


def _trained() -> TrainedModel:
    """An untrained pair with all weights in use."""
    model, rng = build_model(small_preset()).eval(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.05 * torch.randn(weights.shape, generator=rng)
    return TrainedModel(model, record())


def _read_pth(data: bytes) -> None:
    path = as_file(data, "weights.pth")
    for name, tensor in read_state_dict(path).items():
        assert isinstance(name, str)
        assert tensor.device.type == "cpu"
        assert bool(tensor.isfinite().all())
    if zlib.crc32(data) % 32 == 0:  # builds networks to compare with
        load_official(path)


def _read_run(data: bytes) -> None:
    trained = load_run(as_file(data, "best.safetensors"))
    assert asdict(trained.preset)
    assert isinstance(trained.strategy, str)


def _read_onnx(data: bytes) -> None:
    trained = load_model(as_file(data, "model.onnx"))
    assert trained.preset.task


def _pth_seeds() -> dict[str, bytes]:
    entries = {"conv.weight": torch.ones(2, 1, 3, 3), "conv.bias": torch.zeros(2)}
    wrapped = {f"module.{name}": value for name, value in entries.items()}
    half = {"a": torch.ones(3, dtype=torch.float16), "b": torch.ones(2, 3).t(), "c": entries}
    found = {}
    for name, content in (("plain", entries), ("wrapped", wrapped), ("nested", half)):
        for new in (True, False):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=new)
            found[f"{name}-{'zip' if new else 'old'}.pth"] = file.getvalue()
    found["pickle.pth"] = pickle.dumps({"a": [1.0, 2.0]})
    return found


def _run_seeds() -> dict[str, bytes]:
    trained = _trained()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "best.safetensors"
        save_tensors({path: trained.model.state_dict()}, trained.record.to_json())
        return {"best.safetensors": path.read_bytes()}


def _onnx_seeds() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_model(_trained(), path)
        return {"model.onnx": path.read_bytes()}


PTH = Target("weights that torch saved", _pth_seeds, _read_pth, zipped)
SAFETENSORS = Target("checkpoints of runs", _run_seeds, _read_run, safetensors, longest=1 << 16)
ONNX = Target("model files to start from", _onnx_seeds, _read_onnx, resealed, longest=1 << 17)
