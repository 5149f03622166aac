"""Targets of an evaluation with one interface: runs, model files, official weights, references."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

import hyperguide
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import model_path, named_path
from hyperguide.padding import SizeRequirements
from hyperguide.storage.paths import is_folder
from hyperguide.tasks import TASKS
from hyperguide.training.checkpoint import load_run, weights_path
from hyperguide.training.official import load_official
from hyperguide.training.seen_photos import NOTHING, UNKNOWN, SeenPhotos

from .wiener import wiener

Restored = tuple[np.ndarray, np.ndarray | None]


class Restorer(Protocol):
    """A way to restore a picture."""

    def __call__(
        self,
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        """Restore a picture.

        degraded: float32, shape (H, W) or (H, W, 3), any size; full scale = 1.
        kernel: the blur, shape (kh, kw), for deblurring.
        guidance: a map to use instead of the predicted one, shape (H, W).
        scale: factor for the map, like the dial `guidance_scale`.
        Returns (restored, of the same shape; the map before scaling, shape (H, W), or None).
        Raises HyperguideError for colour where gray is needed, and for a map or a scale that the
        restorer does not use.
        """
        ...


@dataclass(frozen=True)
class Target:
    """A restorer and its description.

    name: what the user called it.
    kind: `run`, `model file`, `official weights` or `reference`.
    task: what it was trained for; None for references.
    sha256: of the file with its weights; None for references.
    about: free text.
    informed: whether it must be given the true map, like the Wiener filter.
    seen: the photos that it was trained on.
    """

    restorer: Restorer
    name: str
    kind: str
    task: str | None
    sha256: str | None
    about: str
    informed: bool = False
    seen: SeenPhotos = UNKNOWN


def open_target(name: str, tier: str = "fast", threads: int = 0) -> Target:
    """Open a target by name.

    name: `input`, `wiener`, the task of a bundled model (the one for colour) or the name of its
        file, a run folder (or its .safetensors file), or an .onnx or .pth file.
    threads: of the engine that runs model files; 0 means one per core.
    Raises HyperguideError if it does not exist or cannot be used.
    """
    if name in _REFERENCES:
        return _REFERENCES[name]
    path = Path(name)
    if name in TASKS or path.suffix == ".onnx" or named_path(name):
        return _model_file(name, tier, threads)
    if path.suffix in (".pth", ".pt"):
        return _official(path)
    if path.suffix == ".safetensors" or is_folder(path):
        return _run(path)
    raise HyperguideError(
        f"There is nothing to evaluate at {name}: give a run folder, an .onnx file, official .pth "
        f"weights, the task of a bundled model, or one of {', '.join(_REFERENCES)}."
    )


def _run(path: Path) -> Target:
    trained = load_run(path)
    preset, guided = trained.preset, trained.model.proxy is not None
    plane_by_plane = preset.channels == 1 and trained.model.channels == 3

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        if not guided:
            _refuse_map(str(path), guidance, scale)
        multiple = trained.model.size_multiple
        planes = degraded[0, 0].size if plane_by_plane else preset.channels
        image = _to_tensor(degraded, planes, multiple)
        told = None if guidance is None else _to_tensor(guidance, 1, multiple)
        blur = None if kernel is None else _to_tensor(kernel, 1, 1)

        maps: list[Tensor] = []

        def guide(read: Tensor, stage: int) -> Tensor:
            maps.append(trained.model.predict(read, stage) if told is None else told)
            return scale * maps[-1]

        with torch.inference_mode():
            restored = trained.model.restore(image, blur, guide).restored
        used = _to_picture(maps[-1], degraded.shape[:2]) if maps else None
        return _to_picture(restored, degraded.shape), used

    about = f"{preset.tier}, {'guided' if guided else 'unguided'}"
    digest = _sha256(weights_path(path))
    seen = trained.record.seen
    return Target(restore, str(path), "run", preset.task, digest, about, seen=seen)


def _model_file(name: str, tier: str, threads: int) -> Target:
    path = model_path(name, tier)
    enhancer = hyperguide.load(path, threads=threads)
    info = enhancer.info

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        more: dict[str, Any] = {} if kernel is None else {"kernel": kernel}
        result = enhancer(degraded, guidance=guidance, guidance_scale=scale, **more)
        return result.image, result.guidance

    about = f"{info.tier}, {info.precision}, {enhancer.engine}"
    seen = SeenPhotos.from_record(info.training.get("seen"))
    return Target(restore, name, "model file", info.task, _sha256(path), about, seen=seen)


def _official(path: Path) -> Target:
    official = load_official(path)

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        _refuse_map(str(path), guidance, scale)
        multiple: int = official.network.size_multiple  # type: ignore[assignment]
        with torch.inference_mode():
            restored = official.network(_to_tensor(degraded, 3, multiple))
        return _to_picture(restored, degraded.shape), None

    about = official.name
    return Target(restore, str(path), "official weights", official.task, _sha256(path), about)


def _refuse_map(name: str, guidance: np.ndarray | None, scale: float) -> None:
    if guidance is not None or scale != 1:
        raise HyperguideError(f"{name} is unguided, it has no map that can be told or scaled.")


def _keep(
    degraded: np.ndarray,
    kernel: np.ndarray | None = None,
    guidance: np.ndarray | None = None,
    scale: float = 1.0,
) -> Restored:
    _refuse_map("input", guidance, scale)
    return degraded, None


def _wiener(
    degraded: np.ndarray,
    kernel: np.ndarray | None = None,
    guidance: np.ndarray | None = None,
    scale: float = 1.0,
) -> Restored:
    if guidance is None:
        raise HyperguideError("The Wiener filter must know the noise level: give --told-noise.")
    return wiener(degraded, kernel, float(np.mean(np.square(scale * guidance)))), None


_REFERENCES = {
    "input": Target(
        _keep, "input", "reference", None, None, "the degraded picture itself", seen=NOTHING
    ),
    "wiener": Target(
        _wiener, "wiener", "reference", None, None,
        "regularised Wiener filter, told the noise level", informed=True,
        seen=NOTHING,
    ),
}  # fmt: skip


def _to_tensor(picture: np.ndarray, channels: int, multiple: int) -> Tensor:
    """(H, W) or (H, W, 3) -> (1, channels, H', W') float32, mirrored up to the size multiple."""
    if picture.ndim == 3 and channels == 1:
        raise HyperguideError("This target takes gray pictures, but the suite's are in colour.")
    planes = np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float32)
    if planes.shape[1] < channels:
        planes = np.repeat(planes, channels, axis=1)
    return torch.from_numpy(np.ascontiguousarray(SizeRequirements(multiple).pad(planes)))


def _to_picture(tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """(1, C, H', W') -> `shape`, cropped; for a gray picture the channels are averaged."""
    planes = tensor[0, :, : shape[0], : shape[1]].float()
    if len(shape) == 2:
        return planes.mean(0).numpy()
    return np.ascontiguousarray(planes.permute(1, 2, 0).numpy())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
