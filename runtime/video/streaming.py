"""Enhances a source frame by frame into an output that takes them at once, without losing any."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hyperguide.enhancer import Enhancer
from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import refuse_existing, refuse_missing_folder, write_atomically

from .addresses import Address
from .dials import fitted_dials
from .enhancing import Item, frame_stages, seconds_of
from .files import FileOptions, Report
from .maps import refuse_maps_folder
from .pipeline import Pipeline
from .sinks import Sink
from .source import VideoSource
from .summary import Summary


def enhance_stream(
    enhancer: Enhancer,
    source: Address,
    destination: Address,
    options: FileOptions,
    force: bool = False,
    report: Report = lambda done, count, slowest: None,
    say: Callable[[str], object] = lambda note: None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Enhance every frame of a source, such as a pipe. Only pictures are carried.

    For the arguments see `enhance_file`. Raises HyperguideError as it does.
    """
    if options.maps is not None:
        refuse_maps_folder(options.maps, force)
    if destination.is_file:
        refuse_missing_folder(destination.path)
        refuse_existing(destination.path, force)
    with VideoSource(source, options.hwaccel, options.max_memory) as video:
        summary = Summary()

        def write(path: Path | None) -> None:
            with Sink(destination, video.info, options.wishes, live=False, path=path) as sink:
                _run(enhancer, video, sink, options, summary, report, say, stop)

        if destination.is_file:
            write_atomically(destination.path, write)
        else:
            write(None)
    if video.damaged:
        summary.notes.append(f"{video.damaged} packets are damaged.")
    if video.ended_early:
        raise HyperguideError(
            f"{source} ends early ({video.ended_early}): the output holds {summary.until:.2f} s."
        )
    return summary


def _run(
    enhancer: Enhancer,
    video: VideoSource,
    sink: Sink,
    options: FileOptions,
    summary: Summary,
    report: Report,
    say: Callable[[str], object],
    stop: Callable[[], bool],
) -> None:
    info = video.info
    dials, notes = fitted_dials(options.dials, info)
    for note in (*info.notes, *sink.notes, *notes):
        say(note)
    stream = enhancer.stream(options.smooth, options.temporal)
    summary.averaged = stream.temporal
    maps = None if options.maps is None else (options.maps, enhancer.info.guidance)

    def written(items: Iterator[Item]) -> Iterator[int]:
        for item in items:
            if item.guidance is not None:
                summary.maps.add(float(np.mean(item.guidance)))
            summary.until = seconds_of(item.frame, info)
            sink.write(item.frame)
            yield item.number

    pipeline = Pipeline(
        (Item(number, frame) for number, frame in enumerate(video.frames())),
        {
            **frame_stages(stream, dials, info, sink.pixel_format, maps=maps),
            "encode": written,
        },
    )
    began = time.perf_counter()
    for number in pipeline:
        summary.frames = number + 1
        report(number + 1, info.count, pipeline.slowest)
        if summary.complete and stop():
            summary.complete = False
            pipeline.stop()
    summary.seconds = time.perf_counter() - began
    summary.busy = dict(pipeline.busy)
