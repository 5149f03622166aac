"""Large pictures enhanced in tiles give the same result as the whole."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_engine import SmallEngine

import hyperguide
from conftest import TASKS, Cli, fails, printed_by
from hyperguide.engines import OnnxRuntimeCpu
from hyperguide.enhancer import Enhancer
from hyperguide.errors import HyperguideError
from hyperguide.inference.tiles import Tile, sample, side_for, tiles
from hyperguide.memory import free_bytes, parse_bytes, used_bytes
from hyperguide.model_format.bundled import bundled_path
from hyperguide.model_format.model_file import read_model_file
from hyperguide.picture_files import read_picture, write_picture
from hyperguide.training.preset import CompactProxySettings, load_preset
from made_runs import export_untrained

pytestmark = pytest.mark.lowest

# Half a level of 8 bits: files with an overlap smaller than the receptive field differ by less.
_OVERLAPPED = 0.5 / 255

LOCAL = [
    task for task in TASKS if read_model_file(bundled_path(task, "fast")).info.context == "local"
]


def _photo(astronaut: np.ndarray, height: int, width: int) -> np.ndarray:
    repeated = np.tile(astronaut, (-(-height // 512), -(-width // 512), 1))
    return repeated[:height, :width]


@pytest.mark.parametrize("size", [(1, 1), (17, 300), (333, 517), (64, 64)])
@pytest.mark.parametrize("side", [1, 16, 100, 1000])
def test_tiles_cover_a_picture_once_from_multiples(size: tuple[int, int], side: int) -> None:
    covered = np.zeros(size, int)
    for tile in tiles(*size, side, 8):
        assert tile.rows[0] % 8 == tile.columns[0] % 8 == 0
        assert tile.rows[1] - tile.rows[0] <= max(side + 7, 8)
        covered[slice(*tile.rows), slice(*tile.columns)] += 1
        window = tile.window(16, *size)
        assert window.rows.main == (max(tile.rows[0] - 16, 0), min(tile.rows[1] + 16, size[0]))
    assert (covered == 1).all()


@pytest.mark.parametrize("length", [100, 203, 640, 1001])
def test_a_tile_that_wraps_sees_what_the_whole_sees_around_every_pixel(length: int) -> None:
    """Opposite borders are neighbours, as in a circular convolution."""
    overlap, kept = 24, 0
    for tile in tiles(length, 8, 64, 8):
        span = tile.window(overlap, length, 8, wraps=True).rows
        places = np.arange(length)[span.places]
        assert len(places) == span.length
        if span.wrapped or len(places) == length:
            assert (len(places) - length) % 8 == 0  # padded to a multiple, like the whole
        inside = np.arange(len(places))[span.inside(tile.rows)]
        np.testing.assert_array_equal(places[inside], np.arange(*tile.rows))
        near = span.near_seams(8)
        for offset in range(-overlap + 8, overlap - 8 + 1):
            seen = (inside + offset) % len(places)
            np.testing.assert_array_equal(places[seen], (np.arange(*tile.rows) + offset) % length)
            assert not near[seen].any()
        assert near.any() == (len(places) < length)
        kept += len(inside)
    assert kept == length


def test_halved_tiles_cover_the_tile_until_nothing_is_left_to_split() -> None:
    tile = Tile((8, 64), (16, 40))
    first, second = tile.split(8)
    assert (first.columns, second.columns) == (tile.columns, tile.columns)
    assert first.rows[1] == second.rows[0]
    assert (first.rows[0], second.rows[1]) == tile.rows
    assert Tile((0, 8), (8, 16)).split(8) == [Tile((0, 8), (8, 16))]
    assert (side_for(10_000, 16, 8) + 32) ** 2 <= 11_000
    assert side_for(-5, 20, 8) == 24  # at least the overlap
    assert side_for(0, 0, 8) == 8


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("task", LOCAL)
@pytest.mark.parametrize("size", [(333, 517), (540, 960)])
def test_tiled_result_equals_that_of_the_whole(
    task: str, device: str, size: tuple[int, int], astronaut: np.ndarray
) -> None:
    if device == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    picture = _photo(astronaut, *size).astype(np.float32) / 255
    whole = hyperguide.load(task, device=device, threads=1, tile=None)(picture)
    for side in (96, 200):
        parts = []
        tiled = hyperguide.load(task, device=device, threads=1, tile=side)
        result = tiled(picture, report=parts.append)
        apart = 1e-5 if tiled.info.overlap is None else _OVERLAPPED
        np.testing.assert_allclose(result.image, whole.image, rtol=0, atol=apart)
        np.testing.assert_allclose(result.guidance, whole.guidance, rtol=0, atol=apart)
        assert len(parts) > 5
        assert parts == sorted(parts)
        assert parts[-1] == 1


@pytest.mark.parametrize("layout", ["bytes", "gray", "alpha", "batch", "deep"])
def test_pictures_of_every_layout_are_put_together_from_tiles(
    layout: str, astronaut: np.ndarray
) -> None:
    picture = _photo(astronaut, 150, 210)
    given = {
        "bytes": picture,
        "gray": picture[..., 0],
        "alpha": np.dstack([picture, picture[..., :1]]),
        "batch": np.stack([picture, picture[::-1]]),
        "deep": picture.astype(np.uint16) * 257,
    }[layout]
    whole, tiled = (
        hyperguide.load(bundled_path("denoise", "fast"), device="cpu", threads=1, tile=tile)(given)
        for tile in (None, 64)
    )
    assert tiled.image.shape == given.shape
    assert tiled.image.dtype == given.dtype
    level = np.iinfo(given.dtype).max // 255
    assert np.abs(tiled.image.astype(int) - whole.image).max() <= level
    np.testing.assert_allclose(tiled.guidance, whole.guidance, rtol=0, atol=_OVERLAPPED)


def test_dials_that_are_maps_are_cut_with_the_picture(astronaut: np.ndarray) -> None:
    picture = _photo(astronaut, 150, 210)
    ramp = np.linspace(0, 1, 150 * 210, dtype=np.float32).reshape(150, 210)
    dials = {"strength": ramp, "guidance": 0.2 * ramp, "guidance_mix": 0.5, "guidance_scale": 1.5}
    whole, tiled = (
        hyperguide.load("denoise", device="cpu", threads=1, tile=tile)(picture, **dials)  # type: ignore[arg-type]
        for tile in (None, 64)
    )
    np.testing.assert_allclose(tiled.guidance, whole.guidance, rtol=0, atol=_OVERLAPPED)
    assert np.abs(tiled.image.astype(int) - whole.image).max() <= 1


def test_a_map_that_needs_the_whole_picture_is_predicted_from_all_of_it(
    astronaut: np.ndarray, scene_map_file: Path
) -> None:
    """Otherwise every tile would be a scene of its own."""
    path = scene_map_file
    assert read_model_file(path).info.context == "global"
    picture = _photo(astronaut, 512, 512)
    whole = hyperguide.load(path, device="cpu", threads=1, tile=None)(picture)
    tiled = hyperguide.load(path, device="cpu", threads=1, tile=160)(picture)
    assert whole.guidance is not None
    assert tiled.guidance is not None
    assert np.abs(tiled.guidance - whole.guidance).max() < 0.02
    assert np.abs(tiled.image.astype(int) - whole.image).mean() < 0.5
    mixed = hyperguide.load(path, device="cpu", threads=1, tile=160)
    expected = hyperguide.load(path, device="cpu", threads=1, tile=None)
    for level in (0.0, 0.3):
        one, other = (e(picture, guidance=level, guidance_mix=0.5) for e in (mixed, expected))
        assert one.guidance is not None
        assert np.abs(one.guidance - other.guidance).max() < 0.02


def test_samples_of_a_map_are_those_of_the_enlarged_one() -> None:
    import torch

    grid = np.random.default_rng(0).random((2, 1, 7, 9), np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(grid), (60, 100), mode="bilinear", align_corners=False
    ).numpy()
    part = sample(grid, (13, 44), (50, 100), (60, 100))
    np.testing.assert_allclose(part, expected[:, :, 13:44, 50:100], atol=1e-5)


def test_out_of_memory_shrinks_the_parts_and_goes_on(astronaut: np.ndarray) -> None:
    file = read_model_file(bundled_path("denoise", "fast"))
    engine = OnnxRuntimeCpu(file, 1)
    picture = _photo(astronaut, 400, 600)
    expected = Enhancer(file, engine, tile=None)(picture)
    small = SmallEngine(engine, 90_000)
    enhancer = Enhancer(file, small)
    result = enhancer(picture)
    assert np.abs(result.image.astype(int) - expected.image).max() <= 1
    refused = sum(size > 90_000 for size in small.sizes)
    assert 1 <= refused <= 6  # halved each time
    enhancer(picture)
    assert sum(size > 90_000 for size in small.sizes) == refused  # the limit is remembered
    with pytest.raises(HyperguideError, match="not enough memory for even"):
        Enhancer(file, SmallEngine(engine, 5))(picture)


@pytest.fixture(scope="module")
def scene_map_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair whose map depends on the whole picture, and whose reconstruction is local."""
    proxy = CompactProxySettings("scene", 16, 4, (1, 1, 1, 1))
    path = tmp_path_factory.mktemp("scene") / "model.onnx"
    preset = replace(load_preset("denoise", "fast"), proxy=proxy)
    export_untrained(preset, path)
    return path


def test_a_map_of_the_whole_is_predicted_smaller_until_it_fits(
    astronaut: np.ndarray, scene_map_file: Path
) -> None:
    file = read_model_file(scene_map_file)
    assert (file.info.context, file.info.whole_picture) == ("global", False)
    small = SmallEngine(OnnxRuntimeCpu(file, 1), 200_000)
    result = Enhancer(file, small)(_photo(astronaut, 512, 1024))
    assert result.image.shape == (512, 1024, 3)
    whole, glance, smaller, *parts = small.sizes
    assert whole > glance > 200_000 >= smaller
    assert smaller == pytest.approx(glance / 2, rel=0.1)  # rounded to whole blocks
    assert len(parts) >= 2


def test_a_batch_is_reported_as_one_whatever_the_engine_takes_at_once(
    astronaut: np.ndarray,
) -> None:
    file = read_model_file(bundled_path("denoise", "fast"))
    small = SmallEngine(OnnxRuntimeCpu(file, 1), 10**9)
    small.largest = (2, 480, 480)  # type: ignore[assignment]
    batch = np.stack([_photo(astronaut[i:], 64, 700) for i in range(5)])
    shares: list[float] = []
    result = Enhancer(file, small, tile=128)(batch, report=shares.append)
    assert shares == sorted(shares)
    assert len(set(shares)) > 5
    assert shares[-1] == 1
    expected = Enhancer(file, OnnxRuntimeCpu(file, 1), tile=None)(batch)
    assert np.abs(result.image.astype(int) - expected.image).max() <= 1


@pytest.mark.parametrize(
    "options", [{"tile": 0}, {"tile": -5}, {"max_memory": 0}, {"max_memory": "2G"}]
)
def test_tile_sizes_and_memory_limits_must_be_positive(options: dict[str, Any]) -> None:
    with pytest.raises(HyperguideError, match="must be positive"):
        hyperguide.load("denoise", **options)  # type: ignore[arg-type]


def test_an_error_of_the_report_ends_the_call(astronaut: np.ndarray) -> None:
    class StopError(Exception):
        pass

    def stop(share: float) -> None:
        raise StopError

    enhancer = hyperguide.load("denoise", device="cpu", threads=1, tile=64)
    with pytest.raises(StopError):
        enhancer(_photo(astronaut, 200, 200), report=stop)


def test_amounts_of_memory_are_parsed_and_that_of_the_process_is_known() -> None:
    assert parse_bytes("2G") == 2 << 30
    assert parse_bytes("512m") == 512 << 20
    assert parse_bytes("64MB") == 64 << 20
    for text in ("", "2X", "-1G", "1.5G", "0"):
        with pytest.raises(ValueError, match="is not an amount"):
            parse_bytes(text)
    if sys.platform == "linux":
        assert 1 << 20 < (used_bytes() or 0) < (free_bytes() or 0) + (1 << 40)


_PEAK = """
import sys, resource, numpy as np, hyperguide
picture = np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), np.uint8)
enhancer = hyperguide.load("denoise", device="cpu", threads=1, max_memory={limit})
enhancer(picture)
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's tables")
def test_memory_of_tiled_enhancement_stays_under_the_limit() -> None:
    """Six megapixels in 400 MB, half of which the process and both pictures need."""
    limit = 400 << 20
    assert int(printed_by(_PEAK.format(limit=limit))) < limit


_LEFT = """
import numpy as np, hyperguide
from hyperguide.memory import used_bytes
enhancer = hyperguide.load("denoise", device="cpu", threads=1, tile=1500)
enhancer(np.zeros((700, 700, 3), np.uint8))
before = used_bytes()
enhancer(np.zeros((3000, 2000, 3), np.uint8))
print(used_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's tables")
def test_pictures_in_parts_leave_no_memory_taken() -> None:
    """By default ONNX Runtime would keep its peak memory, here 220 MB."""
    assert int(printed_by(_LEFT)) < 110 << 20


def test_the_command_line_enhances_in_tiles(
    astronaut: np.ndarray, tmp_path: Path, cli: Cli
) -> None:
    write_picture(tmp_path / "in.png", _photo(astronaut, 200, 300))
    words = ("enhance", "-i", tmp_path / "in.png", "-t", "denoise", "--device", "cpu")
    for name, more in (
        ("whole", ["--tile", "off"]),
        ("tiled", ["--tile", "64"]),
        ("bounded", ["--max-memory", "1G"]),
    ):
        result = cli(*words, "-o", tmp_path / f"{name}.png", *more)
        assert result.code == 0, result.err
    whole, *others = (
        read_picture(tmp_path / f"{name}.png").astype(int) for name in ("whole", "tiled", "bounded")
    )
    for other in others:
        assert np.abs(other - whole).max() <= 1
    for option in (["--tile", "x"], ["--tile", "0"], ["--max-memory", "2X"]):
        result = cli(*words, "-o", tmp_path / "no.png", *option)
        assert result.code == 2
        assert re.search("is not", result.err)
    fails(cli(*words, "-o", tmp_path / "tiled.png", "--tile", "64"), "exists")
