"""Pictures with turned dials, to which a lower precision is fitted in addition to the defaults.

Ranges found on training samples alone clip everything beyond, such as larger maps and stronger
degradations. The float pair still works there and provides the targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from hyperguide.training.data.draws import happens, uniform
from hyperguide.training.data.sample import Sample
from hyperguide.training.model import GuidedModel, Restoration

# The map's scale is drawn between the inverse of this and this.
_LARGEST_SCALE = 4.0
# The degradation (difference from the clean picture) is scaled by a factor drawn from this range.
_LEAST_DEGRADED, _MOST_DEGRADED = 0.25, 2.0
# Shares of samples that are gray, of gray ones that are uniform, and of samples with a given map.
_GRAY, _EVEN, _GIVEN = 0.25, 0.25, 0.4
# Given maps reach down to this share of the range.
_LEAST_GIVEN = 0.01


@dataclass(frozen=True)
class Turned:
    """A batch for `GuidedModel.restore`, with dials that change its map.

    image, clean: shape (N, C, H, W). kernel: shape (N, 1, kh, kw) or None.
    given, mix, scale: shape (N, 1, 1, 1), see `GuidedModel.forward`.
    gray: which pictures have equal planes, bool of shape (N, 1, 1, 1).
    """

    image: Tensor
    clean: Tensor
    kernel: Tensor | None
    given: Tensor
    mix: Tensor
    scale: Tensor
    gray: Tensor

    def restore(self, model: GuidedModel) -> Restoration:
        """Restore the pictures with a pair; returns its own maps, before the dials."""
        maps: list[Tensor] = []

        def turn(read: Tensor, stage: int) -> Tensor:
            maps.append(model.predict(read, stage))
            own = maps[-1].detach()
            return self.scale * (self.mix * self.given + (1 - self.mix) * own)

        return replace(model.restore(self.image, self.kernel, turn), maps=tuple(maps))

    @torch.no_grad()
    def wanted(self, in_floats: GuidedModel) -> Restoration:
        """The target for a lower precision: the float pair's result, with gray kept gray."""
        found = self.restore(in_floats)
        restored = torch.where(self.gray, found.restored.mean(1, keepdim=True), found.restored)
        return replace(found, iterates=(*found.iterates[:-1], restored))


def turn_dials(sample: Sample, channels: int, maximum: float, rng: Generator) -> Turned:
    """Draw dials for the pictures of a sample, and make these more or less degraded.

    channels: planes that the pair takes; gray samples are repeated.
    maximum: upper end of the map's range.
    """
    count, one = len(sample.degraded), (len(sample.degraded), 1, 1, 1)
    ratio = _MOST_DEGRADED / _LEAST_DEGRADED
    amount = _LEAST_DEGRADED * ratio ** uniform(0.0, 1.0, one, rng)
    image = sample.clean + amount * (sample.degraded - sample.clean)
    gray = happens(_GRAY, count, rng)
    even = gray & happens(_EVEN, count, rng)
    value = uniform(0.0, 1.0, one, rng)

    def in_gray(pictures: Tensor) -> Tensor:
        pictures = pictures.expand(-1, channels, -1, -1)
        pictures = torch.where(gray, pictures.mean(1, keepdim=True), pictures)
        return torch.where(even, value, pictures)

    mix = uniform(0.0, 1.0, one, rng)
    # Half of the given maps replace the predicted map completely.
    mix = torch.where(happens(0.5, count, rng), torch.ones(()), mix)
    return Turned(
        in_gray(image),
        in_gray(sample.clean),
        sample.kernel,
        maximum * _LEAST_GIVEN ** uniform(0.0, 1.0, one, rng),
        mix * happens(_GIVEN, count, rng),
        _LARGEST_SCALE ** uniform(-1.0, 1.0, one, rng),
        gray,
    )
