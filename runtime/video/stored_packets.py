"""Encoded packets on disk: for each segment of a video a file of bytes, a record, and a state."""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.storage.atomic import kind_of, write_atomically
from hyperguide.storage.bounded_json import parse_json
from hyperguide.storage.npz import read_npz

_LARGEST_STATE = 1 << 31
_BLOCK = 1 << 20
_LONGEST_TIME = 1 << 62


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

    frames: number in it; done: number up to its end. complete: whether more frames belong to it.
    last, digest: source's `pts` and checksum of its last frame. until: seconds at which that ends.
    map_frames, map_sum, map_least, map_most: of the frames' mean map values.
    checksum: of the packets' bytes. state_checksum: of the file of the stream's state.
    """

    number: int
    frames: int
    done: int
    complete: bool
    last: int
    digest: int
    until: float
    map_frames: int
    map_sum: float
    map_least: float
    map_most: float
    checksum: int
    state_checksum: int
    packets: tuple[StoredPacket, ...]


class PacketWriter:
    """Writes the packets of a segment as they come. They count once `write_record` was called."""

    def __init__(self, folder: Path, number: int) -> None:
        self.packets: list[StoredPacket] = []
        self.checksum = 0
        self._path = _packets(folder, number)
        with _writing(self._path):
            self._file = self._path.open("wb")

    def add(self, packet: StoredPacket, content: bytes) -> None:
        """Write a packet."""
        with _writing(self._path):
            self._file.write(content)
        self.packets.append(packet)
        self.checksum = zlib.crc32(content, self.checksum)

    def close(self) -> None:
        """Make sure that all is on disk."""
        with _writing(self._path):
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
            finally:
                self._file.close()


def write_record(folder: Path, segment: Segment) -> None:
    """Write the record that makes a segment count."""
    record = asdict(segment)
    record["packets"] = [[p.pts, p.duration, int(p.is_keyframe), p.size] for p in segment.packets]
    text = json.dumps({"record": record, "checksum": _checksum(record)}).encode()
    write_atomically(_record(folder, segment.number), lambda path: path.write_bytes(text))


def read_segment(folder: Path, number: int) -> Segment | None:
    """Read the record of a segment; None if there is none, or it or its packets are damaged."""
    try:
        stored = parse_json(_record(folder, number).read_bytes())
        record = stored["record"]
        if stored["checksum"] != _checksum(record) or record["number"] != number:
            return None
        rows = [_numbers(row, 4) for row in record.pop("packets")]
        packets = tuple(StoredPacket(row[0], row[1], row[2] == 1, row[3]) for row in rows)
        segment = Segment(**record, packets=packets)
        return segment if _is_sound(segment) and _holds(folder, segment) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def content_of(folder: Path, segment: Segment) -> Iterator[tuple[StoredPacket, bytes]]:
    """The packets of a segment with their bytes."""
    with _packets(folder, segment.number).open("rb") as file:
        for packet in segment.packets:
            yield packet, file.read(packet.size)


def write_state(folder: Path, number: int, state: Mapping[str, np.ndarray]) -> int:
    """Write the state of a stream after a segment. Returns its checksum."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict[str, Any](state))
    content = buffer.getvalue()
    write_atomically(_state(folder, number), lambda path: path.write_bytes(content))
    return zlib.crc32(content)


def read_state(folder: Path, segment: Segment) -> dict[str, np.ndarray] | None:
    """Read the state after a segment; None if it is damaged."""
    path = _state(folder, segment.number)
    try:
        if path.stat().st_size > _LARGEST_STATE:
            return None
        content = path.read_bytes()
        if zlib.crc32(content) != segment.state_checksum:
            return None
        return {name: one.copy() for name, one in read_npz(content, _LARGEST_STATE).items()}
    except (OSError, ValueError):
        return None


def remove_state(folder: Path, number: int) -> None:
    """Remove the state after a segment."""
    _state(folder, number).unlink(missing_ok=True)


def _packets(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.packets"


def _record(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"


def _state(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npz"


def _checksum(record: Any) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


def _numbers(row: Any, count: int) -> list[int]:
    if not isinstance(row, list) or len(row) != count:
        raise ValueError("not a packet")
    if any(type(one) is not int or abs(one) > _LONGEST_TIME for one in row):
        raise ValueError("not a number")
    return row


def _is_sound(segment: Segment) -> bool:
    """Whether the fields are of their types, and sizes are possible."""
    kinds = {"int": int, "bool": bool, "float": float, "tuple[StoredPacket, ...]": tuple}
    typed = all(type(getattr(segment, one.name)) is kinds[str(one.type)] for one in fields(segment))
    sizes = [packet.size for packet in segment.packets]
    return typed and segment.frames > 0 and bool(sizes) and min(sizes) >= 0


def _holds(folder: Path, segment: Segment) -> bool:
    """Whether the packets' file is as it was written."""
    path, found = _packets(folder, segment.number), 0
    if path.stat().st_size != sum(packet.size for packet in segment.packets):
        return False
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found = zlib.crc32(block, found)
    return found == segment.checksum


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise kind_of(error)(f"Writing {path} failed: {error.strerror or error}.") from error
