"""`hyperguide eval`: restorers, peers, the table, JSON, the sheet, and refused input."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.ndimage
import scipy.signal
import skimage.data
import skimage.metrics
import skimage.restoration
import skimage.transform
import torch
from click.testing import CliRunner

import hyperguide
from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import bundled_path
from hyperguide.picture_files import read_picture, write_picture
from hyperguide.tasks import TASKS
from hyperguide.training.checkpoint import LAST, save_tensors
from hyperguide.training.evaluation.cli import evaluate
from hyperguide.training.evaluation.measure import measure
from hyperguide.training.evaluation.noise import NoiseLevel
from hyperguide.training.evaluation.protocols import PROTOCOLS
from hyperguide.training.evaluation.restorers import open_target
from hyperguide.training.evaluation.suites import Case, Suite
from hyperguide.training.evaluation.target import Target
from hyperguide.training.evaluation.wiener import STRENGTH
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.networks.prenet import PReNet
from hyperguide.training.official import load_official
from hyperguide.training.preset import Preset, load_preset


def _eval(*words: object) -> str:
    """The output of a command that succeeds."""
    result = CliRunner().invoke(evaluate, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def _figures(tmp_path: Path, *words: object) -> dict[str, Any]:
    """The JSON of a command that succeeds."""
    path = tmp_path / "figures.json"
    _eval(*words, "--json", path, "--force")
    figures: dict[str, Any] = json.loads(path.read_text())
    return figures


def _refused(*words: object) -> str:
    """The error sentence of a command that fails on its input."""
    result = CliRunner().invoke(evaluate, [str(word) for word in words])
    assert isinstance(result.exception, HyperguideError), (result.output, result.exception)
    return str(result.exception)


@pytest.fixture(scope="session")
def gray_photos() -> list[np.ndarray]:
    """Smooth and textured gray photos of 75x75, float64 in [0, 1]."""
    camera = skimage.data.camera()[60:360, 100:400]
    coins = skimage.data.coins()[:300, :300]
    small = (skimage.transform.resize(p, (75, 75), anti_aliasing=True) for p in (camera, coins))
    return [p.astype(np.float64) for p in small]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, gray_photos: list[np.ndarray]) -> Path:
    """Small test sets in the authors' layouts: Set12 with two pictures, Levin with all 32 files."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "denoise_test" / "set12").mkdir(parents=True)
    for i, photo in enumerate(gray_photos, 1):
        path = folder / "denoise_test" / "set12" / f"{i:02d}.png"
        write_picture(path, np.rint(photo * 255).astype(np.uint8))
    (folder / "levin09").mkdir()
    rng = np.random.default_rng(3)
    for i in (5, 6, 7, 8):
        for k in range(1, 9):
            # A random walk, like the path of a shaking hand.
            kernel = np.zeros((9, 9))
            walk = np.cumsum(rng.normal(0, 0.6, (40, 2)), 0)
            at = np.clip(np.rint(walk - walk.mean(0)) + 4, 0, 8).astype(int)
            np.add.at(kernel, (at[:, 0], at[:, 1]), 1 / len(at))
            photo = gray_photos[i % 2][:70, :72]
            path = folder / "levin09" / f"im{i:02d}_flit{k:02d}.mat"
            scipy.io.savemat(path, {"x": photo, "f": kernel}, do_compression=True)
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """Two noisy photos of odd sizes, 8 bits."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(4)
    for name, clean in (("a", astronaut[:61, 200:283]), ("b", astronaut[150:197, 50:100])):
        noisy = np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
        for part, picture in (("input", noisy), ("target", clean)):
            (folder / part).mkdir(exist_ok=True)
            write_picture(folder / part / f"{name}.png", picture)
    return folder


def _save_run(folder: Path, preset: Preset, guided: bool = True) -> GuidedModel:
    """Write a run folder with random weights whose results depend on the map."""
    torch.manual_seed(0)
    model = build_model(preset, guided).eval()
    for name, weights in model.named_parameters():
        if name.endswith("tail.weight"):  # zero in a new network, which makes it the identity
            torch.nn.init.normal_(weights, std=0.1)
    settings = {"strategy": "strict" if guided else "unguided"}
    record = {"preset": json.loads(preset.to_json()), "settings": settings}
    folder.mkdir()
    save_tensors({folder / LAST: model.state_dict()}, record)
    return model


@pytest.fixture(scope="session")
def denoiser() -> Preset:
    return load_preset("denoise", "fast")


def test_input_scores_the_degraded_pictures(pairs: Path, tmp_path: Path) -> None:
    figures = _figures(tmp_path, "input", "--suite", f"pairs:{pairs}")
    for entry in figures["pictures"]:
        noisy, clean = (
            read_picture(pairs / p / f"{entry['name']}.png") for p in ("input", "target")
        )
        psnr = skimage.metrics.peak_signal_noise_ratio(clean, noisy)
        assert entry["input"]["psnr"] == pytest.approx(psnr, abs=1e-4)
        assert entry["output"] == entry["input"]
    mean = np.mean([entry["input"]["psnr"] for entry in figures["pictures"]])
    assert figures["levels"][0]["input_psnr"] == pytest.approx(mean)
    assert figures["levels"][0]["pictures"] == 2


def test_a_run_is_padded_and_cropped_and_scored_by_its_restored_pictures(
    pairs: Path, denoiser: Preset, tmp_path: Path
) -> None:
    model = _save_run(tmp_path / "run", denoiser)
    figures = _figures(tmp_path, tmp_path / "run", "--suite", f"pairs:{pairs}")
    assert figures["target"]["task"] == "denoise"
    content = (tmp_path / "run" / LAST).read_bytes()
    assert figures["target"]["sha256"] == hashlib.sha256(content).hexdigest()
    for entry in figures["pictures"]:
        noisy, clean = (
            read_picture(pairs / p / f"{entry['name']}.png") / 255 for p in ("input", "target")
        )
        rows, columns = (-side % model.size_multiple for side in noisy.shape[:2])
        assert rows or columns
        padded = np.pad(noisy, ((0, rows), (0, columns), (0, 0)), "symmetric").transpose(2, 0, 1)
        with torch.no_grad():
            restored = model.restore(torch.from_numpy(padded).float()[None]).restored[0]
        picture = restored.permute(1, 2, 0).numpy()[: clean.shape[0], : clean.shape[1]]
        error = np.mean((picture.astype(float).clip(0, 1) - clean) ** 2)
        assert entry["output"]["psnr"] == pytest.approx(-10 * math.log10(error), abs=1e-4)
        assert entry["output"] != entry["input"]


def test_gray_pictures_pass_colour_models_as_three_equal_planes(
    denoiser: Preset, tmp_path: Path
) -> None:
    model = _save_run(tmp_path / "run", denoiser)
    gray = np.random.default_rng(0).random((32, 48)).astype(np.float32)
    restored, guidance = open_target(str(tmp_path / "run")).restorer(gray)
    with torch.no_grad():
        expected = model.restore(torch.from_numpy(gray).expand(1, 3, -1, -1))
    np.testing.assert_allclose(restored, expected.restored[0].mean(0).numpy(), atol=1e-6)
    assert guidance is not None
    np.testing.assert_allclose(guidance, expected.maps[-1][0, 0].numpy(), atol=1e-6)


def test_a_model_file_restores_as_the_runtime_does_without_rounding(
    enhancers: dict[str, hyperguide.Enhancer],
) -> None:
    noisy = np.random.default_rng(1).normal(0.5, 0.1, (33, 47, 3)).astype(np.float32)
    restored, guidance = open_target("denoise").restorer(noisy)
    expected = enhancers["denoise"](noisy)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, expected.image, atol=1e-5)
    assert guidance is not None
    assert expected.guidance is not None
    np.testing.assert_allclose(guidance, expected.guidance, atol=1e-5)


def test_a_told_noise_level_becomes_the_map(data: Path, denoiser: Preset, tmp_path: Path) -> None:
    model = _save_run(tmp_path / "run", denoiser)
    suite = ("--suite", "set12", "--data", data, "--noise", "25", "--limit", 1)
    for target in (tmp_path / "run", "denoise"):
        own = _figures(tmp_path, target, *suite)["pictures"][0]
        told = _figures(tmp_path, target, *suite, "--told-noise", "40")["pictures"][0]
        assert told["map_rmse"] == pytest.approx(15 / 255, abs=1e-6)
        assert own["map_rmse"] != told["map_rmse"]
        assert own["output"]["psnr"] != told["output"]["psnr"]
    clean = read_picture(data / "denoise_test" / "set12" / "01.png") / 255
    noisy = clean + np.random.RandomState(0).normal(size=clean.shape) * 25 / 255
    missing = (0, -75 % model.size_multiple)
    planes = torch.from_numpy(np.pad(noisy, (missing, missing), "symmetric")).float()
    image = planes.expand(1, 3, -1, -1)
    level = torch.full_like(image[:, :1], 40 / 255)
    with torch.no_grad():
        restored = model.restore(image, guide=lambda read, stage: level).restored
    picture = restored[0].mean(0).double().numpy()[:75, :75].clip(0, 1)
    expected = -10 * math.log10(np.mean((picture - clean) ** 2))
    told = _figures(tmp_path, tmp_path / "run", *suite, "--told-noise", "40")["pictures"][0]
    assert told["output"]["psnr"] == pytest.approx(expected, abs=1e-3)


def test_a_wrong_told_noise_level_costs_quality(data: Path, tmp_path: Path) -> None:
    scores = {}
    for told in (25, 10, 60):
        words = ("denoise", "--suite", "set12", "--data", data, "--noise", "25")
        levels = _figures(tmp_path, *words, "--told-noise", told)["levels"]
        scores[told] = levels[0]["output_psnr"]
    assert scores[25] > scores[10] + 1
    assert scores[25] > scores[60] + 0.5


def test_a_deblurring_run_is_given_the_kernel(data: Path, tmp_path: Path) -> None:
    preset = load_preset("deblur", "fast")
    model = _save_run(tmp_path / "run", preset)
    words = ("--suite", "levin", "--data", data, "--noise", "2", "--limit", 1)
    (entry,) = _figures(tmp_path, tmp_path / "run", *words)["pictures"]
    arrays = scipy.io.loadmat(data / "levin09" / "im05_flit01.mat")
    x, f = arrays["x"], arrays["f"]
    noisy = scipy.signal.convolve2d(x, f, "same")
    noisy += 0.02 * np.random.RandomState(0).normal(size=x.shape)
    side = -(-72 // model.size_multiple) * model.size_multiple
    padded = np.pad(noisy, ((0, side - 70), (0, side - 72)), "symmetric")
    image = torch.from_numpy(padded).float().expand(1, preset.channels, -1, -1)
    with torch.no_grad():
        result = model.restore(image, torch.from_numpy(f).float()[None, None])
    restored = result.restored[0].mean(0).double().numpy()[4:66, 4:68].clip(0, 1)
    expected = -10 * math.log10(np.mean((restored - x[4:66, 4:68]) ** 2))
    assert entry["output"]["psnr"] == pytest.approx(expected, abs=1e-3)
    error = np.sqrt(np.mean((result.maps[-1][0, 0].numpy()[:70, :72] - 0.02) ** 2))
    assert entry["map_rmse"] == pytest.approx(error, rel=1e-3)


def test_an_unguided_run_has_no_map_and_takes_none(
    data: Path, denoiser: Preset, tmp_path: Path
) -> None:
    _save_run(tmp_path / "run", denoiser, guided=False)
    suite = ("--suite", "set12", "--data", data, "--noise", "25", "--limit", 1)
    figures = _figures(tmp_path, tmp_path / "run", *suite)
    assert figures["pictures"][0]["map_rmse"] is None
    sentence = _refused(tmp_path / "run", *suite, "--told-noise", 25)
    assert "unguided" in sentence


def test_official_weights_are_scored(pairs: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(PReNet(False, 1.0).state_dict(), tmp_path / "prenet.pth")
    figures = _figures(tmp_path, tmp_path / "prenet.pth", "--suite", f"pairs:{pairs}", "--limit", 1)
    assert figures["target"]["task"] == "derain"
    entry = figures["pictures"][0]
    noisy, clean = (read_picture(pairs / p / "a.png") / 255 for p in ("input", "target"))
    with torch.no_grad():
        network = load_official(tmp_path / "prenet.pth").network
        restored = network(torch.from_numpy(noisy.transpose(2, 0, 1)[None]).float())
    picture = restored[0].permute(1, 2, 0).double().numpy().clip(0, 1)
    expected = -10 * math.log10(np.mean((picture - clean) ** 2))
    assert entry["output"]["psnr"] == pytest.approx(expected, abs=1e-4)
    assert entry["map_rmse"] is None


def _tapered(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The picture padded by half a kernel and edgetapered three times, using scipy."""
    rows, columns = (side // 2 for side in kernel.shape)
    padded = np.pad(picture, ((rows, rows), (columns, columns)), "edge")
    shares = []
    for axis, size in ((1, padded.shape[0]), (0, padded.shape[1])):
        projection = kernel.sum(axis)
        correlation = np.correlate(projection, projection, "full")[len(projection) - 1 :]
        share = np.ones(size)
        share[: len(projection)] -= correlation / correlation[0]
        share[-len(projection) :] -= correlation[::-1] / correlation[0]
        shares.append(share)
    weight = np.outer(*shares)
    for _ in range(3):
        blurred = scipy.ndimage.convolve(padded, kernel, mode="wrap")
        padded = weight * padded + (1 - weight) * blurred
    return padded


def test_the_wiener_filter_scores_what_an_independent_one_scores(
    data: Path, tmp_path: Path
) -> None:
    figures = _figures(tmp_path, "wiener", "--suite", "levin", "--data", data, "--noise", "1,5")
    expected: dict[str, list[float]] = {"1 %": [], "5 %": []}
    for entry in figures["pictures"]:
        arrays = scipy.io.loadmat(data / "levin09" / f"{entry['name']}.mat")
        x, f = arrays["x"], arrays["f"]
        sigma = float(entry["level"].split()[0]) / 100
        blurred = scipy.signal.convolve2d(x, f, "same")
        noisy = blurred + sigma * np.random.RandomState(entry["seed"]).normal(size=x.shape)
        # scikit-image also regularises by the Laplacian by default.
        restored = skimage.restoration.wiener(
            _tapered(noisy, f), f, STRENGTH * sigma**2, clip=False
        )
        cut = slice(4, -4)
        restored = restored[cut, cut].clip(0, 1)[cut, cut]
        psnr = skimage.metrics.peak_signal_noise_ratio(x[cut, cut], restored, data_range=1)
        assert entry["output"]["psnr"] == pytest.approx(psnr, abs=0.01)
        expected[entry["level"]].append(psnr)
    assert [row["pictures"] for row in figures["levels"]] == [32, 32]
    for row in figures["levels"]:
        assert row["output_psnr"] == pytest.approx(np.mean(expected[row["level"]]), abs=0.01)
        assert row["output_psnr"] > row["input_psnr"] + 1


def test_quadrants_report_the_predicted_level_of_each(data: Path, tmp_path: Path) -> None:
    out = _eval(
        *("denoise-gray-fast", "--suite", "levin", "--data", data, "--quadrants", "2,5,10,20"),
        *("--json", tmp_path / "q.json"),
    )
    table = {line[:12].strip(): line[12:].split() for line in out.splitlines()}
    entries = json.loads((tmp_path / "q.json").read_text())["pictures"]
    names = ("upper left", "upper right", "lower left", "lower right")
    for i, (name, level) in enumerate(zip(names, (2, 5, 10, 20), strict=True)):
        true, predicted, rmse, inside = map(float, table[name])
        assert true == level
        assert abs(predicted - level) < 0.35 * level + 1  # four different levels were predicted
        of_pictures = [entry["quadrants"][i] for entry in entries]
        assert rmse == pytest.approx(
            100 * np.sqrt(np.mean([q["rmse"] ** 2 for q in of_pictures])), abs=0.006
        )
        assert inside < rmse + 1
    for entry in entries:  # 70x72 pixels: equal quarters average to the whole
        squares = np.mean([q["rmse"] ** 2 for q in entry["quadrants"]])
        assert entry["map_rmse"] == pytest.approx(np.sqrt(squares), rel=1e-6)


def test_the_inner_error_of_a_quadrant_leaves_out_what_is_near_another() -> None:
    level = NoiseLevel("", (0.01, 0.02, 0.03, 0.04)).map_of(100, 140)
    distance = np.minimum(abs(np.arange(100) - 49.5)[:, None], abs(np.arange(140) - 69.5))
    predicted = level + np.where(distance < 16, 0.005, 0.001)

    def restore(
        degraded: np.ndarray,
        kernel: np.ndarray | None = None,
        guidance: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        return degraded, predicted

    picture = np.full((100, 140), 0.5)
    case = Case("", picture.astype(np.float32), picture, level)
    suite = Suite("", "rgb", TASKS["denoise"].guidance, (lambda: case,), in_quadrants=True)
    target = Target(restore, "", "", "deblur", None, "")  # its maps mean noise levels too
    (example,) = measure(suite, target, PROTOCOLS["rgb"])
    for quadrant in example.measurement.quadrants:
        assert quadrant.inside_rmse == pytest.approx(0.001)
        assert 0.001 < quadrant.rmse < 0.005


def test_the_json_report_holds_what_repeats_the_evaluation(
    pairs: Path, data: Path, tmp_path: Path
) -> None:
    words = ("denoise", "--suite", "set12", "--data", data, "--noise", "15,25")
    first, again = (_figures(tmp_path, *words) for _ in range(2))
    digest = hashlib.sha256(bundled_path("denoise", "fast").read_bytes()).hexdigest()
    assert first["target"]["sha256"] == digest
    assert first["protocol"]["name"] == "rgb"
    assert first["settings"]["suite"] == "set12"
    assert first["settings"]["noise"] == [15, 25]
    assert first["versions"]["hyperguide"] == hyperguide.__version__
    assert first["versions"]["numpy"] == np.__version__
    assert [(e["name"], e["level"], e["seed"]) for e in first["pictures"]] == [
        ("01", "15/255", 0), ("02", "15/255", 0), ("01", "25/255", 0), ("02", "25/255", 0),
    ]  # fmt: skip
    for figures in (first, again):
        for entry in (*figures["pictures"], *figures["levels"]):
            assert entry.pop("seconds") >= 0
    assert first == again


def test_infinite_scores_are_null_in_json(pairs: Path, tmp_path: Path) -> None:
    for part in ("input", "target"):
        (tmp_path / "same" / part).mkdir(parents=True)
        picture = read_picture(pairs / "target" / "a.png")
        write_picture(tmp_path / "same" / part / "a.png", picture)
    figures = _figures(
        tmp_path, "input", "--suite", f"pairs:{tmp_path / 'same'}", "--protocol", "y-matlab"
    )
    assert figures["protocol"]["name"] == "y-matlab"
    assert figures["pictures"][0]["output"] == {"psnr": None, "ssim": 1.0}


def test_the_table_of_eval_shows_suite_protocol_and_a_row_for_each_level(data: Path) -> None:
    out = _eval("input", "--suite", "set12", "--data", data, "--noise", "15,50", "--limit", 1)
    assert "Set12" in out
    assert "rgb: float output clipped to [0, 1]" in out
    rows = [line.split() for line in out.splitlines() if "/255  " in line]
    assert [row[:2] for row in rows] == [["15/255", "1"], ["50/255", "1"]]
    assert 23 < float(rows[0][2]) < 26  # 24.6 dB, reduced by clipping
    assert rows[0][2:4] == rows[0][4:6]


def test_the_sheet_of_quadrants_shows_the_true_and_the_predicted_map(
    data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sheet.png"
    words = ("--suite", "levin", "--data", data, "--quadrants", "2,5,10,20")
    _eval("denoise-gray-fast", *words, "--sheet", path, "--limit", 1)
    sheet = read_picture(path)
    assert sheet.dtype == np.uint8
    # Title and caption are 50 pixels high; each column is a gap of 10 and a picture of 320.
    true, predicted = (sheet[50 : 50 + 311, x + 10 : x + 330].astype(int) for x in (330, 660))
    at = [(rows, columns) for rows in (80, 230) for columns in (80, 240)]
    colours = [tuple(true[rows, columns]) for rows, columns in at]
    assert len(set(colours)) == 4
    assert all(np.ptp(true[10:150, 10:150].reshape(-1, 3), axis=0) == 0)  # a flat square
    for rows, columns in at:
        window = predicted[rows - 40 : rows + 40, columns - 40 : columns + 40].mean((0, 1))
        distances = [np.abs(window - colour).sum() for colour in colours]
        assert np.argmin(distances) == at.index((rows, columns))
    _eval("input", *words[:-2], "--noise", "1", "--sheet", path, "--limit", 1, "--force")
    assert read_picture(path).shape[1] < sheet.shape[1]  # no predicted map, no column


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nowhere", "--suite", "set12"), "nothing to evaluate at nowhere"),
        (("no.onnx", "--suite", "set12"), "no model file no.onnx"),
        (("no.pth", "--suite", "set12"), "no weight file no.pth"),
        (("deblur", "--suite", "set12", "--tier", "none"), "No deblur model of the tier 'none'"),
        (("input", "--suite", "no"), "no suite 'no'"),
        (("derain", "--suite", "set12", "--told-noise", "5"), "derain takes no noise level"),
        (("denoise", "--suite", "pairs:DATA", "--told-noise", "5"), "of pairs does not exist"),
        (("denoise", "--suite", "levin", "--boundary", "valid"), "this target gets none"),
        (("input", "--suite", "set12", "--json", "no/f.json"), "The folder no for the output"),
        (("input", "--suite", "set12", "--sheet", "f.txt"), "no picture's suffix"),
        (("input", "--suite", "set12", "--json", "."), "is a folder"),
        (("input", "--suite", "set12", "--json", "a.png", "--sheet", "./a.png"), "give them two"),
        (("new.json", "--suite", "set12", "--json", "new.json"), "is what is measured"),
    ],
)
def test_eval_arguments_that_cannot_work_are_refused_in_a_sentence(
    data: Path, words: tuple[str, ...], sentence: str
) -> None:
    refused = _refused(*words, "--data", data)
    assert sentence in refused
    assert "\n" not in refused


@pytest.mark.parametrize(
    "words",
    [
        ("--noise", "a,b"),
        ("--noise", "-5"),
        ("--noise", "nan"),
        ("--quadrants", "1,2,3"),
        ("--protocol", "psnr"),
        ("--limit", "0"),
    ],
)
def test_wrong_usage_of_eval_exits_2(data: Path, words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(evaluate, ["input", "--suite", "set12", *words])
    assert result.exit_code == 2, result.output
    assert words[0] in result.output


def test_a_gray_run_refuses_colour(pairs: Path, denoiser: Preset, tmp_path: Path) -> None:
    _save_run(tmp_path / "gray", replace(denoiser, channels=1))
    sentence = _refused(tmp_path / "gray", "--suite", f"pairs:{pairs}")
    assert "takes gray pictures" in sentence


def test_results_are_not_overwritten_by_accident(data: Path, tmp_path: Path) -> None:
    words = ("input", "--suite", "set12", "--data", data, "--noise", "25")
    for option, name in (("--json", "f.json"), ("--sheet", "s.png")):
        path = tmp_path / name
        path.write_text("mine")
        assert "add --force" in _refused(*words, option, path)
        assert path.read_text() == "mine"
        _eval(*words, option, path, "--force")
        assert path.read_bytes() != b"mine"


def test_the_verb_prints_the_table_and_fails_in_one_sentence(
    quick_cli: Cli, data: Path, pairs: Path
) -> None:
    result = quick_cli("eval", "input", "--suite", "set12", "--data", data, "--noise", 25)
    assert result.code == 0, result.err
    assert "25/255         2" in result.out
    (pairs / "other" / "input").mkdir(parents=True)
    fails(
        quick_cli("eval", "input", "--suite", f"pairs:{pairs / 'other'}"),
        "no pairs",
        "other/target",
    )


@pytest.mark.skipif(
    "HYPERGUIDE_DATA" not in os.environ,
    reason="HYPERGUIDE_DATA is not set: give the folder of the research data",
)
class TestOnResearchData:
    """Known scores on the published sets."""

    def test_rain100l_scores_the_published_figures_of_its_input(self, tmp_path: Path) -> None:
        row = _figures(tmp_path, "input", "--suite", "rain100l")["levels"][0]
        assert row["pictures"] == 100
        assert row["input_psnr"] == pytest.approx(26.90, abs=0.01)
        assert row["input_ssim"] == pytest.approx(0.838, abs=0.001)

    def test_a_wiener_filter_reaches_its_figures_on_levin(self, tmp_path: Path) -> None:
        figures = _figures(tmp_path, "wiener", "--suite", "levin")
        psnr = [row["output_psnr"] for row in figures["levels"]]
        assert psnr == pytest.approx([30.48, 28.79, 27.72, 26.35, 25.46], abs=0.01)

    def test_levin_by_same_convolution_scores_higher_than_by_valid(self, tmp_path: Path) -> None:
        psnr = {
            boundary: _figures(
                *(tmp_path, "wiener", "--suite", "levin", "--noise", "1"),
                *("--boundary", boundary),
            )["levels"][0]["output_psnr"]
            for boundary in ("same", "valid")
        }
        assert psnr["same"] > psnr["valid"] + 0.3, psnr


def test_clean_pictures_score_how_little_is_changed(
    pairs: Path, denoiser: Preset, tmp_path: Path
) -> None:
    _save_run(tmp_path / "run", denoiser)
    suite = f"clean:{pairs / 'target'}"
    figures = _figures(tmp_path, tmp_path / "run", "--suite", suite)
    clean = read_picture(pairs / "target" / "a.png") / 255
    target = open_target(str(tmp_path / "run"), "fast", 1)
    restored, _ = target.restorer(clean.astype(np.float32))
    psnr = skimage.metrics.peak_signal_noise_ratio(clean, restored.clip(0, 1), data_range=1)
    assert figures["pictures"][0]["name"] == "a"
    assert figures["pictures"][0]["output"]["psnr"] == pytest.approx(psnr, abs=1e-4)
    assert figures["pictures"][0]["input"]["psnr"] is None  # the input was not degraded
