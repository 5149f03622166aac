"""Networks in the form to run: the same functions in fewer and larger steps."""

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
    """A deep copy in which every layer that can be folded is.

    Branched convolutions become one convolution each, those over pixel blocks strided ones,
    enlargements convolutions, learned factors numbers, and the recurrence of PReNet loses what
    repeats itself in it.
    A module without such layers comes back as it is, as a copy.
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
    """A module's state from the tensors of its folded form; those not folded may be its own.

    Raises KeyError with a name that `folded` lacks, or has in another shape.
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
            except (RuntimeError, IndexError, TypeError):  # tensors of shapes that do not fit
                raise KeyError(names[0]) from None
            state |= {prefix + name: tensor for name, tensor in unfolded.items()}
    return {name: state[name] if name in state else folded[name] for name in own}
