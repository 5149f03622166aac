"""Clean photos in memory, split into a training and a held-out part, and crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Generator, Tensor

from hyperguide.errors import HyperguideError
from hyperguide.guidance_files import gray_plane
from hyperguide.paths import is_folder
from hyperguide.pictures import find_pictures, read_picture
from hyperguide.pixels import full_scale


@dataclass(frozen=True)
class Scene:
    """A photo on disk, with its depth picture where the source has one."""

    photo: Path
    depth: Path | None = None


@dataclass
class Photos:
    """Scenes that are decoded when first used and kept.

    Depth is kept as 8 bits of relative depth, farthest = 255.
    """

    scenes: Sequence[Scene]
    _decoded: dict[int, tuple[np.ndarray, np.ndarray | None]] = field(
        default_factory=dict, repr=False
    )

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """(photo, shape (H, W, 3), RGB; depth, shape (H, W), or None), both uint8."""
        if index not in self._decoded:
            self._decoded[index] = self._decode(self.scenes[index])
        return self._decoded[index]

    @staticmethod
    def _decode(scene: Scene) -> tuple[np.ndarray, np.ndarray | None]:
        photo = _eight_bits(read_picture(scene.photo))
        photo = np.dstack([photo] * 3) if photo.ndim == 2 else photo[..., :3]
        if scene.depth is None:
            return np.ascontiguousarray(photo), None
        depth = read_picture(scene.depth)
        if depth.ndim != 2 or depth.shape != photo.shape[:2]:
            raise HyperguideError(
                f"The depth picture {scene.depth} is not a gray picture of the size of "
                f"{scene.photo.name}: mend or remove it."
            )
        return photo, np.rint(255.0 / max(float(depth.max()), 1e-6) * depth).astype(np.uint8)


def _eight_bits(picture: np.ndarray) -> np.ndarray:
    if picture.dtype == np.uint8:
        return picture
    full = full_scale(picture.dtype)
    return np.rint(picture.clip(0, full) * (255 / full)).astype(np.uint8)


def find_scenes(folders: Sequence[Path]) -> list[Scene]:
    """List the photos of the folders, sorted within each.

    A folder with `rgb/` and `depth/` holds photos with depth pictures of the same names (the
    layout of NYU Depth); any other folder is searched for photos, subfolders included.
    Raises HyperguideError if a folder is missing or holds no photo.
    """
    scenes: list[Scene] = []
    seen: set[Path] = set()
    for folder in folders:
        if not is_folder(folder):
            raise HyperguideError(f"The data folder {folder} does not exist: give another --data.")
        if is_folder(folder / "rgb") and is_folder(folder / "depth"):
            found = [
                Scene(photo, folder / "depth" / f"{photo.stem}.png")
                for photo in _pictures(folder / "rgb")
            ]
        else:
            found = [Scene(photo) for photo in _pictures(folder)]
        if not found:
            raise HyperguideError(f"The data folder {folder} holds no photos: give another --data.")
        # Repeated or nested folders must not put a photo on both sides of the split.
        scenes += [scene for scene in found if scene.photo.resolve() not in seen]
        seen |= {scene.photo.resolve() for scene in found}
    return scenes


def _pictures(folder: Path) -> list[Path]:
    # NYU's names are numbers and neighbours show the same room: keep them in that order.
    return sorted(find_pictures(folder), key=lambda p: (p.parent, len(p.stem), p.stem))


def split_held_out(scenes: Sequence[Scene], share: float) -> tuple[list[Scene], list[Scene]]:
    """Split off the last `share` of the scenes (at least one) of each folder for validation.

    The last ones rather than random ones: where neighbouring files show the same place, a
    random choice would leak.
    """
    by_folder: dict[Path, list[Scene]] = {}
    for scene in scenes:
        by_folder.setdefault(scene.photo.parent, []).append(scene)
    train: list[Scene] = []
    held_out: list[Scene] = []
    for members in by_folder.values():
        count = min(max(1, round(share * len(members))), len(members) - 1)
        train += members[: len(members) - count]
        held_out += members[len(members) - count :]
    if not train or not held_out:
        raise HyperguideError(
            "Training needs at least two photos in a folder, one of them to validate on: "
            "give a --data folder with more."
        )
    return train, held_out


def read_streaks(folder: Path) -> list[np.ndarray]:
    """Read gray rain streak layers, uint8, shape (H, W) each, sorted by name."""
    paths = _pictures(folder) if is_folder(folder) else []
    if len(paths) < 2:
        raise HyperguideError(
            f"The folder {folder} holds {len(paths)} streak layers, but two are needed, one to "
            "validate with: give other --streaks."
        )
    return [
        _eight_bits(gray_plane(read_picture(path), f"The streak layer {path}")) for path in paths
    ]


def sample_crops(
    photos: Photos, count: int, size: int, reduce: int, rng: Generator
) -> tuple[Tensor, Tensor | None]:
    """Draw random crops, half of them mirrored.

    size: side of a crop in pixels, after the photo was reduced by the factor `reduce`.
    Returns (photos, shape (count, 3, size, size) in [0, 1]; depth, shape (count, 1, size, size)
    in [0, 1], or None unless every drawn scene has one).
    """
    crops, depths = [], []
    for _ in range(count):
        index = int(torch.randint(len(photos), (), generator=rng))
        photo, depth = photos[index]
        planes = photo if depth is None else np.dstack([photo, depth])
        planes = _random_crop(planes, size, reduce, rng)
        crops.append(planes[..., :3])
        if depth is not None:
            depths.append(planes[..., 3:])
    return _to_tensor(crops), _to_tensor(depths) if len(depths) == count else None


def random_window(picture: np.ndarray, height: int, width: int, rng: Generator) -> np.ndarray:
    """A random crop of a picture, which is first mirrored outwards where it is too small."""
    missing = max(height - picture.shape[0], 0), max(width - picture.shape[1], 0)
    if any(missing):
        picture = cv2.copyMakeBorder(picture, 0, missing[0], 0, missing[1], cv2.BORDER_REFLECT)
    down, right = torch.rand(2, generator=rng).tolist()
    top = int(down * (picture.shape[0] - height + 1))
    left = int(right * (picture.shape[1] - width + 1))
    return picture[top : top + height, left : left + width]


def _random_crop(planes: np.ndarray, size: int, reduce: int, rng: Generator) -> np.ndarray:
    crop = random_window(planes, size * reduce, size * reduce, rng)
    if reduce > 1:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    # Rain falls and depth recedes upwards: crops are mirrored, never turned upside down.
    return crop[:, ::-1] if torch.rand((), generator=rng) < 0.5 else crop


def _to_tensor(crops: list[np.ndarray]) -> Tensor:
    batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return batch.to(torch.float32) / 255
