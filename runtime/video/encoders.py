"""Chooses an encoder: its name, pixel format and options, by the source and what the user asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hyperguide.errors import HyperguideError

from .av_library import av, av_errors
from .containers import Container
from .source import VideoInfo


@dataclass(frozen=True)
class _Family:
    """How FFmpeg encodes a codec.

    quality: option for the quality and the value that people keep; None for lossless codecs and
        those whose profile sets it. preset: default of the option `preset` for files and for live
        video; None if the encoder has no presets. options: further ones. constant_rate: whether it
        only takes frame numbers for times.
    """

    encoder: str
    quality: tuple[str, int] | None
    preset: tuple[str, str] | None = None
    options: dict[str, str] = field(default_factory=dict)
    constant_rate: bool = False


# Codec -> family. The qualities look like the source at normal viewing distance: for x264 18 is
# "visually lossless or nearly so" (FFmpeg's H.264 guide), the others are set to match it.
_FAMILIES = {
    "h264": _Family("libx264", ("crf", 18), ("medium", "veryfast")),
    "hevc": _Family("libx265", ("crf", 20), ("medium", "ultrafast")),
    "av1": _Family("libsvtav1", ("crf", 24), ("8", "11")),
    "vp9": _Family(
        "libvpx-vp9", ("crf", 24), None, {"row-mt": "1", "cpu-used": "4", "deadline": "good"}
    ),
    "vp8": _Family("libvpx", ("crf", 10), None, {"cpu-used": "4", "deadline": "good"}),
    "mpeg4": _Family("mpeg4", ("qscale", 3), constant_rate=True),
    "mpeg2video": _Family("mpeg2video", ("qscale", 3), constant_rate=True),
    "mjpeg": _Family("mjpeg", ("qscale", 2)),
    "prores": _Family("prores_ks", None),
    "dnxhd": _Family("dnxhd", None, None, {"profile": "dnxhr_hqx"}),
    "ffv1": _Family("ffv1", None, None, {"level": "3", "slicecrc": "1"}),
    "utvideo": _Family("utvideo", None),
    "huffyuv": _Family("huffyuv", None),
    "rawvideo": _Family("rawvideo", None),
}
# Codecs without an encoder here, or with a poor one -> what takes their place.
_SUCCESSORS = {
    "mpeg1video": "mpeg2video",
    "msmpeg4v3": "mpeg4",
    "ffvhuff": "ffv1",
    "v210": "ffv1",
}
_DEFAULT = "h264"
# Where the source's codec does not fit into the container: these, in this order.
_FALLBACKS = ("h264", "vp9", "mpeg4", "mpeg2video", "mjpeg", "rawvideo")

# Seconds between keyframes of live video.
_LIVE_GOP = 2

# Parameters that keep encoders from printing.
_QUIET = {"libx265": {"x265-params": "log-level=none"}}

# Options for the quality of encoders that are no family's own, NVIDIA's among them.
_QUALITY_OPTIONS = ("crf", "cq", "qp")


@dataclass(frozen=True)
class EncoderSettings:
    """An encoder, ready to be opened.

    name: as FFmpeg calls it. codec: what it makes. pixel_format: that it takes. options: of the
    encoder. qscale: fixed quantiser of encoders that have one, None otherwise. constant_rate:
    whether it only takes frame numbers for times.
    """

    name: str
    codec: str
    pixel_format: str
    options: dict[str, str]
    qscale: int | None
    constant_rate: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EncoderWishes:
    """What the user asks of the encoder; None takes what suits the source.

    codec: a codec such as hevc, or an encoder of FFmpeg such as h264_nvenc.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    pix_fmt: str | None = None


def choose_encoder(
    info: VideoInfo, container: Container, wishes: EncoderWishes, live: bool
) -> EncoderSettings:
    """The encoder for a source and an output container.

    live: prefer speed to size.
    Raises HyperguideError for unknown codecs, and wishes that the encoder does not know.
    """
    notes: list[str] = []
    if wishes.codec is None:
        codec = _suitable(info.codec, container)
        family = _FAMILIES[codec]
        if codec != info.codec:
            notes.append(f"{info.codec} is encoded as {codec}.")
    else:
        family = _named(wishes.codec)
    encoder = _encoder(family.encoder)
    if not container.holds(encoder.canonical_name, encoder.name):
        raise HyperguideError(
            f"A file of the format {container.name} cannot hold {encoder.canonical_name}: give "
            "another --codec, or a name of -o that ends in .mkv."
        )
    options, qscale = _options(family, wishes, live)
    if live:  # who begins to watch waits for a keyframe
        options["g"] = str(max(round(_LIVE_GOP * (info.rate or 25)), 1))
    if family.encoder == "prores_ks":
        options["profile"] = "4444" if "444" in info.format.name else "hq"
    pixel_format = _pixel_format(encoder, info, wishes.pix_fmt, notes)
    return EncoderSettings(
        encoder.name,
        encoder.canonical_name,
        pixel_format,
        options,
        qscale,
        family.constant_rate,
        tuple(notes),
    )


def _options(
    family: _Family, wishes: EncoderWishes, live: bool
) -> tuple[dict[str, str], int | None]:
    """Options of an encoder, and its fixed quantiser if it has one."""
    context = av.CodecContext.create(family.encoder, "w")
    known = {option.name for option in context.supported_options.private}
    options = dict(family.options)
    if wishes.preset is not None:
        if "preset" not in known:
            raise HyperguideError(f"{family.encoder} has no presets: leave out --preset.")
        options["preset"] = wishes.preset
    elif family.preset is not None:
        options["preset"] = family.preset[live]
    if live and family.encoder == "libx264":
        options["tune"] = "zerolatency"
    quality = family.quality
    if wishes.crf is not None:
        quality = _quality_option(family, known), wishes.crf
    if quality is None:
        return options, None
    name, value = quality
    if name == "qscale":
        return options, value
    options[name] = str(value)
    if name == "cq":
        options["rc"] = "vbr"
    return options, None


def open_encoder(
    settings: EncoderSettings,
    info: VideoInfo,
    time_base: Fraction,
    global_header: bool,
    into: av.VideoCodecContext | None = None,
) -> av.VideoCodecContext:
    """Open an encoder for frames of a source.

    global_header: whether the container keeps the encoder's headers itself.
    into: the context of a stream of an output container, which is set up but opened later.
    Raises HyperguideError if the encoder refuses its settings.
    """
    context: Any = into if into is not None else av.CodecContext.create(settings.name, "w")
    context.width, context.height = info.width, info.height
    context.pix_fmt = settings.pixel_format
    context.time_base = time_base
    context.framerate = info.rate or Fraction(25)
    if info.aspect is not None:
        context.sample_aspect_ratio = info.aspect
    context.colorspace, context.color_primaries = info.matrix, info.primaries
    context.color_trc, context.color_range = info.transfer, _range_tag(info)
    flags = av.codec.context.Flags
    context.flags |= flags.frame_duration
    if global_header:
        context.flags |= flags.global_header
    options = dict(settings.options)
    parameters = [*_QUIET.get(settings.name, {}).items()]
    if info.hdr is not None:
        parameters += info.hdr.options(settings.name).items()
    for key, value in parameters:
        options[key] = f"{options[key]}:{value}" if key in options else value
    if settings.qscale is not None:
        context.flags |= flags.qscale
        context.global_quality = settings.qscale * 118  # FFmpeg's FF_QP2LAMBDA
    context.options = options
    if into is None:
        with av_errors(f"{settings.name} refuses its settings"):
            context.open()
    return context


def _range_tag(info: VideoInfo) -> int:
    return 2 if info.format.jpeg else info.range


def _suitable(codec: str, container: Container) -> str:
    """The codec of the source, or what takes its place in a container."""
    wished = _SUCCESSORS.get(codec, codec)
    wished = wished if wished in _FAMILIES else _DEFAULT
    for name in (wished, *_FALLBACKS):
        if container.holds(name, _FAMILIES[name].encoder):
            return name
    raise HyperguideError(
        f"A file of the format {container.name} holds none of the codecs that can be written: end "
        "the name of -o in .mkv."
    )


def _named(codec: str) -> _Family:
    """The family of a codec, or of an encoder by its own name."""
    family = _FAMILIES.get(codec)
    if family is not None:
        return family
    for one in _FAMILIES.values():
        if one.encoder == codec:
            return one
    return _Family(codec, None)


def _encoder(name: str) -> av.codec.Codec:
    try:
        found = av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        raise HyperguideError(
            f"FFmpeg has no encoder called {name} here: give --codec {', '.join(_FAMILIES)}, or "
            "leave it out."
        ) from None
    if found.type != "video":
        raise HyperguideError(f"{name} is no encoder of video: leave out --codec.")
    return found


def _quality_option(family: _Family, known: set[str]) -> str:
    if family.quality is not None:
        return family.quality[0]
    for name in _QUALITY_OPTIONS:
        if name in known:
            return name
    raise HyperguideError(f"{family.encoder} has no quality to choose: leave out --crf.")


def _pixel_format(
    encoder: av.codec.Codec, info: VideoInfo, wished: str | None, notes: list[str]
) -> str:
    """The format to encode: what frames are enhanced in, or the nearest that the encoder takes."""
    taken = [format.name for format in encoder.video_formats or []]
    name = info.format.name.replace("yuvj", "yuv")
    if wished is not None:
        if taken and wished not in taken:
            raise HyperguideError(
                f"{encoder.name} does not take {wished}: give --pix-fmt {', '.join(taken[:8])}, or "
                "leave it out."
            )
        name = wished
    elif taken and name not in taken:
        alpha = info.format.alpha
        best, _ = av.codec.codec.find_best_pix_fmt_of_list(taken, name, alpha)
        if best is None:
            raise HyperguideError(
                f"{encoder.name} takes no format like {name}: give another --codec."
            )
        notes.append(f"{name} is encoded as {best.name}, the nearest that {encoder.name} takes.")
        name = best.name
    return name
