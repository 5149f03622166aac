"""Network arguments as they appear in presets, each number with its range.

The ranges limit the resources that a short preset can demand; the largest networks in the
literature are within them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from hyperguide.errors import HyperguideError

from .fields import Checked, Range

ImageView = Literal["image", "detail", "image+detail"]
View = Literal[ImageView, "scene"]
Output = Literal["residual", "affine"]

Width = Annotated[int, Range(1, 1024)]  # feature channels
Block = Annotated[int, Range(1, 16)]  # side of pixel blocks
Depth = Annotated[int, Range(1, 32)]  # layers or blocks in sequence
Blocks = Annotated[int, Range(0, 32)]  # residual blocks of a level, which works without any, too
Stages = Annotated[int, Range(1, 12)]
Dilation = Annotated[int, Range(1, 64)]
Texture = Annotated[int, Range(0, 256)]
TextureStride = Literal[1, 2]
Reach = Annotated[int, Range(0, 64)]

_MOST_LEVELS = 8
_MOST_BLOCKS = 96  # of a U-Net, in both directions and in the middle


@dataclass(frozen=True)
class CompactProxySettings(Checked):
    """Arguments of `networks.hyper.HyperNetwork` or, for the view `scene`, of
    `networks.scene_hyper.SceneHyperNetwork`.

    `texture`, `grain` and `edges` are for the view `scene`, whose map is always smooth; `coarse`
    and `reach` are for the others, `patches` for `image`.
    """

    view: View
    width: Width
    unshuffle: Block
    dilations: tuple[Dilation, Dilation, Dilation, Dilation]
    smooth: bool = False
    texture: Texture = 0
    network: Literal["compact"] = "compact"
    coarse: bool = False
    reach: Reach = 0
    patches: bool = False
    grain: bool = False
    edges: bool = False
    texture_stride: TextureStride = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coarse and self.view == "scene":
            raise HyperguideError(
                "The proxy's view: scene is coarse already: leave coarse out in the preset."
            )
        if self.reach and not self.coarse:
            raise HyperguideError(
                "The proxy's reach needs coarse: true: set it, or leave reach out in the preset."
            )
        for name in ("texture", "grain", "edges"):
            if getattr(self, name) and self.view != "scene":
                raise HyperguideError(
                    f"The proxy's {name} needs view: scene: leave it out in the preset."
                )
        if self.patches and self.view != "image":
            raise HyperguideError(
                "The proxy's patches need view: image: leave them out in the preset."
            )


@dataclass(frozen=True)
class PlainProxySettings(Checked):
    """Arguments of `networks.hyper.PlainHyperNetwork`."""

    network: Literal["plain"]
    width: Width = 64


@dataclass(frozen=True)
class UNetShape(Checked):
    """The arguments that all U-Nets share.

    unshuffle: side of the pixel blocks folded into channels.
    widths: feature channels per level, finest first.
    middle: residual blocks at the coarsest level.
    blocks: residual blocks in each direction at the other levels, finest first; one number applies
        to all.
    blockwise_map: whether the map enters at the second level, with one value for each of its
        cells, rather than at the first with one for each pixel. Maps of a hyper-network that reads
        blocks hardly differ within a cell, and this is faster.
    encoder_blocks: like `blocks`, for the encoder alone, where 0 is possible; None for as many as
        in the decoder.
    precise_int8: whether an int8 export leaves the first layer and the features between blocks in
        floats, like the last layer. This costs a quarter of the speed, but one range of 8 bits does
        not fit the features of both weak and strong noise.
    """

    unshuffle: Block
    widths: tuple[Width, ...]
    middle: Depth
    blocks: tuple[Depth, ...] = (1,)
    blockwise_map: bool = False
    encoder_blocks: tuple[Blocks, ...] | None = None
    precise_int8: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (widths := len(self.widths)) > _MOST_LEVELS:
            raise HyperguideError(
                f"A U-Net has at most {_MOST_LEVELS} widths, not {widths}: mend widths in the "
                "preset."
            )
        if self.blockwise_map and widths == 1:
            raise HyperguideError(
                "A blockwise_map needs a U-Net of two widths or more: mend widths in the preset."
            )
        for name in ("blocks", "encoder_blocks"):
            numbers = getattr(self, name)
            if numbers is not None and len(numbers) not in (1, widths - 1):
                raise HyperguideError(
                    f"A U-Net of {widths} widths takes {widths - 1} numbers of blocks or one for "
                    f"all, not {len(numbers)}: mend {name} in the preset."
                )
        if (count := sum(self.encoder_depths + self.decoder_depths) + self.middle) > _MOST_BLOCKS:
            raise HyperguideError(
                f"A U-Net has at most {_MOST_BLOCKS} blocks in all, not {count}: mend blocks or "
                "middle in the preset."
            )

    @property
    def decoder_depths(self) -> tuple[int, ...]:
        """Residual blocks of each level of the decoder, finest first."""
        return self._of_levels(self.blocks)

    @property
    def encoder_depths(self) -> tuple[int, ...]:
        """Residual blocks of each level of the encoder, finest first."""
        return self._of_levels(self.encoder_blocks or self.blocks)

    def _of_levels(self, blocks: tuple[int, ...]) -> tuple[int, ...]:
        levels = len(self.widths) - 1
        return blocks if len(blocks) == levels else blocks * levels


@dataclass(frozen=True, kw_only=True)
class UNetSettings(UNetShape):
    """Arguments of `networks.unet.GuidedUNet`."""

    output: Output
    network: Literal["unet"] = "unet"


@dataclass(frozen=True, kw_only=True)
class ScatteringSettings(UNetShape):
    """Arguments of `networks.scattering.ScatteringUNet`.

    texture: width of the learned features of each cell's parts; 0 for none.
    texture_stride: of the second of their convolutions; 2 costs a third of the work.
    exposure: whether the result is also multiplied by a predicted gain.
    grain: whether the network sees each cell's grain.
    """

    network: Literal["scattering"]
    texture: Texture = 0
    exposure: bool = False
    grain: bool = False
    texture_stride: TextureStride = 1


@dataclass(frozen=True, kw_only=True)
class RefinementSettings(UNetShape):
    """Arguments of `networks.refinement.GuidedRefinement`; the shape is that of each stage."""

    network: Literal["refinement"]
    stages: Stages


@dataclass(frozen=True)
class StackSettings(Checked):
    """Arguments of `networks.stack.GuidedStack`."""

    network: Literal["stack"]
    unshuffle: Block
    width: Width
    depth: Depth


@dataclass(frozen=True)
class PReNetSettings(Checked):
    """Arguments of `networks.prenet.PReNet`."""

    network: Literal["prenet"]
    stages: Stages = 6


@dataclass(frozen=True)
class GridDehazeNetSettings(Checked):
    """`networks.griddehazenet.GridDehazeNet`, as published."""

    network: Literal["griddehazenet"]


@dataclass(frozen=True)
class DilatedSettings(Checked):
    """Arguments of `networks.unfolded.DilatedDenoiser`; one dilation for each convolution."""

    dilations: tuple[Dilation, ...]
    width: Width = 64
    network: Literal["dilated"] = "dilated"


@dataclass(frozen=True)
class UnfoldedSettings(Checked):
    """Arguments of `networks.unfolded.UnfoldedDeconvolution`.

    rho: `schedule` takes the fixed weights of the paper's code, `predicted` derives them from the
        predicted noise level with a learned factor for each stage.
    maps: `stage` gives each stage a hyper-network that reads its iterate, `image` has a single
        one that reads the observation.
    padding: minimum padding on each side, in pixels. Training pads by half the canvas of its
        kernels, the degradation's `size`; with less, such denoisers spoil the border.
    margins: `replicate` repeats the edge pixels; `ramp` leads evenly from each edge to the opposite
        one, since Fourier transforms wrap around, and makes margins that exported transforms are
        fast with.
    """

    network: Literal["unfolded"]
    stages: Stages
    denoiser: DilatedSettings | UNetSettings
    rho: Literal["schedule", "predicted"]
    maps: Literal["stage", "image"]
    padding: Annotated[int, Range(0, 512)] = 0
    margins: Literal["replicate", "ramp"] = "replicate"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rho == "predicted" and self.maps == "stage":
            raise HyperguideError(
                "rho: predicted needs a map before the first stage: set maps: image in the preset."
            )


Proxy = CompactProxySettings | PlainProxySettings
Reconstruction = (
    UNetSettings
    | ScatteringSettings
    | RefinementSettings
    | StackSettings
    | PReNetSettings
    | GridDehazeNetSettings
    | UnfoldedSettings
)
