"""Deinterlaces frames with FFmpeg's bwdif."""

from __future__ import annotations

from collections.abc import Iterator

from .av_library import av, av_errors


class Deinterlacer:
    """A filter that turns interlaced frames into progressive ones and leaves others alone.

    One frame comes out for each that goes in, with the same `pts`. It looks one frame back and one
    ahead.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        self._stream = stream

    def __call__(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Deinterlace frames of one size and format."""
        graph: av.filter.Graph | None = None
        with av_errors("Deinterlacing failed"):
            for frame in frames:
                if graph is None:
                    graph = self._graph(frame)
                graph.vpush(frame)
                yield from _ready(graph)
            if graph is not None:
                graph.vpush(None)
                yield from _ready(graph)

    def _graph(self, frame: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=self._stream.time_base,
        )
        filter = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = graph.add("buffersink")
        graph.link_nodes(source, filter, sink)
        graph.configure()
        return graph


def _ready(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
