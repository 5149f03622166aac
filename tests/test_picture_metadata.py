"""Metadata of picture files is kept and corrected for the result, or its loss is reported."""

from __future__ import annotations

import itertools
import os
import struct
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from conftest import Cli
from hyperguide.picture_files import Metadata, read_with_metadata, write_picture
from hyperguide.picture_files.metadata.exif import Exif, Value, read_exif
from hyperguide.picture_files.metadata.exif_layout import to_bytes
from hyperguide.picture_files.metadata.formats import read_metadata
from hyperguide.picture_files.metadata.held import held
from hyperguide.picture_files.metadata.metadata import Text

FORMATS = (".png", ".jpg", ".webp", ".tif", ".bmp")
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
IPTC = b"\x1c\x02\x05\x00\x05Title\x1c\x02\x74\x00\x0b(c) A.Pixel"  # title, copyright
PATH = b"8BIM\x07\xd0\x01a\x00\x00\x00\x02ab"  # a Photoshop resource with a path named "a"
ARTIST, COPYRIGHT, ORIENTATION = 315, 33432, 274
PHOTO, GPS, MAKER_NOTE = 34665, 34853, 37500
WIDE, HIGH = 48, 32


def packet(orientation: int = 1, width: int = WIDE, height: int = HIGH, more: str = "") -> bytes:
    """XMP with an author, an orientation, and a size both as attributes and as elements."""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:e="http://ns.adobe.com/exif/1.0/" '
        "xmlns:tiff='http://ns.adobe.com/tiff/1.0/' xmlns:xmp='http://ns.adobe.com/xap/1.0/' "
        f'dc:creator="Ä. Pixel" tiff:Orientation="{orientation}" tiff:ImageWidth="{width}" '
        f'tiff:ImageLength="{height}"><e:PixelXDimension>{width}</e:PixelXDimension>'
        f"<e:PixelYDimension>{height}</e:PixelYDimension>{more}</rdf:Description></rdf:RDF>"
        '</x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def camera(orientation: int, width: int = WIDE, height: int = HIGH) -> Image.Exif:
    """EXIF as a phone writes it: maker, author, size, time, place."""
    exif = Image.Exif()
    exif[271], exif[ARTIST], exif[COPYRIGHT] = "Maker", "A. Pixel", "(c) A. Pixel"
    exif[ORIENTATION] = orientation
    photo = exif.get_ifd(PHOTO)
    photo[33434], photo[40962], photo[40963] = IFDRational(1, 125), width, height
    photo[36867] = "2024:05:06 07:08:09"
    place = exif.get_ifd(GPS)
    place[1], place[2] = "N", (47.0, 22.0, 30.5)
    return exif


@pytest.fixture(scope="module")
def pixels(astronaut: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(astronaut[100 : 100 + HIGH, 200 : 200 + WIDE])


@pytest.fixture(scope="module")
def rich() -> Metadata:
    """Metadata with everything that any format can hold."""
    photo = {
        36867: Value(2, 20, b"2024:05:06 07:08:09\0"),
        33434: Value(5, 1, b"\1\0\0\0\x7d\0\0\0"),
    }
    photo |= {
        40962: Value(4, 1, struct.pack("<I", WIDE)),
        40963: Value(4, 1, struct.pack("<I", HIGH)),
    }
    fields = {271: Value(2, 6, b"Maker\0"), ORIENTATION: Value(3, 1, b"\1\0"), PHOTO: photo}
    return Metadata(
        exif=Exif(
            fields | {GPS: {1: Value(2, 2, b"N\0"), 2: Value(5, 3, bytes(range(1, 25)))}}, ">"
        ),
        density=(300, 200),
        xmp=packet(),
        xmp_extension=(b"0" * 40 + b"long",),
        iptc=IPTC,
        photoshop=PATH,
        texts=(
            Text("Comment", "Größe"),
            Text("Title", "山", "ja", "表題"),
            Text("Log", "x" * 5000),
        ),
        color=((b"gAMA", struct.pack(">I", 100000)), (b"cICP", bytes([9, 16, 0, 1]))),
    )


def turned(pixels: np.ndarray) -> np.ndarray:
    """The pixels turned a quarter to the right, as orientation 6 says."""
    return np.rot90(pixels, -1)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(FORMATS, FORMATS)))
def test_metadata_that_was_read_and_written_is_read_again(
    first: str, second: str, pixels: np.ndarray, rich: Metadata, tmp_path: Path
) -> None:
    write_picture(tmp_path / f"a{first}", pixels, rich)
    read, metadata = read_with_metadata(tmp_path / f"a{first}")
    notes = write_picture(tmp_path / f"b{second}", read, metadata)
    again = read_with_metadata(tmp_path / f"b{second}")[1]
    expected, words = held(second, held(first, rich, pixels.shape)[0], pixels.shape)
    assert replace(again, sampling=None, density=None) == replace(expected, density=None)
    assert again.density == pytest.approx((300, 200), abs=0.01)
    assert len(notes) == bool(words)
    assert all(word in note for note in notes for word in words)


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_format_holds_every_kind_of_metadata_or_names_its_loss(
    suffix: str, pixels: np.ndarray, rich: Metadata, tmp_path: Path
) -> None:
    notes = write_picture(tmp_path / f"a{suffix}", pixels, rich)
    again = read_metadata((tmp_path / f"a{suffix}").read_bytes())
    told = "".join(notes).replace("part of long XMP", "")
    kinds = {
        "exif": "EXIF",
        "xmp": " XMP",
        "xmp_extension": "second",
        "iptc": "IPTC",
        "photoshop": "resources of Photoshop",
        "texts": "text of PNG or JPEG (",
        "color": "gAMA and cICP",
    }
    for name, words in kinds.items():
        kept = getattr(again, name) == getattr(rich, name)
        assert kept != (words in told), name
    assert all(f"a{suffix}" in note for note in notes)


def _saved(path: Path, pixels: np.ndarray, exif: Image.Exif, xmp: bytes) -> None:
    """Save with Pillow: EXIF and XMP become TIFF fields; WebP is lossless."""
    picture = Image.fromarray(pixels)
    if path.suffix == ".png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        picture.save(path, exif=exif, pnginfo=info)
    elif path.suffix == ".tif":
        fields = ImageFileDirectory_v2()
        for number, value in {**exif, 700: xmp}.items():
            fields[number] = value
        for number in (PHOTO, GPS):
            fields[number] = dict(exif.get_ifd(number))
        picture.save(path, tiffinfo=fields)
    else:
        picture.save(path, exif=exif, xmp=xmp, lossless=True)


@pytest.mark.parametrize("output", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("source", [".png", ".jpg", ".webp", ".tif"])
def test_pillow_reads_the_cameras_fields_of_a_turned_picture(
    source: str, output: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    _saved(tmp_path / f"in{source}", pixels, camera(6), packet(6))
    read, metadata = read_with_metadata(tmp_path / f"in{source}")
    assert read.shape == (WIDE, HIGH, 3)
    assert write_picture(tmp_path / f"out{output}", read, metadata) == []
    with Image.open(tmp_path / f"out{output}") as result:
        exif = result.getexif()
        photo, place = exif.get_ifd(PHOTO), exif.get_ifd(GPS)
        xmp = result.info.get("xmp")
        assert result.size == (HIGH, WIDE)
    assert [exif[number] for number in (271, ARTIST, COPYRIGHT)] == [
        *("Maker", "A. Pixel", "(c) A. Pixel"),
    ]
    assert exif[ORIENTATION] == 1
    assert (photo[40962], photo[40963]) == (HIGH, WIDE)
    assert photo[36867] == "2024:05:06 07:08:09"
    assert photo[33434] == pytest.approx(1 / 125)
    assert place[1] == "N"
    assert [float(part) for part in place[2]] == [47.0, 22.0, 30.5]
    assert xmp == packet(1, HIGH, WIDE)


def test_xmp_stays_as_it_is_where_no_picture_was_turned(pixels: np.ndarray, tmp_path: Path) -> None:
    exif = camera(1)
    del exif[ORIENTATION]
    _saved(tmp_path / "in.jpg", pixels, exif, packet(3))
    read, metadata = read_with_metadata(tmp_path / "in.jpg")
    assert read.shape == pixels.shape
    assert metadata.xmp == packet(3)


def test_xmp_is_found_whatever_its_prefixes_and_code(pixels: np.ndarray, tmp_path: Path) -> None:
    other = packet(6).replace(b"tiff:", b"t.1:").replace(b"xmlns:tiff=", b"xmlns:t.1 = ")
    wide = other.decode().encode("utf-16-le")
    exif = camera(6)
    exif[700] = wide
    Image.fromarray(pixels).save(tmp_path / "in.tif", exif=exif)
    write_picture(tmp_path / "out.png", *read_with_metadata(tmp_path / "in.tif"))
    with Image.open(tmp_path / "out.png") as result:
        xmp = result.info["xmp"]
    assert b't.1:Orientation="1"' in xmp
    assert b"xmlns:tiff" not in xmp


def test_an_xmp_name_of_another_namespace_is_no_orientation() -> None:
    other = packet(6).replace(b"http://ns.adobe.com/tiff/1.0/", b"http://example.org/tiff/")
    assert _jpeg_read(_exif_segment(camera(6)), _segment(0xE1, XMP_HEAD + other)).xmp == other


def test_thumbnails_of_the_old_picture_are_left_out() -> None:
    more = "<xmp:Thumbnails><rdf:Alt><rdf:li>/9j/</rdf:li></rdf:Alt></xmp:Thumbnails>"
    thumbnail = b"8BIM\x04\x0c\0\0\0\0\0\4\xff\xd8\xff\xd9"
    found = _jpeg_read(
        _segment(0xE1, XMP_HEAD + packet(more=more)),
        _segment(0xED, b"Photoshop 3.0\0" + thumbnail + PATH),
    )
    assert found.xmp == packet()
    assert found.photoshop == PATH
    assert found.lost == ()


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _exif_segment(exif: Image.Exif) -> bytes:
    return _segment(0xE1, exif.tobytes())


def _jpeg_read(*segments: bytes) -> Metadata:
    """The metadata of a JPEG with these segments."""
    return read_metadata(b"\xff\xd8" + b"".join(segments) + b"\xff\xda\0\2\xff\xd9")


@pytest.mark.parametrize("head", [XMP_HEAD, b"XMP\0", b""])
def test_xmp_of_jpeg_is_read_with_and_without_its_head(head: bytes) -> None:
    assert _jpeg_read(_segment(0xE1, head + packet())).xmp == packet()


def test_damaged_pieces_of_jpeg_are_named() -> None:
    damaged = {
        "damaged XMP": _segment(0xE1, XMP_HEAD + b"\xff\xff"),
        "damaged EXIF": _segment(0xE1, b"Exif\0\0II*\0\xff\0\0\0"),
        "damaged comment": _segment(0xFE, b"a\0b"),
        "damaged colour profile": _segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(200)),
    }
    for words, segment in damaged.items():
        assert _jpeg_read(segment) == Metadata(lost=(words,))


def test_iptc_is_read_as_pillow_reads_it(
    pixels: np.ndarray, tmp_path: Path, rich: Metadata
) -> None:
    for suffix in (".jpg", ".tif"):
        write_picture(tmp_path / f"a{suffix}", pixels, rich)
        with Image.open(tmp_path / f"a{suffix}") as result:
            assert IptcImagePlugin.getiptcinfo(result) == {
                (2, 5): b"Title",
                (2, 116): b"(c) A.Pixel",
            }


def test_photoshop_resources_longer_than_a_segment_come_back(
    pixels: np.ndarray, tmp_path: Path
) -> None:
    path = b"8BIM\x07\xd0\0\0" + struct.pack(">I", 150_000) + bytes(150_000)
    write_picture(tmp_path / "a.jpg", pixels, Metadata(iptc=IPTC, photoshop=path))
    found = read_metadata((tmp_path / "a.jpg").read_bytes())
    assert (found.iptc, found.photoshop) == (IPTC, path)


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    pieces = [(b"IHDR", struct.pack(">2I5B", 1, 1, 8, 2, 0, 0, 0)), *chunks]
    pieces += [(b"IDAT", zlib.compress(bytes(4))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in pieces
    )


def _raw_profile(name: str, profile: bytes) -> bytes:
    """A profile as in ImageMagick: newline, name, length in 8 columns, 36 bytes per line."""
    digits = profile.hex()
    lines = [digits[at : at + 72] for at in range(0, len(digits), 72)]
    return f"\n{name}\n{len(profile):8d}\n".encode() + "\n".join(lines).encode() + b"\n"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("kind", "profile", "field"),
    [
        ("exif", b"Exif\0\0" + camera(8).tobytes()[6:], "exif"),
        ("APP1", b"Exif\0\0" + camera(8).tobytes()[6:], "exif"),
        ("APP1", XMP_HEAD + packet(), "xmp"),
        ("xmp", packet(), "xmp"),
        ("iptc", b"8BIM\x04\x04\0\0\0\0\0\x1a" + IPTC, "iptc"),
        ("iptc", IPTC, "iptc"),
    ],
)
def test_raw_profiles_of_png_are_read(
    kind: str, profile: bytes, field: str, compressed: bool
) -> None:
    text = _raw_profile(kind.lower(), profile)
    keyword = b"Raw profile type " + kind.encode() + b"\0"
    chunk = (
        (b"zTXt", keyword + b"\0" + zlib.compress(text))
        if compressed
        else (b"tEXt", keyword + text)
    )
    found = read_metadata(_png(chunk))
    assert found.texts == ()
    assert found.lost == ()
    if field == "exif":
        assert found.orientation == 8
        assert found.exif is not None
        assert found.exif.fields[ARTIST] == Value(2, 9, b"A. Pixel\0")
    else:
        assert getattr(found, field) == {"xmp": packet(), "iptc": IPTC}[field]


def test_a_png_with_a_raw_profile_is_turned(pixels: np.ndarray, tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("Raw profile type exif", _raw_profile("exif", camera(6).tobytes()).decode(), True)
    Image.fromarray(pixels).save(tmp_path / "in.png", pnginfo=info)
    np.testing.assert_array_equal(read_with_metadata(tmp_path / "in.png")[0], turned(pixels))


def test_texts_of_png_are_read_by_pillow(
    pixels: np.ndarray, rich: Metadata, tmp_path: Path
) -> None:
    write_picture(tmp_path / "a.png", pixels, rich)
    with Image.open(tmp_path / "a.png") as result:
        assert result.text["Comment"] == "Größe"
        assert result.text["Title"] == "山"
        assert (result.text["Title"].lang, result.text["Title"].tkey) == ("ja", "表題")
        assert result.text["Log"] == "x" * 5000


def test_comments_go_from_jpeg_to_png_and_back(pixels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / "in.jpg", comment="by hand")
    write_picture(tmp_path / "a.png", *read_with_metadata(tmp_path / "in.jpg"))
    write_picture(tmp_path / "b.jpg", *read_with_metadata(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as png, Image.open(tmp_path / "b.jpg") as jpeg:
        assert png.text == {"Comment": "by hand"}
        assert jpeg.info["comment"] == b"by hand"


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize(
    ("name", "data"),
    [
        (b"cICP", bytes([9, 16, 0, 1])),
        (b"gAMA", struct.pack(">I", 100000)),
        (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
        (b"cLLI", bytes(8)),
        (b"mDCV", bytes(24)),
    ],
)
def test_what_png_says_of_colours_is_kept_or_named(
    name: bytes, data: bytes, output: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "in.png").write_bytes(_png((name, data)))
    notes = write_picture(tmp_path / f"out{output}", *read_with_metadata(tmp_path / "in.png"))
    if output == ".png":
        assert notes == []
        chunk = struct.pack(">I", len(data)) + name + data
        content = (tmp_path / "out.png").read_bytes()
        assert 0 < content.index(chunk) < content.index(b"IDAT")
    else:
        assert len(notes) == 1
        assert f"{output} holds no {name.decode()}" in notes[0]


def test_srgb_is_what_all_formats_mean(tmp_path: Path) -> None:
    primaries = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    chunks = [(b"sRGB", b"\1"), (b"gAMA", struct.pack(">I", 45455)), (b"cHRM", primaries)]
    (tmp_path / "in.png").write_bytes(_png(*chunks))
    picture, metadata = read_with_metadata(tmp_path / "in.png")
    assert [write_picture(tmp_path / f"a{suffix}", picture, metadata) for suffix in FORMATS] == [
        []
    ] * 5
    assert read_metadata((tmp_path / "a.png").read_bytes()).color == tuple(chunks)


def test_significant_bits_are_named_because_results_use_all(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(_png((b"sBIT", bytes([5, 6, 5]))))
    notes = write_picture(tmp_path / "out.png", *read_with_metadata(tmp_path / "in.png"))
    assert len(notes) == 1
    assert "number of significant bits" in notes[0]
    assert b"sBIT" not in (tmp_path / "out.png").read_bytes()
    assert read_metadata(_png((b"sBIT", bytes([8, 8, 8])))).lost == ()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_fields_of_tiff_stay_in_tiff(
    big: bool, order: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    scale, place = (2.0, 2.0, 0.0), (0.0, 0.0, 0.0, 500.0, 4000.0, 0.0)
    tags = [
        *((33550, 12, 3, scale, True), (33922, 12, 6, place, True)),
        *((34735, 3, 4, (1, 1, 0, 0), True), (ARTIST, 2, 0, "A. Pixel", True)),
        *((700, 1, len(packet()), packet(), True), (33723, 7, len(IPTC), IPTC, True)),
    ]
    description = "<OME xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'/>"
    tifffile.imwrite(
        tmp_path / "in.tif",
        pixels,
        bigtiff=big,
        byteorder=order,
        photometric="rgb",
        description=description,
        software="microscope",
        datetime="2024:05:06 07:08:09",
        resolution=(4, 4),
        resolutionunit=1,
        extratags=tags,
        metadata=None,
    )
    picture, metadata = read_with_metadata(tmp_path / "in.tif")
    assert write_picture(tmp_path / "out.tif", picture, metadata) == []
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        found = {tag.code: tag.value for tag in file.pages[0].tags}
        np.testing.assert_array_equal(Image.open(tmp_path / "out.tif"), pixels)
    assert found[33550] == scale
    assert found[33922] == place
    assert found[34735] == (1, 1, 0, 0)
    assert found[270] == description
    assert (found[305], found[306]) == ("microscope", "2024:05:06 07:08:09")
    assert found[ARTIST] == "A. Pixel"
    assert bytes(found[700]) == packet()
    assert bytes(found[33723]) == IPTC
    assert (found[282], found[283], found[296]) == ((4, 1), (4, 1), 1)
    notes = write_picture(tmp_path / "out.jpg", picture, metadata)
    assert notes == [".jpg holds no GeoTIFF: it was dropped from out.jpg"]
    with Image.open(tmp_path / "out.jpg") as jpeg:
        assert jpeg.getexif()[270] == description
        assert 33550 not in jpeg.getexif()


def test_a_description_of_other_pixels_is_named(pixels: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[270] = '{"shape": [3, 32, 48]}'
    Image.fromarray(pixels).save(tmp_path / "in.tif", exif=exif)
    notes = write_picture(tmp_path / "out.tif", *read_with_metadata(tmp_path / "in.tif"))
    assert len(notes) == 1
    assert "description of pixels of another shape" in notes[0]
    np.testing.assert_array_equal(Image.open(tmp_path / "out.tif"), pixels)
    tifffile.imwrite(tmp_path / "same.tif", pixels)
    assert write_picture(tmp_path / "b.tif", *read_with_metadata(tmp_path / "same.tif")) == []


def test_resolutions_of_a_turned_tiff_follow_the_turn(pixels: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(pixels).save(tmp_path / "in.tif", exif=exif, dpi=(100, 200))
    picture, metadata = read_with_metadata(tmp_path / "in.tif")
    np.testing.assert_array_equal(picture, turned(pixels))
    assert metadata.density == (200, 100)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_subject_area_follows_the_turn(
    orientation: int, pixels: np.ndarray, tmp_path: Path
) -> None:
    marked = np.zeros_like(pixels)
    marked[5, 9] = 255
    exif = camera(orientation)
    exif.get_ifd(PHOTO)[37396] = (9, 5, 4, 2)  # centre, width, height
    exif.get_ifd(PHOTO)[41492] = (9, 5)
    Image.fromarray(marked).save(tmp_path / "in.png", exif=exif)
    picture, metadata = read_with_metadata(tmp_path / "in.png")
    write_picture(tmp_path / "out.png", picture, metadata)
    with Image.open(tmp_path / "out.png") as result:
        photo = result.getexif().get_ifd(PHOTO)
    y, x = np.argwhere(picture[..., 0])[0]
    assert photo[41492] == (x, y)
    assert photo[37396] == (x, y, *((4, 2) if orientation < 5 else (2, 4)))


def test_webp_tells_the_resolution_of_the_picture_not_that_of_its_exif(
    pixels: np.ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 76965, 76965, 2
    Image.fromarray(pixels).save(tmp_path / "in.png", dpi=(300, 300), exif=exif)
    write_picture(tmp_path / "a.webp", *read_with_metadata(tmp_path / "in.png"))
    again = read_with_metadata(tmp_path / "a.webp")[1]
    assert again.density == (300, 300)
    with Image.open(tmp_path / "a.webp") as result:
        assert result.getexif()[282] == 300


@pytest.mark.parametrize("output", [".png", ".jpg", ".webp"])
def test_the_makers_note_stays_at_its_offset_in_exif(
    output: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    note = bytes(range(256)) * 3
    photo = struct.pack("<HHHIII", 1, MAKER_NOTE, 7, len(note), 701, 0)  # with one field
    exif = _exif_of([struct.pack("<HHII", PHOTO, 4, 1, 26)], photo.ljust(701 - 26, b"\0") + note)
    Image.fromarray(pixels).save(tmp_path / "in.jpg", exif=b"Exif\0\0" + exif)
    write_picture(tmp_path / f"out{output}", *read_with_metadata(tmp_path / "in.jpg"))
    content = (tmp_path / f"out{output}").read_bytes()
    assert content.index(note) - content.index(b"II*\0") == 701
    with Image.open(tmp_path / f"out{output}") as result:
        assert result.getexif().get_ifd(PHOTO)[MAKER_NOTE] == note


def test_exif_too_long_for_jpeg_loses_its_longest_value(pixels: np.ndarray, tmp_path: Path) -> None:
    exif = camera(1)
    exif.get_ifd(PHOTO)[MAKER_NOTE] = bytes(70_000)
    Image.fromarray(pixels).save(tmp_path / "in.png", exif=exif)
    notes = write_picture(tmp_path / "out.jpg", *read_with_metadata(tmp_path / "in.png"))
    assert notes == [".jpg holds no values of EXIF beyond 64 KiB: it was dropped from out.jpg"]
    with Image.open(tmp_path / "out.jpg") as result:
        assert result.getexif()[ARTIST] == "A. Pixel"
        assert MAKER_NOTE not in result.getexif().get_ifd(PHOTO)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (Metadata(xmp=packet(more="x" * 70_000)), "XMP of"),
        (Metadata(profile=bytes(16) + b"RGB " + bytes(17 << 20)), "colour profile of"),
        (Metadata(texts=(Text("Comment", "x" * 70_000),)), "comment beyond"),
    ],
)
def test_metadata_too_long_for_jpeg_is_named(
    metadata: Metadata, words: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    if metadata.profile is not None:
        metadata = replace(
            metadata, profile=metadata.profile[:16] + b"RGB " + metadata.profile[20:]
        )
    notes = write_picture(tmp_path / "out.jpg", pixels, metadata)
    assert len(notes) == 1
    assert f".jpg holds no {words}" in notes[0]
    Image.open(tmp_path / "out.jpg").load()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_png((b"eXIf", b"II*\0\xff\xff\0\0")), "damaged EXIF"),
        (_png((b"iCCP", b"a\0\0" + zlib.compress(bytes(200))[:20])), "damaged colour profile"),
        (_png((b"zTXt", b"Title\0\0oops")), "damaged or too long text"),
        (_png((b"tEXt", b"Raw profile type exif\0\nexif\n 9\n00")), "damaged EXIF profile"),
        (_png((b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + b"a\0b")), "damaged or too long text"),
        (_png((b"caBX", b"jumb")), "C2PA"),
        (_png((b"pHYs", struct.pack(">2IB", 2, 1, 0))), "pixels that are not square"),
        (_png((b"sCAL", b"\1" + b"0.001\0" + b"0.001")), "sCAL of PNG"),
        (_png((b"tEXt", b"\x1b[2J\0escape")), "damaged or too long text"),
    ],
)
def test_damaged_metadata_and_what_no_result_has_is_named(
    content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "in.png").write_bytes(content)
    picture, metadata = read_with_metadata(tmp_path / "in.png")
    notes = write_picture(tmp_path / "out.png", picture, metadata)
    assert len(notes) == 1
    assert words in notes[0]
    assert "out.png" in notes[0]
    assert notes[0].isprintable()


def _exif_of(entries: list[bytes], tail: bytes = b"") -> bytes:
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + b"".join(entries) + bytes(4) + tail


def _loop() -> bytes:
    """EXIF whose inner directories point to the first one."""
    entries = [struct.pack("<HHII", number, 4, 1, 8) for number in (GPS, PHOTO, 40965)]
    return _exif_of([*entries, struct.pack("<HHI4s", 65000, 2, 4, b"abc")])


def _overlapping(fields: int = 4000) -> bytes:
    """EXIF whose fields all share the same 100 kB."""
    entries = [struct.pack("<HHII", n, 7, 100_000, 8 + 2 + 12 * fields + 4) for n in range(fields)]
    return _exif_of(entries, bytes(100_000))


def test_exif_that_loops_is_read_once() -> None:
    exif = read_exif(_loop())
    assert exif is not None
    assert read_exif(to_bytes(exif)) == exif
    assert len(to_bytes(exif)) < 300


@pytest.mark.parametrize(
    "content",
    [
        _png(*[(b"zTXt", b"a\0\0" + zlib.compress(bytes(10 << 20), 9))] * 300),
        _png(*[(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(10 << 20), 9))] * 300),
        _png((b"iCCP", b"a\0\0" + zlib.compress(bytes(200 << 20), 9))),
        _png((b"eXIf", _overlapping())),
        _png(*[(b"eXIf", _overlapping(100))] * 20),
    ],
    ids=["zTXt", "iTXt", "iCCP", "overlapping fields", "many EXIF"],
)
def test_metadata_takes_memory_in_proportion_to_the_file(content: bytes) -> None:
    tracemalloc.start()
    try:
        metadata = read_metadata(content)
        held(".jpg", metadata, (1, 1, 3))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (256 << 20) + 20 * len(content)


def test_texts_beyond_a_thousand_are_named() -> None:
    texts = [b"a%d" % number for number in range(1500)]
    for found in (
        read_metadata(_png(*[(b"tEXt", text + b"\0b") for text in texts])),
        _jpeg_read(*[_segment(0xFE, text) for text in texts]),
    ):
        assert len(found.texts) == 1000
        assert found.lost == ("texts beyond 1000",)


def test_a_profile_of_an_unprintable_space_is_named_in_printable_words(
    pixels: np.ndarray, tmp_path: Path
) -> None:
    profile = bytes(16) + b"\x1b[2J" + bytes(16) + b"acsp" + bytes(88)
    (note,) = write_picture(tmp_path / "out.png", pixels, Metadata(profile=profile))
    assert note.isprintable()
    assert "colour profile is for an unknown space" in note


@pytest.mark.parametrize(
    "head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"RIFF\0\0\0\0WEBP", b"II*\0", b"BM"]
)
def test_files_cut_behind_their_first_bytes_carry_no_metadata(head: bytes) -> None:
    assert read_metadata(head) == Metadata()


@pytest.mark.parametrize("seed", range(4))
def test_damaged_metadata_is_read_or_left_out(
    seed: int, pixels: np.ndarray, rich: Metadata, tmp_path: Path
) -> None:
    """Metadata read from files with a few changed bytes can be written and read again."""
    rng = np.random.default_rng(seed)
    suffix = FORMATS[seed]
    write_picture(tmp_path / f"in{suffix}", pixels, rich)
    whole = (tmp_path / f"in{suffix}").read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 4):
            damaged[at] = rng.choice([0, 1, 4, 8, 127, 255])
        metadata = read_metadata(bytes(damaged))
        for output in (".png", ".tif"):
            write_picture(tmp_path / f"out{output}", pixels, replace(metadata, profile=None))
            again = read_metadata((tmp_path / f"out{output}").read_bytes())
            assert again.lost == ()
            assert again.orientation == 1
            expected = held(output, metadata, pixels.shape)[0]
            for name in ("iptc", "photoshop", "texts", "color"):
                assert getattr(again, name) == getattr(expected, name)
            assert (again.exif is None) == (expected.exif is None)


def test_the_command_line_names_what_is_lost_of_each_picture(
    quick_cli: Cli, pixels: np.ndarray, rich: Metadata, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    write_picture(tmp_path / "in" / "a.png", pixels, rich)
    write_picture(tmp_path / "in" / "b.webp", pixels, rich)
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / "a.webp")
    result = quick_cli(
        "enhance", "-i", tmp_path / "in", "-o", tmp_path / "out", "-t", "denoise", "-s", 0
    )
    assert result.code == 0
    lines = [line for line in (result.out + result.err).splitlines() if "holds no" in line]
    assert len(lines) == 1
    for word in ("a.webp", "IPTC", "cICP", "Title"):
        assert word in lines[0]


def _case(name: str) -> Path:
    data = os.environ.get("HYPERGUIDE_DATA")
    path = Path(data or "").parent / "cases" / name
    if data is None or not path.exists():
        pytest.skip(f"HYPERGUIDE_DATA names no folder that has {name} in the folder beside it")
    return path


@pytest.mark.parametrize("name", ["picture_reread.png_EXIF_.bin", "picture_reread.webp_EXIF_.bin"])
@pytest.mark.parametrize("output", [".png", ".webp"])
def test_odd_exif_that_was_written_is_read_again(name: str, output: str, tmp_path: Path) -> None:
    picture, metadata = read_with_metadata(_case(f"fuzz/{name}"))
    write_picture(tmp_path / f"out{output}", picture, metadata)
    again = read_with_metadata(tmp_path / f"out{output}")[1]
    assert again == replace(metadata, lost=())


def test_the_profile_of_a_bmp_is_kept(pixels: np.ndarray, tmp_path: Path) -> None:
    """A header of version 5: 124 bytes, with the profile after the pixels."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rows = b"".join(row.tobytes() for row in pixels[::-1, :, ::-1])
    assert WIDE % 4 == 0  # rows need no padding
    head = struct.pack("<IiiHHIIiiII", 124, WIDE, HIGH, 1, 24, 0, len(rows), 11811, 11811, 0, 0)
    head += (
        bytes(16) + b"DEBM" + bytes(48) + struct.pack("<4I", 4, 124 + len(rows), len(profile), 0)
    )
    body = head + rows + profile
    content = b"BM" + struct.pack("<I4xI", 14 + len(body), 14 + 124) + body
    (tmp_path / "in.bmp").write_bytes(content)
    picture, metadata = read_with_metadata(tmp_path / "in.bmp")
    np.testing.assert_array_equal(picture, pixels)
    assert metadata.density == (300, 300)
    write_picture(tmp_path / "out.png", picture, metadata)
    with Image.open(tmp_path / "out.png") as result:
        assert result.info["icc_profile"] == profile
