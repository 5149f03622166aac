"""The sidecars of TensorRT engines."""

from __future__ import annotations

import json
from dataclasses import asdict

from hyperguide.model_format.engine_file import FORMAT, EngineInfo, Profile, digest, read_sidecar
from hyperguide.model_format.golden import read_golden
from hyperguide.model_format.model_file import read_model_file

from ..mutation.values import json_text
from ..target import Target, as_file
from .small_models import seeds


def _seeds() -> dict[str, bytes]:
    found = {}
    for name, content in seeds().items():
        file = read_model_file(as_file(content, "model.onnx"))
        shape = (1, 3, 64, 64)
        info = EngineInfo(
            engine=digest(b"engine"),
            model=digest(content),
            metadata=file.metadata,
            builder="tensorrt",
            version="10.13.0",
            targets=("sm89",),
            precision="fp32",
            steerable=True,
            profiles={"image": Profile(shape, shape, (4, 3, 1080, 1920))},
            options={"level": 3},
        )
        found[f"{name}.json"] = json.dumps({"format": FORMAT, **asdict(info)}).encode()
    return found


def _read(data: bytes) -> None:
    path = as_file(b"engine", "model.engine")
    as_file(data, "model.engine.json")
    info = read_sidecar(path)
    assert info.model_info(path).size_multiple >= 1
    if any(name.startswith("hyperguide.golden.") for name in info.metadata):
        read_golden(info.metadata, str(path))
    for profile in info.profiles.values():
        for shape in (profile.least, profile.best, profile.most):
            assert [type(side) for side in shape] == [int] * 4, "a shape of other than four numbers"
    for text in (info.engine, info.model, info.builder, info.version, info.precision):
        assert isinstance(text, str), "a number where a text belongs"


SIDECAR = Target("a TensorRT engine's sidecar", _seeds, _read, json_text, longest=1 << 14)
