"""The first bytes determine a file's format; unsupported formats are refused by name."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from conftest import Cli, fails
from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_picture


def _encoded(suffix: str, picture: np.ndarray, signature: bytes) -> bytes:
    """A complete file written by OpenCV, or only the signature if OpenCV lacks the format."""
    try:
        written, data = cv2.imencode(suffix, picture)
    except cv2.error:
        written = False
    return data.tobytes() if written else signature + bytes(64)


def _box(brand: bytes, *others: bytes) -> bytes:
    """The start of a file in the ISO base media format."""
    names = brand + bytes(4) + b"".join(others)
    return (8 + len(names)).to_bytes(4, "big") + b"ftyp" + names + bytes(64)


_GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)
_COLOR = np.dstack([_GRAY] * 3)


@pytest.mark.parametrize("suffix", [".jpg", ".avif"])
@pytest.mark.parametrize(
    ("content", "name"),
    [
        (_encoded(".avif", _COLOR, _box(b"avif")), "an AVIF picture"),
        (_box(b"mif1", b"avif"), "an AVIF picture"),
        (_box(b"heic", b"mif1"), "an HEIC picture"),
        (_box(b"mif1", b"heic"), "an HEIC picture"),
        (_box(b"crx "), "a raw photo"),
        (_box(b"isom", b"mp42"), "a video"),
        (_encoded(".jp2", _COLOR, b"\0\0\0\x0cjP  \r\n\x87\n"), "a JPEG 2000 picture"),
        (b"\xff\x4f\xff\x51" + bytes(64), "a JPEG 2000 picture"),
        (_encoded(".pgm", _GRAY, b"P5\n"), "a PNM picture"),
        (_encoded(".ppm", _COLOR, b"P6\n"), "a PNM picture"),
        (_encoded(".pam", _COLOR, b"P7\n"), "a PNM picture"),
        (_encoded(".pfm", np.float32(_COLOR), b"PF\n"), "a PFM picture"),
        (_encoded(".hdr", np.float32(_COLOR), b"#?RADIANCE\n"), "a Radiance HDR picture"),
        (_encoded(".ras", _COLOR, b"\x59\xa6\x6a\x95"), "a Sun raster picture"),
        (_encoded(".gif", _COLOR, b"GIF89a"), "a GIF"),
        (b"\x76\x2f\x31\x01" + bytes(64), "an OpenEXR picture"),
        (b"\xff\x0a" + bytes(64), "a JPEG XL picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64), "a JPEG XL picture"),
        (b"II\xbc\x01" + bytes(64), "a JPEG XR picture"),
        (b"qoif" + bytes(64), "a QOI picture"),
        (b"8BPS\0\1" + bytes(64), "a Photoshop document"),
        (b"\0\0\1\0\1\0" + bytes(64), "an icon"),
        (b"%PDF-1.7" + bytes(64), "a PDF document"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x08\0\x08\1\1\x11\0" + bytes(64), "a JPEG-LS picture"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_formats_that_are_not_read_are_refused_by_name_under_any_suffix(
    content: bytes, name: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(content)
    with pytest.raises(HyperguideError) as error:
        read_picture(path)
    assert str(error.value) == f"{path} is {name}, which is not supported: save it as PNG."


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_pictures_are_read_under_any_suffix(format_: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.gif"
    Image.fromarray(_COLOR).save(path, format_)
    expected = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(read_picture(path), expected)


def test_a_picture_of_another_format_is_named_on_the_command_line(
    quick_cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "phone.jpg").write_bytes(_encoded(".avif", _COLOR, _box(b"avif")))
    result = quick_cli(
        "enhance", "-i", tmp_path / "phone.jpg", "-o", tmp_path / "out.png", "-t", "denoise"
    )
    fails(result, "phone.jpg is an AVIF picture, which is not supported: save it as PNG.")


def _mpo(*pictures: Image.Image) -> bytes:
    data = io.BytesIO()
    pictures[0].save(data, "MPO", save_all=True, append_images=pictures[1:])
    return data.getvalue()


def test_several_pictures_in_a_jpeg_are_refused_as_pages_are(photo: Path, tmp_path: Path) -> None:
    picture = Image.open(photo).convert("RGB")
    (tmp_path / "stereo.jpg").write_bytes(_mpo(picture, picture.rotate(180)))
    with pytest.raises(
        HyperguideError, match=r"stereo\.jpg holds 2 pictures, .* files of their own"
    ):
        read_picture(tmp_path / "stereo.jpg")


def test_previews_and_maps_of_a_phones_jpeg_are_no_pictures(photo: Path, tmp_path: Path) -> None:
    picture = Image.open(photo).convert("RGB")
    expected = np.asarray(Image.open(io.BytesIO(_mpo(picture))))
    (tmp_path / "preview.jpg").write_bytes(_mpo(picture, picture.resize((24, 16))))
    np.testing.assert_array_equal(read_picture(tmp_path / "preview.jpg"), expected)
    content = _mpo(picture, picture)
    second = content.index(b"\xff\xd8\xff", 2)
    mark = b"\xff\xe1\x00\x20http://ns.adobe.com/hdrgm/1.0/"  # of a gain map
    (tmp_path / "gains.jpg").write_bytes(content[: second + 2] + mark + content[second + 2 :])
    np.testing.assert_array_equal(read_picture(tmp_path / "gains.jpg"), expected)
