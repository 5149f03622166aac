"""The description of a model, in its file's metadata under `hyperguide.*`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hyperguide.errors import HyperguideError
from hyperguide.padding import SizeRequirements
from hyperguide.printable import shown
from hyperguide.storage.bounded_json import parse_json
from hyperguide.tasks import Guidance

from .contract import FORMAT, LATER_VALUES, PREFIX, VALUES, WORDS

# Pictures are padded to multiples, so a pixel may become this many squared; networks have 64.
_LARGEST_MULTIPLE = 256
_LARGEST_FIELD = 1 << 16
_LARGEST_COST = 1e9  # of a pixel, in bytes and in thousands of multiplications
_LONGEST_WORD = 64


@dataclass(frozen=True)
class ModelInfo:
    """The description of a model.

    color: `rgb` or `gray`, the planes of the image input.
    size_multiple: height and width must be multiples of it.
    receptive_field: how many pixels away an output pixel sees; with global `context`, if the map
        is given.
    context: `local`, or `global` if the predicted map depends on the whole picture.
    whole_picture: whether the result depends on the whole picture even if the map is given.
    overlap: pixels by which tiles must overlap so that no seam shows, which is less than a large
        receptive field; None if it was not measured.
    precision: of the weights.
    io: of the pictures: `float` (NCHW in [0, 1]), or `uint8` (NHWC, bytes).
    training: how the model was trained: preset, data, steps, seconds.
    quality: measured figures.
    cost: `kilo_macs_per_pixel`, `bytes_per_pixel` of the largest tensors that live at once, and
        `operators` by the precision that they compute in.
    card: texts `purpose`, `data` and its terms, `limits`; empty if nobody wrote one.
    """

    task: str
    tier: str
    color: str
    guidance: Guidance
    size_multiple: int
    receptive_field: int
    context: str
    precision: str = "fp32"
    io: str = "float"
    training: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    whole_picture: bool = False
    overlap: int | None = None

    @property
    def tile_overlap(self) -> int:
        """Pixels by which tiles must overlap, a valid length."""
        pixels = self.receptive_field if self.overlap is None else self.overlap
        return self.sizes.of(pixels)

    @property
    def sizes(self) -> SizeRequirements:
        """The heights and widths that the network takes."""
        return SizeRequirements(self.size_multiple)

    @property
    def channels(self) -> int:
        """Planes of the image input."""
        return 1 if self.color == "gray" else 3

    def to_metadata(self) -> dict[str, str]:
        """The entries of the file's metadata."""
        values = {"format": FORMAT, **asdict(self)}
        return {
            PREFIX + name: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for name, value in values.items()
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: Path) -> ModelInfo:
        """Read the entries back. Raises HyperguideError if they are missing or unusable."""
        if PREFIX + "format" not in metadata:
            raise HyperguideError(
                f"{path} is an ONNX file but not one of ours: make one with 'hyperguide export'."
            )
        written = metadata[PREFIX + "format"]
        if written != str(FORMAT):
            raise HyperguideError(
                f"{path} has model format {written[:_LONGEST_WORD]}, this version reads format "
                f"{FORMAT}: install the version of hyperguide that exported it."
            )
        try:
            return cls._of_entries(
                {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
            )
        except ValueError as error:
            raise HyperguideError(
                f"The metadata of {path} is damaged ({error}): export or download it again."
            ) from None

    @classmethod
    def _of_entries(cls, texts: Mapping[str, str]) -> ModelInfo:
        """Parse the entries. Raises ValueError if one is missing or unusable in this version."""
        missing = [name for name in (*WORDS, *VALUES) if name not in texts]
        if missing:
            raise ValueError(f"there is no {missing[0]}")
        values: dict[str, Any] = {name: texts[name] for name in WORDS}
        values |= {name: parse_json(texts[name]) for name in VALUES}
        values |= {name: parse_json(texts[name]) for name in LATER_VALUES if name in texts}
        for name, known in WORDS.items():
            _expect(name, values[name], _is_word(values[name]))
            _expect(name, values[name], not known or values[name] in known)
        for name, least, most in (
            ("size_multiple", 1, _LARGEST_MULTIPLE),
            ("receptive_field", 0, _LARGEST_FIELD),
        ):
            value = values[name]
            _expect(name, value, type(value) is int and least <= value <= most)
        overlap = values.get("overlap")
        right = type(overlap) is int and 0 <= overlap <= values["receptive_field"]
        _expect("overlap", overlap, overlap is None or right)
        for name in ("training", "quality", "cost", "card"):
            _expect(name, values.get(name, {}), isinstance(values.get(name, {}), dict))
        _expect("whole_picture", values.get("whole_picture"), _is_flag(values))
        _check_cost(values.get("cost", {}))
        values["guidance"] = _guidance(values["guidance"])
        return cls(**values)


def _guidance(entries: Any) -> Guidance:
    _expect("guidance", entries, isinstance(entries, dict))
    for item in fields(Guidance):
        _expect(f"guidance.{item.name}", entries.get(item.name), item.name in entries)
        value = entries[item.name]
        right = _is_number(value) if item.type == "float" else _is_line(value)
        _expect(f"guidance.{item.name}", value, right)
    _expect("guidance", sorted(entries), len(entries) == len(fields(Guidance)))
    meaning = Guidance(**entries)
    low, high = meaning.minimum, meaning.maximum
    _expect("guidance.maximum", high, low < high)
    _expect("guidance.smoothing", meaning.smoothing, 0 <= meaning.smoothing < 1)
    return meaning


def _check_cost(cost: dict[str, Any]) -> None:
    for name in ("kilo_macs_per_pixel", "bytes_per_pixel"):
        value = cost.get(name, 1)
        _expect(f"cost.{name}", value, _is_number(value) and 0 < value <= _LARGEST_COST)
    by_precision = cost.get("operators", {})
    right = isinstance(by_precision, dict) and all(
        isinstance(counts, dict) and all(type(count) is int for count in counts.values())
        for counts in by_precision.values()
    )
    _expect("cost.operators", by_precision, right)


def _expect(name: str, value: Any, right: bool) -> None:
    if not right:
        raise ValueError(f"{name} is {shown(value)}")


def _is_word(value: Any) -> bool:
    return _is_line(value) and 0 < len(value) <= _LONGEST_WORD


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_flag(values: Mapping[str, Any]) -> bool:
    return type(values.get("whole_picture", False)) is bool


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
