"""Average the weights of several runs and validate the result: a model soup.

    python -m hyperguide.training.mean_of_runs RUN RUN ... --data photos/ --out runs/mean

Runs that continue from one another lie in the same valley of the loss, and their mean combines
their gains (M. Wortsman et al., Model soups, ICML 2022): say, one learned to leave clean pictures
unchanged, another learned from pairs that resemble the test set. The result can be exported,
evaluated and given to --init-from like a run; its preset and record are those of the last run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import torch

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import refuse_existing
from hyperguide.storage.paths import make_folder
from hyperguide.training.data.batches import open_data

from .checkpoint import BEST, load_run, load_weights, save_tensors
from .run_folder import refuse_strangers
from .seen_photos import SeenPhotos
from .validation import HeldOut


def main() -> None:
    """Run the command shown above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--streaks", type=Path)
    parser.add_argument("--kernels", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--force", action="store_true", help="replace a mean that is there")
    given = parser.parse_args()
    try:
        validation = write_mean(
            given.runs, given.data, given.out, given.streaks, given.kernels, given.force
        )
    except HyperguideError as error:
        parser.exit(1, f"{error}\n")
    print(f"{given.out}: held-out photos {validation['output_psnr']:.2f} dB")


def write_mean(
    runs: Sequence[Path],
    data: Sequence[Path],
    out: Path,
    streaks: Path | None = None,
    kernels: Path | None = None,
    force: bool = False,
) -> dict[str, float]:
    """Write a run folder with the mean of the runs' best weights; returns its validation.

    data, streaks, kernels: those of the last run, for its held-out pictures.
    Raises HyperguideError if the runs' networks differ, or the data is not the last run's.
    """
    path = out / BEST
    refuse_existing(path, force)
    refuse_strangers(out)
    trained = load_run(runs[-1])
    parts = [load_run(run) for run in runs]
    states = [part.model.state_dict() for part in parts]
    seen = [part.record.seen for part in parts]
    for run, state in zip(runs, states, strict=True):
        load_weights(trained.model, state, run)  # checks that the architecture is the same
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    trained.model.load_state_dict(mean)
    found = open_data(trained.preset, data, streaks, kernels=kernels)
    if found.fingerprint != (trained.record.data or {}).get("fingerprint"):
        raise HyperguideError(
            f"{runs[-1]} was trained on other data: give the same --data, --streaks and --kernels."
        )
    held_out = HeldOut(found, trained.preset, trained.model.size_multiple, torch.device("cpu"))
    validation = held_out.validate(trained.model)
    record = replace(
        trained.record,
        origin=f"mean of {', '.join(run.name for run in runs)}",
        seen=reduce(SeenPhotos.with_those_of, seen),
        validation={**(trained.record.validation or {}), **validation},
    )
    make_folder(out)
    save_tensors({path: mean}, record.to_json())
    return validation


if __name__ == "__main__":
    main()
