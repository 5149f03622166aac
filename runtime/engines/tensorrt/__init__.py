"""TensorRT, natively: building engines of model files, keeping them, and running them."""

from .cache import CachedTensorRt
from .engine import TensorRtEngine

__all__ = ["CachedTensorRt", "TensorRtEngine"]
