"""Presets: everything needed to reproduce the training of a model, in one YAML file.

A preset defines the task, the two networks, the degradation and the schedule; omitted fields, such
as learning rates, have the defaults below. It is stored in every checkpoint and every exported
model.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from hyperguide.errors import HyperguideError
from hyperguide.storage.file_content import read_text
from hyperguide.tasks import find_task

from .fields import Checked, Range, Share, build
from .network_settings import (
    CompactProxySettings,
    DilatedSettings,
    GridDehazeNetSettings,
    ImageView,
    Output,
    PlainProxySettings,
    PReNetSettings,
    Proxy,
    Reconstruction,
    RefinementSettings,
    ScatteringSettings,
    StackSettings,
    UNetSettings,
    UNetShape,
    UnfoldedSettings,
)
from .yaml_text import parse_yaml

__all__ = [
    "CompactProxySettings",
    "DilatedSettings",
    "GridDehazeNetSettings",
    "ImageView",
    "LossName",
    "Output",
    "PReNetSettings",
    "PlainProxySettings",
    "Preset",
    "Proxy",
    "Reconstruction",
    "RefinementSettings",
    "ScatteringSettings",
    "Schedule",
    "StackSettings",
    "Stage",
    "UNetSettings",
    "UNetShape",
    "UnfoldedSettings",
    "build",
    "load_preset",
    "preset_from_dict",
]

Steps = Annotated[int, Range(1, 10**9)]
StepSize = Annotated[float, Range(0, 1000, above=True)]
Weight = Annotated[float, Range(0, 10**6)]

# Pixels in a batch: 3 GB of planes, more than any machine trains on at once.
_MOST_PIXELS = 1 << 28
_MOST_BYTES = 64 << 10

LossName = Literal["log_mse", "l1", "l1_ssim", "negative_ssim", "smooth_l1_perceptual", "mse"]


@dataclass(frozen=True)
class Stage(Checked):
    """A part of the schedule: crops of `crop` pixels from photos reduced by `reduce`.

    until: the stage ends at this share of the steps.
    least_share: for networks that see the whole scene: crops cover a random share of the photo, at
        least this much of each side, and are resized to `crop`; `reduce` is then ignored.
    aspect: width of the crops divided by their height, which is `crop`. Train networks that see
        the whole scene on the aspect ratio that they will be used with.
    """

    until: Annotated[float, Range(0, 1, above=True)]
    crop: Annotated[int, Range(1, 8192)]
    batch: Annotated[int, Range(1, 65536)]
    reduce: Annotated[int, Range(1, 64)] = 1
    least_share: Share = 0.0
    aspect: Annotated[float, Range(1, 4)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop * self.width * self.batch > _MOST_PIXELS:
            raise HyperguideError(
                f"A batch of {self.batch} crops of {self.crop} pixels is too large: "
                "mend crop or batch in the preset."
            )

    @property
    def width(self) -> int:
        """Width of the crops in pixels."""
        return round(self.crop * self.aspect)


@dataclass(frozen=True)
class Schedule(Checked):
    """Length, optimizers and step sizes of a training.

    warmup: steps on theta only, before the alternation.
    steps: outer steps.
    inner: inner steps before each outer step, and in each step of the warm-up; 0, without a
        warm-up, keeps theta as it is.
    optimizer: `muon` for the convolutions with Adam for the rest, or `adam` for everything.
    proxy_lr, reconstruction_lr: step sizes for the convolutions; with `adam`, for everything.
    adam_lr: with `muon`, Adam's step size for biases and last layers.
    shape: of the step sizes over the outer steps: `cosine` falls to zero, `constant` stays,
        `milestones` multiplies by `gamma` at each share of the steps in `milestones`.
    clip: maximum gradient norm of each network.
    decay: decay of the moving average of the weights.
    validations: number of validations, evenly spaced over the steps.
    held_out: number of crops to validate on, in batches of up to eight.
    """

    warmup: Annotated[int, Range(0, 10**9)]
    steps: Steps
    stages: tuple[Stage, ...]
    inner: Annotated[int, Range(0, 1000)] = 1
    optimizer: Literal["muon", "adam"] = "muon"
    proxy_lr: StepSize = 0.01
    reconstruction_lr: StepSize = 0.01
    adam_lr: StepSize = 0.002
    shape: Literal["cosine", "constant", "milestones"] = "cosine"
    milestones: tuple[Share, ...] = (1.0,)
    gamma: Annotated[float, Range(0, 1000, above=True)] = 0.2
    clip: Annotated[float, Range(0, 10**9, above=True)] = 1.0
    decay: Annotated[float, Range(0, 0.999999)] = 0.999
    validations: Annotated[int, Range(1, 10**6)] = 20
    held_out: Annotated[int, Range(1, 65536)] = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        ends = [stage.until for stage in self.stages]
        if ends != sorted(set(ends)) or ends[-1] != 1:
            raise HyperguideError("The stages' `until` must ascend and end at 1.0 in the preset.")
        if self.warmup and not self.inner:
            raise HyperguideError(
                "A warm-up needs inner steps: give --warmup 0, too, or warmup: 0 in the preset."
            )


@dataclass(frozen=True)
class Preset(Checked):
    """The training recipe of one model.

    loss: name of the reconstruction loss f, see `losses.task_loss`.
    stage_weight: weight in f of the iterates before the last, for unfolded networks.
    haze_weight: weight in f of airlight and transmission, for the network `scattering`.
    border: pixels on each side of a crop that f counts only by `border_weight` and validation
        ignores: near the edge, within half a kernel, the blur mixed in content from outside.
    border_weight: weight of f on whole crops, relative to f on crops without their border.
    guidance_floor: floor in g, see `losses.guidance_loss`; 0 weighs all errors equally.
    guidance_too_low: weight in g of maps below the true one, see `losses.guidance_loss`.
    degradation: fields of the task's class in `degradations` that differ from their defaults.
    outer_degradation: those that are different again in D_tr, the data of the outer problem. A
        hyper-network needs many pictures without anything to remove, a reconstruction few.
    hints: share of D_tr's samples for which the reconstruction network sees a coarse, partial copy
        of the true map instead of the predicted one, so that it learns to use one that is told.
    channels: 3 for RGB, 1 for gray pictures.
    """

    task: str
    tier: str
    proxy: Proxy
    reconstruction: Reconstruction
    loss: LossName
    schedule: Schedule
    degradation: dict[str, Any] = dataclasses.field(default_factory=dict)
    outer_degradation: dict[str, Any] = dataclasses.field(default_factory=dict)
    channels: Literal[1, 3] = 3
    stage_weight: Weight = 0.0
    haze_weight: Weight = 0.0
    border: Annotated[int, Range(0, 4096)] = 0
    border_weight: Weight = 0.25
    guidance_floor: Weight = 0.0
    guidance_too_low: Weight = 1.0
    hints: Share = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        least = min(stage.crop for stage in self.schedule.stages)
        if not self.border < least / 2:
            raise HyperguideError(
                f"The border must be less than half a crop of {least} pixels in the preset."
            )
        if isinstance(self.reconstruction, UnfoldedSettings) and self.channels != 1:
            raise HyperguideError(
                "An unfolded network is trained on gray planes and restores colour plane by "
                "plane: set channels: 1 in the preset."
            )

    def to_json(self) -> str:
        """The preset as JSON, for checkpoints and model files."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def load_preset(task: str, tier: str, path: Path | None = None) -> Preset:
    """Load the bundled preset of a task and tier, or one from `path`.

    Raises HyperguideError if there is none, or one of its fields is wrong.
    """
    find_task(task)
    if path is None:
        folder = resources.files("hyperguide.training.presets")
        source = folder / f"{task}-{tier}.yaml"
        if not source.is_file():
            names = [file.name for file in folder.iterdir() if file.name.endswith(".yaml")]
            starts = f"{task}-"
            own = sorted(n[len(starts) : -5] for n in names if n.startswith(starts))
            raise HyperguideError(
                f"There is no preset for {task} in the tier '{tier}': take one of "
                f"{', '.join(own)}, or give a file with --preset."
            )
        text = source.read_text("utf-8")
    else:
        text = read_text(path, "preset", _MOST_BYTES)
    try:
        fields = parse_yaml(text)
    except ValueError as error:
        raise HyperguideError(f"The preset {path or source.name} holds {error}: mend it.") from None
    preset = preset_from_dict(fields, str(path or source.name))
    if preset.task != task:
        raise HyperguideError(f"The preset {path} is for {preset.task}, not for {task}.")
    return preset


def preset_from_dict(fields: object, where: str) -> Preset:
    """Build a preset from parsed YAML or JSON; `where` names the source in errors."""
    return build(Preset, fields, where)
