"""Pictures of a few rows or columns, in every precision of the bundled files.

OpenVINO's int8 and bf16 convolutions for AMX processors compute some of them wrong. On other
processors these tests pass without the form for narrow pictures too, except the one about it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

import numpy as np
import pytest

import hyperguide
from conftest import Cli, fails
from hyperguide.engines import OpenVino
from hyperguide.errors import HyperguideError
from hyperguide.model_format.bundled import FOLDER, bundled_models
from hyperguide.model_format.contract import ENHANCED, IMAGE
from hyperguide.model_format.model_file import ModelFile, read_model_file
from hyperguide.padding import next_multiple

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
    ),
]

FILES = {path.stem: read_model_file(path) for path in bundled_models()}
int8_files = pytest.mark.parametrize("name", [n for n in FILES if n.endswith("-int8")])
float_files = pytest.mark.parametrize("name", [n for n in FILES if not n.endswith("-int8")])

# Levels. OpenVINO and ONNX Runtime round differently inside an int8 network: on noise, as used
# here, by up to 5 at any size.
_APART = 8


def _noise(file: ModelFile, height: int, width: int, seed: int) -> np.ndarray:
    shape = (height, width, file.info.channels)
    picture = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return picture if file.info.channels == 3 else picture[..., 0]


def _sizes(multiple: int) -> list[tuple[int, int]]:
    """Heights and widths from 1 to 8, and from 1 to 8 times the file's multiple.

    Only one of the short lengths that are padded to the same size.
    """
    by_length = {next_multiple(length, multiple): length for length in (8, 7, 5, 4, 3, 2, 1)}
    sizes = {}
    for short in by_length.values():
        for long in (short, 33):
            sizes |= {(short, long): None, (long, short): None}
    for cells in (1, 2, 3):
        sizes |= {(cells * multiple, 8 * multiple): None, (8 * multiple, cells * multiple): None}
    return list(sizes)


@int8_files
def test_narrow_pictures_are_computed_in_int8_as_onnx_runtime_does(name: str) -> None:
    """Also after a picture of another size, because OpenVINO keeps state between calls."""
    file = FILES[name]
    narrow, reference = (
        hyperguide.load(file.path, device=d, threads=1) for d in ("openvino", "cpu")
    )
    for seed, (height, width) in enumerate(_sizes(file.info.size_multiple)):
        picture = _noise(file, height, width, seed)
        first = narrow(picture)
        narrow(_noise(file, 40, 64, seed))
        again = narrow(picture)
        expected = reference(picture)
        np.testing.assert_array_equal(first.image, again.image)
        np.testing.assert_array_equal(first.guidance, again.guidance)
        apart = np.abs(first.image.astype(int) - expected.image).max()
        assert apart <= _APART, (height, width)


def _computes_bf16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@float_files
def test_bundled_files_are_computed_in_bf16(name: str) -> None:
    """Bytes and floats, with and without a dial, single and in batches, large and narrow."""
    if not _computes_bf16():
        pytest.skip("this processor does not compute in bf16")
    file = FILES[name]
    rounded = hyperguide.load(file.path, device="openvino", precision="bf16", threads=1)
    exact = hyperguide.load(file.path, device="cpu", threads=1)
    rows, columns = np.mgrid[0:96, 0:128]
    waves = np.sin(rows / 9)[..., None] * np.sin(columns / 7)[..., None] * [40, 30, 20]
    # Pale, so that there is haze to remove.
    scene = np.rint(170 + waves + np.random.default_rng(0).normal(0, 8, waves.shape))
    scene = scene.clip(0, 255).astype(np.uint8)
    scene = scene if file.info.channels == 3 else scene[..., 0]
    parts = [scene, scene[:33, :2], scene[:33, :3], scene[:3, :33], scene[:1, :1], scene[:40, :64]]
    pictures = [*parts, scene.astype(np.float32) / 255]
    if scene.ndim == 3:
        pictures.append(np.stack([scene, scene[::-1]]))
    for picture in pictures:
        for dials in ({}, {"strength": 0.9}):
            one, other = (enhancer(picture, **dials) for enhancer in (rounded, exact))
            full = 255 if picture.dtype == np.uint8 else 1
            apart = np.abs(one.image.astype(np.float64) - other.image) / full
            assert apart.max() < 0.05, (picture.shape, picture.dtype, dials)
            assert apart.mean() < 0.01


def test_an_engine_whose_bf16_is_too_far_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if not _computes_bf16():
        pytest.skip("this processor does not compute in bf16")
    run = OpenVino.run

    def off(self: OpenVino, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: values + 0.1 for name, values in run(self, feeds).items()}

    monkeypatch.setattr(OpenVino, "run", off)
    for device in ("openvino", "auto"):
        with pytest.raises(HyperguideError, match=r"wrong.*leave out --precision bf16"):
            hyperguide.load("denoise", device=device, precision="bf16", threads=1)


def test_narrow_pictures_take_no_form_in_int8() -> None:
    """Regardless of the processor."""
    file = FILES["derain-fast-int8"]
    engine = OpenVino(file, threads=1)
    for height, width in ((64, 2), (2, 64), (14, 14)):
        engine.run({IMAGE: np.zeros((1, 3, height, width), np.float32)})
    assert ("floats", False) not in engine._requests
    engine.run({IMAGE: np.zeros((1, 3, 16, 16), np.float32)})
    assert ("floats", False) in engine._requests
    for narrow, kind in ((True, {"f32"}), (False, {"i8", "u8"})):
        (request,) = (engine._requests["floats", narrow].get(),)
        layers = request.get_compiled_model().get_runtime_model().get_ops()
        convolutions = [
            n.get_rt_info() for n in layers if n.get_rt_info()["layerType"] == "Convolution"
        ]
        assert len(convolutions) > 10
        kinds = {info["runtimePrecision"] for info in convolutions}
        assert kinds & kind
        assert narrow == (kinds == {"f32"})


def test_an_openvino_result_of_another_shape_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO continues after a layer that cannot run, with empty outputs."""
    engine = OpenVino(FILES["denoise-fast"], threads=1)
    requests = engine._idle("picture")

    class Broken:
        def infer(self, *given: object, **options: object) -> None:
            pass

        def get_tensor(self, name: str) -> object:
            class Tensor:
                data = np.zeros((1, 3, 0, 0), np.uint8)

            return Tensor()

    requests.get()
    requests.put(Broken())
    with pytest.raises(HyperguideError, match=r"failed on this picture.*\(1, 3, 0, 0\)"):
        engine.run_bytes(np.zeros((1, 16, 16, 3), np.uint8), {})


@pytest.mark.parametrize("sound", [True, False])
def test_verify_finds_an_engine_that_computes_narrow_pictures_wrong(
    sound: bool, quick_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OpenVino.run

    def wrong_if_narrow(self: OpenVino, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = run(self, feeds)
        height, width = feeds[IMAGE].shape[2:]
        if not sound and height > 2 * width:
            outputs[ENHANCED][..., 0] += 0.2
        return outputs

    monkeypatch.setattr(OpenVino, "run", wrong_if_narrow)
    result = quick_cli("verify", FOLDER / "denoise-fast-int8.onnx", "--device", "openvino")
    assert "Narrow pictures on OpenVINO, CPU: " in result.out
    assert result.out.count(": ok") == (2 if sound else 1)
    if sound:
        assert result.code == 0
    else:
        fails(result, "not computed right", "openvino")


def test_verify_has_nothing_to_compare_onnx_runtime_with(quick_cli: Cli) -> None:
    result = quick_cli("verify", FOLDER / "denoise-fast-int8.onnx", "--device", "cpu")
    assert result.code == 0
    assert "Narrow" not in result.out
