"""The dehazing network, which looks at the whole scene at low resolution.

Haze is coarse: the light lost at a point depends on its depth, and the airlight is the same for the
whole picture. Given the true transmission in 80x60 cells, the scattering model restores NYU's
pictures at 41 dB; estimating the transmission is the hard part, and needs the whole scene. So all
convolutions work on a grid of fixed size, whatever the size of the picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.training.preset import UNetShape

from .grain import grain
from .resampling import SCENE, average, interpolate
from .texture import PARTS, Texture, scene_parts
from .unet import UNetFeatures

# Lower bound of the airlight, full scale = 1, and that of pictures that were exposed for the haze.
_DARKEST_LIGHT, _DARKEST_EXPOSED = 0.5, 0.25
# Upper bound of the optical depth: 5 % of the scene's light remains, too little for 8-bit pictures.
_DENSEST = 3.0
# The output of the last layer is multiplied by this, so that small weights suffice.
_GAIN = 4.0
_CONTRAST_GAIN = 5.0  # scales contrast to the magnitude of a picture's values
# Number of weighted means over the scene, and of hidden features, that predict the airlight.
_LOOKS = 4
_HIDDEN = 64


class Dehazed(NamedTuple):
    """The estimated haze and the picture without it.

    airlight: A, shape (N, C, 1, 1).
    transmission: t, shape (N, 1, H, W).
    picture: shape (N, C, H, W), not clipped.
    """

    airlight: Tensor
    transmission: Tensor
    picture: Tensor


class ScatteringUNet(UNetFeatures):
    """A_omega(y; g) inverts the scattering model I = J t + A (1 - t), t = exp(-tau) (Sec. 4.3).

    A U-Net over the scene and its map predicts tau for each cell and one airlight A for the
    picture; J = A + (I - A) exp(tau) is computed per pixel. Within a cell, tau may depend on the
    pixel's brightness, because haze changes at object edges, which are finer than a cell. Besides
    the mean colour of each cell, the network sees its contrast, which haze reduces by the share
    1 - t, and its darkest and brightest value, which haze moves towards A (K. He et al., CVPR
    2009). For A, it uses places selected by learned weights.

    Its receptive field is the whole picture, even if the map is given.
    texture, texture_stride: width and stride of the learned features of each cell's parts, see
        `Texture`; width 0 for none.
    exposure: whether J is also multiplied by a predicted gain, one for the picture. Cameras expose
        for the haze, and what lies behind it comes out too dark.
    grain: whether the network sees each cell's grain, see `grain.grain`.
    Other arguments: see `UNetFeatures`.
    """

    size_multiple = 1
    # Kept in floats by an int8 export: they are cheap, and their output goes into exp(tau).
    in_floats = (*UNetFeatures.in_floats, "look", "hidden", "light", "gain")

    def __init__(
        self,
        channels: int,
        guided: bool,
        maximum: float,
        shape: UNetShape,
        texture: int = 0,
        *,
        exposure: bool = False,
        grain: bool = False,
        texture_stride: int = 1,
    ) -> None:
        planes = channels + 3
        super().__init__(planes + texture + grain, guided, maximum, shape)
        self.grain = grain
        self.texture = Texture(channels, texture, texture_stride) if texture else None
        self.channels = channels  # of the image; the features have more input channels
        block = shape.unshuffle * 2 ** (len(shape.widths) - 1)
        if any(side % block for side in SCENE):
            raise HyperguideError(
                f"A scene of {SCENE[0]}x{SCENE[1]} does not divide into blocks of {block}: give "
                "fewer widths or a smaller unshuffle in the preset."
            )
        self.tail = self.last_layer(2)
        self.look = nn.Conv2d(shape.widths[0], _LOOKS, 1)
        nn.init.zeros_(self.look.weight)
        # 1x1 convolutions, because not every GPU has matrix products in fp32.
        self.hidden = nn.Conv2d(2 * shape.widths[-1] + _LOOKS * planes, _HIDDEN, 1)
        self.light = nn.Conv2d(_HIDDEN, channels, 1)
        assert self.light.bias is not None
        nn.init.zeros_(self.light.weight)
        nn.init.constant_(self.light.bias, 2.0)  # training starts with an airlight near white
        self.gain: nn.Conv2d | None = None
        if exposure:
            self.gain = nn.Conv2d(_HIDDEN, 1, 1)
            assert self.gain.bias is not None
            nn.init.zeros_(self.gain.weight)
            nn.init.zeros_(self.gain.bias)

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Dehazed:
        """Restore the image.

        image: shape (N, C, H, W) in [0, 1], any size.
        guidance: shape (N, 1, H, W) in the task's unit; absent for the unguided twin.
        """
        parts = scene_parts(image)
        scene = look_at(parts)
        seen = [scene]
        if self.texture is not None:
            seen.append(self.texture(parts))
        if self.grain:
            seen.append(grain(image))
        depth = None if guidance is None else average(guidance, *SCENE)
        coarse, skips = self.encode(torch.cat(seen, 1), depth)
        fine = self.decode(coarse, skips)
        hidden = self._hidden(scene, coarse, fine)
        share = torch.sigmoid(self.light(hidden).float())
        darkest = _DARKEST_LIGHT if self.gain is None else _DARKEST_EXPOSED
        airlight = darkest + (1 - darkest) * share
        planes = F.pixel_shuffle(self.tail(fine), self.unshuffle)
        planes = interpolate(planes.float(), *image.shape[2:])
        base, slope = planes.split(1, 1)
        brightness = image.mean(1, keepdim=True)
        tau = _DENSEST * torch.sigmoid(_GAIN * (base + slope * brightness) - 3)
        picture = airlight + (image - airlight) * torch.exp(tau)
        if self.gain is not None:
            # Between a third of the light and three times as much.
            picture = picture * torch.exp(torch.tanh(self.gain(hidden).float()))
        return Dehazed(airlight, torch.exp(-tau), picture)

    def _hidden(self, scene: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
        """Features of the whole picture, from which its light is predicted, shape (N, 64, 1, 1).

        scene: output of `look_at`. coarse, fine: the features of the coarsest and finest level.
        """
        weights = self.look(fine).float().flatten(2).softmax(2)
        places = F.avg_pool2d(scene, self.unshuffle).flatten(2)
        found = (weights[:, :, None] * places[:, None]).sum(3).flatten(1)[..., None, None]
        mean, most = coarse.mean((2, 3), keepdim=True), coarse.amax((2, 3), keepdim=True)
        return F.relu(self.hidden(torch.cat([mean, most, found], 1)))


def look_at(parts: Tensor) -> Tensor:
    """The network's input for each cell, shape (N, C + 3, *SCENE).

    The mean of each channel; five times the standard deviation of the brightness; and the darkest
    and brightest value of any channel, all over the parts of the cell.

    parts: output of `scene_parts`.
    """
    brightness = F.pixel_unshuffle(parts.mean(1, keepdim=True), PARTS)
    variance = (brightness - brightness.mean(1, keepdim=True)).square().mean(1, keepdim=True)
    values = F.pixel_unshuffle(parts, PARTS)
    darkest, brightest = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    contrast = _CONTRAST_GAIN * variance.sqrt()
    return torch.cat([F.avg_pool2d(parts, PARTS), contrast, darkest, brightest], 1)
