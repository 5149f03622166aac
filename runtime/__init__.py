"""Guided image enhancement: networks that predict what they remove.

import hyperguide

enhancer = hyperguide.load("derain")
result = enhancer(image)              # HxWx3 uint8, uint16 or float; the same kind comes back
result.image, result.guidance         # the picture, and where the network saw rain

Videos and cameras: see `hyperguide.video` and `hyperguide.camera`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hyperguide.model_format.model_info import ModelInfo

from .enhancer import Enhancer, Result, load
from .errors import HyperguideError
from .kernel_estimation import KernelEstimate, estimate_kernel
from .tasks import TASKS, Guidance, Task

if TYPE_CHECKING:
    from hyperguide.video.camera import Camera

__version__ = "0.1.0"

__all__ = [
    "TASKS",
    "Enhancer",
    "Guidance",
    "HyperguideError",
    "KernelEstimate",
    "ModelInfo",
    "Result",
    "Task",
    "__version__",
    "camera",
    "estimate_kernel",
    "load",
]


def camera(source: str) -> Camera:
    """The newest frame of a camera, device or stream; see `hyperguide.video.camera.Camera`.

    with hyperguide.camera("camera:0") as camera:
        for frame in camera:
            show(enhancer(frame.image).image)
            print(f"{1000 * camera.age:.0f} ms old, {camera.dropped} dropped")

    source: `camera:0`, `v4l2:/dev/video0`, `rtsp://...` or whatever else FFmpeg opens. Files are
        played at their own speed. FFmpeg's options may follow:
        `camera:0?video_size=1280x720&framerate=30`.
    Raises HyperguideError if PyAV is missing; entering it, if the source does not open.
    """
    # By name: PyAV is loaded when it is needed, and packages below may import this one.
    opened: Camera = import_module("hyperguide.video.camera").open_camera(source)
    return opened
