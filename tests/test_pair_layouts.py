"""Which folders are recognised as pairs by name or refused, and what is reported of each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.training.data.pairs import find_pairs
from hyperguide.training.data.roles import role_of
from hyperguide.training.data.scenes import Scene, split_held_out
from hyperguide.training.data.sources import find_scenes
from made_data import fill, make_pairs, numbers

_CASES = Path(os.environ.get("HYPERGUIDE_DATA", "nowhere")).parent / "cases"


def _found(folder: Path, task: str = "denoise") -> tuple[list[tuple[str, str]], str]:
    """(degraded, clean) as paths in the folder, and the reported sentence."""
    told: list[str] = []
    scenes = find_scenes([folder], task, tell=told.append)
    assert len(told) == 1
    assert "\n" not in told[0]
    paths = [
        (str((s.degraded or Path("/")).relative_to(folder)), str(s.photo.relative_to(folder)))
        for s in scenes
        if s.is_pair
    ]
    return paths, told[0]


@pytest.mark.parametrize(
    ("degraded", "clean"),
    [
        ("input", "target"),
        ("lq", "gt"),
        ("LQ", "GT"),
        ("Input", "Target"),
        ("inputs", "targets"),
        ("noisy", "clean"),
        ("hazy", "clear"),
        ("haze", "GT"),
        ("rain", "norain"),
        ("rainy_image", "ground_truth"),
        ("data", "gt"),
        ("blur", "sharp"),
        ("LR", "HR"),
        ("low", "high"),
        ("train_blur", "train_sharp"),
        ("0001_NOISY_SRGB", "0001_GT_SRGB"),
        ("NoisyImages", "GroundTruth"),
        ("train/input", "train/target"),
        ("Rain13K/train/input", "Rain13K/train/target"),
    ],
)
def test_folders_are_pairs_by_names_that_people_give_them(
    degraded: str, clean: str, tmp_path: Path
) -> None:
    names = numbers(4)
    fill(tmp_path, [f"{folder}/{name}" for folder in (degraded, clean) for name in names])
    task = {"rain": "derain", "haze": "dehaze", "hazy": "dehaze", "blur": "deblur"}.get(
        next((word for word in ("blur", "rain", "haze", "hazy") if word in degraded), ""), "denoise"
    )
    if task == "deblur":  # where every pair needs a kernel
        with pytest.raises(HyperguideError, match="4 of 4 inputs"):
            find_scenes([tmp_path], "deblur")
        return
    pairs, sentence = _found(tmp_path, task)
    assert pairs == [(f"{degraded}/{name}", f"{clean}/{name}") for name in names]
    first = f"degraded {degraded}/1.png, clean {clean}/1.png and so on"
    assert sentence == f"4 pairs in {tmp_path}: {first}"


@pytest.mark.parametrize(
    ("degraded", "clean"),
    [
        ("x_1_real.jpg", "x_1_mean.jpg"),  # PolyU
        ("0001_NOISY_SRGB_010.png", "0001_GT_SRGB_010.png"),  # SIDD
        ("01_hazy.png", "01_GT.png"),  # NH-HAZE
        ("norain-1.png", "rain-1.png"),
        ("hazy/01_outdoor_hazy.jpg", "GT/01_outdoor_GT.jpg"),  # O-HAZE
        ("data/0_rain.png", "gt/0_clean.png"),  # RainDrop
        ("blur/blur_1.png", "gt/gt_1.png"),  # RealBlur
        ("hazy/0001_0.8_0.2.jpg", "clear/0001.png"),  # RESIDE
        ("rainy_image/901_14.jpg", "ground_truth/901.jpg"),  # Rain1400
        ("scene7/noisy.png", "scene7/gt.png"),
        ("GOPR01/blurry/000047.png", "GOPR01/sharp/000047.png"),  # GoPro, one sequence
    ],
)
def test_files_are_pairs_by_the_words_of_their_names(
    degraded: str, clean: str, tmp_path: Path
) -> None:
    if degraded == "norain-1.png":
        degraded, clean = clean, degraded
    fill(tmp_path, [degraded, clean])
    found = find_pairs(tmp_path, None)
    assert found is not None
    (scene,) = found.scenes
    assert scene.degraded == tmp_path / degraded
    assert scene.photo == tmp_path / clean
    assert not found.unused


def test_sequences_and_scenes_bring_pairs_each_and_others_are_told(tmp_path: Path) -> None:
    for scene in ("s1", "s2"):
        for folder in ("noisy", "clean", "noisy_gamma"):
            fill(tmp_path, [f"{scene}/{folder}/{name}" for name in numbers(3)])
    pairs, sentence = _found(tmp_path)
    assert len(pairs) == 6
    assert not any("gamma" in degraded for degraded, _ in pairs)
    assert sentence.startswith(f"6 pairs in {tmp_path}: ")
    assert sentence.endswith("; 6 other pictures are left out (in s1/noisy_gamma, s2/noisy_gamma)")


def test_the_folder_found_is_told_in_one_line_that_any_terminal_shows(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/a\nb\x1b[31m\xe9")
    fill(Path(odd), numbers(2))
    told = _found(Path(odd))[1]
    assert told.endswith(r"/a\nb\x1b[31m\xe9, degraded on the fly")
    told.encode()


def test_photos_are_counted_in_a_sentence(tmp_path: Path) -> None:
    fill(tmp_path, ["a/1.png", "b/2.png"])
    assert _found(tmp_path) == ([], f"2 photos in {tmp_path}, degraded on the fly")
    fill(tmp_path, ["clean/9.png"])
    sentence = (
        f"1 photo in {tmp_path}, degraded on the fly; 2 other pictures are left out (in a, b)"
    )
    assert _found(tmp_path) == ([], sentence)
    fill(tmp_path / "nyu", ["rgb/1.png", "depth/1.png"])
    told = f"1 photo with depth in {tmp_path / 'nyu'}, degraded on the fly"
    assert _found(tmp_path / "nyu", "dehaze") == ([], told)


def test_whole_folders_are_held_out_where_every_photo_has_one() -> None:
    scenes = [Scene(Path(f"{i}") / "gt.png") for i in range(40)]
    train, held_out = split_held_out(scenes, 0.05)
    assert [scene.photo.parent.name for scene in held_out] == ["38", "39"]
    assert len(train) == 38


def _siblings(folder: Path) -> None:
    fill(folder, [f"{side}/{name}" for side in ("first", "second") for name in numbers(4)])


def _siblings_deep_inside(folder: Path) -> None:
    _siblings(folder / "some" / "where")


def _most_names_equal(folder: Path) -> None:
    fill(folder, [f"a/{name}" for name in numbers(6)] + [f"b/{name}" for name in numbers(4)])


def _clean_and_what(folder: Path) -> None:
    fill(folder, [f"{side}/{name}" for side in ("clean", "what") for name in numbers(3)])


def _other_suffixes(folder: Path) -> None:
    fill(folder, [*numbers(3, "a/{}.PNG"), *numbers(3, "b/{}.jpg")])


def _tags(folder: Path) -> None:
    fill(folder, [f"{i}_{tag}.png" for i in range(3) for tag in ("foo", "bar")])


def _degraded_alone(folder: Path) -> None:
    fill(folder, ["noisy/1.png", "noisy/2.png", "more/3.png"])


def _clean_half_alone(folder: Path) -> None:
    fill(folder, ["gt/1.png", "gt/2.png", "more/3.png"])


def _several_levels(folder: Path) -> None:
    fill(folder, ["noisy15/1.png", "noisy25/1.png", "clean/1.png"])


def _two_degraded(folder: Path) -> None:
    fill(folder, ["noisy/1.png", "lq/1.png", "gt/1.png"])


def _train_and_test(folder: Path) -> None:
    make_pairs(folder / "train")
    make_pairs(folder / "test")


def _a_target_is_missing(folder: Path) -> None:
    fill(folder, ["hazy/1_1.png", "hazy/2_1.png", "clear/1.png"])


def _the_next_best_target(folder: Path) -> None:
    fill(folder, ["input/1.png", "input/1_2.png", "target/1.png"])


def _some_named_like_pairs(folder: Path) -> None:
    fill(folder, ["1_noisy.png", "1_clean.png", "holiday.png"])


def _two_targets(folder: Path) -> None:
    fill(folder, ["hazy/1_hazy.png", "gt/1_gt.png", "gt/1.png"])


def _pairs_and_photos(folder: Path) -> None:
    make_pairs(folder / "mine")
    fill(folder, ["photos/1.png", "photos/2.png"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_pairs_and_photos, ["pairs in mine and 2 pictures that are none", "photos/1.png"]),
        (_siblings, ["first and", "second hold pictures of equal names", "input and target"]),
        (_siblings_deep_inside, ["some/where/first", "equal names", "--data of its own"]),
        (_most_names_equal, ["equal names"]),
        (_clean_and_what, ["clean and", "what hold pictures of equal names"]),
        (_other_suffixes, ["equal names"]),
        (_tags, ["differ by a last word (bar, foo)", "input and target"]),
        (_degraded_alone, ["2 of 2 inputs", "noisy have no target", "first is 1.png"]),
        (_clean_half_alone, ["gt holds by its name the clean halves", "call their folder input"]),
        (_several_levels, ["noisy15 have no target"]),
        (_two_degraded, ["several folders of degraded pictures", "lq and noisy"]),
        (_train_and_test, ["pairs in test and train", "give one of these folders with --data"]),
        (_a_target_is_missing, ["1 of 2 inputs", "no target", "the first is 2_1.png"]),
        (_the_next_best_target, ["1 of 2 inputs", "the first is 1_2.png"]),
        (_some_named_like_pairs, ["1 pictures", "1 others like none", "holiday.png"]),
        (_two_targets, ["1_gt.png and 1.png", "target of the same inputs"]),
    ],
)
def test_folders_that_may_be_pairs_are_refused_not_guessed(
    make: Callable[[Path], None], words: list[str], tmp_path: Path
) -> None:
    make(tmp_path)
    with pytest.raises(HyperguideError) as error:
        find_scenes([tmp_path], "dehaze")
    for word in words:
        assert word in str(error.value), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "names",
    [
        ["rain in paris.png", "clean kitchen.png", "3.png"],
        ["real/1.png", "other/2.png"],
        ["IMG_1.png", "IMG_2.png", "IMG_3.png"],
        ["2020_01.png", "2020_02.png", "2021_01.png", "2021_02.png"],
        ["low.png", "high.png", "a.png", "b.png", "c.png"],
        ["train/1.png", "val/2.png", "test/3.png"],
    ],
)
def test_photos_with_such_words_in_their_names_stay_photos(
    names: list[str], tmp_path: Path
) -> None:
    scenes = find_scenes([fill(tmp_path, names)], "denoise")
    assert sorted(str(s.photo.relative_to(tmp_path)) for s in scenes) == sorted(names)
    assert not any(scene.is_pair for scene in scenes)


def test_roles_of_a_pair_are_told_by_whole_words_of_the_name() -> None:
    assert role_of("0001_NOISY_SRGB_010").rest == role_of("0001_GT_SRGB_010").rest
    assert role_of("train").half is None
    assert role_of("rainregion").half is None
    assert role_of("realistic").half is None
    assert role_of("noisy_and_clean").half is None
    assert (role_of("No_Rain").half, role_of("Rain").half) == ("clean", "degraded")


def test_train_refuses_a_file_as_its_folder_of_data(tmp_path: Path, quick_cli: Cli) -> None:
    (tmp_path / "photo.png").write_bytes(b"x")
    words = ("--data", tmp_path / "photo.png", "--out", tmp_path / "run")
    fails(quick_cli("train", "denoise", *words), "photo.png is not a folder", "another --data")


def test_train_says_what_it_found_in_each_folder(
    quick_cli: Cli, photos: Path, tmp_path: Path, small_presets: Callable[[str, str], Path]
) -> None:
    pairs = make_pairs(tmp_path / "mine")
    (pairs / "input").rename(pairs / "lq")
    (pairs / "target").rename(pairs / "gt")
    words = ("--preset", small_presets("denoise", "fast"), "--out", tmp_path / "run")
    result = quick_cli("train", "denoise", "--data", photos, "--data", pairs, *words)
    assert result.code == 0, result.err
    assert result.out.splitlines()[:2] == [
        f"4 photos in {photos}, degraded on the fly",
        f"4 pairs in {pairs}: degraded lq/a.png, clean gt/a.png and so on",
    ]


def test_eval_takes_and_tells_the_same_pairs(quick_cli: Cli, tmp_path: Path) -> None:
    fill(tmp_path, [f"{side}/{name}" for side in ("Noisy", "GT") for name in numbers(3)])
    result = quick_cli("eval", "input", "--suite", f"pairs:{tmp_path}", "--limit", 2)
    assert result.code == 0, result.err
    assert f"2 pairs in {tmp_path}: degraded Noisy/1.png, clean GT/1.png and so on" in result.out
    fill(tmp_path / "what", ["a/1.png", "b/1.png"])
    refused = quick_cli("eval", "input", "--suite", f"pairs:{tmp_path / 'what'}")
    fails(refused, "no pairs", "what/input", "what/target")


@pytest.mark.skipif(not _CASES.is_dir(), reason="there are no cases beside HYPERGUIDE_DATA")
def test_lq_and_gt_are_pairs() -> None:
    pairs, sentence = _found(_CASES / "training")
    assert pairs == [("lq/0.png", "gt/0.png"), ("lq/1.png", "gt/1.png")]
    assert sentence.startswith("2 pairs in ")
