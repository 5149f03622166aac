"""Networks in the form to run: the same functions in fewer and larger steps."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from .guided_input import UnshuffledConvolution
from .prenet import PReNet
from .stack import BranchedConvolution
from .upsampling import Upsampling

Module = TypeVar("Module", bound=nn.Module)

_LAYERS = (BranchedConvolution, PReNet, UnshuffledConvolution, Upsampling)


def fold_layers(module: Module) -> Module:
    """A deep copy in which every layer that can be folded is.

    Branched convolutions become one convolution each, those over pixel blocks strided ones,
    enlargements convolutions, and the recurrence of PReNet loses what repeats itself in it.
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
