"""Reports the files in a folder that are skipped, once, so that nobody misses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from hyperguide.picture_files import PICTURE_SUFFIXES, looks_like_picture
from hyperguide.storage.file_content import first_bytes
from hyperguide.storage.paths import walk

# Suffixes of pictures, including camera raw files. Other files beside pictures, such as texts and
# metadata, are not reported: nobody expects them to be enhanced.
_NAMES = """
3fr apng arw avif avifs bpg cin cr2 cr3 crw cur dcm dcr dds dib dng dpx emf erf exr fff fit fits
flif fts gif hdp hdr heic heics heif hif icns ico iiq j2c j2k jls jng jp2 jpc jpf jpm jps jpx jxl
jxr kdc kra mef mng mos mpo mrw nef nrw ora orf pam pbm pcx pef pfm pgm pic pnm pns ppm psb psd qoi
raf ras raw rw2 rwl sgi sr2 srf srw sun svg tga wbmp wdp wmf x3f xbm xcf xpm
"""
_PICTURES = frozenset(f".{name}" for name in _NAMES.split()) - PICTURE_SUFFIXES


@dataclass
class PassedOver:
    """The files skipped in folders.

    unsupported: number of files by suffix.
    unnamed: pictures without a suffix, which would be read if they had one.
    links: links to folders.
    """

    unsupported: Counter[str] = field(default_factory=Counter)
    unnamed: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)

    @property
    def kinds(self) -> str:
        """The unsupported files as text, the most frequent first: `2 .heic, 1 .gif`."""
        counts = sorted(self.unsupported.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{count} {suffix}" for suffix, count in counts)

    @property
    def notes(self) -> list[str]:
        """A sentence for each reason why files were skipped."""
        notes = []
        if self.unsupported:
            count, are = _files(self.unsupported.total())
            notes.append(f"{count} passed over: {self.kinds}, which {are} not supported.")
        if self.unnamed:
            count, _ = _files(len(self.unnamed))
            notes.append(
                f"{count} passed over: pictures without a suffix, {min(self.unnamed)} say; rename "
                "them."
            )
        if self.links:
            one = len(self.links) == 1
            count = "1 link to a folder was" if one else f"{len(self.links)} links to folders were"
            notes.append(
                f"{count} not followed, {min(self.links)} say: give where it leads with -i."
            )
        return notes


def look_over(folder: Path, excluded: Collection[Path], seen: PassedOver) -> PassedOver:
    """Add the files that `find_pictures` skips in a folder to `seen`, and return it."""
    for files, links in walk(folder, excluded):
        seen.links += links
        for path in files:
            suffix = path.suffix.lower()
            if is_unsupported(suffix):
                seen.unsupported[suffix] += 1
            elif not suffix and looks_like_picture(first_bytes(path, 16)):
                seen.unnamed.append(path)
    return seen


def is_unsupported(suffix: str) -> bool:
    """Whether a suffix in small letters is that of pictures that cannot be read."""
    return suffix in _PICTURES


def _files(count: int) -> tuple[str, str]:
    return ("1 file was", "is") if count == 1 else (f"{count} files were", "are")
