"""Several runs can be averaged into one, whose weights are their mean."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import write_picture
from hyperguide.training.checkpoint import load_run, load_tensors, weights_path
from hyperguide.training.mean_of_runs import write_mean
from made_data import noise_picture
from made_runs import make_run, silent


@pytest.fixture(scope="module")
def runs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = []
    for steps in (2, 4):
        folders.append(tmp_path_factory.mktemp("runs") / str(steps))
        make_run(photos, folders[-1], steps=steps).train(silent)
    return folders


def test_the_mean_of_runs_averages_their_weights_and_is_validated_anew(
    runs: list[Path], photos: Path, tmp_path: Path
) -> None:
    validation = write_mean(runs, [photos], tmp_path / "mean")
    first, second = (load_tensors(weights_path(run))[0] for run in runs)
    mean = load_run(tmp_path / "mean")
    for name, value in mean.model.state_dict().items():
        torch.testing.assert_close(value, (first[name] + second[name]) / 2)
    last = load_run(runs[-1]).record
    assert validation["output_psnr"] != last.validation["output_psnr"]
    assert mean.record.validation["output_psnr"] == validation["output_psnr"]
    assert mean.record.origin == "mean of 2, 4"
    assert mean.record.seen == last.seen
    alone = write_mean(runs[1:], [photos], tmp_path / "alone")
    assert alone["output_psnr"] == pytest.approx(last.validation["output_psnr"])


def test_the_mean_of_runs_with_other_data_or_networks_is_refused(
    runs: list[Path], photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mean"
    others = tmp_path / "others"
    others.mkdir()
    for name in ("a.png", "b.png"):
        write_picture(others / name, noise_picture(0, 64, 64))
    with pytest.raises(HyperguideError, match="was trained on other data"):
        write_mean(runs, [others], out)
    make_run(photos, tmp_path / "alone", "unguided").train(silent)
    with pytest.raises(HyperguideError, match="checkpoint of another architecture"):
        write_mean([tmp_path / "alone", runs[0]], [photos], out)
    assert not out.exists()
    write_mean(runs, [photos], out)
    with pytest.raises(HyperguideError, match="exists"):
        write_mean(runs, [photos], out)
