"""Decodes the files of a scene into its planes: 8-bit pictures, the map, the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import decode_map, encode_map, gray_plane, read_kernel, read_picture
from hyperguide.pixels import full_scale
from hyperguide.storage.paths import is_folder
from hyperguide.tasks import find_task

from . import derived_maps
from .kernels import on_canvas
from .scenes import Scene, list_pictures


class MisfitError(HyperguideError):
    """The files of a scene do not fit each other."""


@dataclass(frozen=True)
class Planes:
    """A decoded scene.

    clean, degraded: RGB, uint8, shape (H, W, 3); degraded is None if it is made on the fly.
    guidance: uint8 or uint16 over the task's range, shape (H, W); None if there is no map.
    kernel: float32, shape (size, size), on the canvas of the degradation; None without blur.
    """

    clean: np.ndarray
    degraded: np.ndarray | None = None
    guidance: np.ndarray | None = None
    kernel: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Bytes in memory."""
        planes = (self.clean, self.degraded, self.guidance, self.kernel)
        return sum(plane.nbytes for plane in planes if plane is not None)


@dataclass(frozen=True)
class Decoder:
    """Decodes scenes into planes.

    channels: planes that the networks see; maps are derived from the luma if it is 1.
    threshold: change of a value, full scale = 1, above which it counts as rain.
    kernel_size: side of the canvas on which kernels are placed.
    """

    task: str
    channels: int
    threshold: float
    kernel_size: int

    def __call__(self, scene: Scene) -> Planes:
        """Read the scene's files.

        Raises HyperguideError if one cannot be read, MisfitError if they do not fit each other.
        """
        clean = _color(scene.photo)
        degraded = layer = kernel = None
        if scene.layer is not None:
            layer = _gray(scene.layer, "The streak layer")
            _check_size(scene.layer, layer, scene.photo, clean)
            degraded = cv2.add(clean, np.dstack([layer] * 3))  # saturates
        if scene.degraded is not None:
            degraded = _color(scene.degraded)
            _check_size(scene.degraded, degraded, scene.photo, clean)
        if scene.kernel is not None:
            kernel = on_canvas(read_kernel(scene.kernel), self.kernel_size, str(scene.kernel))
        guidance = self._guidance(scene, layer, clean, degraded, kernel)
        if guidance is not None and scene.guidance is not None:
            _check_size(scene.guidance, guidance, scene.photo, clean)
        return Planes(clean, degraded, guidance, kernel)

    def _guidance(
        self,
        scene: Scene,
        layer: np.ndarray | None,
        clean: np.ndarray,
        degraded: np.ndarray | None,
        kernel: np.ndarray | None,
    ) -> np.ndarray | None:
        if layer is not None:
            return _mask(layer > 255 * self.threshold)
        if scene.guidance is not None:
            return self._read_guidance(scene.guidance, scene.map_source)
        if scene.map_source == "pair" and degraded is not None:
            return self._derive(self._float(degraded), self._float(clean), kernel)
        return None

    def _read_guidance(self, path: Path, source: str) -> np.ndarray:
        picture = _read(path)
        if source == "depth":
            depth = gray_plane(picture, f"The depth picture {path}")
            return np.rint(255.0 / max(float(depth.max()), 1e-6) * depth).astype(np.uint8)
        plane = gray_plane(picture, f"The guidance picture {path}")
        # Masks may be stored as 0 and 1 or as 0 and 255.
        if source == "region" or (self.task == "derain" and plane.max() == 1):
            return _mask(plane > 0)
        if plane.dtype.kind == "f":
            meaning = find_task(self.task).guidance
            return encode_map(decode_map(plane, meaning, str(path)), meaning)
        return plane

    def _derive(
        self, degraded: np.ndarray, clean: np.ndarray, kernel: np.ndarray | None
    ) -> np.ndarray:
        if self.task == "derain":
            return _mask(derived_maps.rain_region(degraded, clean, self.threshold) > 0)
        if self.task == "dehaze":
            guidance = derived_maps.relative_depth(degraded, clean)
        elif kernel is not None:
            guidance = derived_maps.blurred_noise_level(degraded, clean, kernel)
        else:
            guidance = derived_maps.noise_level(degraded, clean)
        return encode_map(guidance, find_task(self.task).guidance)

    def _float(self, picture: np.ndarray) -> np.ndarray:
        """The picture in [0, 1], shape (H, W, channels)."""
        values = picture.astype(np.float32) / 255
        if self.channels == 3:
            return values
        return cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)[..., None]  # BT.601, as losses.luma


def read_streaks(folder: Path) -> dict[str, np.ndarray]:
    """Read gray rain streak layers, uint8, shape (H, W) each, by file name."""
    paths = list_pictures(folder) if is_folder(folder) else []
    if len(paths) < 2:
        raise HyperguideError(
            f"The folder {folder} holds {len(paths)} streak layers, but two are needed, one to "
            "validate with: give other --streaks."
        )
    return {p.relative_to(folder).as_posix(): _gray(p, "The streak layer") for p in paths}


def _read(path: Path) -> np.ndarray:
    picture = read_picture(path)
    if picture.dtype.kind == "f" and not np.isfinite(picture).all():
        raise HyperguideError(f"{path} contains NaN or infinity: mend or remove it.")
    return picture


def _color(path: Path) -> np.ndarray:
    picture = _eight_bits(_read(path))
    picture = np.dstack([picture] * 3) if picture.ndim == 2 else picture[..., :3]
    return np.ascontiguousarray(picture)


def _gray(path: Path, what: str) -> np.ndarray:
    return _eight_bits(gray_plane(_read(path), f"{what} {path}"))


def _eight_bits(picture: np.ndarray) -> np.ndarray:
    if picture.dtype == np.uint8:
        return picture
    full = full_scale(picture.dtype)
    return np.rint(picture.clip(0, full) * (255 / full)).astype(np.uint8)


def _mask(region: np.ndarray) -> np.ndarray:
    return region.astype(np.uint8) * 255


def _check_size(path: Path, picture: np.ndarray, photo: Path, clean: np.ndarray) -> None:
    if picture.shape[:2] != clean.shape[:2]:
        raise MisfitError(
            f"{path} is {picture.shape[1]}x{picture.shape[0]} pixels, but {photo.name} is "
            f"{clean.shape[1]}x{clean.shape[0]}: mend or remove it."
        )
