"""benchmarks/paper.py: its tables, its order of trainings, and the pictures it trains on."""

from __future__ import annotations

import statistics
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from hyperguide.training.checkpoint import load_run, save_tensors
from hyperguide.training.model import build_model
from hyperguide.training.run_record import RunRecord, Settings
from section5.checkpoints import copy_in_half
from section5.configurations import jobs
from section5.published import LEVIN
from section5.results import Blind, Measured, Results, read_results, write_results
from section5.sections import sections
from section5.tables import Column, by_level, differences, spread
from section5.training import Spell, sources, spells


def _measured(subject: str, seed: int | None, psnr: float, level: str = "1 %") -> Measured:
    return Measured("levin", subject, seed, level, None, "abc", 32, psnr, 0.9)


def test_a_mean_comes_with_the_spread_over_seeds() -> None:
    values = [29.0, 29.3, 29.9]
    assert spread(values) == f"29.40 ±{statistics.stdev(values):.2f}"


def test_a_single_seed_has_no_spread_and_none_is_a_dash() -> None:
    assert spread([29.0]) == "29.00"
    assert spread([]) == "-"


def test_differences_pair_equal_seeds_only() -> None:
    one = Column("one", {"1 %": {0: 30.0, 1: 31.0, 2: 99.0}})
    other = Column("other", {"1 %": {0: 29.5, 1: 30.6}})
    found = differences(one, other, ["1 %", "2 %"])
    assert found == {"1 %": "+0.45 ±0.07", "2 %": "-"}


def test_the_published_figure_stands_beside_ours() -> None:
    column = Column("guided", {"1 %": {0: 29.0, 1: 29.2}}, {"1 %": 32.95}, 113.9)
    title, costs, seeds, kinds, row = by_level([column], ["1 %"]).splitlines()
    assert title.split() == ["guided"]
    assert costs.split() == ["kMAC/px", "113.9"]
    assert seeds.split() == ["seeds", "2"]
    assert kinds.split() == ["level", "paper", "ours"]
    assert row.split() == ["1", "%", "32.95", "29.10", "±0.14"]
    assert kinds.index("paper") + len("paper") == row.index("32.95") + len("32.95")
    assert len(kinds) == len(row)


def test_what_is_not_trained_yet_is_a_dash_and_no_seeds() -> None:
    text = by_level([Column("later", {"1 %": {}})], ["1 %"])
    assert text.splitlines()[2].split() == ["seeds", "0"]
    assert text.splitlines()[-1].split() == ["1", "%", "-"]


def test_all_sections_print_without_any_results() -> None:
    texts = list(sections(Results()))
    assert len(texts) == 9
    for value in LEVIN["general-strict"].values():
        assert any(f"{value:.2f}" in text for text in texts)


def test_a_section_says_how_many_seeds_it_has() -> None:
    members = (_measured("general-strict", 0, 29.0), _measured("general-strict", 1, 29.5))
    text = next(iter(sections(Results(members, costs={"general-strict": 113.9}))))
    assert "29.25 ±0.35" in text
    assert text.splitlines()[4].split()[:2] == ["seeds", "2"]


def test_blind_ratios_stand_by_kernel_and_picture() -> None:
    ratios = {"im05_flit01": 1.5, "im06_flit01": 2.5, "im05_flit02": 9.0}
    members = tuple(Blind(name, ratio, 0.9, "blurred") for name, ratio in ratios.items())
    text = next(text for text in sections(Results(blind=members)) if text.startswith("Fig. 9"))
    rows = [line.split() for line in text.splitlines()]
    assert ["kernel", "im05", "im06"] in rows
    assert ["flit01", "1.50", "2.50"] in rows
    assert ["flit02", "9.00", "-"] in rows
    assert "at most 2: 33%, at most 3: 67%, median 2.50" in text


def test_results_survive_their_file(tmp_path: Path) -> None:
    found = (Blind("im05_flit01", 1.5, 0.9, "blurred"),)
    results = Results((_measured("wiener", None, 27.25),), costs={"bundled": 25.0}, blind=found)
    write_results(results, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == results


def test_a_new_measurement_replaces_the_old_one_of_its_seed() -> None:
    results = Results((_measured("tiny-strict", 0, 1.0), _measured("tiny-strict", 1, 2.0)))
    found = results.with_measured([_measured("tiny-strict", 1, 3.0)])
    assert [one.psnr for one in found.of("levin", "tiny-strict", "1 %")] == [1.0, 3.0]


def test_each_seed_is_a_complete_comparison_of_equal_steps() -> None:
    planned = list(jobs("restoration"))
    first, second = planned[:6], planned[6:12]
    assert [job.seed for job in planned[:18]] == [0] * 6 + [1] * 6 + [2] * 6
    assert [job.name for job in first] == [job.name for job in second]
    assert len({job.configuration.steps for job in first}) == 1
    assert len({job.folder for job in jobs()}) == len(list(jobs()))


def test_all_presets_are_valid_and_share_the_schedule() -> None:
    for section in ("restoration", "derain", "dehaze"):
        presets = [job.configuration.preset for job in jobs(section)]
        assert len({preset.schedule.stages for preset in presets}) == 1
        assert len({preset.schedule.reconstruction_lr for preset in presets}) == 1


@pytest.mark.parametrize(
    ("section", "forbidden"),
    [("restoration", {"val"}), ("derain", {"train", "val"})],
)
def test_no_training_sees_the_photos_of_a_test_set(
    section: str, forbidden: set[str], tmp_path: Path
) -> None:
    for job in jobs(section):  # type: ignore[arg-type]
        words = sources(job.configuration, Path("data"), tmp_path)
        photos = [path for option, path in pairwise(words) if option == "--data"]
        assert photos
        assert not {Path(str(path)).name for path in photos} & forbidden


def test_the_haze_trainings_leave_out_the_last_hundred_pictures(tmp_path: Path) -> None:
    for kind, suffix in (("rgb", "jpg"), ("depth", "png")):
        (tmp_path / "nyu" / kind).mkdir(parents=True)
        for number in range(103):
            (tmp_path / "nyu" / kind / f"{number}.{suffix}").touch()
    job = next(jobs("dehaze"))
    _, folder = sources(job.configuration, tmp_path, tmp_path / "runs")
    names = {path.name for path in Path(str(folder)).glob("*/*")}
    assert names == {f"{n}.{suffix}" for n in range(3) for suffix in ("jpg", "png")}


def test_a_line_cut_off_by_a_kill_is_no_spell(tmp_path: Path) -> None:
    whole = '{"run": "a", "first": 0, "last": 10, "cpu_seconds": 5.5}\n'
    (tmp_path / "times.jsonl").write_text(whole + whole[:20])
    assert list(spells(tmp_path)) == [Spell("a", 0, 10, 5.5)]


def test_a_kept_copy_is_half_as_large_and_computes_the_same(tmp_path: Path) -> None:
    preset = next(jobs("restoration")).configuration.preset
    model = build_model(preset)
    weights, copy = tmp_path / "last.safetensors", tmp_path / "copy.safetensors"
    save_tensors({weights: model.state_dict()}, RunRecord(preset, Settings()).to_json())
    copy_in_half(weights, copy)
    assert copy.stat().st_size < 0.6 * weights.stat().st_size
    picture = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (load_run(file).model.restore(picture).restored for file in (weights, copy))
    assert torch.allclose(one, other, atol=2e-3)
