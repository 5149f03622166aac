"""Writes pictures with what the Python package makes of them, which the tests compare with.

python tests/cases.py FOLDER
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np

import hyperguide
from hyperguide.model_format.bundled import bundled_models

# Pictures in tiles of this side, by files whose tiles are computed in different ways.
TILED = "derain-fast", "denoise-gray-fast", "dehaze-fast"
TILE, TILED_SIZE = 64, (200, 150)
SIZES = (64, 48), (101, 75), (120, 96)
DIALS = (
    {},
    {"strength": 0.5, "guidanceScale": 1.5},
    {"guidance": 0.05, "guidanceMix": 0.5},
    {"strength": 0},
)
PYTHON_NAMES = {"guidanceScale": "guidance_scale", "guidanceMix": "guidance_mix"}


def main(folder: Path) -> None:
    """Write FOLDER/cases.json and the pictures that it names, as rows of R, G, B, A."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for model in bundled_models():
        with hyperguide.load(model, device="cpu", threads=1) as enhancer:
            for size in SIZES:
                cases += [written(folder, model, enhancer, size, dials) for dials in DIALS]
            cases += [
                written(folder, model, enhancer, SIZES[1], {}, maps)
                for maps in drawn_maps(enhancer)
            ]
    for model in bundled_models():
        if model.stem in TILED:
            with hyperguide.load(model, device="cpu", threads=1, tile=TILE) as enhancer:
                case = written(folder, model, enhancer, TILED_SIZE, {"strength": 0.9})
                cases.append(case | {"tile": TILE})
    (folder / "cases.json").write_text(json.dumps(cases))


def written(
    folder: Path,
    model: Path,
    enhancer: hyperguide.Enhancer,
    size: tuple[int, int],
    dials: dict[str, float],
    maps: dict[str, np.ndarray] | None = None,
) -> dict[str, object]:
    """Enhance a picture; returns the description of what was written."""
    maps = maps or {}
    told = {PYTHON_NAMES.get(name, name): value for name, value in (dials | maps).items()}
    picture = drawn(*size, enhancer.info.color == "gray")
    with warnings.catch_warnings(action="ignore"):  # that maps are resized
        result = enhancer(picture, **told)
    words = [*(f"{key}{value}" for key, value in dials.items()), *maps]
    name = "-".join([model.stem, str(size[0]), *words])
    for key, values in maps.items():
        (folder / f"{name}.{key}").write_bytes(values.tobytes())
    write(folder / f"{name}.in", picture)
    write(folder / f"{name}.out", result.image)
    if result.guidance is not None:
        (folder / f"{name}.map").write_bytes(result.guidance.tobytes())
    width, height = size
    sizes = {key: values.shape[::-1] for key, values in maps.items()}
    return {
        "model": model.name,
        "name": name,
        "width": width,
        "height": height,
        "dials": dials,
        "maps": sizes,
    }


def drawn_maps(enhancer: hyperguide.Enhancer) -> list[dict[str, np.ndarray]]:
    """Maps that a model takes: coarse ones that are resized, of the picture's size, a kernel."""
    rng = np.random.default_rng(7)
    width, height = SIZES[1]
    most = enhancer.info.guidance.maximum
    guidance, mix = (rng.random((9, 12), np.float32), rng.random((height, width), np.float32))
    maps = [{"guidance": most * guidance, "guidanceMix": mix}]
    if enhancer.info.task == "deblur":
        kernel = rng.random((5, 7), np.float32)
        maps.append({"kernel": kernel / kernel.sum()})
    return maps


def drawn(width: int, height: int, is_gray: bool) -> np.ndarray:
    """A noisy picture with shapes and text, shape (height, width, 3) or (height, width)."""
    rng = np.random.default_rng(width)
    picture = np.full((height, width, 3), (200, 160, 120), np.uint8)
    cv2.circle(picture, (width // 3, height // 2), height // 4, (40, 90, 160), -1)
    cv2.putText(picture, "Ab", (width // 2, height // 2), 0, 1.0, (20, 20, 20), 2)
    noisy = picture + rng.normal(0, 12, picture.shape)
    pixels = noisy.clip(0, 255).astype(np.uint8)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if is_gray else pixels


def write(path: Path, picture: np.ndarray) -> None:
    """Write the pixels of a picture as a canvas has them."""
    color = cv2.COLOR_GRAY2RGBA if picture.ndim == 2 else cv2.COLOR_RGB2RGBA
    path.write_bytes(cv2.cvtColor(picture, color).tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
