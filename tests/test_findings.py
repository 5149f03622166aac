"""What an evaluation reports beyond means: harm, true noise levels, photos without truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

import hyperguide
from conftest import Cli, fails, nothing_left
from hyperguide.errors import HyperguideError
from hyperguide.model_format.model_file import read_model_file
from hyperguide.picture_files import read_picture, write_picture
from hyperguide.training.evaluation.catalog import open_suite
from hyperguide.training.evaluation.findings import Findings, find
from hyperguide.training.evaluation.measure import Measurement
from hyperguide.training.evaluation.protocols import Score
from hyperguide.training.evaluation.suites import Options


@pytest.fixture
def camera_pairs(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """A DATA folder with two pairs, named as in PolyU."""
    folder = tmp_path / "data" / "polyu"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    for name, left, sigma in (("Canon_1", 0, 6), ("Nikon_2", 200, 20)):
        mean = astronaut[:96, left : left + 120]
        noisy = np.clip(mean + rng.normal(0, sigma, mean.shape), 0, 255).astype(np.uint8)
        write_picture(folder / f"{name}_mean.png", mean)
        write_picture(folder / f"{name}_real.png", noisy)
    return tmp_path / "data"


def _measurement(given: float, restored: float, ratio: float | None = None) -> Measurement:
    return Measurement("a", "", Score(given, 1), Score(restored, 1), None, ratio, (), 0.1, None)


def test_harm_is_the_psnr_that_a_picture_loses() -> None:
    found = find([_measurement(30, 33), _measurement(36, 35.9), _measurement(40, 39.7)])
    assert found.least_gain == pytest.approx(-0.3)
    assert found.harmed == pytest.approx(1 / 3)
    assert found.unharmed is found.map_ratio is None


def test_pictures_with_nothing_to_remove_are_unharmed_at_38_db() -> None:
    inf = float("inf")
    found = find([_measurement(inf, level) for level in (37.9, 38, 50, inf)])
    assert found == Findings(unharmed=0.75, lowest=37.9)


def test_maps_are_true_within_a_factor_of_one_and_a_half_either_way() -> None:
    found = find([_measurement(30, 31, ratio) for ratio in (0.66, 0.67, 1.2, 1.5, 1.51)])
    assert found.map_ratio == 1.2
    assert found.map_true == pytest.approx(3 / 5)


def test_the_level_of_real_noise_is_what_the_pair_differs_by(camera_pairs: Path) -> None:
    cases = [make() for make in open_suite("polyu", Options(data=camera_pairs)).cases]
    assert [case.name for case in cases] == ["Canon_1", "Nikon_2"]
    for case in cases:
        mean, real = (
            read_picture(camera_pairs / "polyu" / f"{case.name}_{part}.png") / 255
            for part in ("mean", "real")
        )
        np.testing.assert_array_equal(case.clean, mean)
        assert case.true_level == pytest.approx(mean_squared_error(mean, real) ** 0.5, rel=1e-9)


def test_a_pair_without_its_mean_is_named(camera_pairs: Path) -> None:
    (camera_pairs / "polyu" / "Nikon_2_mean.png").unlink()
    with pytest.raises(
        HyperguideError, match=r"Nikon_2_real\.png has no mean picture Nikon_2_mean"
    ):
        open_suite("polyu", Options(data=camera_pairs))


def test_maps_of_real_noise_are_compared_by_their_level(
    quick_cli: Cli, camera_pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "figures.json"
    result = quick_cli(
        *("eval", "denoise", "--suite", "polyu", "--data", camera_pairs, "--json", out)
    )
    assert result.code == 0, result.err
    picture = json.loads(out.read_text())["pictures"][1]
    real = read_picture(camera_pairs / "polyu" / "Nikon_2_real.png")
    mean = read_picture(camera_pairs / "polyu" / "Nikon_2_mean.png")
    map_ = hyperguide.load("denoise")(real).guidance
    assert map_ is not None
    level = np.sqrt(np.mean(map_.astype(float) ** 2))
    true = mean_squared_error(mean / 255, real / 255) ** 0.5
    assert picture["map_ratio"] == pytest.approx(level / true, rel=1e-4)
    assert "within a factor of 1.5 in 100%" in result.out  # white noise, as in its training


def test_a_pattern_chooses_the_pictures_with_nothing_to_remove(camera_pairs: Path) -> None:
    folder = camera_pairs / "polyu"
    cases = open_suite(f"harmless:{folder}/*_mean.png", Options()).cases
    assert [make().name for make in cases] == ["Canon_1_mean", "Nikon_2_mean"]
    assert len(open_suite(f"harmless:{folder}", Options()).cases) == 4
    with pytest.raises(HyperguideError, match=r"No picture in .*polyu is called \*_left"):
        open_suite(f"harmless:{folder}/*_left.png", Options())
    with pytest.raises(HyperguideError, match="none of clean pictures does not exist"):
        open_suite(f"harmless:{folder}/none", Options())


def test_recorded_figures_of_a_model_file_keep_the_findings(
    quick_cli: Cli, model_copy: Path, camera_pairs: Path
) -> None:
    folder = camera_pairs / "polyu"
    for suite in ("polyu", f"harmless:{folder}/*_mean.png"):
        words = ("eval", model_copy, "--suite", suite, "--data", camera_pairs, "--record")
        result = quick_cli(*words, "--accept-contamination")
        assert result.code == 0, result.err
    quality = read_model_file(model_copy).info.quality
    real, intact = quality["polyu"]["all"], quality["harmless *_mean.png"]["all"]
    assert {"least_gain", "harmed", "map_ratio", "map_true"} <= real.keys()
    assert {"unharmed", "lowest"} <= intact.keys()
    assert 0 <= intact["unharmed"] <= 1


def test_the_option_scale_of_eval_does_what_the_dial_guidance_scale_does(
    quick_cli: Cli, run_folder: Path, exported: Path, camera_pairs: Path, tmp_path: Path
) -> None:
    psnr = {}
    for target in (run_folder, exported):
        for scale in (1, 3):
            out = tmp_path / "figures.json"
            words = ("eval", target, "--suite", "polyu", "--data", camera_pairs, "--scale", scale)
            assert quick_cli(*words, "--json", out, "--force").code == 0
            psnr[target, scale] = json.loads(out.read_text())["levels"][0]["output_psnr"]
    assert psnr[run_folder, 3] == pytest.approx(psnr[exported, 3], abs=1e-3)
    assert psnr[exported, 3] != pytest.approx(psnr[exported, 1], abs=1e-3)
    real, mean = (
        read_picture(camera_pairs / "polyu" / f"Canon_1_{part}.png") / 255
        for part in ("real", "mean")
    )
    image = hyperguide.load(exported)(real.astype(np.float32), guidance_scale=3).image
    expected = peak_signal_noise_ratio(mean, image.astype(float), data_range=1)
    shown = json.loads((tmp_path / "figures.json").read_text())["pictures"][0]["output"]["psnr"]
    assert shown == pytest.approx(expected, abs=1e-3)


def test_the_option_scale_of_eval_is_refused_without_a_map(
    quick_cli: Cli, camera_pairs: Path
) -> None:
    words = ("eval", "denoise", "--suite", "polyu", "--data", camera_pairs)
    fails(quick_cli(*words, "--scale", "1,2"), "Several --scale", "sheet:DIR")
    fails(quick_cli(*words, "--scale", "2", "--record"), "leave out", "--scale")
    fails(quick_cli("eval", "input", *words[2:], "--scale", "2"), "has no map")


class TestPhotosWithoutTruth:
    @pytest.fixture
    def folder(self, camera_pairs: Path) -> Path:
        folder = camera_pairs / "polyu"
        write_picture(folder / "gray.png", skimage.data.camera()[:90, :400])
        return folder

    def test_the_table_of_a_photo_sheet_says_what_was_changed(
        self, quick_cli: Cli, folder: Path, tmp_path: Path
    ) -> None:
        sheet = tmp_path / "sheet.png"
        words = ("eval", "denoise", "--suite", f"sheet:{folder}", "--scale", "1,2")
        result = quick_cli(*words, "--sheet", sheet)
        assert result.code == 0, result.err
        (line,) = (line for line in result.out.splitlines() if line.startswith("Nikon_2_real"))
        photo = read_picture(folder / "Nikon_2_real.png") / np.float32(255)
        enhancer = hyperguide.load("denoise")
        one, two = (enhancer(photo, guidance_scale=scale) for scale in (1, 2))
        assert one.guidance is not None
        level = np.sqrt(np.mean(one.guidance.astype(float) ** 2))
        expected = [
            f"{level:.4f}",
            f"{np.quantile(one.guidance, 0.95):.4f}",
            *(f"{255 * mean_squared_error(photo, r.image) ** 0.5:.2f}" for r in (one, two)),
        ]
        assert line.split()[1:] == expected
        drawn = read_picture(sheet)
        assert drawn.shape[1] > 4 * 320  # before, map, and after at two scales
        # Excerpts are shown at full size, so that the noise is visible.
        before = np.rint(photo * 255).astype(np.uint8)
        assert _holds(drawn, before)

    def test_options_of_eval_that_need_the_truth_are_refused_for_photo_sheets(
        self, quick_cli: Cli, folder: Path, tmp_path: Path
    ) -> None:
        words = ("eval", "denoise", "--suite", f"sheet:{folder}")
        fails(quick_cli(*words, "--json", tmp_path / "a.json"), "has no truth", "--sheet")
        fails(quick_cli(*words, "--noise", "5"), "has no truth")
        fails(quick_cli(*words, "--color"), "has no truth")
        fails(quick_cli("eval", "deblur", *words[2:]), "must be told more than the photo")
        fails(quick_cli("eval", "denoise", "--suite", f"sheet:{tmp_path}/no"), "does not exist")
        nothing_left(tmp_path, "data")


def _holds(sheet: np.ndarray, picture: np.ndarray) -> bool:
    """Whether a sheet contains a picture, pixel by pixel."""
    height, width = picture.shape[:2]
    rows, columns = np.nonzero((sheet[:-height, :-width] == picture[0, 0]).all(-1))
    return any(
        np.array_equal(sheet[top : top + height, left : left + width], picture)
        for top, left in zip(rows, columns, strict=True)
    )
