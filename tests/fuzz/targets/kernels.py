"""Blur kernels as arrays, texts and pictures."""

from __future__ import annotations

import io
from functools import partial

import cv2
import numpy as np

from hyperguide.picture_files import read_kernel

from ..mutation.archives import npy
from ..mutation.pictures import png
from ..target import Target, as_file


def _read(data: bytes, name: str) -> None:
    kernel = read_kernel(as_file(data, name))
    assert kernel.dtype == np.float32
    assert kernel.ndim == 2
    assert kernel.shape[0] % 2 == kernel.shape[1] % 2 == 1
    assert np.isfinite(kernel).all()
    assert (kernel >= 0).all()
    assert abs(float(kernel.sum(dtype=np.float64)) - 1) < 1e-3


def _kernel() -> np.ndarray:
    kernel = np.random.default_rng(0).uniform(0, 1, (3, 5))
    return kernel / kernel.sum()


def _arrays() -> dict[str, bytes]:
    found = {}
    for kind in ("<f4", "<f8", ">f8", "<f2"):
        file = io.BytesIO()
        np.save(file, _kernel().astype(kind))
        found[f"{kind[1:]}-{'big' if kind[0] == '>' else 'little'}.npy"] = file.getvalue()
    file = io.BytesIO()
    np.save(file, np.asfortranarray(np.eye(3) / 3))
    found["columns.npy"] = file.getvalue()
    return found


def _texts() -> dict[str, bytes]:
    rows = [[f"{value:.6f}" for value in row] for row in _kernel()]
    return {
        "spaces.txt": "\n".join(map(" ".join, rows)).encode(),
        "commas.txt": "\r\n".join(map(",".join, rows)).encode(),
        "one.txt": b"1\n",
    }


def _pictures() -> dict[str, bytes]:
    levels = np.rint(_kernel() * 255).astype(np.uint8)
    found = {"gray.png": levels, "color.png": np.dstack([levels] * 3)}
    found["deep.png"] = levels.astype(np.uint16) * 257
    return {name: cv2.imencode(".png", picture)[1].tobytes() for name, picture in found.items()}


NPY = Target("kernels as .npy", _arrays, partial(_read, name="kernel.npy"), npy)
TEXT = Target("kernels as text", _texts, partial(_read, name="kernel.txt"))
PICTURE = Target("kernels as pictures", _pictures, partial(_read, name="kernel.png"), png)
