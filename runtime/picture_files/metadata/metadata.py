"""What picture files carry beside their pixels."""

from __future__ import annotations

from dataclasses import dataclass

from .exif import Exif

# Of profiles, by the rank of pictures.
_SPACES = {2: b"GRAY", 3: b"RGB "}
# GeoTIFF's fields, by OGC 19-008r4: scale, points, matrix, keys with their numbers and texts; and
# GDAL's texts and the value of what was not surveyed.
GEO = frozenset({33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113})
# Words for what vouches for a file, and would be wrong of another one.
C2PA = "C2PA, which vouches for unchanged files,"
NOT_SQUARE = "ratio of pixels that are not square"
MOST_TEXTS = 1000
COMMENT = "Comment"  # keyword under which JPEG's comments are kept


@dataclass(frozen=True)
class Text:
    """A text of a PNG file, or a JPEG's comment.

    keyword: "Title", "Author" and so on.
    language, translated: of an international text, and its keyword in that language.
    """

    keyword: str
    text: str
    language: str = ""
    translated: str = ""


class Texts:
    """Collects the texts of a file, of which there may be very many.

    lost: words for those beyond `MOST_TEXTS`.
    """

    def __init__(self) -> None:
        self._texts: list[Text] = []
        self.lost: tuple[str, ...] = ()

    def add(self, text: Text) -> None:
        """Keep a text, if it is not one too many."""
        if len(self._texts) < MOST_TEXTS:
            self._texts.append(text)
        else:
            self.lost = (f"texts beyond {MOST_TEXTS}",)

    @property
    def kept(self) -> tuple[Text, ...]:
        """The texts, in their order."""
        return tuple(self._texts)


@dataclass(frozen=True)
class Metadata:
    """What a picture file carries beside its pixels.

    profile: ICC colour profile.
    exif: EXIF, upright and without thumbnail. In TIFF files they are the picture's own fields.
    density: dots per inch along the width and the height of the upright picture.
    orientation: how stored pixels are to be turned, EXIF's 1 (not at all) to 8. Never written.
    xmp: XMP packet in UTF-8, upright and without thumbnail.
    xmp_extension: parts of a long one as they follow in JPEG files, one behind the other.
    iptc: IPTC's captions and credits, IIM.
    photoshop: further image resources of Photoshop, paths say.
    texts: of PNG, and comments of JPEG.
    color: PNG's chunks of what colours mean, such as gAMA, by their names.
    sampling: how many pixels a colour sample of a JPEG is wide and high, (2, 2) for 4:2:0; turned.
    lost: what the file carried, but is kept by no format or damaged, each as words of a sentence.
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
