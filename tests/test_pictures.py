"""All kinds of picture files are read as Pillow reads them, or refused with the reason."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageOps

from conftest import Cli
from hyperguide.errors import HyperguideError, OutOfMemoryError
from hyperguide.picture_files import Metadata, read_picture, read_with_metadata, write_picture

pytestmark = pytest.mark.lowest

ARTIST, ORIENTATION = 315, 274


@pytest.fixture(scope="module")
def rgba(astronaut: np.ndarray) -> Image.Image:
    """A 64x48 photo whose alpha rises from corner to corner."""
    alpha = np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)
    return Image.fromarray(np.dstack([astronaut[:48, 100:164], alpha]))


def _sixteen(picture: Image.Image) -> np.ndarray:
    """The picture with 16-bit values that do not fit into 8 bits."""
    return np.asarray(picture).astype(np.uint16) * 255 + 100


def _png(path: Path, pixels: np.ndarray, color: int, *chunks: tuple[bytes, bytes]) -> None:
    """Write a 16-bit PNG of a kind that Pillow does not write."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    pieces = [
        (b"IHDR", struct.pack(">2I5B", width, height, 16, color, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in pieces
        )
    )


def _promise(path: Path, width: int, height: int, packed: int) -> None:
    """Write a 1-bit PNG whose header promises a size, with only `packed` bytes of pixels."""
    _png(path, np.zeros((1, 1), np.uint16), 0)
    content = path.read_bytes()
    header = b"IHDR" + struct.pack(">2I5B", width, height, 1, 0, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(bytes(packed), 0)[:packed]
    path.write_bytes(
        content[:8]
        + b"".join(
            struct.pack(">I", len(piece) - 4) + piece + struct.pack(">I", zlib.crc32(piece))
            for piece in (header, pixels, b"IEND")
        )
    )


def test_an_unusual_profile_of_a_png_prints_no_warning(
    rgba: Image.Image, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = rgba.convert("RGB")
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[64:68] = b"\x01\0\0\0"  # the rendering intent
    picture.save(tmp_path / "a.png", icc_profile=bytes(profile))
    cv2.imread(str(tmp_path / "a.png"))
    assert "libpng warning" in capfd.readouterr().err
    read, metadata = read_with_metadata(tmp_path / "a.png")
    assert not capfd.readouterr().err
    np.testing.assert_array_equal(read, np.asarray(picture))
    write_picture(tmp_path / "b.png", read, metadata)
    assert Image.open(tmp_path / "b.png").info["icc_profile"] == bytes(profile)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_palette_png_becomes_colour(
    bits: int, transparent: bool, rgba: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "palette.png"
    picture = rgba.convert("RGB").quantize(2**bits)
    picture.save(path, bits=bits, **({"transparency": bytes([0, 99])} if transparent else {}))
    expected = Image.open(path).convert("RGBA" if transparent else "RGB")
    np.testing.assert_array_equal(read_picture(path), expected)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_few_colours_are_spread_over_eight_bits(
    suffix: str, mode: str, rgba: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / f"picture{suffix}"
    rgba.convert("RGB").convert(mode).save(path)
    expected = Image.open(path).convert("RGB" if mode == "P" else "L")
    np.testing.assert_array_equal(read_picture(path), expected)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_of_sixteen_bits_keeps_them(suffix: str, rgba: Image.Image, tmp_path: Path) -> None:
    pixels = _sixteen(rgba.convert("L"))
    Image.fromarray(pixels).save(tmp_path / f"gray{suffix}")
    read = read_picture(tmp_path / f"gray{suffix}")
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, pixels)


def test_gray_with_alpha_keeps_both(rgba: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "gray.png"
    rgba.convert("LA").save(path)
    np.testing.assert_array_equal(read_picture(path), Image.open(path).convert("RGBA"))
    pixels = _sixteen(rgba.convert("LA"))
    _png(path, pixels, 4)
    np.testing.assert_array_equal(read_picture(path), pixels[..., [0, 0, 0, 1]])


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_a_transparent_level_becomes_alpha(mode: str, rgba: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "level.png"
    picture = rgba.convert("RGB").convert(mode)
    picture.save(path, transparency=255 if mode == "1" else picture.getpixel((3, 4)))
    expected = np.asarray(Image.open(path).convert("RGBA"))
    assert len(np.unique(expected[..., 3])) == 2
    np.testing.assert_array_equal(read_picture(path), expected)


def test_a_transparent_level_of_sixteen_bits_becomes_alpha(
    rgba: Image.Image, tmp_path: Path
) -> None:
    pixels = _sixteen(rgba.convert("L"))
    _png(tmp_path / "level.png", pixels, 0, (b"tRNS", int(pixels[3, 4]).to_bytes(2, "big")))
    read = read_picture(tmp_path / "level.png")
    np.testing.assert_array_equal(read[..., 0], pixels)
    np.testing.assert_array_equal(read[..., 3], np.where(pixels == pixels[3, 4], 0, 65535))


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpeg_becomes_colour(adobe: bool, rgba: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "inks.jpg"
    rgba.convert("RGB").convert("CMYK").save(path, quality=95)
    if not adobe:  # without the marker of 16 bytes the inks are not inverted
        content = path.read_bytes()
        at = content.index(b"\xff\xee\x00\x0eAdobe")
        path.write_bytes(content[:at] + content[at + 16 :])
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    read = read_picture(path)
    assert read.shape == expected.shape
    assert np.abs(read - expected).max() <= 1  # rounding


def test_cmyk_tiff_becomes_colour(rgba: Image.Image, tmp_path: Path) -> None:
    rgba.convert("RGB").convert("CMYK").save(tmp_path / "inks.tif")
    expected = Image.open(tmp_path / "inks.tif").convert("RGB")
    np.testing.assert_array_equal(read_picture(tmp_path / "inks.tif"), expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_progressive_jpeg(mode: str, rgba: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "progressive.jpg"
    rgba.convert("RGB").convert(mode).save(path, progressive=True)
    expected = np.asarray(Image.open(path)).astype(int)
    read = read_picture(path)
    assert read.shape == expected.shape
    assert np.abs(read - expected).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_with_alpha_keeps_its_colours(
    dtype: type, big: bool, order: str, rgba: Image.Image, tmp_path: Path
) -> None:
    pixels = np.asarray(rgba).astype(dtype) / dtype(255 if dtype is np.float32 else 1)
    tifffile.imwrite(
        tmp_path / "alpha.tif",
        pixels.astype(dtype),
        byteorder=order,
        bigtiff=big,
        photometric="rgb",
        extrasamples=["unassalpha"],
    )
    np.testing.assert_array_equal(read_picture(tmp_path / "alpha.tif"), pixels.astype(dtype))


def test_tiff_with_colours_multiplied_by_alpha(rgba: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "multiplied.tif"
    multiplied = np.asarray(rgba.convert("RGBa"))
    for scale, dtype in ((1, np.uint8), (257, np.uint16)):
        tifffile.imwrite(
            path, multiplied.astype(dtype) * scale, photometric="rgb", extrasamples=["assocalpha"]
        )
        expected = np.asarray(
            Image.frombytes("RGBa", rgba.size, multiplied.tobytes()).convert("RGBA")
        )
        difference = np.abs(read_picture(path) / scale - expected)
        assert difference.max() <= 1  # Pillow rounds down


def test_written_tiff_tells_others_of_its_alpha(rgba: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "alpha.tif"
    assert write_picture(path, np.asarray(rgba)) == []
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
        fields = [tag.code for tag in file.pages[0].tags]
        assert fields == sorted(fields)  # as TIFF requires
    np.testing.assert_array_equal(Image.open(path), rgba)
    np.testing.assert_array_equal(read_picture(path), rgba)


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        *((".jpg", mode) for mode in ("L", "RGB")),
        *((".webp", mode) for mode in ("RGB", "RGBA")),
        *((".png", mode) for mode in ("L", "RGB", "RGBA", "P", "I;16")),
        *((".tif", mode) for mode in ("L", "RGB", "RGBA", "I;16")),
    ],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_exif_says(
    suffix: str, mode: str, orientation: int, rgba: Image.Image, tmp_path: Path
) -> None:
    deep, opaque = mode == "I;16", mode == "P"
    picture = (rgba.convert("RGB") if opaque else rgba).convert("L" if deep else mode)
    picture = Image.fromarray(_sixteen(picture)) if deep else picture
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    how = {".jpg": {"quality": 95}, ".webp": {"lossless": True, "exact": True}}.get(suffix, {})
    path, flat = tmp_path / f"turned{suffix}", tmp_path / f"flat{suffix}"
    picture.save(path, exif=exif, **how)
    picture.save(flat, **how)
    with Image.open(flat) as stored:
        stored.getexif()[ORIENTATION] = orientation
        upright = ImageOps.exif_transpose(stored)
    expected = np.asarray(upright.convert("RGB") if opaque else upright)
    assert expected.shape[:2] == ((64, 48) if orientation > 4 else (48, 64))
    read = read_picture(path)
    assert read.shape == expected.shape
    assert np.abs(read - expected.astype(int)).max() <= (1 if suffix == ".jpg" else 0)


def _animation(path: Path, rgba: Image.Image) -> None:
    rgba.save(path, save_all=True, append_images=[rgba.rotate(90)], duration=100)


def _odd_tiff(**options: object) -> Callable[[Path, Image.Image], None]:
    def write(path: Path, rgba: Image.Image) -> None:
        tifffile.imwrite(path, _sixteen(rgba)[..., 0], **options)

    return write


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("moving.png", _animation, "is an animation"),
        ("moving.webp", _animation, "is an animation"),
        ("moving.gif", _animation, "is a GIF"),
        ("pages.tif", _animation, "holds 2 pages"),
        ("raw.tif", _odd_tiff(photometric="miniswhite", subfiletype=1), "is a raw photo"),
        ("lab.tif", lambda p, i: i.convert("RGB").convert("LAB").save(p), "colour space CIE Lab"),
        ("int.tif", lambda p, i: tifffile.imwrite(p, np.zeros((9, 9), np.int16)), "type int16"),
        ("half.tif", lambda p, i: tifffile.imwrite(p, np.zeros((9, 9), "f2")), "type float16"),
        ("double.tif", lambda p, i: tifffile.imwrite(p, np.zeros((9, 9))), "type float64"),
        ("cut.tif", lambda p, i: p.write_bytes(b"II*\0\x99\0\0\0" * 4), "is damaged"),
    ],
)
def test_pictures_that_would_be_read_wrongly_are_refused(
    name: str,
    write: Callable[[Path, Image.Image], None],
    words: str,
    rgba: Image.Image,
    tmp_path: Path,
) -> None:
    write(tmp_path / name, rgba)
    with pytest.raises(HyperguideError, match=words) as error:
        read_picture(tmp_path / name)
    assert name in str(error.value)


def test_a_preview_is_no_second_page(rgba: Image.Image, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "photo.tif") as writer:
        writer.write(np.asarray(rgba.convert("RGB")), photometric="rgb")
        writer.write(np.asarray(rgba.convert("L"))[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_picture(tmp_path / "photo.tif"), rgba.convert("RGB"))


def test_a_picture_with_nan_is_named(quick_cli: Cli, photo: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    photo.rename(source / "good.png")
    tifffile.imwrite(source / "holes.tif", np.full((48, 64), np.nan, np.float32))
    result = quick_cli("enhance", "-i", source, "-o", tmp_path / "out", "-t", "denoise")
    assert result.code == 1
    assert "holes.tif: The picture contains NaN" in result.out + result.err
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["good.png"]


@pytest.mark.parametrize("step", ["cvtColor", "imdecode", "imencode"])
def test_too_little_memory_in_opencv_is_an_error_about_memory(
    step: str, rgba: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgba.convert("RGB").save(tmp_path / "in.png")
    picture = read_picture(tmp_path / "in.png")

    def refuse(*_: object) -> None:
        error = cv2.error("Insufficient memory")
        error.code = cv2.Error.StsNoMem
        raise error

    monkeypatch.setattr(cv2, step, refuse)
    if step != "imencode":
        with pytest.raises(OutOfMemoryError, match=r"not enough memory for reading .*in\.png"):
            read_picture(tmp_path / "in.png")
    if step != "imdecode":
        with pytest.raises(OutOfMemoryError, match=r"not enough memory for writing .*out\.png"):
            write_picture(tmp_path / "out.png", picture)
    assert not (tmp_path / "out.png").exists()


def test_more_pixels_than_opencv_reads_are_refused_with_its_limit(tmp_path: Path) -> None:
    _promise(tmp_path / "giant.png", 40000, 30000, packed=200_000)
    with pytest.raises(HyperguideError, match=r"40000x30000 pixels.*PIXELS to 1200000000"):
        read_picture(tmp_path / "giant.png", max_memory=1 << 40)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_the_opencv_limit_named_is_the_one_that_helps(
    suffix: str, rgba: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / f"picture{suffix}"
    rgba.convert("RGB").save(path)
    script = (
        "import os, sys\n"
        "os.environ['OPENCV_IO_MAX_IMAGE_WIDTH'] = sys.argv[2]\n"
        "from pathlib import Path\n"
        "from hyperguide.picture_files import read_picture\n"
        "print(read_picture(Path(sys.argv[1])).shape)\n"
    )

    def read(limit: int) -> tuple[str, str]:
        words = [sys.executable, "-c", script, str(path), str(limit)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        return result.stdout, result.stderr

    _, error = read(63)
    assert "pixels, more than OpenCV reads unless told" in error
    assert "OPENCV_IO_MAX_IMAGE_WIDTH" in error
    assert "64x48 pixels" in error
    assert "to 64." in error
    assert read(64)[0] == "(48, 64, 3)\n"


@pytest.mark.parametrize(("suffix", "longest"), [(".webp", 16383), (".jpg", 65500)])
def test_formats_that_hold_no_such_size_are_refused(
    suffix: str, longest: int, tmp_path: Path
) -> None:
    path = tmp_path / f"wide{suffix}"
    with pytest.raises(HyperguideError, match=f"holds {longest} a side"):
        write_picture(path, np.zeros((1, longest + 1), np.uint8))
    write_picture(path, np.zeros((1, longest), np.uint8))
    assert Image.open(path).size == (longest, 1)


# Made only once, because it contains the second of its creation.
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _profile(space: bytes = b"RGB ", extra: int = 0) -> bytes:
    """sRGB with its colour space renamed; `extra` bytes make it longer than a JPEG segment."""
    return _SRGB[:16] + space + _SRGB[20:] + bytes(range(256)) * (extra // 256)


def _exif(orientation: int, order: str = "<") -> bytes:
    """EXIF with an artist, an orientation, and a second directory with a thumbnail."""
    fields = [
        struct.pack(order + "HHI4s", ORIENTATION, 3, 1, struct.pack(order + "Hxx", orientation)),
        struct.pack(order + "HHII", ARTIST, 2, 10, 38),
    ]
    first = struct.pack(order + "H", 2) + b"".join(fields) + struct.pack(order + "I", 48)
    thumbnail = struct.pack(order + "HHHIIHHIII", 2, 513, 4, 1, 78, 514, 4, 1, 14, 0)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + first + b"A. Pixel.\0" + thumbnail + b"\xff\xd8thumbnail\xff\xd9\0"


def _source(path: Path, picture: Image.Image, profile: bytes, exif: bytes, dpi: int) -> None:
    more = {} if path.suffix == ".tif" else {"exif": b"Exif\0\0" + exif}
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    picture.save(path, icc_profile=profile, dpi=(dpi, dpi), **more, **lossless)


@pytest.mark.parametrize("output", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("source", [".png", ".jpg", ".webp", ".tif"])
def test_metadata_goes_from_file_to_file(
    source: str, output: str, rgba: Image.Image, tmp_path: Path
) -> None:
    path, written = tmp_path / f"in{source}", tmp_path / f"out{output}"
    profile = _profile(extra=150_000)
    _source(path, rgba.convert("RGB"), profile, _exif(6), 300)
    picture, metadata = read_with_metadata(path)
    assert write_picture(written, picture, metadata) == []
    result = Image.open(written)
    assert result.info["icc_profile"] == profile
    exif = result.getexif()
    assert exif.get(ORIENTATION, 1) == 1
    if source != ".tif":
        assert exif[ARTIST] == "A. Pixel."
    assert not exif.get_ifd(ExifTags.IFD.IFD1)  # the directory of the thumbnail
    assert b"thumbnail" not in written.read_bytes()
    if source != ".webp" and output != ".webp":  # for which Pillow reports no resolution
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    bare = tmp_path / f"bare{output}"
    write_picture(bare, picture, Metadata(sampling=metadata.sampling))
    np.testing.assert_array_equal(result, Image.open(bare))
    assert result.size == ((64, 48) if source == ".tif" else (48, 64))


@pytest.mark.parametrize("output", [".png", ".webp", ".tif"])
def test_metadata_does_not_touch_transparency(
    output: str, rgba: Image.Image, tmp_path: Path
) -> None:
    path, written = tmp_path / "in.png", tmp_path / f"out{output}"
    _source(path, rgba, _profile(), _exif(1, ">"), 72)
    write_picture(written, *read_with_metadata(path))
    result = Image.open(written)
    assert result.mode == "RGBA"
    if output == ".webp":  # the header's flags: profile, alpha, EXIF
        assert written.read_bytes()[20] == 0b111000
    seen = np.asarray(rgba)[..., 3] > 0  # WebP drops the colours of invisible pixels
    np.testing.assert_array_equal(np.asarray(result)[seen], np.asarray(rgba)[seen])
    assert result.info["icc_profile"] == _profile()


def test_resolutions_follow_the_turn(rgba: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    rgba.save(tmp_path / "in.png", exif=exif, dpi=(100, 200))
    write_picture(tmp_path / "out.png", *read_with_metadata(tmp_path / "in.png"))
    assert Image.open(tmp_path / "out.png").info["dpi"] == pytest.approx((200, 100), abs=0.01)


@pytest.mark.parametrize(("space", "mode"), [(b"CMYK", "CMYK"), (b"GRAY", "RGB"), (b"RGB ", "L")])
def test_profile_of_another_kind_of_picture_is_dropped(
    space: bytes, mode: str, rgba: Image.Image, tmp_path: Path
) -> None:
    rgba.convert("RGB").convert(mode).save(tmp_path / "in.jpg", icc_profile=_profile(space))
    notes = write_picture(tmp_path / "out.jpg", *read_with_metadata(tmp_path / "in.jpg"))
    assert len(notes) == 1
    assert f"profile is for {space.decode().strip()}: it was dropped from out.jpg" in notes[0]
    assert "icc_profile" not in Image.open(tmp_path / "out.jpg").info


def test_bmp_says_what_it_does_not_hold(rgba: Image.Image, tmp_path: Path) -> None:
    _source(tmp_path / "in.png", rgba.convert("RGB"), _profile(), _exif(1), 300)
    picture, metadata = read_with_metadata(tmp_path / "in.png")
    notes = write_picture(tmp_path / "out.bmp", picture, metadata)
    assert notes == [".bmp holds no colour profile or EXIF: they were dropped from out.bmp"]
    bmp = Image.open(tmp_path / "out.bmp")
    assert bmp.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    np.testing.assert_array_equal(bmp, rgba.convert("RGB"))
    assert read_with_metadata(tmp_path / "out.bmp")[1].density == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
def test_damaged_metadata_is_left_out(share: float, rgba: Image.Image, tmp_path: Path) -> None:
    exif, profile = _exif(6)[: int(40 * share)], _profile()[: int(40 * share)]
    _source(tmp_path / "in.png", rgba, profile, exif, 300)
    picture, metadata = read_with_metadata(tmp_path / "in.png")
    np.testing.assert_array_equal(picture, rgba)
    assert metadata.exif is None
    assert metadata.profile is None


@pytest.mark.parametrize("name", ["in.png", "in.jpg", "in.webp", "in.tif", "big.tif"])
def test_damaged_headers_are_read_or_refused(name: str, rgba: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "big.tif":
        tifffile.imwrite(path, np.asarray(rgba), bigtiff=True, photometric="rgb")
    else:
        _source(path, rgba.convert("RGB"), _profile(), _exif(6), 300)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        for at in rng.integers(0, 500, 3):
            damaged[at] = rng.choice([0, 127, 255])
        path.write_bytes(damaged)
        try:
            picture, metadata = read_with_metadata(path)
        except HyperguideError:
            refused += 1
        else:
            write_picture(tmp_path / "out.tif", picture[:48, :48], metadata)
    assert 0 < refused < 100


def test_enhanced_pictures_keep_metadata_and_maps_have_none(
    quick_cli: Cli, rgba: Image.Image, tmp_path: Path
) -> None:
    _source(tmp_path / "in.jpg", rgba.convert("RGB"), _profile(), _exif(6), 300)
    result = quick_cli(
        *("enhance", "-i", tmp_path / "in.jpg", "-o", tmp_path / "out.png", "-t", "denoise"),
        *("--save-guidance", tmp_path / "maps"),
    )
    assert result.code == 0, result.err
    out = Image.open(tmp_path / "out.png")
    assert out.size == (48, 64)
    assert out.info["icc_profile"] == _profile()
    assert out.getexif()[ARTIST] == "A. Pixel."
    for path in (tmp_path / "maps").iterdir():
        assert not {"icc_profile", "exif", "dpi"} & set(Image.open(path).info)
