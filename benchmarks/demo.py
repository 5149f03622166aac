"""The main job from end to end: train on real photos, export, verify, enhance, look.

Every step is a command of `hyperguide`, printed before it runs. With `--bundled` the models of
the package enhance the same pictures and nothing is trained.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import skimage
import torch

from hyperguide.model_format.bundled import bundled_path
from hyperguide.model_format.model_file import read_model_file
from hyperguide.picture_files.pictures import read_picture, write_picture
from hyperguide.training.data.decoding import read_streaks
from hyperguide.training.data.degradations import Blur, Haze, Noise, Rain
from hyperguide.training.preset import load_preset
from sheet import Row, write_sheet

# Photos that scikit-image ships. Each task trains on all but the one that it is shown on; the last,
# the most ordinary one, chooses the weights. The motorcycle has true depth, but is not free to be
# shown anywhere; for the bundled models, whose sheet is published, the cat gets drawn depth.
PHOTOS = ("astronaut.png", "brick.png", "coffee.png", "gravel.png", "rocket.jpg", "chelsea.png")
# Gray ones more, for rain: it is gray itself, and few photos teach that whatever is white is rain.
GRAY_PHOTOS = ("camera.png", "coins.png", "moon.png", "page.png")
DENOISE_PHOTO, DERAIN_PHOTO, DEBLUR_PHOTO = "astronaut.png", "coffee.png", "rocket.jpg"
MOTORCYCLE, CAT = "motorcycle_left.png", "chelsea.png"
KERNEL = "kernel.npy"


@dataclass(frozen=True)
class Plan:
    """How long a task trains, in steps; all together about two minutes.

    batch: instead of the preset's. held_out: crops that choose the weights; there is one photo.
    """

    steps: int
    warmup: int
    batch: int | None = None
    held_out: int = 16


# Dehazing trains on whole photos: few in a batch, few to choose by.
PLANS = {
    "denoise": Plan(500, 150),
    "derain": Plan(250, 120),
    "dehaze": Plan(160, 40, batch=2, held_out=4),
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
    shown = {"denoise": DENOISE_PHOTO, "derain": DERAIN_PHOTO, "dehaze": dehaze_photo}
    if arguments.bundled:
        shown["deblur"] = DEBLUR_PHOTO
    make_pictures(photos, shown, data, degraded, clean)
    if not arguments.bundled:
        for task, name in shown.items():
            more = GRAY_PHOTOS if task == "derain" else ()
            copy_photos(photos, out / "photos" / task, [n for n in (*more, *PHOTOS) if n != name])
    rows = []
    for task in shown:
        own = None if arguments.bundled else train(PLANS[task], task, out, data)
        chosen = ["-t", task] if own is None else ["-m", str(own)]
        if task == "deblur":
            chosen += ["--kernel", str(degraded / KERNEL)]
        enhanced = out / "enhanced" / f"{task}.png"
        enhanced.parent.mkdir(exist_ok=True)
        hyperguide(
            *("enhance", "-i", degraded / f"{task}.png", "-o", enhanced, *chosen),
            *("--save-guidance", out / "maps", "--force"),
        )
        rows.append(look(task, out, own or bundled_path(task, "fast")))
    title = "the bundled models" if arguments.bundled else "models trained in this demo"
    sheet = out / ("sheet-bundled.jpg" if arguments.bundled else "sheet.png")
    write_sheet(sheet, rows)
    print(f"\nHeld-out photos, {title}:")
    for row in rows:
        gain = row.enhanced_psnr - row.degraded_psnr
        print(
            f"  {row.task:<8} {row.degraded_psnr:6.2f} dB -> {row.enhanced_psnr:6.2f} dB"
            f"  ({gain:+.2f} dB)"
        )
    print(f"Done in {time.perf_counter() - began:.0f} s. Look at {sheet}.")


def copy_photos(photos: Path, folder: Path, names: list[str]) -> None:
    """Number the copies, because the trainer holds out the last ones by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / f"{number:02d}{Path(name).suffix}").write_bytes((photos / name).read_bytes())


def make_pictures(
    photos: Path, shown: dict[str, str], data: Path | None, degraded: Path, clean: Path
) -> None:
    """Degrade the held-out photos by the trainer's own models."""
    rng = torch.Generator().manual_seed(7)
    strong, weak = (
        Noise(minimum=sigma / 255, maximum=sigma / 255, clean=0, varying=0, gray=0, clipped=1)
        for sigma in (30, 10)
    )
    rain = Rain(synthetic=0 if data else 1, veil=0, clean=0)
    if data is not None:
        # The last layers are those that the trainer holds out.
        layers = list(read_streaks(data / "rain100l" / "train").values())
        rain = replace(rain, bank=tuple(layers[-5:]))
    haze = Haze(beta=(1.4, 1.4), airlight=(0.9, 0.9), tint=0, clean=0, invented=0)
    blur = Blur(minimum=0.01, maximum=0.01, varying=0, clipped=1, impulse=0)
    for task, name in shown.items():
        photo = torch.from_numpy(read_picture(photos / name)[:, :, :3].copy())
        x = photo.permute(2, 0, 1)[None] / 255
        if task == "denoise":
            # Two halves of different noise: the map shows them.
            middle = x.shape[3] // 2
            left, right = (noise.degrade(x, None, rng).degraded for noise in (weak, strong))
            y = torch.cat([left[..., :middle], right[..., middle:]], 3)
        elif task == "derain":
            # Rain that can be seen: the heaviest of a few.
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


def train(plan: Plan, task: str, out: Path, data: Path | None) -> Path:
    run, model = out / "runs" / task, out / f"{task}.onnx"
    if data is None:
        sources: list[object] = ["--data", out / "photos" / task]
    else:
        sets = {"denoise": "bsds500/train", "derain": "bsds500/test", "dehaze": "nyu"}
        sources = ["--data", data / sets[task]]
        if task == "derain":
            sources += ["--streaks", data / "rain100l" / "train"]
    preset = load_preset(task, "fast")
    schedule = replace(preset.schedule, validations=1, held_out=plan.held_out)
    file = out / f"{task}.yaml"
    file.write_text(replace(preset, schedule=schedule).to_json())  # JSON is YAML
    hyperguide(
        *("train", task, "--preset", file, *sources, "--out", run, "--force"),
        *("--steps", plan.steps, "--warmup", plan.warmup),
        *(("--batch", plan.batch) if plan.batch else ()),
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


def look(task: str, out: Path, model: Path) -> Row:
    return Row(
        task=task,
        degraded=read_picture(out / "degraded" / f"{task}.png"),
        guidance=read_picture(out / "maps" / f"{task}.png.guidance.png"),
        meaning=read_model_file(model).info.guidance,
        enhanced=read_picture(out / "enhanced" / f"{task}.png"),
        clean=read_picture(out / "clean" / f"{task}.png"),
    )


if __name__ == "__main__":
    main()
