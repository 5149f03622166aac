"""Folds networks for inference: the same functions in fewer and larger operations."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from .guided_input import UnshuffledConvolution
from .prenet import PReNet
from .stack import BranchedConvolution
from .unfolded import LearnedFactors
from .upsampling import Upsampling

Module = TypeVar("Module", bound=nn.Module)

_LAYERS = (BranchedConvolution, LearnedFactors, PReNet, UnshuffledConvolution, Upsampling)


def fold_layers(module: Module) -> Module:
    """A deep copy in which every foldable layer is folded.

    Branched convolutions become single convolutions, convolutions over pixel blocks become strided
    ones, upsampling becomes a convolution, learned factors become constants, and PReNet's
    recurrence no longer repeats the same work.
    A module without such layers is only copied.
    """
    if isinstance(module, _LAYERS):
        return module.fold()  # type: ignore[return-value]
    folded = copy.deepcopy(module)
    for parent in list(folded.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _LAYERS):
                setattr(parent, name, child.fold())
    return folded


def unfold_weights(module: nn.Module, folded: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A module's state dict from the tensors of its folded form; layers may also be unfolded.

    Raises KeyError with the name of a tensor that `folded` lacks or has in another shape.
    """
    own = module.state_dict()
    state: dict[str, Tensor] = {}
    for layer_name, layer in module.named_modules():
        if not isinstance(layer, BranchedConvolution | LearnedFactors | UnshuffledConvolution):
            continue
        prefix = f"{layer_name}."
        names = [prefix + name for name in layer.state_dict()]
        if any(name not in folded or folded[name].shape != own[name].shape for name in names):
            within = {n.removeprefix(prefix): t for n, t in folded.items() if n.startswith(prefix)}
            try:
                unfolded = layer.unfold(within)
            except (RuntimeError, IndexError, TypeError):  # tensors with wrong shapes
                raise KeyError(names[0]) from None
            state |= {prefix + name: tensor for name, tensor in unfolded.items()}
    return {name: state[name] if name in state else folded[name] for name in own}
