"""Whether a file's graph is one that engines may be given.

An engine's own checks are for honest mistakes: OpenVINO takes all memory for a graph that runs in a
circle, and any of them runs a loop of 2^60 rounds. So what comes here is a straight sequence of
steps, each of a known kind, with constants as exports have them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from .onnx_outline import Node, Outline, Tensor
from .protobuf import MalformedError

# PReNet, the longest network here, has about 1,500 steps.
_MOST_STEPS = 20_000

# Operators whose result is fixed by their inputs and no more work than these say: what exports
# write, and their like. No loops and branches, nothing random, no sequences, strings or states.
_NAMES = """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant
    ConstantOfShape Conv ConvTranspose Cos DepthToSpace DequantizeLinear Div Einsum Elu Equal Erf
    Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual GridSample HardSigmoid HardSwish Identity
    InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log MatMul Max MaxPool Mean
    Min Mish Mod Mul Neg Not Or PRelu Pad Pow QuantizeLinear Range Reciprocal ReduceL1 ReduceL2
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round
    Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum
    Tanh ThresholdedRelu Tile Transpose Trilu Unsqueeze Where Xor
"""
_OPERATORS = frozenset(_NAMES.split())

# Whole numbers of attributes: of windows and borders in pixels, and of all others.
_LARGEST_WINDOW = 256
_WINDOWS = frozenset(
    ("kernel_shape", "strides", "dilations", "pads", "output_padding", "output_shape", "blocksize")
)
_LARGEST_NUMBER = 1 << 16

# Which inputs say how large the result of an operator is, and the most that they may ask for where
# they are constants: in all, values of the result or times what there is; of Pad and Range each.
_SIZES: dict[str, tuple[tuple[int, ...], int]] = {
    **{"Expand": ((1,), 1 << 24), "ConstantOfShape": ((0,), 1 << 24), "Tile": ((1,), 1 << 12)},
    **{"Resize": ((2, 3), 1 << 24), "Range": ((0, 1), 1 << 24), "Pad": ((1,), 512)},
}
_LEAST_STEP = 1 / 256  # of a Range
_LARGEST_SCALE = 256  # of a Resize, rows times columns


def check_graph(outline: Outline) -> None:
    """Raise MalformedError with a reason unless engines may be given the graph."""
    if max(len(outline.nodes), len(outline.tensors)) > _MOST_STEPS:
        raise MalformedError("its graph is too long")
    _check_order(outline)
    checked: set[int] = set()  # attributes that nodes share
    for node in outline.nodes:
        if node.operator not in _OPERATORS:
            raise MalformedError(f"it uses the operator '{node.operator}', which no export writes")
        for attribute in node.attributes:
            if node.operator == "Constant" and attribute.tensor is None:
                raise MalformedError("it has constants that are not stored as tensors")
            if id(attribute) not in checked:
                checked.add(id(attribute))
                largest = _LARGEST_WINDOW if attribute.name in _WINDOWS else _LARGEST_NUMBER
                if any(abs(n) > largest for n in attribute.numbers):
                    raise MalformedError(f"'{attribute.name}' in its graph is out of range")
    constants = {tensor.name: tensor for tensor in outline.tensors}
    constants |= {
        node.outputs[0]: attribute.tensor
        for node in outline.nodes
        for attribute in node.attributes
        if attribute.tensor is not None
    }
    for node in outline.nodes:
        if node.operator in _SIZES:
            _check_sizes(node, constants)


def _check_order(outline: Outline) -> None:
    """Every name is made once, and nothing runs in a circle; steps may stand in any order."""
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
    """Go through the steps as their inputs become known, and refuse what is left over."""
    waiting: dict[str, list[int]] = {}  # for a name, by number
    missing: list[int] = []  # inputs that a step still waits for
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


def _check_sizes(node: Node, constants: dict[str, Tensor]) -> None:
    """Refuse constants that ask for results out of proportion."""

    def values(place: int) -> np.ndarray:
        """The constant at an input; empty where there is none."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if name not in constants:
            return np.empty(0)
        return np.abs(constants[name].array().ravel().astype(np.float64))

    places, most = _SIZES[node.operator]
    for place in places:
        found = values(place)
        each = node.operator in ("Pad", "Range")
        limit = _LARGEST_SCALE if (node.operator, place) == ("Resize", 2) else most
        asked = found.max(initial=1) if each else np.prod(np.maximum(found, 1))
        if not asked <= limit:  # NaN neither
            raise MalformedError(f"a {node.operator} in its graph asks for too large a result")
    if node.operator == "Range" and not values(2).min(initial=1) >= _LEAST_STEP:
        raise MalformedError("a Range in its graph asks for too large a result")
