"""The trainings of the paper's Section 5, at a width and length that a processor can bear.

The networks are those of the bundled presets `paper` and `paper-tiny`. What differs is here:

                  the paper                          here
restoration       64 features, 200000 steps of       16 features, 1500 steps of
                  5 crops of 160, Adam 1e-4          4 crops of 64, Muon, cosine
derain, dehaze    trained from scratch               trained on from the official weights

All configurations of a section share optimizer, data and seeds. Those named `longer` have as many
steps as fit the processor time of `strict`, which takes two batches a step; so have all of derain
and dehaze. The seconds that they really took are kept, see `training.Spell`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from hyperguide.training.bilevel import Strategy
from hyperguide.training.preset import (
    DilatedSettings,
    PlainProxySettings,
    Preset,
    Schedule,
    Stage,
    UnfoldedSettings,
    load_preset,
)

Section = Literal["restoration", "derain", "dehaze"]
Weights = Literal["prenet/prenet_rain100l.pth", "griddehazenet/griddehazenet_indoor.pth"]

# bfloat16 wants multiples of 16.
WIDTH = 16
CROP, BATCH = 64, 4
STEPS = 1500


@dataclass(frozen=True)
class Configuration:
    """A training that is repeated with several seeds.

    name: unique, as in the tables.
    tier: of the bundled preset.
    steps: outer steps.
    start: official weights to train on from, in DATA/baselines.
    """

    section: Section
    name: str
    task: str
    tier: str
    strategy: Strategy
    steps: int
    start: Weights | None = None

    @property
    def preset(self) -> Preset:
        """The bundled preset with the changes named above."""
        bundled = load_preset(self.task, self.tier)
        return _narrow(bundled, self.steps) if self.start is None else _on(bundled, self.steps)

    @property
    def precision(self) -> str:
        """Of the forward passes; converged weights would lose by bfloat16."""
        return "auto" if self.start is None else "fp32"


@dataclass(frozen=True)
class Job:
    """One configuration with one seed."""

    configuration: Configuration
    seed: int

    @property
    def name(self) -> str:
        """Of the configuration, the same for all seeds."""
        return self.configuration.name

    @property
    def folder(self) -> str:
        """Of its run, relative to that of all runs."""
        return f"{self.configuration.section}/{self.name}-{self.seed}"


def _restoration(name: str, strategy: Strategy, steps: int = STEPS) -> Configuration:
    tier = "paper-tiny" if name.startswith("tiny") else "paper"
    return Configuration("restoration", name, "deblur", tier, strategy, steps)


def _derain(strategy: Strategy, steps: int) -> Configuration:
    start: Weights = "prenet/prenet_rain100l.pth"
    name = f"prenet-{strategy}"
    return Configuration("derain", name, "derain", "paper", strategy, steps, start)


def _dehaze(strategy: Strategy, steps: int) -> Configuration:
    start: Weights = "griddehazenet/griddehazenet_indoor.pth"
    name = f"griddehazenet-{strategy}"
    return Configuration("dehaze", name, "dehaze", "paper", strategy, steps, start)


# Each group is trained for all its seeds before the next one starts.
_GROUPS: tuple[tuple[tuple[Configuration, ...], int], ...] = (
    (
        (
            _restoration("general-strict", "strict"),
            _restoration("general-unguided", "unguided"),
            _restoration("general-naive", "naive"),
            _restoration("general-response", "response"),
            _restoration("tiny-strict", "strict"),
            _restoration("tiny-unguided", "unguided"),
        ),
        3,
    ),
    (
        (
            _restoration("general-naive-longer", "naive", 2400),
            _restoration("general-unguided-longer", "unguided", 2800),
            _restoration("tiny-unguided-longer", "unguided", 3100),
        ),
        3,
    ),
    (
        (
            _derain("strict", 300),
            _derain("unguided", 347),
            _derain("naive", 322),
            _derain("response", 300),
        ),
        2,
    ),
    (
        (
            _dehaze("strict", 300),
            _dehaze("unguided", 326),
            _dehaze("naive", 300),
            _dehaze("response", 300),
        ),
        2,
    ),
)


def jobs(section: Section | None = None) -> Iterator[Job]:
    """All trainings in order: each seed of a group is a complete comparison."""
    for configurations, seeds in _GROUPS:
        for seed in range(seeds):
            for configuration in configurations:
                if section in (None, configuration.section):
                    yield Job(configuration, seed)


def _narrow(paper: Preset, steps: int) -> Preset:
    """The restoration networks with fewer features, on fewer and smaller crops."""
    network, proxy = paper.reconstruction, paper.proxy
    assert isinstance(network, UnfoldedSettings)
    assert isinstance(network.denoiser, DilatedSettings)
    assert isinstance(proxy, PlainProxySettings)
    return replace(
        paper,
        proxy=replace(proxy, width=WIDTH),
        reconstruction=replace(network, denoiser=replace(network.denoiser, width=WIDTH)),
        # Muon with the step sizes of the other presets.
        schedule=Schedule(
            *(0, steps, (Stage(1.0, CROP, BATCH),)), decay=0.99, validations=8, held_out=16
        ),
    )


def _on(paper: Preset, steps: int) -> Preset:
    """Few small steps from weights that have converged; the hyper-network starts anew.

    Without the perceptual part of GridDehazeNet's loss, whose weights are not at hand everywhere.
    """
    # Step sizes at which `unguided` does not lose on held-out photos: PReNet gains nothing by
    # larger ones, GridDehazeNet gained 0.8 dB in 60 steps.
    crop, batch, step_size = (64, 4, 3e-5) if paper.task == "derain" else (96, 2, 1e-4)
    schedule = replace(
        paper.schedule,
        steps=steps,
        proxy_lr=1e-3,
        reconstruction_lr=step_size,
        shape="cosine",
        clip=1.0,
        decay=0.99,
        validations=4,
        held_out=16,
        stages=(Stage(1.0, crop, batch),),
    )
    if paper.task == "derain":
        return replace(paper, schedule=schedule)
    # NYU Depth has a white frame, which RESIDE cuts off.
    degradation = paper.degradation | {"frame": 10}
    return replace(paper, schedule=schedule, loss="l1", degradation=degradation)
