"""`hyperguide enhance`: pictures and folders."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from hyperguide.atomic import refuse_existing
from hyperguide.engines import DEVICES
from hyperguide.enhancer import Dial, Enhancer, load
from hyperguide.errors import HyperguideError
from hyperguide.guidance_files import encode_map, false_color, read_map
from hyperguide.pictures import check_suffix, find_pictures, read_picture, write_picture

from .progress import progress_bar


@dataclass(frozen=True)
class _Job:
    """One picture: where from, where to, where its map goes."""

    source: Path
    output: Path
    maps: Path | None


@click.command(
    epilog="""\b
Examples:
  hyperguide enhance -i rainy.jpg -o clean.png -t derain
  hyperguide enhance -i photos/ -o clean/ -t denoise -s 0.7
  hyperguide enhance -i *.png -o clean/ -m my-model.onnx --save-guidance maps/
  hyperguide enhance -i hazy.jpg -o clear.jpg -t dehaze -g maps/hazy.png --guidance-scale 1.2
"""
)
@click.option("-i", "--input", "inputs", multiple=True, type=Path, help="Picture or folder.")
@click.argument("more", nargs=-1, type=Path, metavar="[IN]...")
@click.option("-o", "--output", required=True, type=Path, help="Picture, or folder for several.")
@click.option("-t", "--task", help="Bundled model: denoise, derain, dehaze.")
@click.option("-m", "--model", type=Path, help="Model file instead of a bundled one.")
@click.option("--tier", default="fast", show_default=True, help="Of the bundled model.")
@click.option(
    "-s",
    "--strength",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="0 returns the input, 1 the trained result, in between blends.",
)
@click.option("-g", "--guidance", metavar="MAP|NUMBER", help="Use this map, do not predict one.")
@click.option(
    "--guidance-scale",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Multiplies the map: above 1 removes more.",
)
@click.option("--mask", type=Path, help="Gray picture; the strength is multiplied by it.")
@click.option("--save-guidance", type=Path, metavar="DIR", help="Also write the maps.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
def enhance(
    inputs: tuple[Path, ...],
    more: tuple[Path, ...],
    output: Path,
    task: str | None,
    model: Path | None,
    tier: str,
    strength: float,
    guidance: str | None,
    guidance_scale: float,
    mask: Path | None,
    save_guidance: Path | None,
    device: str,
    force: bool,
) -> int:
    """Enhance pictures or folders of pictures.

    The network predicts what to remove (noise level, rain region, scene depth) and removes it.
    """
    sources = [*inputs, *more]
    if not sources:
        raise click.UsageError("Give at least one picture or folder with -i.")
    if (task is None) == (model is None):
        raise click.UsageError("Give either a task with -t or a model file with -m.")
    jobs = _plan(sources, output, save_guidance)
    if len(jobs) == 1 and not sources[0].is_dir():
        check_suffix(output if not output.is_dir() else jobs[0].output)
    enhancer = load(model if model is not None else str(task), device=device, tier=tier)
    dials: dict[str, Dial] = {"guidance_scale": guidance_scale}
    if guidance is not None:
        dials["guidance"] = read_map(guidance, enhancer.info.guidance)
    mask_picture = None if mask is None else _read_mask(mask)
    failed = 0
    with progress_bar("picture") as bar:
        row = bar.add_task(enhancer.info.task, total=len(jobs))
        for job in jobs:
            try:
                for note in _enhance_one(enhancer, job, strength, mask_picture, dials, force):
                    bar.console.print(note, markup=False, highlight=False, soft_wrap=True)
            except HyperguideError as error:
                if len(jobs) == 1:
                    raise
                failed += 1
                bar.console.print(str(error), markup=False, highlight=False, soft_wrap=True)
            bar.advance(row)
    if failed:
        raise HyperguideError(
            f"{failed} of {len(jobs)} pictures failed, see above; the others are in {output}."
        )
    return 0


def _plan(sources: list[Path], output: Path, maps: Path | None) -> list[_Job]:
    """Pair every picture with its output; check folders before any work is done."""
    single = len(sources) == 1 and not sources[0].is_dir()
    if single and not output.is_dir() and not str(output).endswith(os.sep):
        jobs = [_Job(sources[0], output, maps)]
    else:
        jobs = []
        for source in sources:
            if not source.is_dir():
                jobs.append(_Job(source, output / source.name, maps))
                continue
            found = find_pictures(source)
            if not found:
                raise HyperguideError(f"The folder {source} holds no pictures: give another -i.")
            for path in found:
                inside = path.relative_to(source)
                folder = None if maps is None else maps / inside.parent
                jobs.append(_Job(path, output / inside, folder))
        _refuse_clashes(jobs)
        if output.exists() and not output.is_dir():
            raise HyperguideError(f"Several pictures need a folder, but {output} is a file.")
    if not single or output.is_dir() or str(output).endswith(os.sep):
        for folder in {job.output.parent for job in jobs}:
            _make_folder(folder)
    for folder in {job.maps for job in jobs if job.maps is not None}:
        _make_folder(folder)
    return jobs


def _refuse_clashes(jobs: list[_Job]) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.output in seen:
            raise HyperguideError(
                f"{seen[job.output]} and {job.source} would both become {job.output}: "
                "enhance them into different folders."
            )
        seen[job.output] = job.source


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HyperguideError(f"Cannot create the folder {folder}: {error.strerror}.") from None


def _enhance_one(
    enhancer: Enhancer,
    job: _Job,
    strength: float,
    mask: np.ndarray | None,
    dials: dict[str, Dial],
    force: bool,
) -> list[str]:
    """Enhance one picture and write its files. Returns notes for the user."""
    refuse_existing(job.output, force)
    check_suffix(job.output)
    maps = [] if job.maps is None else _map_paths(job)
    for path in maps:
        refuse_existing(path, force)
    picture = read_picture(job.source)
    dial: Dial = strength
    notes: list[str] = []
    if mask is not None:
        dial = strength * _fit_mask(mask, picture.shape[:2], notes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = enhancer(picture, strength=dial, **dials)
    notes += [str(w.message) for w in caught]
    notes += write_picture(job.output, result.image)
    if maps and result.guidance is not None:
        meaning = enhancer.info.guidance
        write_picture(maps[0], encode_map(result.guidance, meaning))
        write_picture(maps[1], false_color(result.guidance, meaning))
    elif maps:
        notes.append(f"No map of {job.source} was written: at strength 0 none is computed.")
    return notes


def _map_paths(job: _Job) -> list[Path]:
    """The map as numbers, 16-bit, and as a picture for people."""
    assert job.maps is not None
    return [job.maps / f"{job.source.stem}.png", job.maps / f"{job.source.stem}-color.png"]


def _read_mask(path: Path) -> np.ndarray:
    picture = read_picture(path)
    if picture.ndim != 2:
        raise HyperguideError(f"The mask {path} is a colour picture: give a gray one.")
    full = 1 if picture.dtype.kind == "f" else np.iinfo(picture.dtype).max
    return picture.astype(np.float32) / np.float32(full)


def _fit_mask(mask: np.ndarray, size: tuple[int, ...], notes: list[str]) -> np.ndarray:
    if mask.shape == size:
        return mask
    import cv2

    notes.append(
        f"The mask of {mask.shape[1]}x{mask.shape[0]} pixels was resized to the picture's "
        f"{size[1]}x{size[0]}."
    )
    return cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
