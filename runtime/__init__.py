"""Guided image enhancement: networks that predict what they remove.

import hyperguide

enhancer = hyperguide.load("derain")
result = enhancer(image)              # HxWx3 uint8, uint16 or float; the same kind comes back
result.image, result.guidance         # the picture, and where the network saw rain
"""

from hyperguide.model_format.model_info import ModelInfo

from .enhancer import Enhancer, Result, load
from .errors import HyperguideError
from .tasks import TASKS, Guidance, Task

__version__ = "0.1.0"

__all__ = [
    "TASKS",
    "Enhancer",
    "Guidance",
    "HyperguideError",
    "ModelInfo",
    "Result",
    "Task",
    "__version__",
    "load",
]
