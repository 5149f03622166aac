"""Deinterlaces frames with FFmpeg's bwdif."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from .av_library import av, av_errors


class Deinterlacer:
    """A filter that turns interlaced frames into progressive ones and leaves others alone.

    One frame comes out for each that goes in, with the same `pts`. It looks one frame back and one
    ahead.
    """

    def __init__(self, time_base: Fraction) -> None:
        """time_base: of the frames."""
        self._time_base = time_base

    def __call__(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Deinterlace frames of one size and format."""
        graph: av.filter.Graph | None = None
        with av_errors("Deinterlacing failed"):
            for frame in frames:
                if graph is None:
                    graph = self._graph(frame)
                graph.vpush(frame)
                yield from self._ready(graph)
            if graph is not None:
                graph.vpush(None)
                yield from self._ready(graph)

    def _graph(self, frame: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=self._time_base,
        )
        filter = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = graph.add("buffersink")
        graph.link_nodes(source, filter, sink)
        graph.configure()
        return graph

    def _ready(self, graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if frame.pts is not None and frame.time_base is not None:  # bwdif halves its unit
                frame.pts = round(frame.pts * frame.time_base / self._time_base)
                frame.duration = round(frame.duration * frame.time_base / self._time_base)
            frame.time_base = self._time_base
            yield frame
