"""The U-Net of the fast tier."""

from __future__ import annotations

import json

import pytest

from hyperguide.errors import HyperguideError
from hyperguide.export.probe import receptive_field
from hyperguide.training.networks.unet import GuidedUNet
from hyperguide.training.preset import UNetShape, load_preset, preset_from_dict


def _reach(blocks: tuple[int, ...]) -> int:
    network = GuidedUNet(1, True, 1.0, UNetShape(2, (16, 16, 16), 1, blocks), "residual")
    reach = receptive_field(network, [1, 1], 0)
    assert reach is not None
    return reach


def test_each_block_of_a_unet_widens_its_view_by_two_convolutions_on_its_level() -> None:
    base = _reach((1,))
    assert _reach((1, 1)) == base
    assert _reach((2,)) == _reach((2, 2)) == base + 2 * 2 * (2 + 4)
    # Two more blocks, one on each side, of two 3x3 convolutions; a pixel is 2 (4) wide there.
    assert _reach((2, 1)) == base + 2 * 2 * 2
    assert _reach((1, 2)) == base + 2 * 2 * 4


def test_blocks_may_be_left_out_of_the_encoder() -> None:
    shape = UNetShape(2, (16, 32), 1, encoder_blocks=(0,))
    network = GuidedUNet(3, True, 1.0, shape, "residual")
    names = set(network.state_dict())
    assert not any(name.startswith("encoder.") for name in names)
    assert "decoder.0.conv2.weight" in names
    assert receptive_field(network, [3, 1], 0) == _reach_of((16, 32), None) - 2 * 2


def _reach_of(widths: tuple[int, ...], encoder_blocks: tuple[int, ...] | None) -> int:
    shape = UNetShape(2, widths, 1, encoder_blocks=encoder_blocks)
    return receptive_field(GuidedUNet(3, True, 1.0, shape, "residual"), [3, 1], 0) or 0


@pytest.mark.parametrize(
    ("name", "blocks", "words"),
    [
        ("blocks", [1, 1, 1], "takes 2 numbers of blocks or one for all, not 3: mend blocks"),
        ("blocks", [32], "at most 96 blocks in all, not 129"),
        ("blocks", [0, 1], "blocks must be from 1 to 32, not 0"),
        ("encoder_blocks", [1, 1, 1], "not 3: mend encoder_blocks"),
        ("encoder_blocks", [-1], "encoder_blocks must be from 0 to 32, not -1"),
        ("encoder_blocks", 1, "encoder_blocks must be a list"),
    ],
)
def test_blocks_that_do_not_fit_the_levels_are_refused(
    name: str, blocks: object, words: str
) -> None:
    fields = json.loads(load_preset("denoise", "fast").to_json())
    shape = {"widths": [16, 32, 64], "middle": 1, "blocks": [1], "encoder_blocks": None}
    fields["reconstruction"] |= shape | {name: blocks}
    with pytest.raises(HyperguideError, match=words):
        preset_from_dict(fields, "preset")


def test_presets_without_blocks_of_the_encoder_take_those_of_the_decoder() -> None:
    fields = json.loads(load_preset("denoise", "fast").to_json())
    fields["reconstruction"] |= {"widths": [16, 32, 64], "blocks": [3, 2], "encoder_blocks": None}
    shape = preset_from_dict(fields, "preset").reconstruction
    assert isinstance(shape, UNetShape)
    assert shape.encoder_depths == shape.decoder_depths == (3, 2)
    fields["reconstruction"]["encoder_blocks"] = [0]
    shape = preset_from_dict(fields, "preset").reconstruction
    assert isinstance(shape, UNetShape)
    assert shape.encoder_depths == (0, 0)
