"""The photos that a model was trained on, as short hashes stored in its file.

A score on pictures that a model has seen means nothing. So a run keeps hashes of its photos, and an
evaluation looks up its test pictures among them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from hyperguide.pixels import full_scale

# Maximum number of hashes kept: 32 KiB.
MOST = 2048

# Columns and rows of the reduced picture; a hash has a bit for each pair of neighbours in a row.
_COLUMNS, _ROWS = 17, 8
_BYTES = (_COLUMNS - 1) * _ROWS // 8

# Hashes that differ in at most this many of 128 bits belong to the same photo. In BSDS500, the same
# photo in gray, at half size or as JPEG of quality 50 differs in at most 11 bits (1 in 100 in more
# than 6), the closest other photo in 21; in NYU Depth, with photos of the same room, in 23.
_ALIKE = 10


@dataclass(frozen=True)
class SeenPhotos:
    """The photos that a model was trained on.

    hashes: sorted; at most MOST of them, evenly sampled.
    photos: total number of photos.
    complete: False if training started from weights whose photos are unknown.
    """

    hashes: tuple[bytes, ...]
    photos: int
    complete: bool = True

    @property
    def on_record(self) -> bool:
        """Whether every photo is on record."""
        return self.complete and self.photos <= MOST

    @classmethod
    def of(cls, pictures: Iterable[np.ndarray], photos: int) -> SeenPhotos:
        """Hash pictures, shape (H, W) or (H, W, 3); pictures without detail get no hash."""
        hashes = {found for found in map(hash_photo, pictures) if found is not None}
        return cls(_bounded(hashes), photos)

    def holds(self, picture: np.ndarray) -> bool:
        """Whether a picture is one of the photos, possibly mirrored."""
        if not self.hashes:
            return False
        known = np.frombuffer(b"".join(self.hashes), np.uint8).reshape(-1, _BYTES)
        for turned in (picture, picture[:, ::-1]):
            found = hash_photo(turned)
            if found is not None:
                differing = np.unpackbits(known ^ np.frombuffer(found, np.uint8), axis=1).sum(1)
                if differing.min() <= _ALIKE:
                    return True
        return False

    def with_those_of(self, start: SeenPhotos) -> SeenPhotos:
        """These photos plus those of the starting weights or of a teacher."""
        both = {*self.hashes, *start.hashes}
        return SeenPhotos(
            _bounded(both),
            # If all are on record, each counts once, so a second run on the same photos adds none.
            len(both)
            if len(both) <= MOST and _are_all(self, start)
            else self.photos + start.photos,
            self.complete and start.complete,
        )

    def to_record(self) -> dict[str, Any]:
        """The JSON record for checkpoints and model files."""
        text = base64.urlsafe_b64encode(b"".join(self.hashes)).decode()
        return {"hashes": text, "photos": self.photos, "complete": self.complete}

    @classmethod
    def from_record(cls, record: Any) -> SeenPhotos:
        """Read what `to_record` returned; anything else gives UNKNOWN."""
        if not isinstance(record, dict):
            return UNKNOWN
        text, photos, complete = (record.get(k) for k in ("hashes", "photos", "complete"))
        if not (isinstance(text, str) and type(photos) is int and type(complete) is bool):
            return UNKNOWN
        try:
            content = base64.b64decode(text, b"-_", validate=True)
        except (binascii.Error, ValueError):
            return UNKNOWN
        if photos < 0 or len(content) % _BYTES or len(content) > MOST * _BYTES:
            return UNKNOWN
        parts = [content[i : i + _BYTES] for i in range(0, len(content), _BYTES)]
        return cls(tuple(parts), photos, complete)


NOTHING = SeenPhotos((), 0)
UNKNOWN = SeenPhotos((), 0, complete=False)


def hash_photo(picture: np.ndarray) -> bytes | None:
    """Hash a photo by where its luma rises from left to right on a coarse grid; None if it is flat.

    The hash is the same for every lossless file of a photo, and nearly the same for a gray, reduced
    or compressed copy (dHash, N. Krawetz, Kind of Like That, 2013).
    picture: shape (H, W) or (H, W, 3), 8 or 16 bits or floats.
    """
    values = picture.astype(np.float32) * np.float32(255 / full_scale(picture.dtype))
    luma = values if values.ndim == 2 else cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(luma, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA)
    if not np.isfinite(cells).all() or np.ptp(cells) < 1:
        return None
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()


def spread(photos: Sequence[Any]) -> Sequence[Any]:
    """At most MOST of the photos, evenly sampled."""
    if len(photos) <= MOST:
        return photos
    return [photos[i * len(photos) // MOST] for i in range(MOST)]


def _bounded(hashes: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(spread(sorted(hashes)))


def _are_all(*seen: SeenPhotos) -> bool:
    return all(len(one.hashes) == one.photos for one in seen)
