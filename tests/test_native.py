"""Tests of the C library: that it does what the Python package does, on both of its engines."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import native
import numpy as np
import pytest
from numpy.typing import NDArray

import hyperguide
from hyperguide.model_format.bundled import FOLDER as BUNDLED
from hyperguide.model_format.bundled import bundled_models
from hyperguide.model_format.model_file import read_model_file, replace_info

if native.MISSING:
    pytest.skip(f"The C library needs {', '.join(native.MISSING)}.", allow_module_level=True)

FILES = bundled_models()
DEVICES = ("cpu", "openvino")
SIZES = ((97, 131), (128, 192), (240, 121))

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="session")
def folder() -> Path:
    return native.built()


@pytest.fixture(scope="session")
def library(folder: Path) -> native.Library:
    return native.Library(folder)


@pytest.fixture(scope="module")
def denoiser(library: native.Library) -> Iterator[native.Model]:
    model = library.model(BUNDLED / "denoise-fast.onnx")
    yield model
    model.close()


def photo(height: int, width: int, planes: int = 3, seed: int = 0) -> Pixels:
    """Smooth colours, an edge and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = [128 + 90 * np.sin(x / 17 + c) * np.cos(y / 23 - c) for c in range(planes)]
    image = np.stack(base, 2)
    image[:, width // 2 :] *= 0.6
    return (image + rng.normal(0, 15, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_c_and_python_give_the_same_bytes(library: native.Library, path: Path, device: str) -> None:
    model = library.model(path, device)
    with hyperguide.load(path, device=device, threads=1) as enhancer:
        for height, width in SIZES:
            image = photo(height, width, model.info.channels)
            image = image[..., 0] if model.info.channels == 1 else image
            session = model.session(smoothing=0, temporal=False)
            found, used = session.rgb(image)
            expected = enhancer(image)
            most = 0 if device == "cpu" else 1
            assert np.abs(found.astype(int) - expected.image).max() <= most
            np.testing.assert_allclose(used, expected.guidance, atol=1e-5)
            session.close()
    model.close()


@pytest.mark.parametrize("device", DEVICES)
def test_dials_do_what_they_do_in_python(library: native.Library, device: str) -> None:
    image = photo(100, 150)
    told = np.full((100, 150), 0.06, np.float32)
    told[:, 70:] = 0.01
    model = library.model(BUNDLED / "denoise-fast.onnx", device)
    session = model.session(smoothing=0, temporal=False)
    session.set("strength", 0.6)
    session.set("guidance_scale", 1.5)
    found, used = session.rgb(image, told)
    with hyperguide.load("denoise", device=device, threads=1) as enhancer:
        expected = enhancer(image, strength=0.6, guidance_scale=1.5, guidance=told)
    assert np.abs(found.astype(int) - expected.image).max() <= (0 if device == "cpu" else 1)
    np.testing.assert_allclose(used, expected.guidance, atol=1e-6)
    session.close()
    model.close()


def test_kernels_do_what_they_do_in_python(library: native.Library) -> None:
    kernel = np.zeros((5, 7), np.float32)
    kernel[2] = 1 / 7
    image = photo(90, 110)
    model = library.model(BUNDLED / "deblur-fast.onnx")
    session = model.session(smoothing=0)
    session.kernel(kernel)
    found, _ = session.rgb(image)
    with hyperguide.load("deblur", device="cpu", threads=1) as enhancer:
        np.testing.assert_array_equal(found, enhancer(image, kernel=kernel).image)
    for wrong in (kernel[:4], kernel * 2, -kernel, np.full((3, 3), np.nan, np.float32)):
        with pytest.raises(native.NativeError, match="kernel"):
            session.kernel(wrong)
    session.close()
    model.close()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["denoise-live", "deblur-fast"])
def test_files_for_the_web_run_although_their_dials_have_no_defaults(
    library: native.Library, name: str, device: str, tmp_path: Path
) -> None:
    usual, web = BUNDLED / f"{name}.onnx", tmp_path / "web.onnx"
    web.write_bytes(read_model_file(usual).with_inputs())
    replace_info(read_model_file(web), read_model_file(web).info)  # seals it
    image, results = photo(64, 96), []
    for path in (usual, web):
        model = library.model(path, device)
        session = model.session(smoothing=0, temporal=False)
        plain, _ = session.rgb(image)
        session.set("strength", 0.6)
        session.set("guidance_scale", 1.5)
        results.append((plain, *session.rgb(image)))
        session.close()
        model.close()
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_strength_0_copies_bit_for_bit_in_every_format(denoiser: native.Model) -> None:
    session = denoiser.session()
    session.set("strength", 0)
    rng = np.random.default_rng(0)
    for format_, kind, planes in (
        *((f, np.uint8, 3) for f in (native.RGB24, native.BGR24)),
        (native.RGBA, np.uint8, 4),
        (native.GRAY8, np.uint8, 1),
        (native.GRAY16, np.uint16, 1),
    ):
        image = rng.integers(0, 255, (33, 47, planes)).astype(kind)
        result = np.zeros_like(image)
        session.run(native.picture_of(image, format_), native.picture_of(result, format_))
        np.testing.assert_array_equal(result, image)
    session.close()


def test_a_gray_picture_in_colour_stays_gray_and_equals_pythons(denoiser: native.Model) -> None:
    gray = np.repeat(photo(64, 96, 1), 3, 2)
    session = denoiser.session(smoothing=0, temporal=False)
    found, _ = session.rgb(gray)
    with hyperguide.load(BUNDLED / "denoise-fast.onnx", device="cpu", threads=1) as enhancer:
        np.testing.assert_array_equal(found, enhancer(gray).image)
    session.close()


def test_a_map_of_another_size_is_resized_as_in_python(denoiser: native.Model) -> None:
    image = photo(96, 128)
    told = np.random.default_rng(0).uniform(0, 0.1, (5, 9)).astype(np.float32)
    session = denoiser.session(smoothing=0, temporal=False)
    found, used = session.rgb(image, told)
    enhancer = hyperguide.load("denoise", device="cpu", threads=1)
    with enhancer, pytest.warns(UserWarning, match="resized"):
        expected = enhancer(image, guidance=told)
    np.testing.assert_allclose(used, expected.guidance, atol=1e-6)
    assert np.abs(found.astype(int) - expected.image).max() <= 1
    session.close()


def planes_of_yuv(height: int, width: int, format_: int) -> tuple[native.Picture, list[np.ndarray]]:
    """A picture of random YUV and its planes."""
    rng = np.random.default_rng(0)
    rows, columns = (height + 1) // 2, (width + 1) // 2
    kind, top = (np.uint16, 940 << 6) if format_ == native.P010 else (np.uint8, 235)
    shapes = [(height, width), (rows, columns), (rows, columns)]
    if format_ != native.I420:
        shapes[1:] = [(rows, 2 * columns)]
    planes = [rng.integers(top // 8, top, shape).astype(kind) for shape in shapes]
    picture = native.Picture(format_, width, height)
    for place, plane in enumerate(planes):
        picture.planes[place] = plane.ctypes.data
        picture.strides[place] = plane.strides[0]
    return picture, planes


@pytest.mark.parametrize("format_", [native.NV12, native.I420, native.P010])
def test_strength_0_copies_yuv_bit_for_bit(denoiser: native.Model, format_: int) -> None:
    session = denoiser.session()
    session.set("strength", 0)
    picture, planes = planes_of_yuv(35, 51, format_)
    result, written = planes_of_yuv(35, 51, format_)
    for plane in written:
        plane[...] = 0
    session.run(picture, result)
    for plane, copy in zip(planes, written, strict=True):
        np.testing.assert_array_equal(copy, plane)
    session.close()


def test_nv12_is_enhanced_as_rgb_is(denoiser: native.Model) -> None:
    picture, planes = planes_of_yuv(64, 96, native.NV12)
    session = denoiser.session(smoothing=0, temporal=False)
    rgb = np.empty((64, 96, 3), np.uint8)
    session.set("strength", 0)
    session.run(picture, native.picture_of(rgb))  # a conversion
    session.set("strength", 1)
    enhanced, _ = session.rgb(rgb)
    from_yuv = np.empty_like(rgb)
    session.run(picture, native.picture_of(from_yuv))
    # Bytes in between are rounded; values that no byte shows are cut off.
    inside = ((rgb > 4) & (rgb < 251)).all(2)
    assert np.abs(from_yuv.astype(int) - enhanced)[inside].mean() < 1
    assert planes[0].min() > 0
    session.close()


def test_frames_are_smoothed_as_in_python(library: native.Library) -> None:
    frames = [photo(120, 160, seed=seed) for seed in range(4)]
    model = library.model(BUNDLED / "dehaze-fast.onnx")
    session = model.session()
    with hyperguide.load("dehaze", device="cpu", threads=1) as enhancer:
        stream = enhancer.stream()
        for frame in frames:
            found, used = session.rgb(frame)
            expected = stream(frame)
            # Python rounds reduced frames to bytes before it compares them.
            away = np.abs(used - expected.guidance)
            assert away.max() < 0.03
            assert away.mean() < 0.001
            assert np.abs(found.astype(int) - expected.image).mean() < 1
    session.close()
    model.close()


def test_still_frames_are_averaged_as_in_python(denoiser: native.Model) -> None:
    rng = np.random.default_rng(1)
    clean = photo(120, 160).astype(np.float32)
    session = denoiser.session()
    errors = []
    with hyperguide.load("denoise", device="cpu", threads=1) as enhancer:
        stream = enhancer.stream()
        for _ in range(8):
            frame = (clean + rng.normal(0, 20, clean.shape)).clip(0, 255).astype(np.uint8)
            found, used = session.rgb(frame)
            expected = stream(frame)
            errors.append(np.abs(found - clean).mean() / np.abs(expected.image - clean).mean())
    assert 0.9 < errors[-1] < 1.1
    assert used.mean() == pytest.approx(expected.guidance.mean(), rel=0.15)
    session.close()


def test_reset_forgets_the_frames(denoiser: native.Model) -> None:
    frame = photo(64, 96)
    session = denoiser.session()
    first, _ = session.rgb(frame)
    for seed in range(3):
        session.rgb(photo(64, 96, seed=seed))
    session.library.check(session.library.hg_session_reset(session.handle))
    again, _ = session.rgb(frame)
    np.testing.assert_array_equal(again, first)
    session.close()


def test_a_model_may_be_given_up_before_its_sessions(library: native.Library) -> None:
    model = library.model(BUNDLED / "denoise-gray-fast.onnx")
    session = model.session()
    model.close()
    found, _ = session.rgb(photo(32, 48, 1)[..., 0])
    assert found.any()
    session.close()


def test_models_are_loaded_from_memory_and_described(library: native.Library) -> None:
    content = (BUNDLED / "dehaze-fast.onnx").read_bytes()
    options = native.ModelOptions(device=b"cpu", threads=1)
    handle = library.hg_model_from_memory(content, len(content), ctypes.byref(options))
    model = native.Model(library, handle)
    info = model.info
    assert (info.task, info.guidance, info.channels) == (b"dehaze", b"scene_depth", 3)
    assert (info.minimum, info.maximum) == (0, 1)
    assert b"ONNX Runtime" in info.engine
    model.close()


def test_one_session_in_two_threads_is_an_error_and_others_go_on(denoiser: native.Model) -> None:
    session = denoiser.session(smoothing=0, temporal=False)
    image = photo(400, 400)
    statuses: list[int] = []
    barrier = threading.Barrier(4)

    def enhance() -> None:
        barrier.wait()
        try:
            session.rgb(image)
            statuses.append(native.OK)
        except native.NativeError as error:
            statuses.append(error.status)

    threads = [threading.Thread(target=enhance) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert native.OK in statuses
    assert set(statuses) <= {native.OK, native.BUSY}
    session.rgb(image)
    session.close()


def test_sessions_in_threads_give_what_one_gives(denoiser: native.Model) -> None:
    images = [photo(96, 128, seed=seed) for seed in range(4)]
    alone = denoiser.session(smoothing=0, temporal=False)
    expected = [alone.rgb(image)[0] for image in images]
    found: dict[int, list[Pixels]] = {}

    def enhance(place: int) -> None:
        session = denoiser.session(smoothing=0, temporal=False)
        found[place] = [session.rgb(images[place])[0] for _ in range(3)]
        session.close()

    threads = [threading.Thread(target=enhance, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, results in found.items():
        for result in results:
            np.testing.assert_array_equal(result, expected[place])
    alone.close()


@pytest.mark.parametrize("device", DEVICES)
def test_a_call_is_cancelled_from_another_thread(library: native.Library, device: str) -> None:
    model = library.model(BUNDLED / "denoise-fast.onnx", device)
    session = model.session(smoothing=0, temporal=False)
    image = photo(1200, 1600)
    statuses: list[int] = []

    def enhance() -> None:
        while not statuses:  # on a busy machine, a call may end before it is cancelled
            try:
                session.rgb(image)
            except native.NativeError as error:
                statuses.append(error.status)

    thread = threading.Thread(target=enhance)
    thread.start()
    while thread.is_alive():
        library.hg_session_cancel(session.handle)
        thread.join(0.001)
    assert statuses == [native.CANCELLED]
    small, _ = session.rgb(image[:64, :96])  # an earlier cancel does not reach the next call
    assert small.any()
    session.close()
    model.close()


def test_pictures_that_do_not_fit_are_refused(denoiser: native.Model) -> None:
    session = denoiser.session()
    image, result = photo(32, 48), np.zeros((32, 48, 3), np.uint8)
    good, other = native.picture_of(image), native.picture_of(result)

    def refused(**changes: object) -> str:
        picture = native.Picture.from_buffer_copy(good)
        for name, value in changes.items():
            setattr(picture, name, value)
        with pytest.raises(native.NativeError) as caught:
            session.run(picture, other)
        assert caught.value.status == native.BAD_ARGUMENT
        return str(caught.value)

    assert "format" in refused(format=77)
    assert refused(width=0)
    assert refused(height=-5)
    assert refused(width=2**31 - 1, height=2**31 - 1)
    strides = (ctypes.c_ssize_t * 3)(100, 0, 0)
    assert "stride" in refused(strides=strides)
    assert refused(planes=(ctypes.c_void_p * 3)())
    assert "same width and height" in refused(width=40)
    overlapping = native.Picture.from_buffer_copy(good)
    overlapping.planes[0] = good.planes[0] + 3
    with pytest.raises(native.NativeError, match="overlap"):
        session.run(good, overlapping)
    session.close()


def test_in_place_gives_the_same_as_elsewhere(denoiser: native.Model) -> None:
    session = denoiser.session(smoothing=0, temporal=False)
    image = photo(50, 70)
    expected, _ = session.rgb(image)
    picture = native.picture_of(image)
    session.run(picture, picture)
    np.testing.assert_array_equal(image, expected)
    session.close()


def test_maps_that_do_not_fit_are_refused(denoiser: native.Model) -> None:
    session = denoiser.session()
    image = photo(32, 48)
    for wrong in (-0.1, 0.9, np.nan, np.inf):
        with pytest.raises(native.NativeError, match="guidance map"):
            session.rgb(image, np.full((32, 48), wrong, np.float32))
    session.close()


def test_dials_out_of_range_are_refused(denoiser: native.Model) -> None:
    session = denoiser.session()
    for name, value in (("strength", -1), ("guidance_scale", np.nan), ("smoothing", 1)):
        with pytest.raises(native.NativeError, match="must be a number of at least 0"):
            session.set(name, value)
    session.close()


def test_the_tests_of_the_parts_pass(folder: Path) -> None:
    native.run_tests(folder)


def test_the_library_is_small_and_needs_no_engine_to_load(folder: Path) -> None:
    path = folder / "libhyperguide.so"
    assert path.stat().st_size < 1_000_000
    needed = subprocess.run(
        ["readelf", "-d", str(path.resolve())], capture_output=True, text=True, check=True
    ).stdout
    assert not any(word in needed for word in ("python", "onnx", "openvino", "opencv"))


def test_the_example_enhances_a_picture_and_a_video(folder: Path, tmp_path: Path) -> None:
    image = photo(64, 80)
    picture, video = tmp_path / "in.ppm", tmp_path / "in.y4m"
    picture.write_bytes(b"P6\n80 64\n255\n" + image.tobytes())
    planes, _ = planes_of_yuv(64, 80, native.I420)
    frame = b"".join(
        ctypes.string_at(planes.planes[i], 64 * 80 >> (0 if i == 0 else 2)) for i in range(3)
    )
    video.write_bytes(b"YUV4MPEG2 W80 H64 F25:1 C420mpeg2\n" + 3 * (b"FRAME\n" + frame))
    for source in (picture, video):
        target = tmp_path / f"out{source.suffix}"
        done = enhance_file(folder, BUNDLED / "denoise-live.onnx", source, target)
        assert done.returncode == 0, done.stderr
        assert target.stat().st_size == source.stat().st_size
        assert target.read_bytes() != source.read_bytes()


PPM = b"P6\n80 64\n255\n"
Y4M = b"YUV4MPEG2 W80 H64 F25:1 C420mpeg2\n"


@pytest.mark.parametrize(
    ("content", "target", "part"),
    [
        (PPM + bytes(3), "out", "middle of a frame"),
        (Y4M + b"FRAME\n" + bytes(80), "out", "middle of a frame"),
        (Y4M, "out", "no frames"),
        (Y4M.replace(b"C420mpeg2", b"C420p12") + b"FRAME\n" + bytes(7680), "out", "must be"),
        (PPM + bytes(80 * 64 * 3), "/dev/full", "cannot be written"),
    ],
)
def test_the_example_refuses_what_it_cannot_finish(
    folder: Path, tmp_path: Path, content: bytes, target: str, part: str
) -> None:
    source = tmp_path / "in"
    source.write_bytes(content)
    done = enhance_file(folder, BUNDLED / "denoise-live.onnx", source, tmp_path / target)
    assert done.returncode == 1
    assert part in done.stderr


def test_the_example_says_which_model_is_missing(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(PPM + bytes(80 * 64 * 3))
    done = enhance_file(folder, tmp_path / "absent.onnx", source, tmp_path / "out")
    assert done.returncode == 1
    assert "absent.onnx cannot be read" in done.stderr


def enhance_file(folder: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [str(folder / "enhance_file"), *map(str, arguments)]
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix}  # where the engines are
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="pkg-config is missing")
def test_a_program_elsewhere_finds_the_installed_library(folder: Path, tmp_path: Path) -> None:
    prefix, program = tmp_path / "prefix", tmp_path / "program"
    program.mkdir()
    (program / "main.c").write_text(
        "#include <hyperguide.h>\n#include <stdio.h>\n"
        'int main(void) { return printf("%s", hg_version()) < 0; }\n'
    )
    (program / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(program C)\n"
        "find_package(hyperguide REQUIRED)\nadd_executable(main main.c)\n"
        "target_link_libraries(main hyperguide::hyperguide)\n"
    )

    def run(*command: str, **environment: str) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    settings = (
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
        "-DBUILD_TESTING=OFF",
        "-DHYPERGUIDE_EXAMPLES=OFF",
    )
    native.built(tmp_path / "build", *settings)
    run("cmake", "--install", str(tmp_path / "build"))
    (pc,) = prefix.rglob("hyperguide.pc")
    run("cmake", "-S", str(program), "-B", str(tmp_path / "by"), f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", str(tmp_path / "by"))
    assert run(str(tmp_path / "by" / "main")).count(".") == 2
    flags = run("pkg-config", "--cflags", "--libs", "hyperguide", PKG_CONFIG_PATH=str(pc.parent))
    main = str(tmp_path / "main")
    run("cc", str(program / "main.c"), *flags.split(), "-o", main)
    assert run(main, LD_LIBRARY_PATH=str(pc.parents[1])).count(".") == 2
