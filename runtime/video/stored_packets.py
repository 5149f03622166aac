"""Encoded packets on disk: one file of bytes and one record for each segment of a video."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import write_atomically
from hyperguide.storage.bounded_json import parse_json
from hyperguide.storage.npy import parse_npy

_LARGEST_STATE = 1 << 31


@dataclass(frozen=True)
class StoredPacket:
    """A packet's place in time and in its file; pts and duration in the encoder's time base."""

    pts: int
    duration: int
    is_keyframe: bool
    size: int


@dataclass(frozen=True)
class Segment:
    """A run of frames that was encoded on its own.

    frames: number in it; done: number up to its end. last: source's `pts` of its last frame.
    map_sum, map_least, map_most: of the frames' mean map values. damaged: packets so far.
    """

    number: int
    frames: int
    done: int
    last: int
    map_sum: float
    map_least: float
    map_most: float
    packets: tuple[StoredPacket, ...]


def write_segment(
    folder: Path, segment: Segment, content: list[bytes], name: str | None = None
) -> None:
    """Write a segment: first its packets, then the record that makes it count."""
    stem = name or f"{segment.number:06d}"
    write_atomically(folder / f"{stem}.packets", lambda path: _write_all(path, content))
    record = asdict(segment)
    record["packets"] = [[p.pts, p.duration, int(p.is_keyframe), p.size] for p in segment.packets]
    text = json.dumps(record).encode()
    write_atomically(folder / f"{stem}.json", lambda path: path.write_bytes(text))


def read_segment(folder: Path, stem: str) -> Segment | None:
    """Read the record of a segment; None if there is none, or it is damaged."""
    try:
        record = parse_json((folder / f"{stem}.json").read_bytes())
        packets = tuple(
            StoredPacket(int(pts), int(duration), bool(key), int(size))
            for pts, duration, key, size in record.pop("packets")
        )
        segment = Segment(**record, packets=packets)
        total = sum(packet.size for packet in packets)
        if (folder / f"{stem}.packets").stat().st_size != total:
            return None
        return segment
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def content_of(folder: Path, stem: str, segment: Segment) -> Iterator[tuple[StoredPacket, bytes]]:
    """The packets of a segment with their bytes."""
    with (folder / f"{stem}.packets").open("rb") as file:
        for packet in segment.packets:
            yield packet, file.read(packet.size)


def write_state(folder: Path, number: int, state: Mapping[str, np.ndarray]) -> None:
    """Write the state of a stream after a segment: one .npy file for each array."""
    for name, array in state.items():
        write_atomically(
            folder / f"{number:06d}.{name}.npy", partial(np.save, arr=array, allow_pickle=False)
        )


def read_state(folder: Path, number: int) -> dict[str, np.ndarray]:
    """Read what `write_state` wrote. Raises HyperguideError if a file is damaged."""
    state: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob(f"{number:06d}.*.npy")):
        try:
            if path.stat().st_size > _LARGEST_STATE:
                raise ValueError("too large")
            state[path.name.split(".")[1]] = parse_npy(path.read_bytes())
        except (OSError, ValueError) as error:
            raise HyperguideError(
                f"{path} is damaged ({error}): start anew with --force."
            ) from None
    return state


def remove_state(folder: Path, number: int) -> None:
    """Remove the state after a segment."""
    for path in folder.glob(f"{number:06d}.*.npy"):
        path.unlink(missing_ok=True)


def _write_all(path: Path, content: list[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(content)
