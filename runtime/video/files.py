"""Enhances a video file: segments that survive a crash, then one file with sound and all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.enhancer import Enhancer
from hyperguide.errors import HyperguideError, StorageError
from hyperguide.storage.atomic import (
    refuse_existing,
    refuse_missing_folder,
    remove_leftovers,
    write_atomically,
)
from hyperguide.storage.claim import claim
from hyperguide.storage.paths import real

from . import work_folder
from .addresses import Address
from .av_library import av
from .carried import Audio, plan_carried, refuse_losses
from .containers import container_for
from .dials import fitted_dials, hash_of
from .encoders import EncoderWishes, choose_encoder
from .enhancing import Item, frame_stages
from .maps import refuse_maps_folder
from .muxing import Target, write_file
from .opening import main_stream, open_container
from .pipeline import Pipeline
from .segment_encoder import SegmentEncoder
from .source import VideoSource
from .stored_packets import Segment, StoredPacket, content_of, remove_state, write_state
from .summary import Summary

# Frames of a segment. The longest distance of keyframes that x264 chooses by itself is 250, so
# segments make files hardly larger.
SEGMENT = 240

# Called with frames done, expected number of frames (None if unknown), and the slowest stage.
Report = Callable[[int, int | None, str], object]


@dataclass(frozen=True)
class FileOptions:
    """How a video file is enhanced.

    dials: as in `Enhancer.__call__`, maps of the frames' size. smooth, temporal: see
    `Enhancer.stream`. wishes: about the encoder. strict: what the output cannot hold is an error.
    hwaccel: FFmpeg's name of a decoder in hardware. max_memory: bytes that frames may take.
    maps: folder for the map of each frame. segment: frames of a segment.
    """

    dials: Mapping[str, Any] = field(default_factory=dict)
    smooth: float | None = None
    temporal: bool | None = None
    wishes: EncoderWishes = field(default_factory=EncoderWishes)
    audio: Audio = "copy"
    strict: bool = False
    hwaccel: str | None = None
    max_memory: int | None = None
    maps: Path | None = None
    segment: int = SEGMENT


def enhance_file(
    enhancer: Enhancer,
    source: Address,
    output: Path,
    options: FileOptions,
    force: bool = False,
    resume: bool = False,
    report: Report = lambda done, count, slowest: None,
    say: Callable[[str], object] = lambda note: None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Enhance a video file.

    Frames are kept in segments in the folder OUTPUT.parts until the output is complete.

    resume: go on with the segments of an earlier run with the same settings.
    say: called with sentences for the user before decoding starts.
    stop: asked after each frame whether to end early; the output then holds what is done.
    Raises HyperguideError if the source cannot be read, the output cannot be written or may not be
    replaced, or if the source is damaged: then the output holds the part before the damage.
    """
    refuse_missing_folder(output)
    folder = work_folder.work_folder(output)
    refuse_existing(output, force or (resume and folder.is_dir()))
    if options.maps is not None:
        refuse_maps_folder(options.maps, force or resume)
    if not (force or resume):
        work_folder.refuse_unfinished(output)
    if source.is_file and real(source.path) == real(output):
        raise HyperguideError(f"{output} is the source itself: give another name of -o.")
    container = container_for(output)
    with VideoSource(source, options.hwaccel, options.max_memory) as video:
        info = video.info
        encoder = choose_encoder(info, container, options.wishes, live=False)
        constant_rate = container.constant_rate or encoder.constant_rate
        time_base = 1 / info.tick_rate if constant_rate else info.time_base
        target = Target(container, encoder, info, time_base)
        target.check()
        carried = plan_carried(
            video.container, video.stream, container, options.audio, target.add_video
        )
        dials, resized = fitted_dials(options.dials, info)
        for note in (*info.notes, *encoder.notes, *carried.lost, *resized):
            say(note)
        if options.strict:
            refuse_losses(carried)
        run = _Run(enhancer, video, target, replace(options, dials=dials), folder)
        with claim(folder):
            settings = work_folder.settings_hash(_settings(enhancer, source, target, options))
            remove_leftovers(output.parent)
            run.resume(*work_folder.begin(folder, settings, resume))
            summary = run.enhance(report, stop)
            run.join(source, output)
    if summary.complete:
        work_folder.remove(folder)
    if run.failure is not None:
        raise run.failure
    return summary


def _settings(
    enhancer: Enhancer, source: Address, target: Target, options: FileOptions
) -> dict[str, Any]:
    """Everything that the encoded frames depend on."""
    state = source.path.stat()
    return {
        "source": [state.st_size, state.st_mtime_ns],
        "model": hash_of(enhancer.path),
        "engine": enhancer.engine,
        "dials": {name: hash_of(value) for name, value in options.dials.items()},
        "smooth": options.smooth,
        "temporal": options.temporal,
        "encoder": vars(target.encoder) | {"notes": None},
        "container": target.container.name,
        "segment": options.segment,
        "libraries": av.library_versions,
    }


class _Run:
    """One run over a file.

    failure: what ended it, if anything.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        video: VideoSource,
        target: Target,
        options: FileOptions,
        folder: Path,
    ) -> None:
        self.failure: HyperguideError | None = None
        self._video, self._target, self._options = video, target, options
        self._folder = folder
        self._stream = enhancer.stream(options.smooth, options.temporal)
        self._maps = None if options.maps is None else (options.maps, enhancer.info.guidance)
        self._segments: list[Segment] = []
        self._summary = Summary(averaged=self._stream.temporal)
        self._moved = 0.0  # the most seconds that the time of a frame was changed by

    def resume(self, segments: list[Segment], state: dict[str, np.ndarray]) -> None:
        """Go on behind the segments of an earlier run, with the stream's state after them."""
        if not segments:
            return
        try:
            self._stream.restore(state)
        except (HyperguideError, ValueError, TypeError, KeyError, IndexError):
            raise HyperguideError(
                f"{self._folder} holds a state that does not fit: begin anew with --force."
            ) from None
        self._segments = segments
        self._summary.before = segments[-1].done
        for one in segments:
            self._summary.maps.add_many(one.map_frames, one.map_sum, one.map_least, one.map_most)

    def enhance(self, report: Report, stop: Callable[[], bool]) -> Summary:
        """Enhance what is not done yet."""
        info, summary, done = self._video.info, self._summary, self._summary.before
        if done:
            last = self._segments[-1]
            frames = self._video.frames_after(done, last.last, last.digest, stop)
        else:
            frames = self._video.frames()
        dials, length = self._options.dials, self._options.segment
        pixel_format = self._target.encoder.pixel_format
        pipeline = Pipeline(
            (Item(number, frame) for number, frame in enumerate(frames, done)),
            {
                **frame_stages(self._stream, dials, info, pixel_format, length, self._maps),
                "encode": self._encoded,
            },
        )
        began = time.perf_counter()
        stopped = False
        try:
            for number in pipeline:
                summary.frames = number + 1 - summary.before
                report(number + 1, info.count, pipeline.slowest)
                if not stopped and stop():
                    stopped = True
                    pipeline.stop()
        except HyperguideError as error:
            self.failure = error
        summary.seconds = time.perf_counter() - began
        summary.busy = dict(pipeline.busy)
        summary.until = self._segments[-1].until if self._segments else 0.0
        summary.complete = not (stopped or stop()) and self.failure is None
        self._tell()
        return summary

    def join(self, source: Address, output: Path) -> None:
        """Write the output of all segments."""
        if isinstance(self.failure, StorageError):
            raise _with_advice(self.failure)
        if not self._segments:
            raise self.failure or HyperguideError(f"{source} holds no frame: give another -i.")
        packets = [packet for segment in self._segments for packet in segment.packets]
        target, options = self._target, self._options
        whole = self.failure is None and self._summary.complete

        def contents() -> Iterator[tuple[StoredPacket, bytes]]:
            for segment in self._segments:
                yield from content_of(self._folder, segment)

        def write(path: Path) -> None:
            with closing(open_container(source)) as again:
                main = main_stream(again, source)
                kept = plan_carried(again, main, target.container, options.audio, target.add_video)
                until = None if whole else self._summary.until
                write_file(path, target, contents(), packets, again, main, kept, until)

        try:
            write_atomically(output, write)
        except StorageError as error:
            raise _with_advice(error) from error

    def _tell(self) -> None:
        """Note damage, and what is missing at the end."""
        video, summary = self._video, self._summary
        if video.damaged:
            summary.notes.append(f"{video.damaged} packets are damaged.")
        if video.late_interlaced:
            summary.notes.append(
                f"{video.late_interlaced} frames are interlaced, though the first ones are not: "
                "they were enhanced as they are."
            )
        if self._moved > video.info.step:
            summary.notes.append(
                f"Frames come up to {self._moved:.2f} s early or late, because "
                f"{self._target.container.name} with {self._target.encoder.name} only knows a "
                "constant rate."
            )
        if not summary.complete:
            return
        missing = video.missing(summary.until)
        if video.ended_early or missing:
            why = f" ({video.ended_early})" if video.ended_early else ""
            self.failure = HyperguideError(
                f"{video.address} ends early{why}: the output holds {summary.until:.2f} s of "
                f"{video.info.duration or summary.until:.2f} s; get a complete copy of the file."
            )

    def _encoded(self, items: Iterator[Item]) -> Iterator[int]:
        """Encode frames into segments. Yields the number of each frame that is encoded."""
        part: SegmentEncoder | None = None
        tick = None
        if self._segments:
            tick = max(packet.pts for packet in self._segments[-1].packets)
        for item in items:
            if part is None:
                part = SegmentEncoder(self._folder, len(self._segments), self._target, tick)
            self._moved = max(self._moved, part.add(item))
            yield item.number
            if part.frames == self._options.segment:
                self._keep(part, item)
                tick = part.tick
                part = None
        if part is not None:  # the end of the source, or what there is of it
            self._keep(part, item)

    def _keep(self, part: SegmentEncoder, item: Item) -> None:
        """Keep a segment and the state after it."""
        checksum, complete = 0, item.state is not None
        if item.state is not None:
            checksum = write_state(self._folder, part.number, item.state)
        self._segments.append(part.keep(item, checksum, complete))
        maps = part.maps
        self._summary.maps.add_many(maps.frames, maps.total, maps.least, maps.most)
        if complete and part.number > 1:  # one more stays, should the last segment get damaged
            remove_state(self._folder, part.number - 2)


def _with_advice(error: StorageError) -> StorageError:
    """The error, and what helps against it."""
    return type(error)(f"{error} Make room, then go on with --resume.")
