"""The test suites: each degraded picture is compared with an independent copy of its recipe."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.io
import scipy.ndimage
import scipy.signal

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import encode_map, read_picture, write_picture
from hyperguide.tasks import TASKS
from hyperguide.training.data.sources import find_scenes
from hyperguide.training.evaluation.catalog import open_suite
from hyperguide.training.evaluation.findings import find
from hyperguide.training.evaluation.mat_file import read_mat
from hyperguide.training.evaluation.measure import measure
from hyperguide.training.evaluation.protocols import PROTOCOLS
from hyperguide.training.evaluation.restorers import open_target
from hyperguide.training.evaluation.suites import Case, Options

_RNG = np.random.default_rng(7)


def _photo(height: int = 40, width: int = 60, planes: int = 3) -> np.ndarray:
    shape = (height, width, planes) if planes > 1 else (height, width)
    return _RNG.integers(0, 256, shape, np.uint8)


def _map(case: Case) -> np.ndarray:
    assert case.true_map is not None
    return case.true_map


def _write(path: Path, picture: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, picture)
    return picture


def _cases(name: str, data: Path | None = None, **options: object) -> list[Case]:
    return [make() for make in open_suite(name, Options(data=data, **options)).cases]  # type: ignore[arg-type]


@pytest.fixture
def levin_folder(tmp_path: Path) -> Path:
    """The authors' 32 files with small pictures; the kernels have 5 to 11 pixels per side."""
    (tmp_path / "levin09").mkdir()
    for i in (5, 6, 7, 8):
        for k in range(1, 9):
            side = 2 * (k % 4) + 5
            kernel = _RNG.random((side, side))
            arrays = {"f": kernel / kernel.sum(), "x": _RNG.random((44, 44)), "y": np.zeros((3, 3))}
            path = tmp_path / "levin09" / f"im{i:02d}_flit{k:02d}.mat"
            scipy.io.savemat(path, arrays, do_compression=True)
    return tmp_path


@pytest.mark.parametrize("compressed", [False, True])
def test_mat_files_read_as_scipy_reads_them(tmp_path: Path, compressed: bool) -> None:
    arrays = {
        "x": _RNG.random((7, 5)),
        "a_long_name": _RNG.random((2, 3)).astype(np.float32),
        "bytes": _RNG.integers(0, 256, (4, 9), np.uint8),
        "one": np.array([[3.0]]),
        "cube": _RNG.random((2, 3, 4)),
        "small": np.array([[1, 2]], np.int16),
    }
    path = tmp_path / "some.mat"
    passed_over = {"text": "words", "cell": np.array([1, "a"], object), "complex": np.eye(2) * 1j}
    scipy.io.savemat(path, arrays | passed_over, do_compression=compressed)
    expected, actual = scipy.io.loadmat(path), read_mat(path)
    assert actual.keys() == arrays.keys()
    for name, values in actual.items():
        assert values.dtype == expected[name].dtype
        assert np.array_equal(values, expected[name])


def test_mat_files_of_big_endian_machines_and_packed_doubles_are_read(tmp_path: Path) -> None:
    # MATLAB stores doubles that are small integers as bytes; scipy reads such files too.
    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    matrix = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 2, 3))
    matrix += element(1, b"f") + element(2, bytes([1, 2, 3, 4, 5, 6]))
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    path = tmp_path / "big.mat"
    path.write_bytes(header + element(14, matrix))
    expected = scipy.io.loadmat(path)["f"]
    assert np.array_equal(expected, [[1, 3, 5], [2, 4, 6]])
    actual = read_mat(path)["f"]
    assert actual.dtype == np.float64
    assert np.array_equal(actual, expected)


def test_mat_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"x": _RNG.random((30, 30))}, do_compression=True)
    whole = path.read_bytes()
    for content, words in (
        (whole[:-50], "is damaged"),
        (whole[:300] + bytes(len(whole) - 300), "is damaged"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", "no .mat file of level 5"),
        (b"", "no .mat file of level 5"),
    ):
        path.write_bytes(content)
        with pytest.raises(HyperguideError, match=words):
            read_mat(path)
    with pytest.raises(HyperguideError, match="There is no MATLAB file"):
        read_mat(tmp_path / "none.mat")


def _mat(*elements: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(elements)


def _element(kind: int, data: bytes, size: int | None = None) -> bytes:
    size = len(data) if size is None else size
    return struct.pack("<II", kind, size) + data + (bytes(-len(data) % 8) if kind != 15 else b"")


def _matrix(shape: bytes, data: bytes = bytes(16), stored: int = 9, kind: int = 6) -> bytes:
    flags = _element(6, struct.pack("<II", kind, 0))
    return _element(14, flags + _element(5, shape) + _element(1, b"x") + _element(stored, data))


@pytest.mark.parametrize(
    "content",
    [
        _mat(_element(15, zlib.compress(bytes(65 << 20)))),  # 65 MiB in 64 kB
        _mat(*[_element(15, zlib.compress(_matrix(struct.pack("<ii", 1, 2)))[:-3])] * 2),
        _mat(_element(15, zlib.compress(_element(15, zlib.compress(b"x"))))),
        _mat(bytes(1 << 20)),  # empty elements
        _mat(_matrix(struct.pack("<ii", -1, 2))),
        _mat(_matrix(struct.pack("<ii", 1 << 30, 1 << 30))),
        _mat(_matrix(b"")),
        _mat(_matrix(b"abc")),
        _mat(_matrix(struct.pack("<ii", 1, 2), stored=99)),
        _mat(_matrix(struct.pack("<ii", 1, 2), data=bytes(7))),
        _mat(_element(14, b"")),
        _mat(_element(14, bytes(8), size=1 << 31)),
        _mat(b"\x0e\x00"),
        _mat(*[_matrix(struct.pack("<ii", 1, 2))[:-8]] * 3),
    ],
)
def test_mat_files_that_ask_for_more_than_they_hold_are_refused(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(HyperguideError, match="is damaged"):
            read_mat(path)
        assert tracemalloc.get_traced_memory()[1] < 256 << 20
    finally:
        tracemalloc.stop()


def test_nan_among_whole_numbers_of_a_mat_file_is_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    nan = struct.pack("<dd", float("nan"), 7.0)
    path.write_bytes(_mat(_matrix(struct.pack("<ii", 1, 2), data=nan, kind=9)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_mat(path)["x"][0, 1] == 7


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        (b"\xbb", "not a text in UTF-8"),
        (b"", "no list of names"),
        (b"../../secret", "no list of names"),
        (b"/etc/secret", "no list of names"),
        (b"x" * (2 << 20), "larger than 1 MiB"),
    ],
)
def test_a_list_of_originals_names_pictures_of_its_folder_only(
    listed: bytes, told: str, tmp_path: Path
) -> None:
    (tmp_path / "denoise_test").mkdir()
    (tmp_path / "bsds500" / "val").mkdir(parents=True)
    (tmp_path / "denoise_test" / "cbsd68.txt").write_bytes(listed)
    with pytest.raises(HyperguideError, match=told):
        open_suite("bsd68", Options(data=tmp_path, color=True))


@pytest.mark.parametrize(
    "listing",
    [
        b"\xbb",
        b"[",
        b"[" * 10**5,
        b"3",
        b"[]",
        b"{}",
        b'{"test": 3, "train": 3}',
        b'{"test": {"1": 3}, "train": {"1": 3}}',
        b'{"test": {"1": null}, "train": {"1": ["a"]}}',
        b'{"test": {"1": "../x.png"}, "train": {"1": "/x.png"}}',
        b'{"test": {"1": "a\\u0000b"}, "train": {"1": ""}}',
    ],
)
def test_a_list_of_backgrounds_names_photos_of_its_folder_only(
    listing: bytes, tmp_path: Path
) -> None:
    rain = tmp_path / "rain100l"
    for part in ("train", "test"):
        _write(rain / part / "streak-1.png", _photo(planes=1))
    (tmp_path / "bsds500").mkdir()
    (rain / "backgrounds.json").write_bytes(listing)
    with pytest.raises(HyperguideError, match=r"backgrounds\.json"):
        open_suite("rain100l", Options(data=tmp_path))
    with pytest.raises(HyperguideError, match=r"backgrounds\.json"):
        find_scenes([rain], "derain")


def test_denoising_pictures_carry_the_noise_of_the_public_test_code(tmp_path: Path) -> None:
    folder = tmp_path / "denoise_test" / "set12"
    photos = [_write(folder / f"{n:02d}.png", _photo(planes=1)) for n in (1, 2)]
    cases = _cases("set12", tmp_path)
    assert [case.name for case in cases] == ["01", "02"] * 3
    assert [case.level for case in cases] == [f"{s}/255" for s in (15, 15, 25, 25, 50, 50)]
    for case, photo, sigma in zip(cases, photos * 3, (15, 15, 25, 25, 50, 50), strict=True):
        np.random.seed(0)  # as KAIR's main_test_ffdnet.py does
        noisy = photo / 255 + np.random.normal(0, sigma / 255.0, photo.shape)
        assert case.degraded.dtype == np.float32
        np.testing.assert_allclose(case.degraded, noisy, atol=1e-7)
        assert np.array_equal(case.clean, photo / 255)
        assert np.array_equal(_map(case), np.full(photo.shape, sigma / 255))
    assert cases[-1].degraded.min() < 0  # not clipped
    assert [c.level for c in _cases("set12", tmp_path, noise=(7.5,), limit=1)] == ["7.5/255"]


def test_colour_originals_are_found_by_the_list(tmp_path: Path) -> None:
    for name in ("3096", "12084", "9999"):
        _write(tmp_path / "bsds500" / "val" / f"{name}.jpg", _photo())
    _write(tmp_path / "denoise_test" / "bsd68" / "test001.png", _photo(planes=1))
    (tmp_path / "denoise_test" / "cbsd68.txt").write_text("3096\n12084\n")
    cases = _cases("bsd68", tmp_path, color=True, noise=(25.0,))
    assert [case.name for case in cases] == ["3096", "12084"]
    decoded = read_picture(tmp_path / "bsds500" / "val" / "3096.jpg")
    assert np.array_equal(cases[0].clean, decoded / 255)
    noise = cases[0].degraded - cases[0].clean
    assert abs(noise.std() - 25 / 255) < 0.005
    assert not np.allclose(noise[..., 0], noise[..., 1])


def test_noise_quadrants_hold_their_four_levels_in_percent(tmp_path: Path) -> None:
    _write(tmp_path / "denoise_test" / "bsd68" / "a.png", np.full((201, 301), 128, np.uint8))
    (case,) = _cases("bsd68", tmp_path, quadrants=(1.0, 2.0, 3.0, 4.0))
    assert case.true_map is not None
    corners = [(0, 0), (0, 300), (200, 0), (200, 300)]
    assert [case.true_map[at] for at in corners] == [0.01, 0.02, 0.03, 0.04]
    for level in (0.01, 0.02, 0.03, 0.04):
        there = case.true_map == level
        assert there.mean() == pytest.approx(0.25, abs=0.01)
        assert (case.degraded - case.clean)[there].std() == pytest.approx(level, rel=0.03)


def test_levin_blurs_as_scipy_convolves(levin_folder: Path) -> None:
    cases = _cases("levin", levin_folder, noise=(0.0,))
    assert len(cases) == 32
    for case in cases[::5]:
        arrays = scipy.io.loadmat(levin_folder / "levin09" / f"{case.name}.mat")
        x, f = arrays["x"], arrays["f"]
        expected = scipy.signal.convolve2d(x, f, "same")  # zeros outside, kernel flipped
        np.testing.assert_allclose(case.degraded, expected, atol=1e-6)
        assert case.kernel is not None
        assert np.array_equal(case.kernel, f)
        assert case.border == len(f) // 2
    valid = _cases("levin", levin_folder, noise=(0.0,), boundary="valid")
    for case, same in zip(valid[::5], cases[::5], strict=True):
        arrays = scipy.io.loadmat(levin_folder / "levin09" / f"{case.name}.mat")
        expected = scipy.signal.convolve2d(arrays["x"], arrays["f"], "valid")
        np.testing.assert_allclose(case.degraded, expected, atol=1e-6)
        # Both are scored on the same pixels of the truth.
        assert case.border == 0
        cut = slice(same.border, -same.border)
        assert np.array_equal(case.clean, same.clean[cut, cut])


def test_levin_noise_is_unclipped_seeded_and_of_its_level(levin_folder: Path) -> None:
    silent = _cases("levin", levin_folder, noise=(0.0,))
    cases = _cases("levin", levin_folder, noise=(2.0, 5.0))
    assert [case.level for case in cases] == ["2 %"] * 32 + ["5 %"] * 32
    noise = np.stack([c.degraded - s.degraded for c, s in zip(cases, silent * 2, strict=True)])
    assert noise[:32].std() == pytest.approx(0.02, rel=0.02)
    assert noise[32:].std() == pytest.approx(0.05, rel=0.02)
    np.testing.assert_allclose(noise[32:] / 5, noise[:32] / 2, atol=1e-6)  # the same seeds
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1  # a seed for each
    again = _cases("levin", levin_folder, noise=(5.0,))
    assert all(
        np.array_equal(a.degraded, b.degraded) for a, b in zip(again, cases[32:], strict=True)
    )


def test_denoisers_get_levins_four_pictures_sharp(levin_folder: Path) -> None:
    cases = _cases("levin", levin_folder, noise=(0.0,), blur=False)
    assert [case.name for case in cases] == [f"im{i:02d}_flit01" for i in (5, 6, 7, 8)]
    for case in cases:
        x = scipy.io.loadmat(levin_folder / "levin09" / f"{case.name}.mat")["x"]
        assert np.array_equal(case.degraded, x.astype(np.float32))
        assert case.kernel is None
        assert case.border == 0


def test_captured_blurs_come_with_the_turned_kernel(tmp_path: Path) -> None:
    (tmp_path / "levin09").mkdir()
    path = tmp_path / "levin09" / "im05_flit01.mat"
    kernel, sharp, blurred = _RNG.random((5, 5)), _RNG.random((44, 44)), _RNG.random((44, 44))
    scipy.io.savemat(path, {"f": kernel, "x": sharp, "y": blurred})
    (case,) = _cases("levin-captured", tmp_path, limit=1)
    assert np.array_equal(case.degraded, blurred.astype(np.float32))
    assert np.array_equal(case.clean, sharp)
    assert case.kernel is not None
    assert np.array_equal(case.kernel, np.rot90(kernel, 2))
    scipy.io.savemat(path, {"f": kernel, "x": sharp, "y": blurred[:-1]})
    with pytest.raises(HyperguideError, match="lacks a captured blur y"):
        _cases("levin-captured", tmp_path, limit=1)
    with pytest.raises(HyperguideError, match="is about blur"):
        _cases("levin-captured", tmp_path, blur=False)


def test_the_aligned_protocol_finds_the_shift() -> None:
    score, rng = PROTOCOLS["levin-aligned"].score, np.random.default_rng(1)
    smooth = scipy.ndimage.gaussian_filter(rng.random((70, 80)), 2)
    clean = (smooth - smooth.min()) / np.ptp(smooth)
    assert score(clean, clean, 0).psnr == np.inf
    whole = np.roll(clean, (3, -5), (0, 1))
    assert score(whole, clean, 0).psnr > 200
    half = scipy.ndimage.shift(clean, (1.25, -2.5), order=1, mode="nearest")
    moved = scipy.ndimage.shift(half, (-1.25, 2.5), order=1, mode="nearest")
    expected = np.mean((moved - clean)[15:-15, 15:-15] ** 2)
    assert score(half, clean, 0).psnr == pytest.approx(-10 * np.log10(expected), abs=0.01)
    with pytest.raises(HyperguideError, match="more than 30 pixels"):
        score(clean[:30], clean[:30], 0)


def test_sun80_shows_each_photo_before_any_comes_again(levin_folder: Path) -> None:
    photos = [_write(levin_folder / "sun80" / f"{name}.png", _photo()) for name in "abc"]
    cases = _cases("sun80", levin_folder, noise=(0.0, 2.0), boundary="valid")
    assert len(cases) == 2 * 3 * 8
    assert [case.name for case in cases[:4]] == ["a flit01", "b flit02", "c flit03", "a flit02"]
    assert len({case.name for case in cases}) == 24
    kernel = scipy.io.loadmat(levin_folder / "levin09" / "im05_flit02.mat")["f"]
    gray = photos[1] @ np.array([0.299, 0.587, 0.114]) / 255
    expected = scipy.signal.convolve2d(gray, kernel, "valid")
    np.testing.assert_allclose(cases[1].degraded, expected, atol=1e-5)
    np.testing.assert_allclose(cases[1].clean, gray[4:-4, 4:-4], atol=1e-5)
    noise = cases[25].degraded - cases[1].degraded
    np.testing.assert_allclose(
        noise / 0.02, np.random.RandomState(1).normal(size=noise.shape), atol=1e-4
    )
    same = _cases("sun80", levin_folder, noise=(0.0,), limit=2)
    assert [(case.name, case.border) for case in same] == [("a flit01", 3), ("b flit02", 4)]
    with pytest.raises(HyperguideError, match="is about blur"):
        _cases("sun80", levin_folder, blur=False)


def _streaks() -> np.ndarray:
    layer = np.zeros((40, 60), np.uint8)
    layer[:, 7::11], layer[:, 9::11], layer[5] = 90, 5, 6
    return layer


def test_rain100l_is_composed_as_the_authors_pictures_are(tmp_path: Path) -> None:
    composed, published = tmp_path / "composed", tmp_path / "published"
    layer = _write(composed / "rain100l" / "test" / "streak-2.png", _streaks())
    background = _write(composed / "bsds500" / "train" / "b.png", _photo() // 2 + 100)
    names = {"test": {"2": "train/b.png"}, "train": {}}
    (composed / "rain100l" / "backgrounds.json").write_text(json.dumps(names))
    rainy = np.minimum(background + layer[..., None].astype(int), 255).astype(np.uint8)
    assert (rainy == 255).any()
    _write(published / "rain100l" / "rainy" / "rain-002.png", rainy)
    _write(published / "rain100l" / "norain-002.png", background)
    (ours,), (theirs,) = _cases("rain100l", composed), _cases("rain100l", published)
    assert np.array_equal(ours.degraded, (rainy / 255).astype(np.float32))
    assert np.array_equal(ours.clean, background / 255)
    assert np.array_equal(_map(ours), layer > 5)  # streaks of 5 do not count, those of 6 do
    for part in ("degraded", "clean", "true_map"):
        assert np.array_equal(getattr(ours, part), getattr(theirs, part)), part


def test_a_part_of_rain100h_is_read_as_the_authors_folder_is(tmp_path: Path) -> None:
    part, published = tmp_path / "part", tmp_path / "published"
    background = _write(part / "bsds500" / "val" / "b.png", _photo() // 2)
    rainy = np.minimum(background + _streaks()[..., None].astype(int), 255).astype(np.uint8)
    _write(part / "rain100h" / "test" / "rain-3.png", rainy)
    (part / "rain100h" / "backgrounds.json").write_text(json.dumps({"test": {"3": "val/b.png"}}))
    _write(published / "rain100h" / "rainy" / "rain-3.png", rainy)
    _write(published / "rain100h" / "norain-3.png", background)
    assert "1 pictures" in open_suite("rain100h", Options(data=part)).about
    (ours,), (theirs,) = _cases("rain100h", part), _cases("rain100h", published)
    assert np.array_equal(ours.degraded, (rainy / 255).astype(np.float32))
    assert np.array_equal(_map(ours), _streaks() > 5)
    for field in ("degraded", "clean", "true_map"):
        assert np.array_equal(getattr(ours, field), getattr(theirs, field)), field
    (part / "rain100h" / "backgrounds.json").write_text('{"test": {"4": "val/b.png"}}')
    with pytest.raises(HyperguideError, match="names no background"):
        _cases("rain100h", part)


def test_haze_is_disturbed_by_noise_by_jpeg_and_by_halving(tmp_path: Path) -> None:
    indoor = tmp_path / "sots" / "indoor"
    clear = _write(indoor / "gt" / "1400.png", _photo(96, 128))
    hazy = _write(indoor / "hazy" / "1400_3.png", clear // 2 + 80)
    noisy, jpeg, half = _cases("sots-disturbed", tmp_path)
    assert [case.level for case in (noisy, jpeg, half)] == ["noise 2/255", "JPEG 90", "half size"]
    error = 255 * noisy.degraded - hazy
    assert abs(float(error.std()) - np.sqrt(4 + 1 / 12)) < 0.05  # and that of the rounding
    assert np.array_equal(noisy.clean, clear / 255)
    content = io.BytesIO()
    PIL.Image.fromarray(hazy).save(content, "JPEG", quality=90)
    independent = np.asarray(PIL.Image.open(content)).astype(float)
    distances = [np.abs(255 * case - hazy).mean() for case in (jpeg.degraded, independent / 255)]
    assert distances[0] == pytest.approx(distances[1], rel=0.05)
    assert distances[0] > 0.5
    blocks = hazy.reshape(48, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(255 * half.degraded - blocks).max() <= 0.5 + 1e-3
    np.testing.assert_allclose(half.clean, clear.reshape(48, 2, 64, 2, 3).mean((1, 3)) / 255)


def test_haze_on_nyu_inverts_by_the_scattering_model(tmp_path: Path) -> None:
    photos: dict[int, np.ndarray] = {}
    for i in range(103):
        photo, depth = _photo(480, 640), np.full((480, 640), 60, np.uint8)
        if i in (3, 50):  # the others are only counted
            depth[100:300, 50:400] = 180
            depth[0, 0] = 200  # the farthest point is outside the crop
            photos[i] = photo
            _write(tmp_path / "nyu" / "depth" / f"{i}.png", depth)
            _write(tmp_path / "nyu" / "rgb" / f"{i}.png", photo)
        else:
            (tmp_path / "nyu" / "rgb").mkdir(parents=True, exist_ok=True)
            (tmp_path / "nyu" / "rgb" / f"{i}.png").touch()
    suite = open_suite("sots", Options(data=tmp_path))
    assert "SOTS recipe on NYU" in suite.about
    assert len(suite.cases) == 100
    for position, level in ((0, 1), (47, 8)):  # NYU indices 3 and 50
        case = suite.cases[position]()
        index = position + 3
        assert case.name == f"{index}_{level}"
        expected = np.fliplr(photos[index])[10:470, 10:630] / 255
        assert np.array_equal(case.clean, expected)
        assert case.true_map is not None
        assert case.true_map[200, 300] == 0.9  # 180 / 200
        assert case.true_map[0, 0] == 0.3
        assert case.true_map[200, 100] == 0.3  # 50..400 of 640, mirrored: 230..580 of the crop
        t = np.exp(-(0.5 + 0.1 * level) * case.true_map)[..., None]
        scattered = (case.degraded - (1 - t)) / t
        assert np.abs(scattered - case.clean).max() <= 0.51 / 255 / t.min()
        assert np.allclose(np.rint(case.degraded * 255), case.degraded * 255, atol=1e-4)


@pytest.mark.parametrize("truth", ["clear", "gt"])
def test_published_haze_is_compared_inside_the_frame(tmp_path: Path, truth: str) -> None:
    indoor = tmp_path / "sots" / "indoor"
    clear = _write(indoor / truth / "1400.png", _photo(60, 80))
    for level in (1, 10):
        _write(indoor / "hazy" / f"1400_{level}.png", clear[10:-10, 10:-10] // 2)
    suite = open_suite("sots", Options(data=tmp_path))
    assert suite.about == "SOTS indoor"
    cases = [make() for make in suite.cases]
    assert [case.name for case in cases] == ["1400_1", "1400_10"]
    assert np.array_equal(cases[0].clean, clear[10:-10, 10:-10] / 255)
    assert cases[0].true_map is None


@pytest.fixture
def pairs_folder(tmp_path: Path) -> Path:
    for name in ("a", "sub/b"):
        clean = _photo()
        _write(tmp_path / "target" / f"{name}.png", clean)
        _write(tmp_path / "input" / f"{name}.tif", clean.astype(np.uint16) * 200)
    return tmp_path


def test_pairs_are_matched_by_name_and_keep_their_bit_depth(pairs_folder: Path) -> None:
    cases = _cases(f"pairs:{pairs_folder}")
    assert [case.name for case in cases] == ["a", "sub/b"]
    for case in cases:
        clean = read_picture(pairs_folder / "target" / f"{case.name}.png")
        assert np.array_equal(case.clean, clean / 255)
        np.testing.assert_allclose(case.degraded, clean.astype(float) * 200 / 65535, atol=1e-7)
        assert case.true_map is None


def test_pairs_bring_maps_over_the_range_of_the_task(pairs_folder: Path) -> None:
    noise, depth = (TASKS[task].guidance for task in ("denoise", "dehaze"))
    true = _RNG.random((40, 60)) * noise.maximum
    for name in ("a", "sub/b"):
        _write(pairs_folder / "guidance" / f"{name}.png", encode_map(true, noise))
    case = _cases(f"pairs:{pairs_folder}", guidance=noise)[0]
    np.testing.assert_allclose(_map(case), true, atol=noise.maximum / 65535)
    other = _cases(f"pairs:{pairs_folder}", guidance=depth)[0]
    np.testing.assert_allclose(_map(other), true / noise.maximum, atol=1 / 65535)
    (pairs_folder / "guidance" / "a.png").unlink()
    with pytest.raises(HyperguideError, match=r"input/a\.tif has no partner in .*guidance"):
        _cases(f"pairs:{pairs_folder}", guidance=noise)
    assert len(_cases(f"pairs:{pairs_folder}")) == 2  # without a task no map is needed


def test_pairs_that_do_not_match_are_refused_in_a_sentence(pairs_folder: Path) -> None:
    (pairs_folder / "input" / "sub" / "b.tif").unlink()
    with pytest.raises(
        HyperguideError, match=r"target/sub/b\.png has no partner among the degraded"
    ):
        _cases(f"pairs:{pairs_folder}")
    _write(pairs_folder / "input" / "sub" / "b.png", _photo(40, 61))
    with pytest.raises(HyperguideError, match=r"is 61x40 colour, but .* is 60x40 colour"):
        _cases(f"pairs:{pairs_folder}")
    _write(pairs_folder / "input" / "sub" / "b.jpg", _photo())
    with pytest.raises(HyperguideError, match="have the same name"):
        _cases(f"pairs:{pairs_folder}")
    with pytest.raises(HyperguideError, match=r"no pairs in .*input: name the folders"):
        _cases(f"pairs:{pairs_folder / 'input'}")


def test_text_is_drawn_over_photos_and_its_change_is_measured_alone(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        _write(tmp_path / f"{name}.png", np.full((240, 320, 3), 120, np.uint8))
    cases = _cases(f"text:{tmp_path}")
    assert len({case.clean.tobytes() for case in cases}) == 4
    for case in cases:
        assert np.array_equal(case.degraded, case.clean)
        assert len(case.parts) == 3
        for part in case.parts:
            assert 30 < part.sum() < 4000
            assert np.abs(case.clean[part] - 120 / 255).mean() > 0.2  # letters stand out
        assert not (case.parts[0] & case.parts[1] | case.parts[1] & case.parts[2]).any()
    suite = open_suite(f"text:{tmp_path}", Options())
    target = replace(open_target("input"), restorer=_erases_the_top)
    measured = [e.measurement for e in measure(suite, target, PROTOCOLS["rgb"])]
    found = find(measured)
    assert (found.part_error, found.worst_part) == pytest.approx((10, 10))
    assert find([replace(m, part_error=None) for m in measured]).part_error is None


def _erases_the_top(
    picture: np.ndarray, kernel: object, guidance: object, scale: float
) -> tuple[np.ndarray, None]:
    """Darken the upper third, where the sign is, by 10 levels, the rest by 2."""
    change = np.full(picture.shape, 2 / 255)
    change[: len(picture) // 3] = 10 / 255
    return picture - change, None


def test_missing_data_is_named_in_a_sentence(tmp_path: Path) -> None:
    for name in (
        "bsd68",
        "set12",
        "levin",
        "sun80",
        "rain100l",
        "rain100h",
        "sots",
        "sots-disturbed",
    ):
        with pytest.raises(HyperguideError, match="give --data DIR or set the variable HYPERG"):
            _cases(name)
        with pytest.raises(HyperguideError, match=r"does not exist: give another --data\."):
            _cases(name, tmp_path)
    (tmp_path / "denoise_test" / "set12").mkdir(parents=True)
    with pytest.raises(HyperguideError, match="holds no pictures"):
        _cases("set12", tmp_path)
    (tmp_path / "levin09").mkdir()
    with pytest.raises(HyperguideError, match=r"There is no MATLAB file .*im05_flit01\.mat"):
        _cases("levin", tmp_path)
    (tmp_path / "rain100l" / "test").mkdir(parents=True)
    with pytest.raises(
        HyperguideError, match=r"There is no list of backgrounds .*backgrounds\.json"
    ):
        _cases("rain100l", tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("bsd86", {}, "There is no suite 'bsd86': choose one of bsd68, set12"),
        ("rain100l", {"noise": (1.0,)}, "rain100l knows no --noise"),
        ("sots", {"quadrants": (1.0, 2.0, 3.0, 4.0)}, "sots knows no --quadrants"),
        ("set12", {"color": True}, "set12 knows no --color"),
        ("bsd68", {"boundary": "valid"}, "bsd68 knows no --boundary"),
        ("bsd68", {"noise": (1.0,), "quadrants": (1.0, 2.0, 3.0, 4.0)}, "exclude each other"),
    ],
)
def test_options_that_a_suite_does_not_know_are_refused(
    tmp_path: Path, name: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(HyperguideError, match=words):
        _cases(name, tmp_path, **options)
