"""Video files, cameras and streams, enhanced frame by frame.

from hyperguide import video

video.enhance("film.mp4", "film-clean.mp4", "denoise")

with hyperguide.load("denoise") as enhancer, video.writer("out.mp4") as writer:
    with enhancer.stream() as stream:
        for frame in video.frames("film.mp4"):
            writer.write(frame, stream(frame.image).image)

Needs PyAV: pip install 'hyperguide[video]'.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hyperguide.enhancer import Dial, Enhancer, load

if TYPE_CHECKING:
    from .frame import Frame, Writer
    from .summary import Summary

__all__ = ["enhance", "frames", "writer"]


def enhance(
    source: str | Path,
    output: str | Path,
    model: str | Path | Enhancer,
    *,
    strength: Dial = 1.0,
    guidance: Dial | None = None,
    guidance_scale: Dial = 1.0,
    smooth: float | None = None,
    temporal: bool | None = None,
    codec: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
    pix_fmt: str | None = None,
    audio: Literal["copy", "none"] = "copy",
    strict: bool = False,
    force: bool = False,
    resume: bool = False,
    **loading: Any,
) -> Summary:
    """Enhance a video file. Sound, subtitles, chapters, times and colour tags are kept.

    model: as in `hyperguide.load`, with `loading` for its options; or an enhancer.
    strength, guidance, guidance_scale: as in `Enhancer.__call__`, for every frame.
    smooth, temporal: see `Enhancer.stream`. codec, crf, preset, pix_fmt: of the encoder; None
        follows the source. strict: raise if the output cannot hold all streams. force: replace the
        output. resume: go on with a run that was interrupted.
    Returns what happened. Raises HyperguideError; see `files.enhance_file`.
    """
    from .addresses import parse_source
    from .encoders import EncoderWishes
    from .files import FileOptions, enhance_file

    turned = {"strength": strength, "guidance": guidance, "guidance_scale": guidance_scale}
    defaults = {"strength": 1.0, "guidance": None, "guidance_scale": 1.0}
    dials = {k: v for k, v in turned.items() if not (v is defaults[k] or v == defaults[k])}
    wishes = EncoderWishes(codec, crf, preset, pix_fmt)
    options = FileOptions(dials, smooth, temporal, wishes=wishes, audio=audio, strict=strict)
    address = parse_source(str(source))
    if isinstance(model, Enhancer):
        return enhance_file(model, address, Path(output), options, force, resume)
    with load(model, **loading) as enhancer:
        return enhance_file(enhancer, address, Path(output), options, force, resume)


def frames(source: str | Path) -> Iterator[Frame]:
    """The frames of a video file, device or URL in order, as RGB; see `Frame`.

    Raises HyperguideError if it cannot be read or is damaged.
    """
    from .addresses import parse_source
    from .frame import frames_of

    return frames_of(parse_source(str(source)))


def writer(
    path: str | Path,
    *,
    codec: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
    pix_fmt: str | None = None,
    force: bool = False,
) -> Writer:
    """A file for what an app makes of frames; see `Writer`, and `enhance` for the encoder."""
    from .encoders import EncoderWishes
    from .frame import Writer

    return Writer(path, EncoderWishes(codec, crf, preset, pix_fmt), force)
