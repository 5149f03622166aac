"""Graphs whose pictures are bytes, the format of cameras and screens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from hyperguide.engines import Engine
from hyperguide.errors import HyperguideError
from hyperguide.model_format.byte_conversions import with_byte_pictures
from hyperguide.model_format.contract import ENHANCED, IMAGE
from hyperguide.model_format.golden import Golden
from hyperguide.pixels import from_tensor, planes_to_pixels, to_tensor

from .graph import number_nodes

_FULL_SCALE = 255


def take_bytes(proto: onnx.ModelProto, channels: int) -> onnx.ModelProto:
    """A copy of a graph whose input and output pictures are uint8, shape (N, H, W, C)."""
    content = with_byte_pictures(proto.SerializeToString(), channels)
    converted = onnx.load_from_string(content)
    number_nodes(converted.graph)
    onnx.checker.check_model(converted, full_check=True)
    return converted


def sample_of_bytes(sample: Golden) -> Golden:
    """Convert the input of a golden sample for a graph of bytes; its outputs are unchanged."""
    pixels = planes_to_pixels(sample.feeds[IMAGE])
    accepted = max(sample.tolerance[ENHANCED], 1 / _FULL_SCALE)  # .5 may round either way
    return replace(
        sample,
        feeds={**sample.feeds, IMAGE: pixels},
        tolerance={**sample.tolerance, ENHANCED: accepted},
    )


def prove_bytes(planes: Engine, pixels: Engine, sample: Golden) -> None:
    """Raise HyperguideError unless both graphs give the same bytes for an 8-bit picture."""
    picture = sample_of_bytes(sample).feeds[IMAGE]
    tensor, layout = to_tensor(picture, picture.shape[3])
    dials = {name: value for name, value in sample.feeds.items() if name != IMAGE}
    expected = from_tensor(planes.run({IMAGE: tensor, **dials})[ENHANCED], picture, layout)
    actual = pixels.run({IMAGE: picture, **dials})[ENHANCED]
    if not np.array_equal(actual, expected):
        raise HyperguideError(
            "The graph of bytes does not give the bytes that the runtime's conversion gives: "
            "nothing was written; export with --io float."
        )
