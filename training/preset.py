"""Presets: everything needed to train a model again, in one YAML file.

A preset names the task, the two networks, the degradation and the schedule. It is stored with
every checkpoint and in every exported model.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from hyperguide.errors import HyperguideError
from hyperguide.tasks import find_task

T = TypeVar("T")

View = Literal["image", "detail", "image+detail", "scene"]
Output = Literal["residual", "affine"]
LossName = Literal["log_mse", "l1", "l1_ssim", "negative_ssim", "smooth_l1_perceptual", "mse"]


def _check_sizes(settings: object, *names: str) -> None:
    """Raise HyperguideError for a number, or one of a list, below 1."""
    for name in names:
        value = getattr(settings, name)
        if min(value if isinstance(value, tuple) else (value,)) < 1:
            raise HyperguideError(f"A network's {name} must be at least 1 in the preset.")


def _check_texture(width: int) -> None:
    if width < 0:
        raise HyperguideError("A network's texture must be at least 0 in the preset.")


@dataclass(frozen=True)
class CompactProxySettings:
    """Arguments of `networks.hyper.HyperNetwork`.

    `texture` is for the view `scene`, `coarse` for the others.
    """

    view: View
    width: int
    unshuffle: int
    dilations: tuple[int, int, int, int]
    smooth: bool = False
    texture: int = 0
    network: Literal["compact"] = "compact"
    coarse: bool = False

    def __post_init__(self) -> None:
        _check_sizes(self, "width", "unshuffle", "dilations")
        _check_texture(self.texture)
        if self.coarse and self.view == "scene":
            raise HyperguideError(
                "The proxy's view: scene is coarse already: leave coarse out in the preset."
            )
        if self.texture and self.view != "scene":
            raise HyperguideError(
                "The proxy's texture needs view: scene: leave it out in the preset."
            )


@dataclass(frozen=True)
class PlainProxySettings:
    """Arguments of `networks.hyper.PlainHyperNetwork`."""

    network: Literal["plain"]
    width: int = 64

    def __post_init__(self) -> None:
        _check_sizes(self, "width")


@dataclass(frozen=True)
class UNetShape:
    """What every U-Net is made of.

    unshuffle: side of the pixel blocks folded into channels.
    widths: feature channels per level, finest first.
    middle: residual blocks at the coarsest level.
    blocks: residual blocks each way at the other levels, finest first; one number serves all.
    """

    unshuffle: int
    widths: tuple[int, ...]
    middle: int
    blocks: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        _check_sizes(self, "unshuffle", "widths", "middle", "blocks")
        widths, blocks = len(self.widths), len(self.blocks)
        if blocks not in (1, widths - 1):
            raise HyperguideError(
                f"A U-Net of {widths} widths takes {widths - 1} numbers of blocks or one for all, "
                f"not {blocks}: mend blocks in the preset."
            )


@dataclass(frozen=True, kw_only=True)
class UNetSettings(UNetShape):
    """`networks.unet.GuidedUNet`."""

    output: Output
    network: Literal["unet"] = "unet"


@dataclass(frozen=True, kw_only=True)
class ScatteringSettings(UNetShape):
    """`networks.scattering.ScatteringUNet`.

    texture: width of the learned features of what lies within a cell; 0 for none.
    """

    network: Literal["scattering"]
    texture: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_texture(self.texture)


@dataclass(frozen=True)
class StackSettings:
    """Arguments of `networks.stack.GuidedStack`."""

    network: Literal["stack"]
    unshuffle: int
    width: int
    depth: int

    def __post_init__(self) -> None:
        _check_sizes(self, "unshuffle", "width", "depth")


@dataclass(frozen=True)
class PReNetSettings:
    """Arguments of `networks.prenet.PReNet`."""

    network: Literal["prenet"]
    stages: int = 6

    def __post_init__(self) -> None:
        _check_sizes(self, "stages")


@dataclass(frozen=True)
class GridDehazeNetSettings:
    """`networks.griddehazenet.GridDehazeNet`, as published."""

    network: Literal["griddehazenet"]


@dataclass(frozen=True)
class DilatedSettings:
    """Arguments of `networks.unfolded.DilatedDenoiser`; one dilation for each convolution."""

    dilations: tuple[int, ...]
    width: int = 64
    network: Literal["dilated"] = "dilated"

    def __post_init__(self) -> None:
        _check_sizes(self, "dilations", "width")


@dataclass(frozen=True)
class UnfoldedSettings:
    """Arguments of `networks.unfolded.UnfoldedDeconvolution`.

    rho: `schedule` takes the fixed weights of the paper's code, `predicted` derives them from the
        predicted noise level with a learned factor for each stage.
    maps: `stage` gives each stage a hyper-network that reads its iterate, `image` has a single
        one that reads the observation.
    padding: least padding on each side, in pixels. Training pads by half the canvas of its kernels,
        the degradation's `size`; denoisers that never saw less spoil a border that gets less.
    """

    network: Literal["unfolded"]
    stages: int
    denoiser: DilatedSettings | UNetSettings
    rho: Literal["schedule", "predicted"]
    maps: Literal["stage", "image"]
    padding: int = 0

    def __post_init__(self) -> None:
        _check_sizes(self, "stages")
        if self.padding < 0:
            raise HyperguideError("The padding must be at least 0 in the preset.")
        if self.rho == "predicted" and self.maps == "stage":
            raise HyperguideError(
                "rho: predicted needs a map before the first stage: set maps: image in the preset."
            )


Proxy = CompactProxySettings | PlainProxySettings
Reconstruction = (
    UNetSettings
    | ScatteringSettings
    | StackSettings
    | PReNetSettings
    | GridDehazeNetSettings
    | UnfoldedSettings
)


@dataclass(frozen=True)
class Stage:
    """A part of the schedule: crops of `crop` pixels from photos reduced by `reduce`.

    until: the stage ends at this share of the steps.
    least_share: for networks that see the whole scene: crops cover a random share of the photo,
        of each side at least this, and are squeezed to `crop`; `reduce` then counts for nothing.
    aspect: width of the crops over their height, which is `crop`. Networks that see the whole
        scene should be trained on scenes of the shape that they will see.
    """

    until: float
    crop: int
    batch: int
    reduce: int = 1
    least_share: float = 0.0
    aspect: float = 1.0

    def __post_init__(self) -> None:
        for name in ("crop", "batch", "reduce"):
            if getattr(self, name) < 1:
                raise HyperguideError(f"A stage's {name} must be at least 1 in the preset.")
        if not 1 <= self.aspect <= 4:
            raise HyperguideError("A stage's aspect must be in [1, 4] in the preset.")
        if not 0 <= self.least_share <= 1:
            raise HyperguideError("A stage's least_share must be in [0, 1] in the preset.")

    @property
    def width(self) -> int:
        """Width of the crops in pixels."""
        return round(self.crop * self.aspect)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    warmup: steps on theta alone before the alternation.
    steps: outer steps.
    inner: inner steps before each outer step, and in each step of the warm-up.
    optimizer: `muon` for the convolutions with Adam for the rest, or `adam` for everything.
    proxy_lr, reconstruction_lr: step sizes for the convolutions; with `adam`, for everything.
    adam_lr: beside Muon, Adam's step size for biases and last layers.
    shape: of the step sizes over the outer steps: `cosine` falls to zero, `constant` stays,
        `milestones` multiplies by `gamma` at each share of the steps in `milestones`.
    clip: bound on the norm of each network's gradient.
    decay: of the weights' moving average.
    validations: how often the run is validated, evenly over its steps.
    held_out: crops that it is validated on, in batches of up to eight.
    """

    warmup: int
    steps: int
    stages: tuple[Stage, ...]
    inner: int = 1
    optimizer: Literal["muon", "adam"] = "muon"
    proxy_lr: float = 0.01
    reconstruction_lr: float = 0.01
    adam_lr: float = 0.002
    shape: Literal["cosine", "constant", "milestones"] = "cosine"
    milestones: tuple[float, ...] = (1.0,)
    gamma: float = 0.2
    clip: float = 1.0
    decay: float = 0.999
    validations: int = 20
    held_out: int = 64

    def __post_init__(self) -> None:
        if self.steps < 1 or self.warmup < 0:
            raise HyperguideError("The schedule needs steps >= 1 and warmup >= 0 in the preset.")
        for name in ("inner", "validations", "held_out"):
            if getattr(self, name) < 1:
                raise HyperguideError(f"The schedule's {name} must be at least 1 in the preset.")
        for name in ("proxy_lr", "reconstruction_lr", "adam_lr", "clip", "gamma"):
            if not 0 < getattr(self, name) < math.inf:
                raise HyperguideError(f"The schedule's {name} must be above 0 in the preset.")
        if not 0 <= self.decay < 1:
            raise HyperguideError("The schedule's decay must be in [0, 1) in the preset.")
        ends = [stage.until for stage in self.stages]
        if ends != sorted(set(ends)) or ends[-1] != 1:
            raise HyperguideError("The stages' `until` must ascend and end at 1.0 in the preset.")


@dataclass(frozen=True)
class Preset:
    """One model's recipe.

    loss: name of the reconstruction loss f, see `losses.task_loss`.
    stage_weight: of f on the iterates before the last, where the network is unfolded.
    haze_weight: of f on airlight and transmission, where the network is `scattering`.
    border: pixels at each side of a crop that f counts by `border_weight` only, and validation not
        at all: within half a kernel of it, what was blurred into the crop is not to be seen.
    border_weight: of f on whole crops, relative to that on what the border leaves.
    guidance_floor: of g, see `losses.guidance_loss`; 0 counts every error alike.
    degradation: fields of the task's class in `degradations` that differ from their defaults.
    channels: 3 for RGB, 1 for gray pictures.
    """

    task: str
    tier: str
    proxy: Proxy
    reconstruction: Reconstruction
    loss: LossName
    schedule: Schedule
    degradation: dict[str, Any] = dataclasses.field(default_factory=dict)
    channels: Literal[1, 3] = 3
    stage_weight: float = 0.0
    haze_weight: float = 0.0
    border: int = 0
    border_weight: float = 0.25
    guidance_floor: float = 0.0

    def __post_init__(self) -> None:
        least = min(stage.crop for stage in self.schedule.stages)
        if not 0 <= self.border < least / 2:
            raise HyperguideError(
                f"The border must be at least 0 and less than half a crop of {least} pixels in the "
                "preset."
            )
        for name in ("stage_weight", "haze_weight", "border_weight", "guidance_floor"):
            if not 0 <= getattr(self, name) < math.inf:
                raise HyperguideError(f"The {name} must be at least 0 in the preset.")
        if isinstance(self.reconstruction, UnfoldedSettings) and self.channels != 1:
            raise HyperguideError(
                "An unfolded network is trained on gray planes and restores colour plane by "
                "plane: set channels: 1 in the preset."
            )

    def to_json(self) -> str:
        """The preset as JSON, for checkpoints and model files."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def load_preset(task: str, tier: str, path: Path | None = None) -> Preset:
    """Load the preset of a task and tier that comes with the package, or one from `path`.

    Raises HyperguideError if there is none or a field of it is wrong.
    """
    import yaml

    find_task(task)
    if path is None:
        source = resources.files("hyperguide.training.presets") / f"{task}-{tier}.yaml"
        if not source.is_file():
            raise HyperguideError(
                f"There is no preset for {task} in the tier '{tier}': give one with --preset FILE."
            )
        text = source.read_text()
    else:
        try:
            text = path.read_text()
        except OSError as error:
            raise HyperguideError(f"Cannot read the preset {path}: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise HyperguideError(f"The preset {path} is not a text file: mend it.") from None
    try:
        fields = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" in line {place.line + 1}" if place else ""
        raise HyperguideError(f"The preset {path} is not YAML{line}: mend it.") from None
    preset = preset_from_dict(fields, str(path or source.name))
    if preset.task != task:
        raise HyperguideError(f"The preset {path} is for {preset.task}, not for {task}.")
    return preset


def preset_from_dict(fields: object, where: str) -> Preset:
    """Build a preset from parsed YAML or JSON; `where` names the source in errors."""
    return build(Preset, fields, where)


def build(kind: type[T], fields: object, where: str) -> T:
    """Fill the dataclass `kind` from a mapping, checking names and types."""
    if not isinstance(fields, dict):
        raise HyperguideError(f"{where}: expected a mapping with the fields of a {kind.__name__}.")
    hints = get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f", did you mean '{near[0]}'?" if near else "."
            raise HyperguideError(f"{where}: unknown field '{name}'{hint}")
    values = {}
    for name, spec in known.items():
        if name in fields:
            values[name] = _value(hints[name], fields[name], f"{where}: {name}")
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise HyperguideError(f"{where}: the field '{name}' is missing.")
    return kind(**values)


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """Build the dataclass whose `network` is that of the mapping; the first one without it."""
    by_name = {get_args(get_type_hints(kind)["network"])[0]: kind for kind in kinds}
    name = value.get("network", next(iter(by_name))) if isinstance(value, dict) else None
    if name is not None and name not in by_name:
        raise HyperguideError(f"{where}: the network must be one of {', '.join(by_name)}.")
    return build(by_name.get(name, kinds[0]), value, where)


def _value(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, UnionType):
        return _one_of(get_args(hint), value, where)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in get_args(hint)):
            raise HyperguideError(f"{where} must be one of {', '.join(map(str, get_args(hint)))}.")
        return value
    if get_origin(hint) is tuple:
        items = get_args(hint)
        length = None if items[-1] is ... else len(items)
        if not isinstance(value, list | tuple) or not value or length not in (None, len(value)):
            raise HyperguideError(f"{where} must be a list of {length or 'one or more'} items.")
        return tuple(_value(items[0], v, where) for v in value)
    if get_origin(hint) is dict and not isinstance(value, dict):
        raise HyperguideError(f"{where} must be a mapping.")
    wanted: tuple[type, ...] = {int: (int,), float: (int, float), str: (str,)}.get(hint, ())
    if wanted and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise HyperguideError(f"{where} must be of type {hint.__name__}, not {value!r}.")
    return float(value) if hint is float else value
