"""Measures what fusing gains: both forms of each preset's pair, in turns in one process.

    python benchmarks/fused_against_plain.py
    python benchmarks/fused_against_plain.py --only derain-paper --size 320x480

The pairs are untrained, which does not affect speed. Fused deblurring pairs have split Fourier
transforms. Prints medians for ONNX Runtime on the CPU, the largest difference of the outputs, and
the fused graph's bytes in excess of its parameters' bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from untrained import PRESETS, roughened

from hyperguide.bench.turns import in_turns
from hyperguide.export.graph import export_graph
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.preset import load_preset

_SECONDS = 30.0  # of timing, for each pair
_OUTPUTS = ["enhanced", "guidance"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PRESETS, action="append", help="may be repeated")
    parser.add_argument("--size", default="352x640", help="HxW of the picture")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="of timing, for each pair")
    arguments = parser.parse_args()
    size = tuple(map(int, arguments.size.split("x")))
    columns = ("plain ms", "fused ms", "gain", "nodes", "difference", "bytes over parameters")
    print(f"{'':<20}" + "".join(f"{column:>12}" for column in columns))
    for name in arguments.only or PRESETS[:-1]:  # the last takes minutes per picture
        task, _, tier = name.partition("-")
        model = roughened(load_preset(task, tier), 0.01)
        plain = export_graph(model, task == "deblur", plain=True)
        fused = export_graph(fold_layers(model).eval(), task == "deblur")
        image = torch.rand(1, model.channels, *size, generator=torch.Generator().manual_seed(0))
        feeds = {"image": image.numpy()}
        if task == "deblur":
            feeds["kernel"] = np.full((1, 1, 19, 19), 1 / 361, np.float32)
        runs = [runner(graph, feeds, arguments.threads) for graph in (plain, fused)]
        results = [run() for run in runs]
        worst = max(float(np.abs(a - b).max()) for a, b in zip(*results, strict=True))
        before, after = map(np.median, in_turns(runs, arguments.seconds, fewest=3))
        parameters = sum(weights.numel() for weights in fold_layers(model).parameters())
        excess = len(fused.SerializeToString()) / (4 * parameters) - 1
        nodes = f"{len(plain.graph.node)}>{len(fused.graph.node)}"
        print(
            f"{name:<20}{1e3 * before:12.1f}{1e3 * after:12.1f}{before / after:12.3f}"
            f"{nodes:>12}{worst:12.1e}{excess:12.1%}",
            flush=True,
        )


def runner(
    graph: onnx.ModelProto, feeds: dict[str, np.ndarray], threads: int
) -> Callable[[], list[np.ndarray]]:
    """A call that runs a graph on ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    return lambda: session.run(_OUTPUTS, feeds)


if __name__ == "__main__":
    main()
