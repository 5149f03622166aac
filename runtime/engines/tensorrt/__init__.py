"""Native TensorRT: builds engines from model files, caches them, and runs them."""

from .cache import CachedTensorRt
from .engine import TensorRtEngine

__all__ = ["CachedTensorRt", "TensorRtEngine"]
