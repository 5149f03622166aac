"""Peers for each task: the same file on other engines, published networks, classical filters.

Each is a `Target` like those of `hyperguide eval`, called and scored the same way. Peers that need
something that is not installed or missing raise `AbsentError`, which names it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from onnx import numpy_helper

import hyperguide
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import named_path
from hyperguide.model_format.contract import ENHANCED, GUIDANCE
from hyperguide.model_format.model_file import read_model_file
from hyperguide.padding import SizeRequirements
from hyperguide.training.evaluation.references import reference
from hyperguide.training.evaluation.restorers import open_target
from hyperguide.training.evaluation.target import Restored, Target, informed
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.preset import preset_from_dict


class AbsentError(Exception):
    """Something that a peer needs is missing; the text says what."""


@dataclass(frozen=True)
class Peer:
    """An alternative that does a task.

    kind: `ours` is the bundled file in `hyperguide`, `engine` the same file or network on another
        engine, `network` a published network, `filter` a classical filter.
    told: what it must be given and others estimate.
    """

    name: str
    kind: str
    open: Callable[[], Target]
    told: str = ""


def peers(task: str, data: Path | None) -> list[Peer]:
    """All peers of a task, the bundled fp32 file first. data: folder of the published weights."""
    found = [
        Peer(f"{task} fast, fp32, {device}", "ours", partial(_ours, task, "fp32", device))
        for device in ("ONNX Runtime", "OpenVINO")
    ]
    found.append(
        Peer(f"{task} fast, int8, OpenVINO", "ours", partial(_ours, task, "int8", "OpenVINO"))
    )
    found += [
        Peer("torch eager, same network", "engine", partial(_in_torch, task, False)),
        Peer("torch.compile, same network", "engine", partial(_in_torch, task, True)),
        Peer("ncnn, same file", "engine", partial(_in_ncnn, task)),
    ]
    return (
        found
        + {
            "denoise": [
                Peer("non-local means", "filter", _non_local_means, "the noise level"),
                Peer("BM3D", "filter", _bm3d, "the noise level"),
            ],
            "deblur": [
                Peer("Wiener filter", "filter", partial(open_target, "wiener"), "noise level")
            ],
            "derain": [_published("PReNet", "prenet/prenet_rain100l.pth", data)],
            "dehaze": [
                _published("GridDehazeNet", "griddehazenet/griddehazenet_indoor.pth", data),
                Peer("dark channel prior", "filter", partial(open_target, "dark-channel")),
            ],
        }[task]
    )


def _ours(task: str, precision: str, engine: str) -> Target:
    path = _bundled(task, "" if precision == "fp32" else f"-{precision}")
    device = {"ONNX Runtime": "cpu", "OpenVINO": "openvino"}[engine]
    enhancer = hyperguide.load(path, device=device)

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        more: dict[str, Any] = {} if kernel is None else {"kernel": kernel}
        result = enhancer(degraded, **more)
        return result.image, result.guidance

    return Target(restore, path.stem, "model file", task, None, enhancer.engine)


def _bundled(task: str, suffix: str = "") -> Path:
    path = named_path(f"{task}-fast{suffix}")
    if path is None:
        raise AbsentError(f"no {task}-fast{suffix} is bundled")
    return path


def torch_twin(path: Path) -> GuidedModel:
    """The networks of a bundled fp32 file in torch, with its weights."""
    info = read_model_file(path).info
    model = fold_layers(build_model(preset_from_dict(info.training["preset"], path.name))).eval()
    initializers = onnx.load(path).graph.initializer
    weights = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in initializers}
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return model


def _in_torch(task: str, compiled: bool) -> Target:
    path = _bundled(task)
    if compiled and task == "deblur":
        raise AbsentError("torch.compile leaves Fourier transforms to eager torch")
    try:
        model = torch_twin(path)
    except (KeyError, HyperguideError) as error:  # the file is older than the current networks
        raise AbsentError(f"the weights of {path.name} do not fit: {error}") from None
    multiple = model.size_multiple
    restored = partial(_restored, model)
    run = torch.compile(restored, dynamic=False) if compiled else restored

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        image = torch.from_numpy(_planes(degraded, multiple))
        blur = None if kernel is None else torch.from_numpy(kernel.astype(np.float32))[None, None]
        with torch.inference_mode():
            enhanced, used = run(image, blur)
        return _picture(enhanced.numpy(), degraded.shape), _map(used.numpy(), degraded)

    return Target(restore, "torch", "run", task, None, "torch")


def _restored(
    model: GuidedModel, image: torch.Tensor, kernel: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    result = model.restore(image, kernel)
    return result.restored.clamp(0, 1), result.maps[-1]


def _in_ncnn(task: str) -> Target:
    """The fp32 file, converted by pnnx for each picture size, in fp32 on all cores."""
    try:
        import ncnn
        import pnnx
    except ImportError as error:
        raise AbsentError(f"{error.name} is not installed") from None
    path = _bundled(task)
    file = read_model_file(path)
    if "kernel" in file.inputs:
        raise AbsentError("pnnx converts no matrix products of complex size")
    folder = tempfile.TemporaryDirectory()

    @cache
    def network(shape: tuple[int, ...]) -> Any:
        place = Path(folder.name, "x".join(map(str, shape)))
        place.mkdir()
        (place / "net.onnx").write_bytes(file.content)
        size = f"inputshape=[{','.join(map(str, shape))}]"
        command = [pnnx.EXEC_PATH, "net.onnx", size, "fp16=0"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True)
        if not (place / "net.ncnn.bin").exists():
            raise AbsentError(f"pnnx does not convert {path.name}: {done.stderr.strip()[-80:]}")
        net = ncnn.Net()
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        if net.load_param(str(place / "net.ncnn.param")) != 0:
            raise AbsentError(f"ncnn does not load what pnnx made of {path.name}")
        net.load_model(str(place / "net.ncnn.bin"))
        return net

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> Restored:
        planes = _planes(degraded, file.info.size_multiple)
        found = {}
        with network(planes.shape).create_extractor() as extractor:
            image = ncnn.Mat(planes[0]).clone()  # in ncnn's aligned memory
            extractor.input("in0", image)
            for number, name in enumerate((ENHANCED, GUIDANCE)):
                _, output = extractor.extract(f"out{number}")
                found[name] = np.array(output)[None]
        return _picture(found[ENHANCED], degraded.shape), _map(found[GUIDANCE], degraded)

    restore.folder = folder  # type: ignore[attr-defined]  # same lifetime
    return Target(restore, "ncnn", "model file", task, None, "ncnn")


def _published(name: str, file: str, data: Path | None) -> Peer:
    def opened() -> Target:
        path = None if data is None else data / "baselines" / file
        if path is None or not path.exists():
            raise AbsentError(f"the weights baselines/{file} are not in the folder of the data")
        return open_target(str(path))

    return Peer(f"{name}, as published, torch", "network", opened)


def _non_local_means() -> Target:
    """OpenCV's filter, tuned for noise of 25/255 on photos of BSDS500's training set."""

    def apply(picture: np.ndarray, kernel: np.ndarray | None, level: float) -> np.ndarray:
        strength = 0.55 * 255 * level
        pixels = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
        filtered = cv2.fastNlMeansDenoisingColored(pixels, None, strength, strength)
        return filtered.astype(np.float32) / 255

    name = "non-local means"
    return reference(name, name, informed(name, apply), None, is_informed=True)


def _bm3d() -> Target:
    if find_spec("bm3d") is None:
        raise AbsentError("bm3d is not installed")
    return open_target("bm3d")


def _planes(picture: np.ndarray, multiple: int) -> np.ndarray:
    planes = np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float32)
    return np.ascontiguousarray(SizeRequirements(multiple).pad(planes))


def _picture(planes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    height, width = shape[:2]
    return planes[0, :, :height, :width].transpose(1, 2, 0).reshape(shape)


def _map(planes: np.ndarray, like: np.ndarray) -> np.ndarray:
    return _picture(planes, like.shape[:2])
