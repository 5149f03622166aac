"""A TensorRT engine on disk, and the sidecar that describes it.

`NAME.engine` holds the engine's bytes, `NAME.engine.json` beside it everything that is needed to
use them: the model file's metadata, shapes, precision, builder and target GPUs. So an engine loads
without its ONNX file, and one for another GPU or version is recognised before it is loaded.

Engines can carry code. One that this user did not build is loaded only if the user trusts it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hyperguide.errors import HyperguideError
from hyperguide.printable import shown
from hyperguide.storage.atomic import write_atomically, write_together
from hyperguide.storage.bounded_json import parse_json
from hyperguide.storage.file_content import read_content
from hyperguide.storage.paths import exists, make_folder

from .model_file import ModelFile, metadata_changed, read_model_file
from .model_info import ModelInfo

FORMAT = 1
SUFFIX = ".engine"

_LARGEST_SIDECAR = 1 << 24
_LARGEST_ENGINE = 1 << 33

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Profile:
    """The shapes that an input may have: each side between those of `least` and `most`.

    best: the shape that the engine is tuned for.
    """

    least: Shape
    best: Shape
    most: Shape


@dataclass(frozen=True)
class EngineInfo:
    """The contents of a sidecar.

    engine: SHA-256 of the engine's bytes. model: of the model file's.
    metadata: of the model file, with description and golden samples.
    builder: `tensorrt` or `tensorrt_rtx`; version: of the builder.
    targets: compute capabilities that it runs on, such as `sm89`.
    precision: of its convolutions, `fp32`, `fp16` or `int8`.
    steerable: whether the dials are inputs; otherwise only the image is, and a deblurring kernel.
    profiles: of every input.
    options: the other build options.
    """

    engine: str
    model: str
    metadata: dict[str, str] = field(repr=False)
    builder: str
    version: str
    targets: tuple[str, ...]
    precision: str
    steerable: bool
    profiles: dict[str, Profile]
    options: dict[str, Any]

    def model_info(self, path: Path) -> ModelInfo:
        """The description of the model."""
        return ModelInfo.from_metadata(self.metadata, path)


@dataclass(frozen=True)
class EngineFile:
    """An engine and its sidecar, with the attributes of `ModelFile` that describe a model."""

    path: Path
    content: bytes = field(repr=False)
    sidecar: EngineInfo

    @cached_property
    def info(self) -> ModelInfo:
        """The description of the model."""
        return self.sidecar.model_info(self.path)

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the model file that it was built from."""
        return self.sidecar.metadata

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(self.sidecar.profiles)

    def changes(self) -> list[str]:
        """The parts that differ from the export; changed bytes are refused by `read_engine`."""
        return ["metadata"] if metadata_changed(self.metadata) else []


def sidecar_path(engine: Path) -> Path:
    """Path of an engine's sidecar."""
    return engine.with_name(engine.name + ".json")


def write_engine(path: Path, content: bytes, info: EngineInfo) -> None:
    """Write engine and sidecar, both or neither, and record that this user built the engine."""
    text = json.dumps({"format": FORMAT, **asdict(info)}, indent=1)
    write_together(
        {
            sidecar_path(path): lambda temporary: temporary.write_text(text),
            path: lambda temporary: temporary.write_bytes(content),
        }
    )
    _remember(info.engine)


def read_file(path: Path, trust: bool = False) -> ModelFile | EngineFile:
    """Read an engine if the name ends in `.engine`, otherwise a model file.

    trust: see `read_engine`. Raises as `read_engine` or `read_model_file` does.
    """
    return read_engine(path, trust) if path.suffix == SUFFIX else read_model_file(path)


def read_engine(path: Path, trust: bool = False) -> EngineFile:
    """Read an engine and its sidecar.

    trust: accept an engine that this user did not build.
    Raises HyperguideError if one of the files is missing, damaged or of another version, if they
    do not belong together, or if the engine is not trusted.
    """
    info = read_sidecar(path)
    content = read_content(path, "TensorRT engine", _LARGEST_ENGINE)
    if digest(content) != info.engine:
        raise HyperguideError(
            f"{path} is not the engine that {sidecar_path(path).name} describes, or it is damaged: "
            "build it again."
        )
    if not trust and not _is_remembered(info.engine):
        raise HyperguideError(
            f"{path} was not built by you on this machine, and engines can carry code: build it "
            "again, or add --trust if you know where it comes from."
        )
    return EngineFile(path, content, info)


def read_sidecar(path: Path) -> EngineInfo:
    """Read the sidecar of an engine. Raises HyperguideError if it is missing or damaged."""
    sidecar = sidecar_path(path)
    damaged = HyperguideError(f"{sidecar} is damaged: build the engine again.")
    if not exists(sidecar) and exists(path):
        raise HyperguideError(
            f"The engine {path} lacks its {sidecar.name}: copy that too, or build it again."
        )
    if not exists(sidecar):
        raise HyperguideError(f"There is no engine {path}: check the name.")
    try:
        values = parse_json(read_content(sidecar, "sidecar", _LARGEST_SIDECAR))
    except ValueError:
        raise damaged from None
    if not isinstance(values, dict) or "format" not in values:
        raise damaged
    written = values.pop("format")
    if written != FORMAT:
        raise HyperguideError(
            f"{sidecar} has format {shown(written)}, this version reads format {FORMAT}: "
            "build the engine again."
        )
    try:
        info = _engine_info(values)
    except ValueError:
        raise damaged from None
    info.model_info(path)
    return info


# Entries of the sidecar and their types.
_KINDS: dict[str, type] = {
    **dict.fromkeys(("engine", "model", "builder", "version", "precision"), str),
    **{"steerable": bool, "metadata": dict, "profiles": dict, "options": dict, "targets": list},
}


def _engine_info(values: dict[str, Any]) -> EngineInfo:
    """Parse a sidecar's entries. Raises ValueError if they do not describe an engine."""
    if values.keys() != _KINDS.keys():
        raise ValueError("other entries")
    for name, kind in _KINDS.items():
        if type(values[name]) is not kind:
            raise ValueError(f"{name} is of another type")
    texts = [*values["targets"], *values["metadata"].values()]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a number where a text belongs")
    profiles = {name: _profile(shapes) for name, shapes in values["profiles"].items()}
    return EngineInfo(**values | {"targets": tuple(values["targets"]), "profiles": profiles})


def _profile(shapes: Any) -> Profile:
    """Parse a profile. Raises ValueError unless each side has least <= best <= most."""
    if not isinstance(shapes, dict) or shapes.keys() != {"least", "best", "most"}:
        raise ValueError("no profile")
    found = [_shape(shapes[name]) for name in ("least", "best", "most")]
    for sides in zip(*found, strict=True):
        if list(sides) != sorted(sides):
            raise ValueError("a profile whose shapes do not grow")
    return Profile(*found)


def _shape(sides: Any) -> Shape:
    """Parse a shape. Raises ValueError unless it has four positive sides."""
    if not isinstance(sides, list) or len(sides) != 4:
        raise ValueError("no shape")
    if not all(type(side) is int and 0 < side < 1 << 31 for side in sides):
        raise ValueError("no side")
    n, c, h, w = sides
    return n, c, h, w


def digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def cache_folder() -> Path:
    """This user's cache folder, for files that can be made again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hyperguide"


def _remember(engine: str) -> None:
    folder = cache_folder() / "built"
    make_folder(folder)
    write_atomically(folder / engine, lambda temporary: temporary.write_text(""))


def _is_remembered(engine: str) -> bool:
    return exists(cache_folder() / "built" / engine)
