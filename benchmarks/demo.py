"""The main job end to end: train on real photos, export, verify, enhance, draw a sheet.

Every step is a `hyperguide` command, printed before it runs. With `--bundled` the models of the
package enhance the same pictures and nothing is trained.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import skimage
import torch

from hyperguide.picture_files import read_picture, write_picture
from hyperguide.tasks import find_task
from hyperguide.training.data.decoding import read_streaks
from hyperguide.training.data.degradations import Blur, Haze, Noise, Rain
from hyperguide.training.preset import Stage, UnfoldedSettings, load_preset
from sheet import Row, write_sheet

# Photos from scikit-image. Each task trains on all but its test photo; the last, the most ordinary
# one, selects the weights. The motorcycle has true depth, but may not be published; for the bundled
# models, whose sheet is published, the cat gets synthetic depth.
PHOTOS = ("astronaut.png", "brick.png", "coffee.png", "gravel.png", "rocket.jpg", "chelsea.png")
# More gray ones for rain, which is gray: with few photos a model learns that all white is rain.
GRAY_PHOTOS = ("camera.png", "coins.png", "moon.png", "page.png")
DENOISE_PHOTO, DERAIN_PHOTO, DEBLUR_PHOTO = "astronaut.png", "coffee.png", "rocket.jpg"
MOTORCYCLE, CAT = "motorcycle_left.png", "chelsea.png"
KERNEL = "kernel.npy"


@dataclass(frozen=True)
class DemoTraining:
    """Training settings of a task; all tasks take about two minutes.

    stage: replaces the preset's.
    held_out: crops that select the weights, all from one photo.
    tier: of the preset.
    degradation: replaces the preset's.
    """

    steps: int
    warmup: int
    stage: Stage
    held_out: int = 16
    tier: str = "fast"
    degradation: Mapping[str, float] | None = None


# Dehazing works on a fixed grid, whatever the crop: small batches.
PLANS = {
    # White noise only: telling the noise of cameras from texture takes hours to learn.
    "denoise": DemoTraining(400, 120, Stage(1.0, 64, 16), tier="live", degradation={"clean": 0.04}),
    "derain": DemoTraining(200, 100, Stage(1.0, 64, 16)),
    "dehaze": DemoTraining(110, 30, Stage(1.0, 256, 2, least_share=0.9), held_out=8),
    "deblur": DemoTraining(150, 40, Stage(1.0, 80, 4), held_out=8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--bundled", action="store_true", help="use the models of the package")
    arguments = parser.parse_args()
    out: Path = arguments.out
    began = time.perf_counter()
    research = os.environ.get("HYPERGUIDE_DATA")
    data = Path(research) if research else None
    degraded, clean = out / "degraded", out / "clean"
    for folder in (out, degraded, clean):
        folder.mkdir(parents=True, exist_ok=True)
    photos = Path(skimage.__file__).parent / "data"
    dehaze_photo = CAT if arguments.bundled else MOTORCYCLE
    shown = {
        "denoise": DENOISE_PHOTO,
        "derain": DERAIN_PHOTO,
        "dehaze": dehaze_photo,
        "deblur": DEBLUR_PHOTO,
    }
    make_pictures(photos, shown, data, degraded, clean)
    if not arguments.bundled:
        for task, name in shown.items():
            more = GRAY_PHOTOS if task == "derain" else ()
            copy_photos(photos, out / "photos" / task, [n for n in (*more, *PHOTOS) if n != name])
    rows = []
    for task in shown:
        own = None if arguments.bundled else train(PLANS[task], task, out, data)
        enhance(task, out / "bundled", degraded, "-t", task)
        if own is not None:
            enhance(task, out / "trained", degraded, "-m", own)
        rows.append(look(task, out, own))
    sheet = out / ("sheet-bundled.jpg" if arguments.bundled else "sheet.png")
    write_sheet(sheet, rows)
    print("\nPhotos that none of the models was trained on, PSNR in dB:")
    results = [name for name, _ in rows[0].results]
    print("          " + "".join(f"{name:>16}" for name in ["input", *results]))
    for row in rows:
        values = [row.psnr(picture) for picture in (row.degraded, *dict(row.results).values())]
        print(f"  {row.task:<8}" + "".join(f"{value:>16.2f}" for value in values))
    print(f"Done in {time.perf_counter() - began:.0f} s. Look at {sheet}.")


def copy_photos(photos: Path, folder: Path, names: list[str]) -> None:
    """Copy photos under numbered names, because the trainer holds out the last ones by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / f"{number:02d}{Path(name).suffix}").write_bytes((photos / name).read_bytes())


def make_pictures(
    photos: Path, shown: dict[str, str], data: Path | None, degraded: Path, clean: Path
) -> None:
    """Degrade the test photos with the trainer's degradation models."""
    rng = torch.Generator().manual_seed(7)
    strong, weak = (
        Noise(minimum=sigma / 255, maximum=sigma / 255, clean=0, varying=0, gray=0, clipped=1)
        for sigma in (30, 10)
    )
    rain = Rain(synthetic=0 if data else 1, veil=0, clean=0)
    if data is not None:
        # The trainer holds out the last layers.
        layers = list(read_streaks(data / "rain100l" / "train").values())
        rain = replace(rain, bank=tuple(layers[-5:]))
    haze = Haze(beta=(1.4, 1.4), airlight=(0.9, 0.9), tint=0, clean=0, invented=0)
    blur = Blur(minimum=0.01, maximum=0.01, varying=0, clipped=1, impulse=0)
    for task, name in shown.items():
        photo = torch.from_numpy(read_picture(photos / name)[:, :, :3].copy())
        x = photo.permute(2, 0, 1)[None] / 255
        if task == "denoise":
            # Two halves with different noise, which the map shows.
            middle = x.shape[3] // 2
            left, right = (noise.degrade(x, None, rng).degraded for noise in (weak, strong))
            y = torch.cat([left[..., :middle], right[..., middle:]], 3)
        elif task == "derain":
            # The heaviest of four draws, so that the rain is visible.
            draws = [rain.degrade(x, None, rng) for _ in range(4)]
            y = max((sample.degraded for sample in draws), key=torch.mean)
        elif task == "deblur":
            sample = blur.degrade(x, None, torch.Generator().manual_seed(3))
            assert sample.kernel is not None
            y, x = sample.degraded, sample.clean
            np.save(degraded / KERNEL, sample.kernel[0, 0].numpy())
        else:
            depth = motorcycle_depth(photos) if name == MOTORCYCLE else None
            y = haze.degrade(x, depth, rng).degraded
        for tensor, folder in ((y, degraded), (x, clean)):
            pixels = (tensor[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
            write_picture(folder / f"{task}.png", pixels)


def motorcycle_depth(photos: Path) -> torch.Tensor:
    """Relative depth of the Middlebury motorcycle: inverse disparity, holes filled."""
    disparity = np.load(photos / "motorcycle_disp.npz")["arr_0"].astype(np.float32)
    known = np.isfinite(disparity) & (disparity > 0)
    values = np.where(known, disparity, 0)
    depth = np.where(known, disparity[known].min() / np.maximum(values, 1), 0)
    filled = cv2.inpaint(
        np.rint(depth * 255).astype(np.uint8), (~known).astype(np.uint8), 5, cv2.INPAINT_TELEA
    )
    return torch.from_numpy(filled)[None, None] / 255


def train(plan: DemoTraining, task: str, out: Path, data: Path | None) -> Path:
    run, model = out / "runs" / task, out / f"{task}.onnx"
    if data is None:
        sources: list[object] = ["--data", out / "photos" / task]
    else:
        sets = {"derain": "bsds500/test", "dehaze": "nyu"}
        sources = ["--data", data / sets.get(task, "bsds500/train")]
        if task == "derain":
            sources += ["--streaks", data / "rain100l" / "train"]
    preset = load_preset(task, plan.tier)
    if plan.degradation is not None:
        preset = replace(preset, degradation=dict(plan.degradation), outer_degradation={})
    if isinstance(preset.reconstruction, UnfoldedSettings):
        # Two of five stages: training and especially export take half the time.
        preset = replace(preset, reconstruction=replace(preset.reconstruction, stages=2))
    schedule = replace(preset.schedule, validations=1, held_out=plan.held_out, stages=(plan.stage,))
    file = out / f"{task}.yaml"
    file.write_text(replace(preset, schedule=schedule).to_json())  # JSON is YAML
    hyperguide(
        *("train", task, "--preset", file, *sources, "--out", run, "--force"),
        *("--steps", plan.steps, "--warmup", plan.warmup),
    )
    hyperguide("export", run, "-o", model, "--force")
    hyperguide("verify", model)
    return model


def hyperguide(*arguments: object) -> None:
    words = [str(a) for a in arguments]
    print("\n$ hyperguide " + shlex.join(words), flush=True)
    result = subprocess.run([sys.executable, "-m", "hyperguide", *words], check=False)
    if result.returncode:
        sys.exit(result.returncode)


def enhance(task: str, folder: Path, degraded: Path, *model: object) -> None:
    folder.mkdir(exist_ok=True)
    kernel = ("--kernel", degraded / KERNEL) if task == "deblur" else ()
    hyperguide(
        *("enhance", "-i", degraded / f"{task}.png", "-o", folder / f"{task}.png", *model),
        *(*kernel, "--save-guidance", folder / "maps", "--force"),
    )


def look(task: str, out: Path, own: Path | None) -> Row:
    """The pictures of a task; the map is the trained model's, if there is one."""
    names = {"enhanced": "bundled"} if own is None else {"trained": "trained", "bundled": "bundled"}
    folder = out / next(iter(names.values()))
    return Row(
        task=task,
        degraded=read_picture(out / "degraded" / f"{task}.png"),
        guidance=read_picture(folder / "maps" / f"{task}.png.guidance.png"),
        meaning=find_task(task).guidance,
        results=tuple(
            (name, read_picture(out / folder / f"{task}.png")) for name, folder in names.items()
        ),
        clean=read_picture(out / "clean" / f"{task}.png"),
    )


if __name__ == "__main__":
    main()
