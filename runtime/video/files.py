"""Enhances a video file: segments that survive a crash, then one file with sound and all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.enhancer import Enhancer
from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import refuse_existing, refuse_missing_folder, write_atomically
from hyperguide.storage.claim import claim
from hyperguide.storage.paths import real

from . import work_folder
from .addresses import Address
from .av_library import av, av_errors
from .carried import Audio, Carried, plan_carried, refuse_losses
from .containers import container_for
from .dials import fitted_dials, hash_of
from .encoders import EncoderWishes, choose_encoder, open_encoder
from .enhancing import Item, colors_in, colors_out, enhanced, seconds_of
from .muxing import Target, write_file
from .pipeline import Pipeline
from .source import VideoInfo, VideoSource
from .stored_packets import (
    Segment,
    StoredPacket,
    content_of,
    read_segment,
    read_state,
    remove_state,
    write_segment,
    write_state,
)
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
    """

    dials: Mapping[str, Any] = field(default_factory=dict)
    smooth: float | None = None
    temporal: bool | None = None
    wishes: EncoderWishes = field(default_factory=EncoderWishes)
    audio: Audio = "copy"
    strict: bool = False
    hwaccel: str | None = None
    max_memory: int | None = None
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
    if source.is_file and real(source.path) == real(output):
        raise HyperguideError(f"{output} is the source itself: give another name of -o.")
    container = container_for(output)
    with VideoSource(source, options.hwaccel, options.max_memory) as video:
        info = video.info
        encoder = choose_encoder(info, container, options.wishes, live=False)
        constant_rate = container.constant_rate or encoder.constant_rate
        time_base = 1 / (info.rate or 25) if constant_rate else info.time_base
        target = Target(container, encoder, info, Fraction(time_base))
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
            run.segments = work_folder.begin(folder, settings, resume)
            summary = run.enhance(report, stop)
            run.join(source, output, carried, summary)
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

    segments: complete ones, of earlier runs and of this one. failure: what ended it, if anything.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        video: VideoSource,
        target: Target,
        options: FileOptions,
        folder: Path,
    ) -> None:
        self.segments: list[Segment] = []
        self.failure: HyperguideError | None = None
        self._enhancer = enhancer
        self._video = video
        self._target = target
        self._options = options
        self._folder = folder
        self._summary = Summary()
        self._first: int | None = None

    def enhance(self, report: Report, stop: Callable[[], bool]) -> Summary:
        """Enhance what is not done yet."""
        info, summary = self._video.info, self._summary
        stream = self._enhancer.stream(self._options.smooth)
        done = 0
        if self.segments:
            last = self.segments[-1]
            done = summary.before = last.done
            stream.restore(read_state(self._folder, last.number))
            for segment in self.segments:
                maps = segment.map_sum, segment.map_least, segment.map_most
                summary.maps.add_many(segment.frames, *maps)
            frames = self._video.frames_after(last.last, done)
            summary.until = float(last.last * info.time_base)
        else:
            frames = self._video.frames()
        dials, length = self._options.dials, self._options.segment
        pixel_format = self._target.encoder.pixel_format
        pipeline = Pipeline(
            (Item(number, frame) for number, frame in enumerate(frames, done)),
            {
                "colours": lambda items: colors_in(items, info),
                "enhance": lambda items: enhanced(items, stream, dials, length, info),
                "colours back": lambda items: colors_out(items, info, pixel_format),
                "encode": lambda items: self._encoded(items),
            },
        )
        began = time.perf_counter()
        stopped = False
        try:
            for number in pipeline:
                done = number + 1
                report(done, info.count, pipeline.slowest)
                if not stopped and stop():
                    stopped = True
                    pipeline.stop()
        except HyperguideError as error:
            self.failure = error
        summary.seconds = time.perf_counter() - began
        summary.busy = dict(pipeline.busy)
        summary.frames = done - summary.before
        summary.complete = not stopped and self.failure is None
        self._tell(summary)
        return summary

    def _tell(self, summary: Summary) -> None:
        """Note damage, and what is missing at the end."""
        video = self._video
        if video.damaged:
            summary.notes.append(f"{video.damaged} packets are damaged.")
        if video.late_interlaced:
            summary.notes.append(
                f"{video.late_interlaced} frames are interlaced, though the first ones are not: "
                "they were enhanced as they are."
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

    def join(self, source: Address, output: Path, carried: Carried, summary: Summary) -> None:
        """Write the output of all segments, and of the one that was ended early."""
        stems = [(f"{one.number:06d}", one) for one in self.segments]
        tail = read_segment(self._folder, work_folder.TAIL)
        if tail is not None and tail.number == len(self.segments):
            stems.append((work_folder.TAIL, tail))
        if not stems:
            if self.failure is not None:
                raise self.failure
            return
        ended = self.failure is not None or not summary.complete
        until = summary.until if ended else None
        stored = [packet for _, segment in stems for packet in segment.packets]

        def video() -> Iterator[tuple[StoredPacket, bytes]]:
            for stem, segment in stems:
                yield from content_of(self._folder, stem, segment)

        def write(path: Path) -> None:
            with VideoSource(source, None, self._options.max_memory) as again:
                tracks = plan_carried(
                    again.container,
                    again.stream,
                    self._target.container,
                    self._options.audio,
                    self._target.add_video,
                )
                with suppress(av.error.FFmpegError):
                    again.container.seek(0)
                write_file(
                    path,
                    self._target,
                    video(),
                    stored,
                    again.container,
                    again.stream,
                    tracks,
                    until,
                )

        write_atomically(output, write)

    def _encoded(self, items: Iterator[Item]) -> Iterator[int]:
        """Encode frames into segments. Yields the number of each frame that is encoded."""
        part: _Part | None = None
        for item in items:
            part = part or _Part(self._target, len(self.segments))
            part.add(item, self._video.info)
            self._summary.until = seconds_of(item.frame, self._video.info) + part.step
            yield item.number
            if part.frames == self._options.segment:
                self._keep(part, item)
                part = None
        if part is not None:
            self._end(part, item)

    def _keep(self, part: _Part, item: Item) -> None:
        """Keep a complete segment and the state after it."""
        assert item.state is not None
        write_state(self._folder, part.number, item.state)
        segment = part.finished(item.number + 1, self._summary)
        write_segment(self._folder, segment, part.content)
        self.segments.append(segment)
        if part.number:
            remove_state(self._folder, part.number - 1)

    def _end(self, part: _Part, item: Item) -> None:
        """Keep the last segment: the end of the source, or what there is of it."""
        segment = part.finished(item.number + 1, self._summary)
        write_segment(self._folder, segment, part.content, work_folder.TAIL)


class _Part:
    """A segment that is being encoded."""

    def __init__(self, target: Target, number: int) -> None:
        self.number = number
        self.frames = 0
        self.content: list[bytes] = []
        self.step = float(1 / target.info.rate) if target.info.rate else 0.0
        self._target = target
        self._packets: list[StoredPacket] = []
        self._maps: list[float] = []
        self._last = 0
        self._encoder = open_encoder(
            target.encoder, target.info, target.time_base, target.container.global_header
        )

    def add(self, item: Item, info: VideoInfo) -> None:
        """Encode a frame."""
        frame = item.frame
        assert frame.pts is not None
        self._last = frame.pts
        self.frames += 1
        if item.guidance is not None:
            self._maps.append(float(np.mean(item.guidance)))
            item.guidance = None
        if self._target.time_base != info.time_base:
            frame.pts = round(frame.pts * info.time_base / self._target.time_base)
            frame.time_base = self._target.time_base
            frame.duration = 1
        frame.pict_type = 0
        with av_errors(f"{self._target.encoder.name} failed"):
            self._take(self._encoder.encode(frame))
        frame.pts = self._last

    def finished(self, done: int, summary: Summary) -> Segment:
        """The segment, after the last frame."""
        with av_errors(f"{self._target.encoder.name} failed"):
            self._take(self._encoder.encode(None))
        total, least, most = (
            sum(self._maps),
            min(self._maps, default=0.0),
            max(self._maps, default=0.0),
        )
        if self._maps:
            summary.maps.add_many(len(self._maps), total, least, most)
        return Segment(
            self.number, self.frames, done, self._last, total, least, most, tuple(self._packets)
        )

    def _take(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            content = bytes(packet)
            assert packet.pts is not None
            self.content.append(content)
            self._packets.append(
                StoredPacket(packet.pts, packet.duration or 0, packet.is_keyframe, len(content))
            )
