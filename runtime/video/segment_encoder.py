"""Encodes the frames of one segment, and keeps their packets on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .av_library import av, av_errors
from .encoders import open_encoder
from .enhancing import Item
from .muxing import Target
from .stored_packets import PacketWriter, Segment, StoredPacket, write_record
from .summary import MapStatistics


class SegmentEncoder:
    """A segment that is being encoded.

    frames: so far. until: seconds at which the last of them ends.
    """

    def __init__(self, folder: Path, number: int, target: Target, tick: int | None) -> None:
        """Begin a segment. tick: time of the frame before it in the target's time base."""
        self.number = number
        self.frames = 0
        self.until = 0.0
        self.tick = tick
        self.maps = MapStatistics()
        self._folder, self._target = folder, target
        self._last = 0
        self._stored = PacketWriter(folder, number)
        self._encoder = open_encoder(
            target.encoder, target.info, target.time_base, target.container.global_header
        )

    def add(self, item: Item) -> float:
        """Encode a frame. Returns by how many seconds its time had to be changed."""
        frame, info, base = item.frame, self._target.info, self._target.time_base
        assert frame.pts is not None
        self._last = frame.pts
        at = frame.pts * info.time_base
        length = frame.duration * info.time_base if frame.duration else info.step
        if item.guidance is not None:
            self.maps.add(float(np.mean(item.guidance)))
            item.guidance = None
        if base != info.time_base:
            frame.pts = round(at / base)
            frame.time_base = base
            frame.duration = max(round(frame.duration * info.time_base / base), 1)
        if self.tick is not None:
            frame.pts = max(frame.pts, self.tick + 1)
        self.tick = frame.pts
        frame.pict_type = 0
        with av_errors(f"{self._target.encoder.name} failed"):
            self._take(self._encoder.encode(frame))
        self.frames += 1
        self.until = float(at + length)
        return abs(float(self.tick * base - at))

    def keep(self, item: Item, state_checksum: int, complete: bool) -> Segment:
        """Keep the segment, which ends with a frame.

        state_checksum: of the state after it. complete: whether it has all its frames.
        """
        with av_errors(f"{self._target.encoder.name} failed"):
            self._take(self._encoder.encode(None))
        self._stored.close()
        maps = self.maps
        segment = Segment(
            number=self.number,
            frames=self.frames,
            done=item.number + 1,
            complete=complete,
            last=self._last,
            digest=item.digest,
            until=self.until,
            map_frames=maps.frames,
            map_sum=maps.total,
            map_least=maps.least,
            map_most=maps.most,
            checksum=self._stored.checksum,
            state_checksum=state_checksum,
            packets=tuple(self._stored.packets),
        )
        write_record(self._folder, segment)
        return segment

    def _take(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            content = bytes(packet)
            assert packet.pts is not None
            stored = StoredPacket(
                packet.pts, packet.duration or 0, packet.is_keyframe, len(content)
            )
            self._stored.add(stored, content)
