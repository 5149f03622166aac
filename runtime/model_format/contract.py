"""The contract of a model file: the names and values that its readers rely on.

Inputs
    image           float32 (N, C, H, W) in [0, 1]; H and W multiples of `size_multiple`
    guidance_in     float32, rank 4, a map to use instead of the predicted one
    guidance_mix    default 0: how much of `guidance_in` is used
    guidance_scale  default 1: multiplies the map that the reconstruction sees
    strength        default 1: 0 returns the image, 1 the network's result
    kernel          deblurring only, float32 (N or 1, 1, kh, kw), odd sides, sum 1; default: no blur
Outputs
    enhanced        float32 (N, C, H, W), clipped to [0, 1]
    guidance        float32 (N, 1, H, W), the map before the scale, in the unit of the metadata

Files exported for the web have the same inputs without defaults, so that all must be fed. Files
whose `io` is uint8 have bytes of shape (N, H, W, C) as `image` and `enhanced` instead.

Every dial has rank 4 and each of its dimensions is 1 or that of the image, so it can vary per
picture and per pixel. Everything else is in the file's metadata under `hyperguide.*`; see
`ModelInfo`.
"""

from __future__ import annotations

from hyperguide.tasks import TASKS

FORMAT = 1  # version of this contract
OPSET = 18  # version of ONNX's operator set

# Inputs; the dials with their defaults.
IMAGE = "image"
SCALE = "guidance_scale"
DIALS: dict[str, float] = {
    "guidance_in": 0.0,
    "guidance_mix": 0.0,
    SCALE: 1.0,
    "strength": 1.0,
}
KERNEL = "kernel"
DEFAULTS: dict[str, float] = {**DIALS, KERNEL: 1.0}

# Outputs.
ENHANCED = "enhanced"
GUIDANCE = "guidance"

# Prefixes of metadata entries: of all, of golden samples, of digests.
PREFIX = "hyperguide."
GOLDEN_PREFIX = f"{PREFIX}golden."
DIGEST_PREFIX = f"{PREFIX}sha256."

# Entries that are words, with those that this version knows; empty if any word is allowed.
PRECISIONS = ("fp32", "fp16", "int8")
WORDS: dict[str, tuple[str, ...]] = {
    "task": tuple(TASKS),
    "tier": (),
    "color": ("rgb", "gray"),
    "context": ("local", "global"),
    "precision": PRECISIONS,
    "io": ("float", "uint8"),
}
# Entries that are JSON; older files lack the later ones.
VALUES = ("guidance", "size_multiple", "receptive_field", "training", "quality")
LATER_VALUES = ("cost", "card", "whole_picture", "overlap")
