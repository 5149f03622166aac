"""What is measured: our trainings, the bundled models, published weights, and references."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hyperguide.export.cost import kilo_macs
from hyperguide.model_format.bundled import model_path
from hyperguide.model_format.model_file import read_model_file
from hyperguide.training.checkpoint import LAST, load_run
from hyperguide.training.evaluation.restorers import Target, open_target
from hyperguide.training.model import GuidedModel
from hyperguide.training.official import load_official

from .configurations import Section, jobs
from .training import steps_done

# Targets of `hyperguide eval`, or their files in DATA/baselines.
TOLD_RIVALS = {
    "Wiener": "wiener",
    "CSF": "csf/deblur_csf_pw.mat",
    "FDN": "fdn/stages_01-10_finetuned.hdf5",
}
RIVALS = {"FD": "fd", "Richardson-Lucy": "richardson-lucy"} | TOLD_RIVALS
BUNDLED: dict[Section, str] = {
    "restoration": "deblur",
    "derain": "derain",
    "dehaze": "dehaze",
}
OFFICIAL: dict[Section, dict[str, str]] = {
    "restoration": {},
    "derain": {
        "PReNet": "prenet/prenet_rain100l.pth",
        "PReNet (heavy)": "prenet/prenet_rain100h.pth",
    },
    "dehaze": {"GridDehazeNet": "griddehazenet/griddehazenet_indoor.pth"},
}


@dataclass(frozen=True)
class Subject:
    """Something to measure, by the name that the tables use.

    target: its name for `open_target`.
    seed: of its training, None if it is not one of ours.
    """

    name: str
    target: str
    seed: int | None = None

    def open(self) -> Target:
        """The target on one thread, so that times and scores are the same everywhere."""
        return open_target(self.target, threads=1)

    @property
    def kilo_macs(self) -> float | None:
        """Work per pixel; None for what is not a network."""
        if self.target.endswith(".pth"):
            return kilo_macs(GuidedModel(None, load_official(Path(self.target)).network))
        if self.target.endswith(".safetensors"):
            return kilo_macs(load_run(Path(self.target)).model)
        if self.target in BUNDLED.values():
            work: float = read_model_file(model_path(self.target)).info.cost["kilo_macs_per_pixel"]
            return work
        return None


def bundled(section: Section) -> Subject:
    """The model of the section's task that comes with the package."""
    return Subject(f"bundled {BUNDLED[section]}", BUNDLED[section])


def trainings(section: Section, runs: Path, checkpoints: Path) -> Iterator[Subject]:
    """Finished trainings: those in `runs`, and of the others the committed checkpoints."""
    for job in jobs(section):
        kept = checkpoints / f"{job.folder}.safetensors"
        run = runs / job.folder
        if steps_done(run) == job.configuration.steps:
            # The last weights, as in the paper: none are chosen by what they score.
            yield Subject(job.name, str(run / LAST), job.seed)
        elif kept.exists():
            yield Subject(job.name, str(kept), job.seed)


def others(section: Section, data: Path) -> Iterator[Subject]:
    """The input, the bundled model, and published weights or rivals."""
    yield Subject("input", "input")
    yield bundled(section)
    if section == "restoration":
        for name, target in RIVALS.items():
            weights = data / "baselines" / target
            if not weights.suffix or weights.exists():
                yield Subject(name, str(weights) if weights.suffix else target)
    for name, file in OFFICIAL[section].items():
        if (path := data / "baselines" / file).exists():
            yield Subject(name, str(path))
