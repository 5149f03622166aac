"""Compares our files on a GPU with torch on the same GPU, with pictures in GPU memory.

    python benchmarks/torch_on_gpu.py --size 720x1280 --json torch.json
    python benchmarks/torch_on_gpu.py --task denoise --device tensorrt

Both run the network of the bundled fp32 file in turns, in fp32, without TF32 and without copies
between host and GPU. The results are compared first: exit code 1 if they differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import torch
from outputs import add_force, check_outputs
from peers import torch_twin

import hyperguide
from hyperguide.bench.machine import describe
from hyperguide.bench.subject import synthetic_frame
from hyperguide.bench.turns import in_turns, ratio
from hyperguide.model_format.bundled import model_path
from hyperguide.pixels import to_tensor
from hyperguide.storage.atomic import write_atomically
from hyperguide.tasks import TASKS

_AGREE = 1e-3  # of full scale; engines sum in different orders

Call = Callable[[], torch.Tensor]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=list(TASKS), action="append", help="may be repeated")
    parser.add_argument("--device", default="cuda", help="of our file: cuda, tensorrt, ...")
    parser.add_argument("--size", default="720x1280", metavar="HxW")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each task")
    parser.add_argument("--json", type=Path)
    add_force(parser)
    given = parser.parse_args()
    check_outputs(parser, [given.json], given.force)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    height, width = map(int, given.size.split("x"))
    told: dict[str, Any] = {"machine": describe(), "size": given.size, "tasks": {}}
    failed = []
    for task in given.task or TASKS:
        calls = subjects(task, given.device, height, width)
        results = {name: call() for name, call in calls.items()}
        ours = next(iter(results))
        apart = {name: float((r - results[ours]).abs().max()) for name, r in results.items()}
        failed += [f"{task} in {name}" for name, worst in apart.items() if not worst <= _AGREE]
        taken = dict(zip(calls, in_turns(tuple(calls.values()), given.seconds), strict=True))
        told["tasks"][task] = [
            {
                "name": name,
                "p50_ms": 1000 * median(times),
                "times_ours": ratio(times, taken[ours]),
                "apart": apart[name],
            }
            for name, times in taken.items()
        ]
        for row in told["tasks"][task]:
            figures = f"{row['p50_ms']:9.2f} ms {row['times_ours']:7.2f} times ours"
            print(f"{task:<9}{row['name']:<22}{figures}, off by {row['apart']:.1e}", flush=True)
    if given.json is not None:
        text = json.dumps(told, indent=1)
        write_atomically(given.json, lambda path: path.write_text(text))
    print(f"differ: {', '.join(failed)}" if failed else "all compute the same")
    return int(bool(failed))


def subjects(task: str, device: str, height: int, width: int) -> dict[str, Call]:
    """The calls that compute a frame, ours first; each waits for its result."""
    enhancer = hyperguide.load(model_path(task), device=device)
    model = torch_twin(model_path(task)).cuda()
    multiple = enhancer.info.size_multiple
    size = (width // multiple * multiple, height // multiple * multiple)
    frame = cv2.resize(synthetic_frame(), size, interpolation=cv2.INTER_AREA)
    if enhancer.info.task == "dehaze":
        frame = frame // 2 + 110  # a clear frame comes back unchanged
    image = torch.from_numpy(to_tensor(frame, enhancer.info.channels)[0]).cuda()
    ramp = torch.arange(15.0 * 15).reshape(15, 15)  # not point-symmetric
    kernel = ramp / ramp.sum() if enhancer.info.task == "deblur" else None
    dials = {} if kernel is None else {"kernel": kernel.numpy()}
    blur = None if kernel is None else kernel.cuda()[None, None]

    def restored(image: torch.Tensor, blur: torch.Tensor | None) -> torch.Tensor:
        return model.restore(image, blur).restored.clamp(0, 1)

    def in_torch(run: Callable[..., torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            result = run(image, blur)
        torch.cuda.synchronize()
        return result

    def ours() -> torch.Tensor:
        return torch.as_tensor(enhancer.on_gpu(image, **dials).image, device="cuda")

    return {
        enhancer.engine: ours,
        "torch eager": partial(in_torch, restored),
        "torch.compile": partial(in_torch, torch.compile(restored, dynamic=False)),
    }


if __name__ == "__main__":
    sys.exit(main())
