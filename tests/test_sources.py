"""What --data folders hold: layouts, pairs, the split, and what is refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import encode_map, write_picture
from hyperguide.tasks import find_task
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.scenes import Scene, split_held_out
from hyperguide.training.data.sources import find_scenes
from hyperguide.training.losses import luma
from hyperguide.training.preset import Stage
from made_data import (
    STAGE,
    STREAMS,
    drawn_names,
    fill,
    make_pairs,
    noise_picture,
    numbers,
    small_preset,
)

_FOLDER = os.environ.get("HYPERGUIDE_DATA")
research = pytest.mark.skipif(
    not _FOLDER, reason="HYPERGUIDE_DATA is not set: give the folder of the research data"
)


def test_photos_are_searched_in_subfolders_and_clean_is_preferred(tmp_path: Path) -> None:
    folder = fill(tmp_path, ["b/1.png", "a/2.jpg", "a/notes.webp"])
    names = [scene.photo.name for scene in find_scenes([folder], "denoise")]
    assert names == ["2.jpg", "notes.webp", "1.png"]
    fill(tmp_path, ["clean/7.png"])
    assert [s.photo.name for s in find_scenes([folder], "denoise")] == ["7.png"]


def test_rgb_and_depth_are_photos_with_their_depth(tmp_path: Path) -> None:
    fill(tmp_path / "rgb", numbers(3))
    (tmp_path / "depth").mkdir()
    for name in numbers(3):
        write_picture(tmp_path / "depth" / name, np.full((24, 32), 100, np.uint8))
    haze = open_data(small_preset("dehaze", degradation={"invented": 0.0}), [tmp_path])
    assert haze.draw("hyper", 0, STAGE, 0).sample.guidance.unique().tolist() == [1]
    assert all(s.guidance is None for s in find_scenes([tmp_path], "derain"))


def test_the_frame_of_photos_with_depth_is_never_seen(tmp_path: Path) -> None:
    photo, depth = np.full((24, 32, 3), 255, np.uint8), np.full((24, 32), 200, np.uint8)
    photo[3:-3, 3:-3] = 50
    depth[3:-3, 3:-3] = 100
    for folder, picture in (("rgb", photo), ("depth", depth)):
        (tmp_path / folder).mkdir()
        for name in numbers(3):
            write_picture(tmp_path / folder / name, picture)
    stage = Stage(1.0, crop=16, batch=4, least_share=0.9)
    seen = {}
    for frame in (0, 3):
        preset = small_preset("dehaze", degradation={"invented": 0.0, "frame": frame})
        data = open_data(preset, [tmp_path])
        samples = [data.draw("hyper", i, stage, 0).sample for i in range(4)]
        seen[frame] = max(float(sample.clean.max()) for sample in samples)
        nearest = max(float(sample.guidance.min()) for sample in samples)
        assert nearest == pytest.approx(1 if frame else 0.5, abs=0.003)
    assert seen == {0: 1, 3: pytest.approx(50 / 255)}
    with pytest.raises(HyperguideError, match="frame must be from 0 to 4096, not -1"):
        open_data(small_preset("dehaze", degradation={"frame": -1}), [tmp_path])


def test_pairs_bring_the_observation_itself(tmp_path: Path) -> None:
    data = open_data(small_preset("denoise"), [make_pairs(tmp_path)])
    for number in range(5):
        for stream in STREAMS:
            batch = data.draw(stream, number, STAGE, seed=0)
            difference = batch.sample.degraded - batch.sample.clean
            torch.testing.assert_close(difference, torch.full_like(difference, 10 / 255))
            assert all(batch.mapped)
    assert data.record()["pairs"] == 3


def test_pairs_are_reduced_by_area(tmp_path: Path) -> None:
    data = open_data(small_preset(), [make_pairs(tmp_path)])
    sample = data.draw("train", 0, Stage(1.0, crop=4, batch=2, reduce=4), 0).sample
    assert sample.clean.shape == (2, 3, 4, 4)
    assert float(sample.clean.std()) < 0.08  # means of 16 pixels; single ones have 0.14


def test_pairs_match_by_name_whatever_the_suffix_and_subfolder(tmp_path: Path) -> None:
    fill(tmp_path / "input", ["s/1.png", "s/2.jpg", "3.bmp"])
    fill(tmp_path / "target", ["s/1.tif", "s/2.png", "3.png", "unused.png"])
    scenes = find_scenes([tmp_path], "denoise")
    assert {(s.name, s.photo.name) for s in scenes} == {
        ("1.png", "1.tif"),
        ("2.jpg", "2.png"),
        ("3.bmp", "3.png"),
    }


def test_pictures_of_the_map_span_the_range_of_the_task(tmp_path: Path) -> None:
    meaning = find_task("denoise").guidance
    ramp = np.linspace(0, meaning.maximum, 32, dtype=np.float32) * np.ones((24, 1), np.float32)
    make_pairs(tmp_path)
    (tmp_path / "guidance").mkdir()
    write_picture(tmp_path / "guidance" / "a.png", encode_map(ramp, meaning))
    write_picture(tmp_path / "guidance" / "b.png", np.full((24, 32), 51, np.uint8))
    for name in "cd":
        write_picture(tmp_path / "guidance" / f"{name}.tif", np.full((24, 32), 0.25, np.float32))
    data = open_data(small_preset(), [tmp_path])
    for number in range(10):
        batch = data.draw("hyper", number, replace(STAGE, batch=1), 0)
        guidance = batch.sample.guidance[0, 0].numpy()
        if batch.names == ("a.png",):
            steps = np.abs(np.diff(guidance, axis=1))
            np.testing.assert_allclose(steps, meaning.maximum / 31, atol=1e-5)
        else:
            expected = meaning.maximum / 5 if batch.names == ("b.png",) else 0.25
            np.testing.assert_allclose(guidance, expected, atol=1e-5)
    assert data.record()["guidance"]["source"] == "pictures"


def test_where_some_pairs_have_maps_only_those_train_the_hyper_network(tmp_path: Path) -> None:
    names = [f"{letter}.png" for letter in "abcdef"]
    make_pairs(tmp_path, names)
    (tmp_path / "guidance").mkdir()
    for name in ("b.png", "d.png"):
        write_picture(tmp_path / "guidance" / name, np.full((24, 32), 255, np.uint8))
    data = open_data(small_preset(), [tmp_path])
    assert drawn_names(data, "hyper") == drawn_names(data, "probe") == {"b.png", "d.png"}
    assert drawn_names(data, "train") == set(names[:-1])
    batch = data.draw("train", 0, replace(STAGE, batch=16), 0)
    assert batch.mapped == tuple(name in ("b.png", "d.png") for name in batch.names)
    assert [float(m.max()) > 0 for m in batch.sample.guidance] == list(batch.mapped)
    assert data.draw("held_out", 0, STAGE, 0).mapped == (False,) * 4
    assert data.record()["guidance"]["pictures"] == 2


def test_reside_pairs_by_the_number_before_the_underscore(tmp_path: Path) -> None:
    fill(tmp_path / "hazy", [f"{i}_{k}_0.9.png" for i in (1, 2, 10) for k in (1, 2)])
    fill(tmp_path / "gt", ["1.png", "2.png", "10.png"])
    scenes = find_scenes([tmp_path], "dehaze")
    pairs = {(s.name.split("_")[0], s.photo.stem) for s in scenes}
    assert pairs == {("1", "1"), ("2", "2"), ("10", "10")}
    assert {s.map_source for s in scenes} == {"pair"}
    train, held_out = split_held_out(scenes, 0.05)
    assert {s.photo.stem for s in held_out} == {"10"}
    assert not {s.photo for s in train} & {s.photo for s in held_out}
    for name in ("1.png", "2.png", "10.png"):
        (tmp_path / "depth").mkdir(exist_ok=True)
        write_picture(tmp_path / "depth" / name, np.full((24, 32), 7, np.uint8))
    data = open_data(small_preset("dehaze"), [tmp_path])
    assert data.draw("hyper", 0, STAGE, 0).sample.guidance.unique().tolist() == [1]
    with pytest.raises(HyperguideError, match="holds pairs to dehaze, not to derain"):
        open_data(small_preset("derain"), [tmp_path])


@pytest.mark.parametrize("places", [("", "", ""), ("rainy/", "norain/", ""), ("rainy/", "", "")])
def test_rain_pairs_by_number_with_their_regions(
    tmp_path: Path, places: tuple[str, str, str]
) -> None:
    rainy, clean, region = places
    for i in range(1, 5):
        photo = noise_picture(i) // 2
        mask = np.zeros((24, 32), np.uint8)
        mask[:, :16] = (1, 90, 255)[i % 3]  # masks are stored in different ways
        rain = photo + np.minimum(mask, 1)[..., None] * 100
        for name, picture in (
            (f"{rainy}rain-{i:03}.png", rain),
            (f"{clean}norain-{i:03}.png", photo),
            (f"{region}rainregion-{i:03}.png", mask),
        ):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            write_picture(tmp_path / name, picture)
    data = open_data(small_preset("derain"), [tmp_path])
    sample = data.draw("hyper", 0, replace(STAGE, batch=16), 0).sample
    rain_there = (sample.degraded - sample.clean).amax(1, keepdim=True) > 50 / 255
    assert torch.equal(sample.guidance, rain_there.float())
    assert data.record()["guidance"] == {
        "source": "pictures",
        "rule": "not zero in the rain",
        "pictures": 3,
    }


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    """Streak layers and the photos that they belong to."""
    fill(tmp_path / "bsds500" / "test", numbers(5))
    folder = tmp_path / "rain100l"
    (folder / "train").mkdir(parents=True)
    for i in range(1, 6):
        layer = np.random.default_rng(i).integers(0, 12, (24, 32)).astype(np.uint8)
        layer[5] = 200
        write_picture(folder / "train" / f"streak-{i}.png", layer)
    listing = {"train": {str(i): f"test/{6 - i}.png" for i in range(1, 6)}, "test": {"1": "x"}}
    (folder / "backgrounds.json").write_text(json.dumps(listing))
    return folder


def test_streak_layers_with_backgrounds_make_pairs(layers: Path) -> None:
    data = open_data(small_preset("derain"), [layers])
    scene = data.train[0]
    assert (scene.layer, scene.photo.name) == (layers / "train" / "streak-1.png", "5.png")
    planes = data.photos.read(scene)
    assert planes is not None
    clean = skimage.io.imread(scene.photo).astype(int)
    layer = skimage.io.imread(layers / "train" / "streak-1.png").astype(int)
    np.testing.assert_array_equal(planes.degraded, np.minimum(clean + layer[..., None], 255))
    np.testing.assert_array_equal(planes.guidance, (layer > 5) * 255)
    assert data.record()["guidance"]["tau"] == 5 / 255


def test_a_photo_is_held_out_from_all_sources_at_once(
    layers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(layers)
    photos = Path("..", "bsds500")
    for folders in ([layers, photos], [photos, layers]):
        data = open_data(small_preset("derain"), folders)
        assert len(data.train) + len(data.held_out) == 10
        train, held_out = ({s.photo.resolve() for s in d} for d in (data.train, data.held_out))
        assert not train & held_out


def test_held_out_photos_are_the_last_and_never_in_training() -> None:
    scenes = [Scene(Path(folder) / f"{i}.png") for folder in "ab" for i in range(40)]
    train, held_out = split_held_out(scenes, 0.05)
    assert [s.photo.name for s in held_out] == ["38.png", "39.png"] * 2
    assert not set(train) & set(held_out)
    assert len(train) + len(held_out) == len(scenes)


def test_repeated_and_nested_folders_count_once(tmp_path: Path) -> None:
    inner = fill(tmp_path / "all" / "inner", numbers(3))
    fill(tmp_path / "all", ["other.png"])
    once = find_scenes([inner], "denoise")
    told: list[str] = []
    again = find_scenes([inner, inner, inner.parent / "inner"], "denoise", tell=told.append)
    assert again == once
    assert told[0] == f"3 photos in {inner}, degraded on the fly"
    assert told[1].endswith("; 3 of them are there already and count once")
    nested = find_scenes([inner, inner.parent], "denoise")
    assert len({scene.photo.resolve() for scene in nested}) == len(nested) == 4


def test_sources_mix_in_proportion_to_their_pictures(tmp_path: Path) -> None:
    fill(tmp_path / "photos", numbers(31, "photo{}.png"))
    make_pairs(tmp_path / "pairs", [f"pair{i}.png" for i in range(11)])
    data = open_data(small_preset(), [tmp_path / "photos", tmp_path / "pairs"])
    assert len(data.train) == 29 + 10
    stage = replace(STAGE, crop=4, batch=200)
    names = [name for n in range(5) for name in data.draw("train", n, stage, 0).names]
    kinds = Counter(name[:4] for name in names)
    assert abs(kinds["pair"] / 1000 - 10 / 39) < 0.05
    parts = data.record()["guidance"]["parts"]
    assert [(p["source"], p["pictures"]) for p in parts] == [("synthetic", 29), ("derived", 10)]


def _one_pair_less(folder: Path) -> None:
    make_pairs(folder)
    (folder / "target" / "b.png").unlink()
    (folder / "target" / "d.png").unlink()


def _unknown_guidance(folder: Path) -> None:
    make_pairs(folder)
    fill(folder / "guidance", ["a.png", "z.png"])


def _input_alone(folder: Path) -> None:
    fill(folder / "input", ["1.png"])


def _other_size(folder: Path) -> None:
    make_pairs(folder)
    write_picture(folder / "target" / "a.png", noise_picture(0, 24, 31))


def _map_of_other_size(folder: Path) -> None:
    make_pairs(folder)
    (folder / "guidance").mkdir()
    write_picture(folder / "guidance" / "b.png", np.zeros((12, 16), np.uint8))


def _twins(folder: Path) -> None:
    make_pairs(folder)
    write_picture(folder / "target" / "a.jpg", noise_picture(0))


def _empty(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "readme.txt").write_text("nothing")


def _layers_without_photos(folder: Path) -> None:
    fill(folder / "train", ["streak-1.png"])
    (folder / "backgrounds.json").write_text('{"train": {"1": "test/1.png"}}')


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_one_pair_less, ["2 of 4 inputs", "no target", "the first is b.png"]),
        (_unknown_guidance, ["1 of 2 guidance pictures", "the first is z.png"]),
        (_input_alone, ["1 of 1 inputs", "no target"]),
        (_other_size, ["input/a.png is 32x24 pixels", "a.png is 31x24"]),
        (_map_of_other_size, ["guidance/b.png is 16x12 pixels"]),
        (_twins, ["a.jpg and a.png", "the same name"]),
        (_empty, ["holds no photos"]),
        (_layers_without_photos, ["1 of 1 streak layers", "streak-1", "bsds500"]),
    ],
)
def test_folders_that_cannot_be_used_are_refused_before_training(
    tmp_path: Path, make: object, words: list[str]
) -> None:
    make(tmp_path / "data")  # type: ignore[operator]
    with pytest.raises(HyperguideError) as error:
        open_data(small_preset("derain"), [tmp_path / "data"])
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_the_fingerprint_of_the_data_names_what_it_is_made_of(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    before = open_data(small_preset(), [tmp_path]).fingerprint
    assert open_data(small_preset(), [tmp_path]).fingerprint == before
    (tmp_path / "guidance").mkdir()
    write_picture(tmp_path / "guidance" / "a.png", np.zeros((24, 32), np.uint8))
    assert open_data(small_preset(), [tmp_path]).fingerprint != before


def test_the_data_record_of_a_run_is_plain_and_names_no_path(photos: Path, tmp_path: Path) -> None:
    data = open_data(small_preset(), [photos, make_pairs(tmp_path)], description="mine")
    text = json.dumps(data.record())
    assert "mine" in text
    assert str(tmp_path) not in text
    assert str(photos) not in text


def test_gray_presets_draw_the_luma(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    color, gray = (open_data(small_preset(channels=c), [tmp_path]) for c in (3, 1))
    batches = [data.draw("train", 0, STAGE, 0).sample for data in (color, gray)]
    assert torch.equal(batches[1].clean, luma(batches[0].clean))
    assert torch.equal(batches[1].degraded, luma(batches[0].degraded))


@research
def test_rain100l_is_found_with_all_its_pairs() -> None:
    scenes = find_scenes([Path(_FOLDER or ".") / "rain100l"], "derain")
    assert len(scenes) == 200
    assert len({scene.photo for scene in scenes}) == 200
