"""Chooses an encoder: its name, pixel format and options, by the source and what the user asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

from hyperguide.errors import HyperguideError

from .av_library import av, av_errors
from .coding import output_tags, planar_name, plane_format
from .containers import Container
from .scheduling import usual_scheduling
from .video_info import VideoInfo


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
    # VP8 needs an upper bitrate beside the quality.
    "vp8": _Family("libvpx", ("crf", 10), None, {"cpu-used": "4", "deadline": "good", "b": "100M"}),
    "mpeg4": _Family("mpeg4", ("qscale", 3), constant_rate=True),
    "mpeg2video": _Family("mpeg2video", ("qscale", 3), constant_rate=True),
    "mjpeg": _Family("mjpeg", ("qscale", 2)),
    "prores": _Family("prores_ks", None),
    "dnxhd": _Family("dnxhd", None),
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
# Where the source's codec does not fit into the container: these, in this order.
_FALLBACKS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video", "mjpeg", "rawvideo")
# The same for more than 8 bits; the first that takes them.
_DEEP_FALLBACKS = ("hevc", "av1", "h264", "ffv1", "prores", *_FALLBACKS)
# Encoders that need whole blocks of chroma, and some whose transparency is not kept here.
_EVEN = ("libx264", "libx265", "libsvtav1", "h264_nvenc", "hevc_nvenc", "av1_nvenc")
_OPAQUE = ("libvpx", "libvpx-vp9", "libx265")

# Seconds between keyframes of live video.
_LIVE_GOP = 2

# Parameters that keep encoders from printing.
_QUIET = {"libx265": {"x265-params": "log-level=none"}}

_COARSEST = 31  # quantiser of MPEG

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
        codec = _suitable(info, container)
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
    pixel_format = _pixel_format(encoder, info, wishes.pix_fmt, notes)
    options, qscale = _options(family, wishes, live)
    options |= _profile(encoder.name, pixel_format)
    if live:  # who begins to watch waits for a keyframe
        options["g"] = str(max(round(_LIVE_GOP * (info.rate or 25)), 1))
    if container.name == "avi":
        options["bf"] = "0"  # it stores no times, so frames must come in order
    if info.aspect not in (None, 1) and not container.holds_shape(encoder.canonical_name):
        notes.append(
            f"Left out: the shape of pixels, {info.aspect}, which {container.name} does not keep "
            f"with {encoder.canonical_name}."
        )
    if info.hdr is not None and not info.hdr.options(encoder.name):
        notes.append(f"Left out: HDR10 mastering data, which {encoder.name} does not take.")
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
        return options, min(max(value, 1), _COARSEST)
    options[name] = str(value)
    if name == "cq":
        options |= {"rc": "vbr", "b": "0"}
    return options, None


def _profile(encoder: str, pixel_format: str) -> dict[str, str]:
    """The profile of encoders that do not find it themselves."""
    full = "444" in pixel_format or pixel_format.startswith("gbr")
    if encoder == "prores_ks":
        return {"profile": "4444" if full else "hq"}
    if encoder == "dnxhd":
        deep = "10" in pixel_format
        return {"profile": "dnxhr_444" if full else "dnxhr_hqx" if deep else "dnxhr_hq"}
    return {}


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
    context.color_primaries, context.color_trc = info.primaries, info.transfer
    context.colorspace, context.color_range = output_tags(
        info.coding, info.matrix, info.range, settings.pixel_format, info.height
    )
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
        preset = f", preset {options['preset']}" if "preset" in options else ""
        asked = f"{info.width}x{info.height} {settings.pixel_format}{preset}"
        with av_errors(f"{settings.name} refuses its settings ({asked})"), usual_scheduling():
            context.open()
    return context


def _suitable(info: VideoInfo, container: Container) -> str:
    """The codec of the source, or what takes its place in a container."""
    depth = info.format.depth
    names = (
        _SUCCESSORS.get(info.codec, info.codec),
        *(_DEEP_FALLBACKS if depth > 8 else _FALLBACKS),
    )
    held = [n for n in names if n in _FAMILIES and container.holds(n, _FAMILIES[n].encoder)]
    for name in held:
        if _deepest(_FAMILIES[name].encoder) >= depth:
            return name
    if held:
        return held[0]
    raise HyperguideError(
        f"A file of the format {container.name} holds none of the codecs that can be written: end "
        "the name of -o in .mkv."
    )


@lru_cache
def _deepest(encoder: str) -> int:
    """The most bits of a component that an encoder takes."""
    formats = av.codec.Codec(encoder, "w").video_formats or []
    bits = [component.bits for format in formats for component in format.components]
    return max(bits, default=16)


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
    if encoder.name == "mjpeg" and not info.coding.full_range:
        taken = [format for format in taken if format.startswith("yuvj")]  # JPEG is full range
    if encoder.name in _OPAQUE:
        taken = [format for format in taken if not format.startswith("yuva")]
    name = info.format.name.replace("yuvj", "yuv")
    if wished is not None:
        if taken and wished not in taken:
            raise HyperguideError(
                f"{encoder.name} does not take {wished}: give --pix-fmt {', '.join(taken[:8])}, or "
                "leave it out."
            )
        return wished
    if encoder.name in _EVEN:
        taken = [format for format in taken if _fits(format, info)]
    if not taken or name in taken:
        return name
    best, _ = av.codec.codec.find_best_pix_fmt_of_list(taken, name, info.format.alpha)
    if best is None:
        raise HyperguideError(
            f"{encoder.name} takes no format like {name} for {info.width}x{info.height} pixels: "
            "give another --codec."
        )
    if planar_name(best.name, 0, False)[0].replace("yuvj", "yuv") != name:
        notes.append(f"{name} is encoded as {best.name}, the nearest that {encoder.name} takes.")
    return best.name


def _fits(format: str, info: VideoInfo) -> bool:
    """Whether a frame has whole blocks of chroma."""
    found = plane_format(format)
    if found is None:
        return info.width % 2 == 0 and info.height % 2 == 0
    return info.width % found.sub[0] == 0 and info.height % found.sub[1] == 0
