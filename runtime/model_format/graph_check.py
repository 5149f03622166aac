"""Checks that a file's graph is safe to give to engines.

An engine's own checks are for honest mistakes: OpenVINO takes all memory for a cyclic graph. So
engines only get graphs that are plain sequences of steps. `graph_size` checks how much memory and
work these take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .onnx_outline import Node, Outline
from .protobuf import MalformedError

# PReNet, the longest network here, has about 1,500 steps.
_MOST_STEPS = 20_000


def check_graph(outline: Outline) -> None:
    """Raise MalformedError with a reason unless the graph is safe to give to engines."""
    if max(len(outline.nodes), len(outline.tensors)) > _MOST_STEPS:
        raise MalformedError("its graph is too long")
    _check_order(outline)


def _check_order(outline: Outline) -> None:
    """Check that every name is defined once and nothing is cyclic; steps may be in any order."""
    given = [value.name for value in outline.inputs]
    stored = [tensor.name for tensor in outline.tensors]
    for names in (given, stored, [value.name for value in outline.outputs]):
        if len(set(names)) < len(names) or "" in names:
            raise MalformedError("names of its inputs, weights or outputs are missing or repeated")
    made = {*given, *stored}
    for node in outline.nodes:
        if not node.outputs or not node.outputs[0]:
            raise MalformedError(f"a step '{node.operator}' of its graph has no result")
        for name in filter(None, node.outputs):
            if name in made:
                raise MalformedError(f"its graph makes '{name}' twice")
            made.add(name)
    wanted = [value.name for value in outline.outputs]
    for name in (*wanted, *(name for node in outline.nodes for name in node.inputs if name)):
        if name not in made:
            raise MalformedError(f"its graph does not make '{name}'")
    _refuse_circles(outline.nodes, {*given, *stored})


def _refuse_circles(nodes: Iterable[Node], known: set[str]) -> None:
    """Visit the steps as their inputs become known, and raise MalformedError if any are left."""
    waiting: dict[str, list[int]] = {}  # name -> numbers of the steps that need it
    missing: list[int] = []  # number of inputs that each step waits for
    ready: deque[int] = deque()
    steps = list(nodes)
    for place, node in enumerate(steps):
        unknown = {name for name in node.inputs if name and name not in known}
        missing.append(len(unknown))
        for name in unknown:
            waiting.setdefault(name, []).append(place)
        if not unknown:
            ready.append(place)
    done = 0
    while ready:
        done += 1
        for name in steps[ready.popleft()].outputs:
            for place in waiting.get(name, ()):
                missing[place] -= 1
                if missing[place] == 0:
                    ready.append(place)
    if done < len(steps):
        raise MalformedError("its graph runs in a circle")
