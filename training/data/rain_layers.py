"""Rain100L as streak layers, and the list that names each layer's background photo."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from hyperguide.errors import HyperguideError
from hyperguide.storage.bounded_json import parse_json
from hyperguide.storage.file_content import read_content
from hyperguide.storage.paths import exists, is_folder

from .partners import by_stem
from .scenes import Scene

LISTING = "backgrounds.json"
_MOST_BYTES = 1 << 24


def read_backgrounds(path: Path, part: str) -> dict[str, str]:
    """Read the list: number of a layer -> path of its photo relative to the folder of photos.

    path: of a JSON object {"train": {"1": "test/100007.jpg", ...}, "test": {...}}.
    part: `train` or `test`.
    Raises HyperguideError if the file has other contents, or names a photo outside the folder.
    """
    content = read_content(path, "list of backgrounds", _MOST_BYTES)
    try:
        listed = parse_json(content)
    except ValueError as error:
        raise HyperguideError(f"{path} is no list of backgrounds ({error}): mend it.") from None
    named = listed.get(part) if isinstance(listed, dict) else None
    if not isinstance(named, dict) or not all(map(_is_inside, named.values())):
        raise HyperguideError(
            f"{path} does not name the backgrounds of '{part}' by paths below the folder of "
            "photos: mend it."
        )
    return named


def _is_inside(name: object) -> bool:
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def find_rain_layers(folder: Path) -> list[Scene] | None:
    """The scenes of `train/streak-N.png` on photos of the sibling folder `bsds500`.

    None if the folder has another layout. `backgrounds.json` names the photo of each N.
    Raises HyperguideError for layers without a photo.
    """
    listing = folder / LISTING
    if not exists(listing) or not is_folder(folder / "train"):
        return None
    photos = folder.resolve().parent / "bsds500"
    named = read_backgrounds(listing, "train")
    backgrounds = {f"streak-{number}": name for number, name in named.items()}
    layers = by_stem(folder / "train")
    missing = [
        stem for stem in layers if stem not in backgrounds or not exists(photos / backgrounds[stem])
    ]
    if missing:
        raise HyperguideError(
            f"{len(missing)} of {len(layers)} streak layers in {folder} have no photo, the first "
            f"is {missing[0]}: give the photos that {listing.name} names in {photos}."
        )
    return [
        Scene(photos / backgrounds[stem], layer=layer, map_source="layer")
        for stem, layer in layers.items()
    ]
