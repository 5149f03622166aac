"""The C library, built and called from Python."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "bindings" / "c"
BUILD = ROOT / "build" / "native"

MISSING = [tool for tool in ("cmake", "cc", "c++") if shutil.which(tool) is None]

RGB24, BGR24, RGBA, GRAY8, GRAY16, RGBF32, NV12, I420, P010 = range(1, 10)
BT709, BT601, BT2020 = range(3)
LIMITED, FULL = range(2)
OK, BAD_ARGUMENT, BAD_FILE, NO_BACKEND, FAILED, OUT_OF_MEMORY, CANCELLED, BUSY = range(8)


class Picture(ctypes.Structure):
    """hg_picture."""

    _fields_ = [
        ("format", ctypes.c_int),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("planes", ctypes.c_void_p * 3),
        ("strides", ctypes.c_ssize_t * 3),
        ("matrix", ctypes.c_int),
        ("range", ctypes.c_int),
    ]


class Map(ctypes.Structure):
    """hg_map."""

    _fields_ = [
        ("values", ctypes.c_void_p),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("stride", ctypes.c_ssize_t),
    ]


LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_float, ctypes.c_void_p)


class ModelOptions(ctypes.Structure):
    """hg_model_options."""

    _fields_ = [
        ("device", ctypes.c_char_p),
        ("library", ctypes.c_char_p),
        ("threads", ctypes.c_int),
        ("log", LOG),
        ("progress", PROGRESS),
        ("user", ctypes.c_void_p),
    ]


class ModelInfo(ctypes.Structure):
    """hg_model_info."""

    _fields_ = [
        *[(name, ctypes.c_char_p) for name in ("task", "tier", "precision", "engine")],
        *[(name, ctypes.c_int) for name in ("channels", "takes_kernel")],
        *[(name, ctypes.c_char_p) for name in ("guidance", "unit")],
        *[(name, ctypes.c_float) for name in ("minimum", "maximum", "smoothing")],
    ]


class SessionOptions(ctypes.Structure):
    """hg_session_options."""

    _fields_ = [("no_temporal", ctypes.c_int)]


def built(folder: Path = BUILD, *settings: str, source: Path = SOURCES) -> Path:
    """Build the library, or another binding, with tests and examples; returns the folder."""
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    for command in (
        ["cmake", "-S", str(source), "-B", str(folder), *generator, *settings],
        ["cmake", "--build", str(folder), "--parallel", "2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


def run_tests(folder: Path, **environment: str) -> None:
    """Run the tests of a built folder."""
    done = subprocess.run(
        ["ctest", "--test-dir", str(folder), "--output-on-failure"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout[-4000:]


class NativeError(Exception):
    """A call that failed, with its status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Library:
    """The functions of libhyperguide."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("VIRTUAL_ENV", sys.prefix)  # where the engines' libraries are
        self.path = folder / "libhyperguide.so"
        self._library = ctypes.CDLL(str(self.path))
        pointers = "hg_model_open", "hg_model_from_memory", "hg_session_create"
        for name in pointers:
            getattr(self._library, name).restype = ctypes.c_void_p
        self._library.hg_last_error.restype = ctypes.c_char_p
        self._library.hg_version.restype = ctypes.c_char_p
        for name in ("strength", "guidance_scale", "smoothing"):
            setter = getattr(self._library, f"hg_session_set_{name}")
            setter.argtypes = [ctypes.c_void_p, ctypes.c_float]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def error(self) -> str:
        """What hg_last_error() says."""
        return str(self._library.hg_last_error().decode())

    def check(self, status: int) -> None:
        """Raise NativeError unless a status is HG_OK."""
        if status != OK:
            raise NativeError(status, self.error())

    def model(self, path: Path, device: str = "cpu", threads: int = 1) -> Model:
        """Load a model file."""
        options = ModelOptions(device=device.encode(), threads=threads)
        handle = self._library.hg_model_open(str(path).encode(), ctypes.byref(options))
        if not handle:
            raise NativeError(self._library.hg_last_status(), self.error())
        return Model(self, handle)


class Model:
    """A loaded model; close it."""

    def __init__(self, library: Library, handle: int) -> None:
        self.library = library
        self.handle = ctypes.c_void_p(handle)

    @property
    def info(self) -> ModelInfo:
        """Its description."""
        found = ModelInfo()
        self.library.check(self.library.hg_model_get_info(self.handle, ctypes.byref(found)))
        return found

    def session(self, smoothing: float | None = None, temporal: bool = True) -> Session:
        """Start a stream; smoothing None is the model's own."""
        options = SessionOptions(not temporal)
        handle = self.library.hg_session_create(self.handle, ctypes.byref(options))
        if not handle:
            raise NativeError(self.library.hg_last_status(), self.library.error())
        if smoothing is not None:
            self.library.check(self.library.hg_session_set_smoothing(handle, smoothing))
        return Session(self.library, handle)

    def close(self) -> None:
        """Give the model up."""
        self.library.hg_model_destroy(self.handle)
        self.handle = ctypes.c_void_p()


class Session:
    """A stream of frames; close it."""

    def __init__(self, library: Library, handle: int) -> None:
        self.library = library
        self.handle = ctypes.c_void_p(handle)

    def run(
        self,
        picture: Picture,
        result: Picture,
        guidance: Map | None = None,
        map_: Map | None = None,
    ) -> None:
        """hg_session_run; raises NativeError."""
        given, used = (None if m is None else ctypes.byref(m) for m in (guidance, map_))
        self.library.check(
            self.library.hg_session_run(
                self.handle, ctypes.byref(picture), given, ctypes.byref(result), used
            )
        )

    def rgb(
        self, image: np.ndarray, guidance: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Enhance uint8 of shape (H, W, 3) or (H, W). Returns the result and the map."""
        image = np.ascontiguousarray(image)
        result = np.empty_like(image)
        used = np.full(image.shape[:2], np.nan, np.float32)
        told = None if guidance is None else map_of(np.ascontiguousarray(guidance, np.float32))
        self.run(picture_of(image), picture_of(result), told, map_of(used))
        return result, used

    def set(self, name: str, value: float) -> None:
        """Turn a dial."""
        setter: Callable[..., int] = getattr(self.library, f"hg_session_set_{name}")
        self.library.check(setter(self.handle, value))

    def kernel(self, kernel: np.ndarray) -> None:
        """Set the kernel of the blur."""
        values = np.ascontiguousarray(kernel, np.float32)
        pointer = values.ctypes.data_as(ctypes.c_void_p)
        self.library.check(
            self.library.hg_session_set_kernel(self.handle, pointer, *map(int, values.shape))
        )

    def close(self) -> None:
        """End the stream."""
        self.library.hg_session_destroy(self.handle)
        self.handle = ctypes.c_void_p()


def picture_of(image: np.ndarray, format_: int = 0) -> Picture:
    """A picture in the memory of an array of one plane: by its type, or of a given format."""
    formats = {
        **{("uint8", 3): RGB24, ("uint8", 4): RGBA, ("uint8", 2): GRAY8},
        **{("uint16", 2): GRAY16, ("float32", 3): RGBF32},
    }
    planes = image.shape[2] if image.ndim == 3 else 2
    found = format_ or formats[image.dtype.name, planes]
    picture = Picture(found, image.shape[1], image.shape[0])
    picture.planes[0] = image.ctypes.data
    picture.strides[0] = image.strides[0]
    return picture


def map_of(values: np.ndarray) -> Map:
    """A map in the memory of an array of shape (H, W)."""
    return Map(values.ctypes.data, values.shape[1], values.shape[0], values.strides[0])
