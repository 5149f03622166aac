"""Models record their training photos, and evaluations look up test pictures among them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import skimage.color
import skimage.data
import skimage.transform

from conftest import Cli, fails
from hyperguide.model_format.model_file import read_model_file
from hyperguide.picture_files import read_picture, write_picture
from hyperguide.training.checkpoint import load_run
from hyperguide.training.data.batches import Data
from hyperguide.training.seen_photos import MOST, NOTHING, UNKNOWN, SeenPhotos, hash_photo
from made_runs import make_run, silent

# Changes after which a photo still counts as the same.
_WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "16 bits": lambda photo: photo.astype(np.uint16) * 257,
    "floats": lambda photo: photo.astype(np.float32) / 255,
    "gray": lambda photo: np.rint(skimage.color.rgb2gray(photo) * 255).astype(np.uint8),
    "half the size": lambda photo: skimage.transform.resize(
        photo, (photo.shape[0] // 2, photo.shape[1] // 2), anti_aliasing=True
    ).astype(np.float32),
    "mirrored": lambda photo: photo[:, ::-1],
}


def _photos() -> list[np.ndarray]:
    return [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]


def _others() -> list[np.ndarray]:
    pictures = [skimage.data.rocket(), skimage.data.camera(), skimage.data.coins()]
    return [*pictures, np.full((40, 40, 3), 127, np.uint8)]


@pytest.mark.parametrize("way", _WAYS)
def test_a_photo_is_found_whatever_it_is_stored_as(way: str) -> None:
    seen = SeenPhotos.of(_photos(), 3)
    assert all(seen.holds(_WAYS[way](photo)) for photo in _photos())
    assert not any(seen.holds(photo) for photo in _others())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp", ".jpg"])
def test_a_photo_is_found_in_every_kind_of_file(suffix: str, tmp_path: Path) -> None:
    seen = SeenPhotos.of(_photos(), 3)
    for photo in _photos():
        options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
        PIL.Image.fromarray(photo).save(tmp_path / f"photo{suffix}", **options)
        assert seen.holds(read_picture(tmp_path / f"photo{suffix}"))


def test_a_photos_hash_is_the_order_of_neighbours_on_a_coarse_grid() -> None:
    cells = np.random.default_rng(0).permutation(17 * 8).reshape(8, 17).astype(np.uint8)
    picture = np.kron(cells, np.ones((5, 3), np.uint8))  # each cell covers many pixels
    bits = "".join("01"[int(row[i + 1] > row[i])] for row in cells for i in range(16))
    assert hash_photo(picture) == int(bits, 2).to_bytes(16, "big")
    assert hash_photo(np.full((30, 30), 7, np.uint8)) is None


def test_records_are_read_back_and_damaged_ones_say_nothing() -> None:
    seen = SeenPhotos.of(_photos(), 3)
    record = json.loads(json.dumps(seen.to_record()))
    assert SeenPhotos.from_record(record) == seen
    for strange in (
        None,
        [],
        {},
        record | {"hashes": "&"},
        record | {"hashes": "AAAA"},
        record | {"hashes": 7},
        record | {"photos": -1},
        record | {"photos": True},
        record | {"complete": 1},
        record | {"hashes": record["hashes"] * MOST},
        record | {"hashes": "é"},
    ):
        assert SeenPhotos.from_record(strange) == UNKNOWN


def test_a_record_of_very_many_photos_keeps_a_sample() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (8, 17), np.uint8) for _ in range(MOST + 500)]
    seen = SeenPhotos.of(pictures, len(pictures))
    assert len(seen.hashes) == MOST
    assert not seen.on_record
    assert len(json.dumps(seen.to_record())) < 45_000
    found = sum(map(seen.holds, pictures))
    assert MOST <= found < len(pictures)


def test_seen_photos_of_the_starting_weights_are_added() -> None:
    first, second = SeenPhotos.of(_photos()[:2], 2), SeenPhotos.of(_photos()[1:], 2)
    both = first.with_those_of(second)
    assert all(map(both.holds, _photos()))
    assert both.photos == 3
    assert both.on_record
    assert not first.with_those_of(UNKNOWN).on_record
    assert first.with_those_of(NOTHING) == first


def test_a_run_keeps_its_photos_and_those_of_its_start(
    quick_cli: Cli, photos: Path, run_folder: Path, tmp_path: Path
) -> None:
    seen = load_run(run_folder).record.seen
    assert seen.photos == len(seen.hashes) == 4
    assert all(seen.holds(read_picture(path)) for path in photos.iterdir())
    others = tmp_path / "others"
    others.mkdir()
    for i, picture in enumerate(_others()[:3]):
        write_picture(others / f"{i}.png", picture)
    result = quick_cli(
        *("train", "denoise", "--data", others, "--out", tmp_path / "run"),
        *("--init-from", run_folder, "--steps", 1, "--warmup", 1),
    )
    assert result.code == 0, result.err
    later = load_run(tmp_path / "run").record.seen
    paths = [*photos.iterdir(), *others.iterdir()]
    assert all(later.holds(read_picture(path)) for path in paths)


def test_a_resumed_run_keeps_its_seen_photos(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(photos, tmp_path, steps=2).train(silent)
    before = load_run(tmp_path).record.seen
    run = make_run(photos, tmp_path, steps=2)
    with monkeypatch.context() as patch:
        patch.setattr(Data, "seen", property(lambda data: pytest.fail("photos are hashed again")))
        run.resume()
    assert run.seen == before


def test_an_evaluation_counts_the_pictures_that_were_seen(
    quick_cli: Cli, exported: Path, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "test"
    folder.mkdir()
    shutil.copy(photos / "0.png", folder)
    write_picture(folder / "gray.png", read_picture(photos / "1.png").mean(2).astype(np.uint8))
    write_picture(folder / "new.png", skimage.data.camera()[:200, :200])
    out = tmp_path / "figures.json"
    result = quick_cli("eval", exported, "--suite", f"clean:{folder}", "--json", out)
    assert "2 of 3 test pictures are among its training photos" in result.out
    found = json.loads(out.read_text())
    assert found["contamination"] == {"pictures": 3, "seen": 2, "complete": True}
    assert {p["name"]: p["seen"] for p in found["pictures"]} == {
        "0": True,
        "gray": True,
        "new": False,
    }
    result = quick_cli("eval", "input", "--suite", f"clean:{folder}")
    assert "0 of 3 test pictures" in result.out


def test_a_contaminated_result_is_recorded_only_on_request(
    quick_cli: Cli, model_copy: Path, photos: Path
) -> None:
    words = ("eval", model_copy, "--suite", f"clean:{photos}", "--record")
    before = model_copy.read_bytes()
    result = quick_cli(*words)
    fails(result, "4 of 4 test pictures", "--accept-contamination")
    assert "SSIM" in result.out  # shown without measuring again
    assert model_copy.read_bytes() == before
    result = quick_cli(*words, "--accept-contamination")
    assert result.code == 0, result.err
    (kept,) = (v for k, v in read_model_file(model_copy).info.quality.items() if "clean" in k)
    assert kept["seen_in_training"] == 4


def test_a_result_without_seen_pictures_records_none(
    quick_cli: Cli, model_copy: Path, tmp_path: Path
) -> None:
    (tmp_path / "clean").mkdir()
    write_picture(tmp_path / "clean" / "new.png", skimage.data.camera()[:200, :200])
    words = ("eval", model_copy, "--suite", f"clean:{tmp_path / 'clean'}", "--record")
    assert quick_cli(*words).code == 0
    assert read_model_file(model_copy).info.quality["clean clean"]["seen_in_training"] == 0
