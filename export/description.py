"""The description of a pair in its model file."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.model_format.model_info import ModelInfo
from hyperguide.tasks import find_task
from hyperguide.training.checkpoint import TrainedModel
from hyperguide.training.model import GuidedModel
from hyperguide.training.networks.scattering import ScatteringUNet
from hyperguide.training.networks.unfolded import UnfoldedDeconvolution

from .overlap import sufficient_overlap
from .probe import receptive_field

# Pixels; tiles may overlap by the receptive field of networks that see no further.
_FAR = 128


def describe(trained: TrainedModel) -> ModelInfo:
    """Describe a run's guided pair, in fp32.

    Raises HyperguideError if the record lacks a field, or if a reconstruction network that works at
    the picture's own resolution has an unbounded receptive field.
    """
    model, preset, record = trained.model, trained.preset, trained.record.to_json()
    needed = ("origin", "step", "seconds", "data", "validation")
    if missing := [name for name in needed if name not in record]:
        raise HyperguideError(
            f"The checkpoint does not say its {' and '.join(missing)}: export the run's own file."
        )
    whole_picture = isinstance(model.reconstruction, ScatteringUNet)
    reach, is_global = (0, True) if whole_picture else _reach(model, preset.task == "deblur")
    overlap = None
    if not is_global and reach > _FAR:
        seen = sufficient_overlap(_restored(model), model.channels, model.size_multiple, reach)
        overlap = min(reach, seen)
    return ModelInfo(
        task=preset.task,
        tier=preset.tier,
        color="gray" if model.channels == 1 else "rgb",
        guidance=find_task(preset.task).guidance,
        size_multiple=model.size_multiple,
        receptive_field=reach,
        context="global" if is_global else "local",
        quality={"validation": record.pop("validation")},
        training=record,
        whole_picture=whole_picture,
        overlap=overlap,
    )


def _reach(model: GuidedModel, blurs: bool) -> tuple[int, bool]:
    """The pair's receptive field, without the hyper-network if that sees the whole picture.

    For deblurring, it is that of all denoisers together.

    Returns (pixels, whether the context is global).
    """
    assert model.proxy is not None
    network = model.reconstruction
    if blurs:  # a Fourier transform sees everything, with or without a map
        assert isinstance(network, UnfoldedDeconvolution)
        reaches = [receptive_field(denoise, [1, 1], 0) for denoise in network.denoisers]
        return sum(reach or 0 for reach in reaches), True
    own = receptive_field(model.reconstruction, [model.channels, 1], 0)
    of_map = receptive_field(model.reconstruction, [model.channels, 1], 1)
    if own is None or of_map is None:
        raise HyperguideError(
            "The reconstruction network must look at a bounded part of the picture: "
            "choose fewer levels or blocks in the preset."
        )
    if network.asks_per_stage:
        pair = _Function(_restored(model), model.size_multiple)
        whole = receptive_field(pair, [model.channels], 0)
        return (max(own, of_map), True) if whole is None else (whole, False)
    proxy = _Function(model.predict, model.size_multiple)
    of_proxy = receptive_field(proxy, [model.channels], 0)
    if of_proxy is None:
        return max(own, of_map), True
    return max(own, of_map + of_proxy), False


def _restored(model: GuidedModel) -> Callable[[Tensor], Tensor]:
    return lambda image: model.restore(image).restored


class _Function(nn.Module):
    """A function of tensors, wrapped as a network."""

    def __init__(self, function: Callable[..., Tensor], size_multiple: int) -> None:
        super().__init__()
        self._function = function
        self.size_multiple = size_multiple

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._function(*inputs)
