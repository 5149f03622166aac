"""The shapes of the results of ONNX operators.

Operators of version 18: https://onnx.ai/onnx/operators
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .onnx_outline import Node

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Known:
    """What is known of a tensor before the graph runs. value: only of small ones, if known."""

    shape: Shape
    value: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Step:
    """A node with what is known of its inputs, which may be missing."""

    def __init__(self, node: Node, inputs: Sequence[Known | None]) -> None:
        self.node = node
        self._inputs = inputs
        self._numbers = {a.name: a.numbers for a in node.attributes}

    def has(self, place: int) -> bool:
        """Whether the input at a place is given."""
        return place < len(self._inputs) and self._inputs[place] is not None

    def shape(self, place: int = 0) -> Shape:
        """Shape of an input. Raises ValueError if it is missing."""
        return self._known(place).shape

    def shapes(self) -> list[Shape]:
        """Shapes of all inputs that are given."""
        return [known.shape for known in self._inputs if known is not None]

    def numbers(self, place: int) -> list[float]:
        """An input's values. Raises ValueError if they are not known."""
        value = self._known(place).value
        if value is None:
            raise ValueError("its size depends on the picture's values")
        return [float(v) for v in value.ravel()]

    def whole(self, place: int) -> list[int]:
        """An input's values as integers."""
        return [int(v) for v in self.numbers(place)]

    def attribute(self, name: str, default: int = 0) -> int:
        """An integer attribute."""
        return self._numbers.get(name, (default,))[0]

    def attributes(self, name: str) -> tuple[int, ...]:
        """An attribute with several integers; empty if it is missing."""
        return self._numbers.get(name, ())

    def word(self, name: str) -> bytes:
        """A string attribute; empty if it is missing."""
        return next((a.word for a in self.node.attributes if a.name == name), b"")

    def _known(self, place: int) -> Known:
        known = self._inputs[place] if place < len(self._inputs) else None
        if known is None:
            raise ValueError("it lacks an input")
        return known


Rule = Callable[[Step], list[Shape]]


def _same(step: Step) -> list[Shape]:
    return [step.shape()]


def _broadcast(step: Step) -> list[Shape]:
    return [tuple(np.broadcast_shapes(*step.shapes()))]


def _axis(number: int, rank: int) -> int:
    if not -rank <= number < rank:
        raise ValueError("an axis that it has not")
    return number % rank


def _windows(step: Step, kernel: Shape) -> Shape:
    """Output sides of a kernel that slides over the spatial axes."""
    sides = step.shape()[2:]
    ones = (1,) * len(sides)
    strides = step.attributes("strides") or ones
    dilations = step.attributes("dilations") or ones
    pads = step.attributes("pads") or 2 * (0,) * len(sides)
    if not len(kernel) == len(sides) == len(strides) == len(dilations) == len(pads) // 2:
        raise ValueError("windows of another rank")
    if min((*strides, *dilations, *kernel), default=1) < 1:
        raise ValueError("windows without a size")
    if step.word("auto_pad").startswith(b"SAME"):
        return tuple(-(-side // stride) for side, stride in zip(sides, strides, strict=True))
    rounding = strides if step.attribute("ceil_mode") else ones
    found = []
    for i, side in enumerate(sides):
        padded = side + pads[i] + pads[i + len(sides)] + rounding[i] - 1
        reach = dilations[i] * (kernel[i] - 1) + 1
        found.append(max((padded - reach) // strides[i] + 1, 0))
    return tuple(found)


def _conv(step: Step) -> list[Shape]:
    weights = step.shape(1)
    return [(step.shape()[0], weights[0], *_windows(step, weights[2:]))]


def _pool(step: Step) -> list[Shape]:
    shape = (*step.shape()[:2], *_windows(step, step.attributes("kernel_shape")))
    return [shape] * len(step.node.outputs)


def _conv_transpose(step: Step) -> list[Shape]:
    (count, _, *sides), (_, channels, *kernel) = step.shape(), step.shape(1)
    ones = (1,) * len(sides)
    strides = step.attributes("strides") or ones
    dilations = step.attributes("dilations") or ones
    pads = step.attributes("pads") or 2 * (0,) * len(sides)
    more = step.attributes("output_padding") or (0,) * len(sides)
    if step.word("auto_pad") not in (b"", b"NOTSET") or step.attributes("output_shape"):
        raise ValueError("borders that no export asks for")
    found = [
        strides[i] * (side - 1) + dilations[i] * (kernel[i] - 1) + 1 + more[i]
        - pads[i] - pads[i + len(sides)]
        for i, side in enumerate(sides)
    ]  # fmt: skip
    return [(count, channels * step.attribute("group", 1), *found)]


def _concat(step: Step) -> list[Shape]:
    shapes = step.shapes()
    axis = _axis(step.attribute("axis"), len(shapes[0]))
    if len({(*s[:axis], *s[axis + 1 :]) for s in shapes}) > 1:
        raise ValueError("parts that do not fit")
    return [(*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])]


def _split(step: Step) -> list[Shape]:
    shape = step.shape()
    axis = _axis(step.attribute("axis"), len(shape))
    count = len(step.node.outputs)
    sizes = step.whole(1) if step.has(1) else [-(-shape[axis] // count)] * count
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def _reshape(step: Step) -> list[Shape]:
    shape, wanted = step.shape(), step.whole(1)
    sides = [shape[i] if w == 0 and i < len(shape) else w for i, w in enumerate(wanted)]
    rest = math.prod(side for side in sides if side != -1)
    sides = [math.prod(shape) // max(rest, 1) if side == -1 else side for side in sides]
    if math.prod(sides) != math.prod(shape):
        raise ValueError("a shape that does not fit")
    return [tuple(sides)]


def _expand(step: Step) -> list[Shape]:
    return [tuple(np.broadcast_shapes(step.shape(), tuple(step.whole(1))))]


def _tile(step: Step) -> list[Shape]:
    return [tuple(a * b for a, b in zip(step.shape(), step.whole(1), strict=True))]


def _pad(step: Step) -> list[Shape]:
    sides, pads = list(step.shape()), step.whole(1)
    axes = step.whole(3) if step.has(3) else list(range(len(sides)))
    for i, axis in enumerate(axes):
        sides[_axis(axis, len(sides))] += pads[i] + pads[i + len(axes)]
    return [tuple(sides)]


def _resize(step: Step) -> list[Shape]:
    shape = step.shape()
    axes = [_axis(a, len(shape)) for a in step.attributes("axes")] or list(range(len(shape)))
    sides = list(shape)
    if step.has(3):
        found: list[float] = [*step.whole(3)]
    else:
        found = [shape[a] * s for a, s in zip(axes, step.numbers(2), strict=True)]
    for axis, side in zip(axes, found, strict=True):
        sides[axis] = math.ceil(side)
    return [tuple(sides)]


def _slice(step: Step) -> list[Shape]:
    sides, starts, ends = list(step.shape()), step.whole(1), step.whole(2)
    axes = step.whole(3) if step.has(3) else list(range(len(starts)))
    steps = step.whole(4) if step.has(4) else [1] * len(starts)
    for axis, *place in zip(axes, starts, ends, steps, strict=True):
        at = _axis(axis, len(sides))
        sides[at] = len(range(*slice(*place).indices(sides[at])))
    return [tuple(sides)]


def _gather(step: Step) -> list[Shape]:
    shape = step.shape()
    axis = _axis(step.attribute("axis"), len(shape))
    return [(*shape[:axis], *step.shape(1), *shape[axis + 1 :])]


def _gather_nd(step: Step) -> list[Shape]:
    places = step.shape(1)
    return [(*places[:-1], *step.shape()[step.attribute("batch_dims") + places[-1] :])]


def _matmul(step: Step) -> list[Shape]:
    a, b = step.shape(), step.shape(1)
    if min(len(a), len(b)) < 2 or a[-1] != b[-2]:
        raise ValueError("matrices that do not fit")
    return [(*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])]


def _gemm(step: Step) -> list[Shape]:
    a, b = step.shape(), step.shape(1)
    return [(a[step.attribute("transA")], b[1 - step.attribute("transB")])]


def _reduce(step: Step) -> list[Shape]:
    shape = step.shape()
    axes = step.whole(1) if step.has(1) else list(step.attributes("axes"))
    keeps_all = not axes and step.attribute("noop_with_empty_axes")
    reduced = {_axis(a, len(shape)) for a in axes} or set(() if keeps_all else range(len(shape)))
    sides = [1 if i in reduced else side for i, side in enumerate(shape)]
    if not step.attribute("keepdims", 1):
        sides = [side for i, side in enumerate(shape) if i not in reduced]
    return [tuple(sides)]


def _argument(step: Step) -> list[Shape]:
    sides = list(step.shape())
    sides[_axis(step.attribute("axis"), len(sides))] = 1
    return [tuple(sides)]  # without keepdims it has as many elements


def _squeeze(step: Step) -> list[Shape]:
    shape = step.shape()
    axes = {_axis(a, len(shape)) for a in step.whole(1)} if step.has(1) else None
    return [
        tuple(s for i, s in enumerate(shape) if (i not in axes if axes is not None else s != 1))
    ]


def _unsqueeze(step: Step) -> list[Shape]:
    axes = step.whole(1)
    rank = len(step.shape()) + len(axes)
    places = {_axis(a, rank) for a in axes}
    sides = iter(step.shape())
    return [tuple(1 if i in places else next(sides) for i in range(rank))]


def _transpose(step: Step) -> list[Shape]:
    shape = step.shape()
    order = step.attributes("perm") or tuple(range(len(shape)))[::-1]
    return [tuple(shape[_axis(i, len(shape))] for i in order)]


def _flatten(step: Step) -> list[Shape]:
    axis = step.attribute("axis", 1)
    return [(math.prod(step.shape()[:axis]), math.prod(step.shape()[axis:]))]


def _depth_to_space(step: Step) -> list[Shape]:
    n, c, h, w = step.shape()
    b = step.attribute("blocksize", 1)
    return [(n, c // max(b * b, 1), h * b, w * b)]


def _space_to_depth(step: Step) -> list[Shape]:
    n, c, h, w = step.shape()
    b = max(step.attribute("blocksize", 1), 1)
    return [(n, c * b * b, h // b, w // b)]


def _range(step: Step) -> list[Shape]:
    (start,), (limit,), (delta,) = (step.numbers(place) for place in range(3))
    if delta == 0:
        raise ValueError("a range without end")
    return [(max(math.ceil((limit - start) / delta), 0),)]


def asked_sides(node: Node, shape: Shape) -> Shape:
    """The sides of a shape that a Shape node returns."""
    numbers = {a.name: a.numbers[0] for a in node.attributes if a.numbers}
    return shape[numbers.get("start", 0) : numbers.get("end")]


def _global_pool(step: Step) -> list[Shape]:
    return [(*step.shape()[:2], *(1 for _ in step.shape()[2:]))]


_SAME = """Abs BatchNormalization Cast Ceil Clip Cos DequantizeLinear Elu Erf Exp Floor Gelu
HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Log Mish Neg Not
QuantizeLinear Reciprocal Relu Round Selu Sigmoid Sign Sin Softmax Softplus Sqrt Tanh
ThresholdedRelu Trilu"""
_BROADCAST = """Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or
PRelu Pow Sub Sum Where Xor"""
_REDUCE = """ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare"""

# Operators whose results depend on their inputs only: those that exports write, and similar ones.
# No loops, branches, randomness, sequences, strings or state.
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_SAME.split(), _same),
    **dict.fromkeys(_BROADCAST.split(), _broadcast),
    **dict.fromkeys(_REDUCE.split(), _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _argument),
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    **{"Conv": _conv, "ConvTranspose": _conv_transpose, "Concat": _concat, "Split": _split},
    **{"Reshape": _reshape, "Expand": _expand, "Tile": _tile, "Pad": _pad, "Resize": _resize},
    **{"Slice": _slice, "Gather": _gather, "GatherND": _gather_nd, "MatMul": _matmul},
    **{"Gemm": _gemm, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Transpose": _transpose},
    **{"Flatten": _flatten, "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth},
    "Range": _range,
    "GatherElements": lambda step: [step.shape(1)],
    "GridSample": lambda step: [(*step.shape()[:2], *step.shape(1)[1:-1])],
    "Shape": lambda step: [(len(asked_sides(step.node, step.shape())),)],
    "Size": lambda step: [()],
    "ConstantOfShape": lambda step: [tuple(step.whole(0))],
    "Constant": lambda step: [a.tensor.shape for a in step.node.attributes if a.tensor is not None],
}
