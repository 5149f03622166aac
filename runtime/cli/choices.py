"""What a user chose for `hyperguide enhance`: checked, and turned into models and dials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from hyperguide.batch.blind import KernelSearch
from hyperguide.engines import Device
from hyperguide.enhancer import Enhancer, load
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import model_path
from hyperguide.model_format.engine_file import read_file
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.picture_files import gray_plane, read_kernel, read_map, read_picture
from hyperguide.pixels import full_scale

from .messages import say
from .progress import building_bar


@dataclass(frozen=True)
class Choices:
    """The options of `hyperguide enhance` by their names; see its help.

    inputs: everything behind -i.
    """

    inputs: tuple[str, ...]
    output: str | None
    task: str | None
    model: Path | None
    tier: str
    precision: str
    strength: float
    guidance: str | None
    guidance_scale: float
    mask: Path | None
    smooth: float | None
    temporal: bool | None
    codec: str | None
    crf: int | None
    preset: str | None
    pix_fmt: str | None
    audio: Literal["copy", "none"]
    show: bool
    live: bool | None
    hwaccel: str | None
    kernel: str | None
    kernel_size: int | None
    save_kernel: str | None
    save_guidance: Path | None
    quality: int | None
    device: Device
    strict: bool
    trust: bool
    tile: int | Literal["auto"] | None
    max_memory: int | None
    force: bool
    resume: bool
    ray: str | None
    ray_workers: int | None

    def __post_init__(self) -> None:
        """Raise click.UsageError for options that do not go together."""
        if not self.inputs:
            raise click.UsageError("Give at least one picture, folder or video with -i.")
        if (self.task is None) == (self.model is None):
            raise click.UsageError("Give either a task with -t or a model file with -m.")
        if self.output == "":
            raise click.UsageError("The name behind -o is empty: give the name of the output.")
        if self.output is None and not self.show:
            raise click.UsageError("Give the name of the output with -o.")
        if self.resume and self.force:
            raise click.UsageError("Give either --resume, to go on, or --force, to begin anew.")
        if not self.estimates_kernel and (self.kernel_size or self.save_kernel):
            name = "--kernel-size" if self.kernel_size else "--save-kernel"
            raise click.UsageError(f"{name} belongs to an estimated kernel: add --kernel auto.")
        if self.ray_workers is not None and self.ray is None:
            raise click.UsageError("--ray-workers belongs to a Ray cluster: add --ray.")

    @property
    def model_name(self) -> str | Path:
        """What `hyperguide.load` is called with."""
        return self.model if self.model is not None else str(self.task)

    @property
    def model_file(self) -> Path:
        """The path of the model file."""
        return model_path(self.model_name, self.tier, self.precision)

    @property
    def info(self) -> ModelInfo:
        """What the model file says about itself, without loading it."""
        return read_file(self.model_file, self.trust).info

    @property
    def loading(self) -> dict[str, Any]:
        """The arguments of `hyperguide.load`."""
        return {
            "model": self.model_name,
            "device": self.device,
            "tier": self.tier,
            "precision": self.precision,
            "trust": self.trust,
            "tile": self.tile,
            "max_memory": self.max_memory,
            "strict": self.strict,
        }

    @property
    def estimates_kernel(self) -> bool:
        """Whether the kernel of each picture is to be estimated."""
        return self.kernel == "auto"

    def open(self, at_once: int = 1) -> Enhancer:
        """Load the model, and say what it runs on."""
        with building_bar() as building:
            loaded = load(**self.loading, at_once=at_once, building=building)
        if self.device.kind == "auto":
            say(f"Runs on {loaded.engine} ({loaded.why}).")
        self.warn_without_kernel(loaded.info)
        return loaded

    def warn_without_kernel(self, info: ModelInfo) -> None:
        """Say what deblurring without a kernel does."""
        if info.task == "deblur" and self.kernel is None:
            say(
                "Without --kernel the picture is taken for sharp, and only noise is removed: "
                "--kernel auto estimates the kernel."
            )

    def read_mask(self) -> np.ndarray | None:
        """The mask, shape (H, W), in [0, 1]; None without one."""
        return None if self.mask is None else read_mask(self.mask, self.max_memory)

    def read_guidance(self, info: ModelInfo) -> float | np.ndarray | None:
        """The map that was given, in the unit of the model; None to predict it."""
        if self.guidance is None:
            return None
        return read_map(self.guidance, info.guidance, self.max_memory)

    def read_kernel(self, info: ModelInfo) -> np.ndarray | KernelSearch | None:
        """The blur kernel, or that it is to be estimated; None without one."""
        if self.kernel is None:
            return None
        if not self.estimates_kernel:
            return read_kernel(Path(self.kernel))
        if info.task != "deblur":
            raise HyperguideError(f"A {info.task} model takes no kernel: leave out --kernel.")
        return KernelSearch(self.kernel_size)

    def frame_dials(self, info: ModelInfo) -> dict[str, Any]:
        """The dials that differ from their defaults, as in `Enhancer.__call__`."""
        mask = self.read_mask()
        dials = {
            "strength": self.strength if mask is None else self.strength * mask,
            "guidance": self.read_guidance(info),
            "guidance_scale": self.guidance_scale,
            "kernel": self.read_kernel(info),
        }
        defaults = {"strength": 1.0, "guidance_scale": 1.0}
        return {
            name: value
            for name, value in dials.items()
            if isinstance(value, np.ndarray) or value != defaults.get(name)
        }


def read_mask(path: Path, max_memory: int | None) -> np.ndarray:
    """Read a mask, shape (H, W), full scale = 1. Raises HyperguideError if it cannot be one."""
    picture = gray_plane(read_picture(path, max_memory), f"The mask {path}")
    if not (np.isfinite(picture).all() and (picture >= 0).all()):
        raise HyperguideError(f"The mask {path} has values below 0 or NaN: mend or replace it.")
    return picture.astype(np.float32) / np.float32(full_scale(picture.dtype))
