"""Finds the scenes in folders of pairs {y, x} or {y, x, map}."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyperguide.errors import HyperguideError

from .halves import Halves, find_halves
from .partners import Files, key_of, partners
from .rain_layers import find_rain_layers
from .scenes import MapSource, Scene, list_pictures, real_path


@dataclass(frozen=True)
class Pairs:
    """The contents of a folder of pairs.

    unused: clean pictures without an input.
    """

    scenes: list[Scene]
    unused: tuple[Path, ...] = ()


def find_pairs(folder: Path, task: str | None, option: str = "--data") -> Pairs | None:
    """The pairs of a folder, or None if its names do not indicate any. The layouts:

    Two folders side by side whose names say which half they are, in any case: `input` and
        `target`, `lq` and `gt`, `noisy` and `clean`, `train_blur` and `train_sharp`; see `roles`.
        Their files are matched by `partners.partners`. Optional folders beside them are
        `guidance/` for pictures of the map over the task's range, `depth/` for distances
        (dehazing), and `kernel/`, which deblurring requires.
    Files side by side whose names say so: `x_real.JPG` and `x_mean.JPG` as in PolyU, or
        `rain-N.png`, `norain-N.png` and `rainregion-N.png` as in Rain100L.
    Either of these in each of several subfolders, as in GoPro and SIDD.
    Streak layers of Rain100L, see `rain_layers`.

    If some pairs have a map, none are derived for the others; if no pair has one, all are derived.
    task: None accepts pairs of any task.
    option: the option that named the folder, for errors.
    Raises HyperguideError for pairs that do not match, and for those of another task.
    """
    if (layers := find_rain_layers(folder)) is not None:
        _refuse_task(folder, "derain", task, option)
        return Pairs(layers)
    found = find_halves(folder, option)
    if not found:
        return None
    scenes: list[Scene] = []
    unused: list[Path] = []
    for halves in found:
        _refuse_task(folder, halves.task, task, option)
        matched = _match(folder, halves, task)
        scenes += matched
        used = {scene.photo for scene in matched}
        unused += [path for path in halves.targets.values() if path not in used]
    without = [s.name for s in scenes if s.kernel is None]
    if task == "deblur" and without:
        raise HyperguideError(
            f"{len(without)} of {len(scenes)} inputs in {folder} have no kernel, the first is "
            f"{without[0]}: add kernels of the inputs' names in a folder 'kernel' beside them."
        )
    return Pairs(scenes, tuple(unused))


def _refuse_task(folder: Path, of_pairs: str | None, task: str | None, option: str) -> None:
    if task is not None and of_pairs not in (None, task):
        raise HyperguideError(
            f"The folder {folder} of {option} holds pairs to {of_pairs}, not to {task}: "
            "give another one."
        )


def _match(folder: Path, halves: Halves, task: str | None) -> list[Scene]:
    """Match files by name, in the order of the photos, on which the held-out split relies."""
    inputs, targets = halves.inputs, halves.targets
    partner = partners(inputs, targets)
    lonely = [path for name, path in inputs.items() if name not in partner]
    if lonely:
        raise HyperguideError(
            f"{len(lonely)} of {len(inputs)} inputs in {folder} have no target, the first is "
            f"{lonely[0].name}: add the targets or remove the inputs."
        )
    source, maps = _maps_for(halves, task)
    find_map = _finder(maps, partner)
    guidance = {name: find_map(name) for name in inputs}
    known = set(guidance.values())
    unknown = [path for path in maps.values() if path not in known]
    if unknown:
        raise HyperguideError(
            f"{len(unknown)} of {len(maps)} guidance pictures in {unknown[0].parent} belong to no "
            f"input, the first is {unknown[0].name}: rename or remove them."
        )
    scenes = [
        Scene(
            photo=targets[partner[name]],
            degraded=path,
            guidance=guidance[name],
            kernel=halves.kernels.get(name),
            map_source="pair" if not maps else source if guidance[name] else "none",
        )
        for name, path in inputs.items()
    ]
    return sorted(scenes, key=lambda s: (_order(s.photo), _order(s.degraded or s.photo)))


def _order(path: Path) -> tuple[Path, int, str]:
    """The sort key of `scenes.list_pictures`."""
    return path.parent, len(path.stem), path.stem


def _maps_for(halves: Halves, task: str | None) -> tuple[MapSource, Files]:
    """The source and files of the maps that the task can use."""
    usual: dict[MapSource, str | None] = {"picture": None, "depth": "dehaze", "region": "derain"}
    for source, of_task in usual.items():
        maps = halves.maps.get(source, {})
        if maps and of_task in (None, task):
            return source, maps
    return "pair", {}


def _finder(maps: Files, partner: dict[str, str]) -> Callable[[str], Path | None]:
    """A function from an input's name to its map, which has the input's or the target's name."""
    by_key = {key_of(name): path for name, path in maps.items()}

    def find(name: str) -> Path | None:
        target = partner[name]
        exact = maps.get(name) or maps.get(target)
        return exact or by_key.get(key_of(name)) or by_key.get(key_of(target))

    return find


def example(folder: Path, scenes: list[Scene]) -> str:
    """A description of the first pair."""
    first = scenes[0]
    clean, degraded = (
        path.relative_to(folder) if path.is_relative_to(folder) else path
        for path in (first.photo, first.degraded or first.layer or first.photo)
    )
    more = " and so on" if len(scenes) > 1 else ""
    return f"degraded {degraded}, clean {clean}{more}"


def left_out(folder: Path, scenes: list[Scene]) -> str:
    """A description of the folder's other pictures; empty if there are none."""
    used = {real_path(path) for scene in scenes for path in scene.files}
    others = [path for path in list_pictures(folder) if real_path(path) not in used]
    if not others:
        return ""
    places = list(dict.fromkeys(str(path.parent.relative_to(folder)) for path in others))
    named = ", ".join("it itself" if place == "." else place for place in places[:3])
    more = f" and {len(places) - 3} more folders" if len(places) > 3 else ""
    return f"{len(others)} other pictures are left out (in {named}{more})"
