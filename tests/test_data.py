"""Batches depend only on seed and number; unreadable pictures; memory."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import write_picture
from hyperguide.training.data.batches import open_data
from made_data import (
    STAGE,
    STREAMS,
    damage,
    damaged_photos,
    drawn_names,
    equal,
    fill,
    make_pairs,
    noise_picture,
    numbers,
    small_preset,
    tensors,
)


@pytest.mark.parametrize("task", ["denoise", "derain", "dehaze", "deblur"])
def test_a_batch_depends_on_seed_stream_and_number_alone(task: str, photos: Path) -> None:
    data, again = (open_data(small_preset(task), [photos]) for _ in range(2))
    draws = [(stream, number) for stream in STREAMS for number in (0, 7, 8)]
    first = {draw: data.draw(*draw, STAGE, seed=3) for draw in draws}
    torch.manual_seed(99)  # the global generator has no influence
    for draw in reversed(draws):
        assert equal(first[draw], again.draw(*draw, STAGE, seed=3))
    others = [first[draw] for draw in draws] + [data.draw("hyper", 0, STAGE, seed=4)]
    for i, batch in enumerate(others):
        assert not any(torch.equal(batch.sample.degraded, o.sample.degraded) for o in others[:i])


def test_samples_of_a_batch_do_not_depend_on_its_size(photos: Path) -> None:
    data = open_data(small_preset(), [photos])
    small = data.draw("train", 5, STAGE, seed=0).sample
    large = data.draw("train", 5, replace(STAGE, batch=6), seed=0).sample
    assert torch.equal(large.degraded[:4], small.degraded)


@pytest.mark.parametrize("task", ["denoise", "deblur"])
def test_the_shards_of_the_processes_together_are_the_batch(task: str, photos: Path) -> None:
    data = open_data(small_preset(task), [photos])
    whole = data.draw("train", 2, STAGE, seed=1)
    shards = [data.draw("train", 2, STAGE, 1, shard=(rank, 2)) for rank in (0, 1)]
    for tensor, *parts in zip(*map(tensors, (whole, *shards)), strict=True):
        assert torch.equal(tensor, torch.cat(parts))
    assert whole.names == shards[0].names + shards[1].names
    with pytest.raises(HyperguideError, match="batch of 4 does not divide into 3 processes"):
        data.draw("train", 2, STAGE, 1, shard=(0, 3))


def test_unreadable_pictures_are_named_once_and_skipped(tmp_path: Path) -> None:
    folder = damaged_photos(tmp_path)
    data = open_data(small_preset(), [folder])
    batches = [data.draw("train", n, STAGE, 0) for n in range(40)]
    said = [sentence for batch in batches for sentence in batch.skipped]
    paths = [str(folder / name) for name in ("17.png", "3.png")]
    assert [path for path in paths if sum(path in s for s in said) == 1] == paths
    assert len(said) == 2
    assert not {"3.png", "17.png"} & {name for batch in batches for name in batch.names}
    assert {len(batch.names) for batch in batches} == {4}
    # The batches are the same, whether or not the damage is already known.
    fresh = open_data(small_preset(), [folder])
    for number in (30, 2):
        assert equal(fresh.draw("train", number, STAGE, 0), batches[number])


def test_pairs_that_do_not_fit_are_skipped_in_the_middle_of_a_run(tmp_path: Path) -> None:
    make_pairs(tmp_path, [f"{i}.png" for i in range(9)])
    write_picture(tmp_path / "target" / "5.png", noise_picture(0, 20, 32))
    data = open_data(small_preset(), [tmp_path])
    assert drawn_names(data, "train") == {f"{i}.png" for i in range(8)} - {"5.png"}
    assert len(data.photos.skipped) == 1
    assert "5.png is 32x24 pixels, but 5.png is 32x20" in data.photos.skipped[0]


def test_the_outer_problem_may_have_its_own_degradation(photos: Path) -> None:
    preset = small_preset(degradation={"clean": 1.0}, outer_degradation={"clean": 0.0})
    data = open_data(preset, [photos])
    for stream in STREAMS:
        sample = data.draw(stream, 0, STAGE, seed=0).sample
        assert bool(sample.guidance.any()) == (stream == "train")


def test_more_than_five_percent_unreadable_ends_the_run(tmp_path: Path) -> None:
    folder = damaged_photos(tmp_path)
    damage(folder / "20.png")
    data = open_data(small_preset(), [folder])
    with pytest.raises(HyperguideError) as error:
        drawn_names(data, "train")
    assert "3 files of 41 pictures cannot be used" in str(error.value)
    assert data.photos.skipped[0] in str(error.value)


def test_pictures_with_nan_are_skipped(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", numbers(3))
    write_picture(folder / "0.tif", np.full((24, 32, 3), np.nan, np.float32))
    data = open_data(small_preset(), [folder])
    assert drawn_names(data, "train") == {"1.png", "2.png"}
    assert "0.tif contains NaN" in data.photos.skipped[0]


def test_one_of_few_photos_may_be_unreadable_but_not_the_only_one(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", numbers(3))
    damage(folder / "1.png")
    assert drawn_names(open_data(small_preset(), [folder]), "train") == {"2.png"}
    (folder / "2.png").unlink()
    with pytest.raises(HyperguideError, match="1 files of 2 pictures cannot be used"):
        drawn_names(open_data(small_preset(), [folder]), "train")


def test_the_cache_of_decoded_pictures_keeps_the_latest_used_within_its_bound(
    tmp_path: Path,
) -> None:
    size = 24 * 32 * 3
    data = open_data(small_preset(), [fill(tmp_path, numbers(6))], cache_bytes=3 * size + 10)
    photos, scenes = data.photos, data.train
    for i in (0, 1, 2, 0, 3):
        photos.read(scenes[i])
        assert photos.size <= photos.bound
    assert photos.size == 3 * size
    for path in tmp_path.iterdir():
        path.unlink()
    assert photos.read(scenes[1]) is None  # the least recently used one was dropped
    assert all(photos.read(scenes[i]) is not None for i in (0, 2, 3))


def test_batches_do_not_depend_on_the_size_of_the_cache(photos: Path) -> None:
    plenty, none = (open_data(small_preset(), [photos], cache_bytes=b) for b in (1 << 30, 0))
    for number in range(4):
        assert equal(plenty.draw("train", number, STAGE, 0), none.draw("train", number, STAGE, 0))
    assert none.photos.size == 0


@pytest.mark.parametrize("shared", [True, False])
def test_workers_share_the_cache_of_decoded_pictures_or_divide_its_size(
    photos: Path, shared: bool
) -> None:
    size = 4 * 256 * 256 * 3
    data = open_data(small_preset(), [photos], cache_bytes=size if shared else size - 1)
    data.decode_all()
    data.photos.share_bound(2)  # as in a forked worker
    assert data.photos.bound == (size if shared else (size - 1) // 2)
    assert data.photos.size == (size if shared else size // 4)


def test_spawned_workers_decode_for_themselves(photos: Path) -> None:
    data = open_data(small_preset(), [photos])
    data.decode_all()
    copy = pickle.loads(pickle.dumps(data))
    assert copy.photos.size == 0
    assert equal(copy.draw("train", 0, STAGE, 0), data.draw("train", 0, STAGE, 0))
