"""Evaluates the small tensors that sizes are computed from, such as results of `Shape`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .onnx_outline import TYPES, Node

# Maximum elements of a tensor that is evaluated; shapes have at most eight, their tables some more.
MOST = 1024

Values = list[np.ndarray]


def computed(node: Node, inputs: Values) -> np.ndarray | None:
    """A node's result; None for large inputs and operators that sizes are not computed with.

    Raises ValueError, TypeError or IndexError if its inputs do not fit.
    """
    rule = _RULES.get(node.operator)
    if rule is None or not all(value.size <= MOST for value in inputs):
        return None
    with np.errstate(all="ignore"):
        return np.asarray(rule({a.name: a.numbers for a in node.attributes}, *inputs))


def _first(numbers: Mapping[str, Any], name: str, default: int = 0) -> int:
    return int(numbers.get(name, (default,))[0])


def _divide(_: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind == "f":
        return np.divide(a, b)
    if not b.all():
        raise ValueError("a division by zero")
    return np.trunc(a / b).astype(a.dtype)


def _modulo(numbers: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if not b.all():
        raise ValueError("a division by zero")
    return np.fmod(a, b) if _first(numbers, "fmod") else np.mod(a, b)


def _cast(numbers: Any, a: np.ndarray) -> np.ndarray:
    return a.astype(TYPES.get(_first(numbers, "to"), "<f4"))


def _slice(
    _: Any,
    data: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    axes: np.ndarray | None = None,
    steps: np.ndarray | None = None,
) -> np.ndarray:
    places = [slice(None)] * data.ndim
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = i if axes is None else int(axes[i])
        places[axis] = slice(int(start), int(end), 1 if steps is None else int(steps[i]))
    return data[tuple(places)]


def _unsqueeze(_: Any, data: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.expand_dims(data, tuple(map(int, axes)))


def _squeeze(_: Any, data: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    return np.squeeze(data, None if axes is None else tuple(map(int, axes)))


def _reduced(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def rule(numbers: Any, data: np.ndarray, axes: np.ndarray | None = None) -> Any:
        chosen = None if axes is None or not axes.size else tuple(map(int, axes))
        return reduce(data, axis=chosen, keepdims=bool(_first(numbers, "keepdims", 1)))

    return rule


def _plain(operation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *values: operation(*values)


_RULES: Mapping[str, Callable[..., Any]] = {
    **{"Add": _plain(np.add), "Sub": _plain(np.subtract), "Mul": _plain(np.multiply)},
    **{"Div": _divide, "Mod": _modulo, "Cast": _cast, "Slice": _slice, "Neg": _plain(np.negative)},
    **{"Floor": _plain(np.floor), "Ceil": _plain(np.ceil), "Round": _plain(np.rint)},
    **{"Abs": _plain(np.abs), "Sqrt": _plain(np.sqrt), "Reciprocal": _plain(np.reciprocal)},
    **{"Pow": _plain(np.power), "Identity": _plain(np.asarray), "Not": _plain(np.logical_not)},
    **{"Equal": _plain(np.equal), "Less": _plain(np.less), "Greater": _plain(np.greater)},
    **{"LessOrEqual": _plain(np.less_equal), "GreaterOrEqual": _plain(np.greater_equal)},
    **{"And": _plain(np.logical_and), "Or": _plain(np.logical_or), "Where": _plain(np.where)},
    **{"Unsqueeze": _unsqueeze, "Squeeze": _squeeze},
    **{"ReduceProd": _reduced(np.prod), "ReduceSum": _reduced(np.sum)},
    **{"ReduceMax": _reduced(np.max), "ReduceMin": _reduced(np.min)},
    "Max": lambda _, *values: np.max(np.stack(np.broadcast_arrays(*values)), 0),
    "Min": lambda _, *values: np.min(np.stack(np.broadcast_arrays(*values)), 0),
    "Concat": lambda numbers, *values: np.concatenate(values, _first(numbers, "axis")),
    "Gather": lambda numbers, data, places: np.take(data, places, _first(numbers, "axis")),
}
