"""Small clips made by FFmpeg's own program, and what it says about files that others wrote."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from made_models import replace_node, tensor, tiny_model, write
from onnx import helper

import hyperguide
from hyperguide.model_format.golden import Golden
from hyperguide.video.addresses import parse_source
from hyperguide.video.files import FileOptions, enhance_file
from hyperguide.video.summary import Summary

SIZE = 96, 64
RATE = 25


def ffmpeg(*words: object, ok: bool = True) -> str:
    """Run FFmpeg. Returns what it prints to standard output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-v", "error", "-y"]
    result = subprocess.run([*command, *map(str, words)], capture_output=True, check=False)
    if ok:
        assert result.returncode == 0, result.stderr.decode(errors="replace")
    return result.stdout.decode()


def picture_source(size: tuple[int, int] = SIZE, frames: int = 30, rate: object = RATE) -> list:
    """Words for FFmpeg: an input of moving test pictures."""
    graph = f"testsrc2=size={size[0]}x{size[1]}:rate={rate},trim=end_frame={frames}"
    return ["-f", "lavfi", "-i", graph]


def tone_source(seconds: float = 1.2, pitch: int = 440) -> list:
    """Words for FFmpeg: an input of sound."""
    return ["-f", "lavfi", "-i", f"sine=frequency={pitch}:sample_rate=48000:duration={seconds}"]


def clip(path: Path, *words: object, frames: int = 30, size: tuple[int, int] = SIZE) -> Path:
    """Write a clip without sound; the words choose its codec and the rest."""
    ffmpeg(*picture_source(size, frames), *words, path)
    return path


@dataclass(frozen=True)
class FrameHash:
    """A frame's or a packet's time in seconds, its duration, and the hash of its content."""

    seconds: float
    duration: float
    hash: str


def frame_hashes(path: Path, stream: str = "v:0", *words: object) -> list[FrameHash]:
    """FFmpeg's hashes of decoded frames, at their own times; the words are output options."""
    return _hashes(
        [
            *("-copyts", "-i", path, "-map", f"0:{stream}", "-fps_mode", "passthrough"),
            *("-enc_time_base", "demux", *words),
        ]
    )


def packet_hashes(path: Path, stream: str) -> list[FrameHash]:
    """FFmpeg's hashes of packets, at their own times."""
    return _hashes(["-copyts", "-i", path, "-map", f"0:{stream}", "-c", "copy"])


def _hashes(words: list) -> list[FrameHash]:
    text = ffmpeg(*words, "-avoid_negative_ts", "disabled", "-f", "framemd5", "-")
    match = re.search(r"#tb 0: (\d+)/(\d+)", text)
    assert match is not None, text
    base = int(match[1]) / int(match[2])
    rows = [line.split(",") for line in text.splitlines() if not line.startswith("#")]
    return [FrameHash(int(r[2]) * base, int(r[3]) * base, r[5].strip()) for r in rows]


def contents(hashes: list[FrameHash]) -> list[str]:
    return [one.hash for one in hashes]


def times(hashes: list[FrameHash]) -> list[float]:
    return [one.seconds for one in hashes]


def decoded(path: Path, pix_fmt: str = "rgb24", size: tuple[int, int] = SIZE) -> np.ndarray:
    """Frames as FFmpeg decodes them, shape (N, H, W, 3) or (N, H, W)."""
    words = ["-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", pix_fmt]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *words]
    command += ["-sws_flags", "accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"]
    run = subprocess.run(
        [*map(str, command), "-f", "rawvideo", "-"], capture_output=True, check=True
    )
    kind = np.uint16 if "16" in pix_fmt or "10" in pix_fmt else np.uint8
    shape = (size[1], size[0]) if pix_fmt.startswith("gray") else (size[1], size[0], 3)
    return np.frombuffer(run.stdout, kind).reshape(-1, *shape)


def probe(path: Path, *words: str) -> dict[str, Any]:
    """What ffprobe prints as JSON; skips the test where there is none."""
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("There is no ffprobe here.")
    chosen = words or ("-show_streams", "-show_format", "-show_chapters")
    command = [program, "-v", "error", "-of", "json", *chosen, str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True).stdout)
    return found


def stream_of(path: Path, kind: str = "video") -> dict[str, Any]:
    """What ffprobe prints about the first stream of a kind."""
    return next(one for one in probe(path)["streams"] if one["codec_type"] == kind)


def guided_model(path: Path) -> Path:
    """A model of colour pictures that multiplies them by their map, the mean of the picture."""
    model = tiny_model(color="rgb")
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[1].dim_value = 3
    plane = helper.make_node("ReduceMean", ["image", "first"], ["plane"])
    replace_node(model, "none", [plane, helper.make_node("Mul", ["plane", "nothing"], ["none"])])
    darker = helper.make_node("Mul", ["image", "unused"], ["darker"])
    replace_node(model, "darker", [darker])
    stored = [one for one in model.graph.initializer if one.name != "gain"]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*stored, tensor("first", [1], np.int64)])
    image = (np.arange(3 * 8 * 6).reshape(1, 3, 8, 6) / np.float32(255)).astype(np.float32)
    golden = Golden(
        "plain",
        {"image": image},
        {"enhanced": image.mean() * image, "guidance": np.full_like(image[:, :1], image.mean())},
        {"enhanced": 1e-4, "guidance": 1e-4},
    )
    kept = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, kept | golden.to_metadata())
    return write(path, model)


def enhance(
    enhancer: Any, source: Path, output: Path, *, strength: float = 1.0, **more: Any
) -> Summary:
    """Enhance a file in segments of few frames. `more`: of `FileOptions` and `enhance_file`.

    Frames are enhanced on their own, or with smoothing and averaging if `smooth` is given.
    """
    names = ("force", "resume", "report", "say", "stop")
    given = {name: more.pop(name) for name in names if name in more}
    dials = {} if strength == 1 else {"strength": strength}
    temporal = bool(more.get("smooth"))
    defaults = {"dials": dials, "segment": 12, "smooth": 0, "temporal": temporal}
    options = FileOptions(**{**defaults, **more})
    return enhance_file(enhancer, parse_source(str(source)), output, options, **given)


class Tampered:
    """An enhancer whose streams pass each result through `change`, after the frame's number."""

    def __init__(
        self, enhancer: hyperguide.Enhancer, change: Callable[[int, hyperguide.Result], Any]
    ) -> None:
        self.info, self.path, self.engine = enhancer.info, enhancer.path, enhancer.engine
        self._enhancer, self._change = enhancer, change

    def stream(self, *given: Any, **more: Any) -> Any:
        stream, numbers = self._enhancer.stream(*given, **more), itertools.count()
        change = self._change

        class Calls:
            state, restore, temporal = stream.state, stream.restore, stream.temporal

            def __call__(self, frame: np.ndarray, **dials: Any) -> Any:
                return change(next(numbers), stream(frame, **dials))

        return Calls()


SUBTITLES = """1
00:00:00,100 --> 00:00:00,500
Hello

2
00:00:00,600 --> 00:00:01,000
<i>World</i>
"""

METADATA = """;FFMETADATA1
title=My film
artist=Somebody
[CHAPTER]
TIMEBASE=1/1000
START=0
END=500
title=One
[CHAPTER]
TIMEBASE=1/1000
START=500
END=1200
title=Two
"""


def rich_clip(path: Path) -> Path:
    """A clip with two audio tracks, subtitles, chapters, metadata, languages.

    In .mkv an attachment as well, in .mp4 a cover picture.
    """
    folder = path.parent
    texts = {"subtitles.srt": SUBTITLES, "metadata.txt": METADATA, "font.ttf": "not a font" * 20}
    for name, text in texts.items():
        (folder / name).write_text(text)
    inputs = [*picture_source(), *tone_source(), *tone_source(pitch=880)]
    inputs += ["-i", folder / "subtitles.srt", "-i", folder / "metadata.txt"]
    maps = [word for name in ("0:v", "1:a", "2:a", "3:s") for word in ("-map", name)]
    kept = ["-map_metadata", 4, "-map_chapters", 4, "-c:v", "libx264", "-pix_fmt", "yuv420p"]
    kept += ["-c:a", "aac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"]
    kept += ["-metadata:s:s:0", "language=fra", "-disposition:a:0", 0, "-disposition:a:1"]
    kept += ["default", "-aspect", "16:9"]
    if path.suffix == ".mkv":
        kept += ["-c:s", "srt", "-attach", folder / "font.ttf"]
        kept += ["-metadata:s:t", "mimetype=application/x-truetype-font"]
    else:
        cover = folder / "cover.png"
        ffmpeg(*picture_source(frames=1), cover)
        inputs += ["-i", cover]
        maps += ["-map", "5:v"]
        kept += ["-c:s", "mov_text", "-c:v:1", "copy", "-disposition:v:1", "attached_pic"]
    ffmpeg(*inputs, *maps, *kept, path)
    return path
