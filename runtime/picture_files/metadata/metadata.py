"""The metadata of picture files."""

from __future__ import annotations

from dataclasses import dataclass

from .exif import Exif

# Colour spaces of profiles, by the number of dimensions of pictures.
_SPACES = {2: b"GRAY", 3: b"RGB "}
# GeoTIFF's fields, by OGC 19-008r4: scale, points, matrix, keys with their numbers and texts; and
# GDAL's texts and its value for missing data.
GEO = frozenset({33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113})
# Names of what describes one file only, and would be wrong for another one.
C2PA = "C2PA, which vouches for unchanged files,"
NOT_SQUARE = "ratio of pixels that are not square"
MOST_TEXTS = 1000
COMMENT = "Comment"  # keyword under which JPEG's comments are kept


@dataclass(frozen=True)
class Text:
    """A text of a PNG file, or a JPEG's comment.

    keyword: "Title", "Author" and so on.
    language, translated: of an international text, its language and the keyword in it.
    """

    keyword: str
    text: str
    language: str = ""
    translated: str = ""


class Texts:
    """Collects the texts of a file, of which there may be very many.

    lost: names the texts beyond `MOST_TEXTS`.
    """

    def __init__(self) -> None:
        self._texts: list[Text] = []
        self.lost: tuple[str, ...] = ()

    def add(self, text: Text) -> None:
        """Keep a text, unless there are too many."""
        if len(self._texts) < MOST_TEXTS:
            self._texts.append(text)
        else:
            self.lost = (f"texts beyond {MOST_TEXTS}",)

    @property
    def kept(self) -> tuple[Text, ...]:
        """The texts, in order."""
        return tuple(self._texts)


@dataclass(frozen=True)
class Metadata:
    """The metadata of a picture file.

    profile: ICC colour profile.
    exif: EXIF, upright and without thumbnail. In TIFF files these are the picture's own fields.
    density: dots per inch along the width and the height of the upright picture.
    orientation: EXIF's orientation of the stored pixels, 1 (upright) to 8. Never written.
    xmp: XMP packet in UTF-8, upright and without thumbnail.
    xmp_extension: parts of a long packet, in the order of a JPEG file.
    iptc: IPTC's captions and credits, IIM.
    photoshop: other image resources of Photoshop, such as paths.
    texts: of PNG, and comments of JPEG.
    color: PNG's colour chunks, such as gAMA, by name.
    sampling: width and height in pixels of a JPEG's colour sample, (2, 2) for 4:2:0; upright.
    lost: names, for messages, of what the file held but no format keeps, or is damaged.
    """

    profile: bytes | None = None
    exif: Exif | None = None
    density: tuple[float, float] | None = None
    orientation: int = 1
    xmp: bytes | None = None
    xmp_extension: tuple[bytes, ...] = ()
    iptc: bytes | None = None
    photoshop: bytes | None = None
    texts: tuple[Text, ...] = ()
    color: tuple[tuple[bytes, bytes], ...] = ()
    sampling: tuple[int, int] | None = None
    lost: tuple[str, ...] = ()

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the profile, if any, is for pictures of this shape: gray (H, W), or colour."""
        return self.profile is None or self.profile[16:20] == _SPACES[len(shape)]


NO_METADATA = Metadata()
