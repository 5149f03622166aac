"""The targets, one module for each group of readers."""

from __future__ import annotations

from importlib import import_module

from ..target import Target

# Name of a target -> its module and its name there. Some modules import torch, others do not.
_PLACES = {
    "model-file": ("models", "MODEL_FILE"),
    "model-run": ("models", "MODEL_RUN"),
    "golden-samples": ("models", "GOLDEN_SAMPLES"),
    "engine-sidecar": ("engines", "SIDECAR"),
    "pictures-png": ("pictures", "PNG"),
    "pictures-jpeg": ("pictures", "JPEG"),
    "pictures-tiff": ("pictures", "TIFF"),
    "pictures-webp": ("pictures", "WEBP"),
    "pictures-bmp": ("pictures", "BMP"),
    "pictures-other": ("pictures", "OTHER"),
    "maps": ("pictures", "MAPS"),
    "kernels-npy": ("kernels", "NPY"),
    "kernels-text": ("kernels", "TEXT"),
    "kernels-picture": ("kernels", "PICTURE"),
    "weights-pth": ("weights", "PTH"),
    "weights-safetensors": ("weights", "SAFETENSORS"),
    "weights-onnx": ("weights", "ONNX"),
    "mat": ("texts", "MAT"),
    "presets": ("texts", "PRESETS"),
    "backgrounds": ("texts", "BACKGROUNDS"),
    "runs-log": ("runs", "LOG"),
    "runs-resume": ("runs", "RESUME"),
    "runs-state": ("runs", "STATE"),
}
NAMES = tuple(_PLACES)


def find_target(name: str) -> Target:
    """The target with a name. Raises KeyError if there is none."""
    module, attribute = _PLACES[name]
    target: Target = getattr(import_module(f".{module}", __package__), attribute)
    return target
