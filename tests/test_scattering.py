"""The dehazing network that looks at the whole scene at a small size."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import write_picture
from hyperguide.training.bilevel import Bilevel
from hyperguide.training.data.batches import open_data
from hyperguide.training.data.crops import draw_window
from hyperguide.training.data.degradations import Haze
from hyperguide.training.losses import guidance_loss, haze_loss, log_mse
from hyperguide.training.model import build_model
from hyperguide.training.networks.resampling import SCENE
from hyperguide.training.networks.scattering import ScatteringUNet, look_at
from hyperguide.training.networks.texture import Texture, scene_parts
from hyperguide.training.preset import (
    CompactProxySettings,
    ScatteringSettings,
    Stage,
    UNetShape,
    load_preset,
)
from made_data import fill, make_pairs, noise_picture, numbers, small_preset


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _network() -> ScatteringUNet:
    torch.manual_seed(0)
    return ScatteringUNet(3, True, 1.0, UNetShape(2, (16, 32), 1)).eval()


def _said(tau: float) -> float:
    """The output of the last layer that stands for an optical depth."""
    return (math.log(tau / (3 - tau)) + 3) / 4


@torch.no_grad()
def _set(network: ScatteringUNet, tau: float, light: tuple[float, ...]) -> None:
    """Make the network predict the same values for every picture."""
    assert network.tail.bias is not None
    network.tail.bias[:4] = _said(tau)
    shares = (torch.tensor(light) - 0.5) / 0.5
    network.light.bias.copy_(torch.logit(shares))


@pytest.mark.parametrize("size", [(96, 128), (37, 211), (300, 200)])
def test_the_scattering_model_is_inverted(size: tuple[int, int]) -> None:
    clean, tau, light = _random(2, 3, *size), 0.7, (0.9, 0.8, 0.95)
    airlight = torch.tensor(light)[:, None, None]
    hazy = clean * math.exp(-tau) + airlight * (1 - math.exp(-tau))
    network = _network()
    _set(network, tau, light)
    with torch.no_grad():
        torch.testing.assert_close(network(hazy, hazy[:, :1]).picture, clean, atol=2e-5, rtol=0)


def test_pictures_exposed_for_the_haze_are_brightened() -> None:
    shape = UNetShape(2, (16, 32), 1)
    network = ScatteringUNet(3, False, 1.0, shape, exposure=True)
    image = _random(1, 3, 96, 128)
    with torch.no_grad():
        plain = network(image).picture
        assert network.gain is not None
        assert network.gain.bias is not None
        network.gain.bias.fill_(math.atanh(math.log(1.5)))
        torch.testing.assert_close(network(image).picture, 1.5 * plain)


def test_haze_may_end_within_a_cell_where_the_brightness_does() -> None:
    """Bright pixels are hazy and dark ones are not, half of each in every cell."""
    clean = torch.full((1, 3, 2 * SCENE[0], 2 * SCENE[1]), 0.2)
    hazy = clean.clone()
    light, tau = 1.0 - 1e-6, 1.0
    hazy[..., ::2] = clean[..., ::2] * math.exp(-tau) + light * (1 - math.exp(-tau))
    network = _network()
    low, high = _said(0.001), _said(tau)
    dark, bright = float(hazy.min()), float(hazy.max())
    slope = (high - low) / (bright - dark)
    _set(network, 0.1, (light, light, light))
    with torch.no_grad():
        assert network.tail.bias is not None
        network.tail.bias[:4] = low - slope * dark
        network.tail.bias[4:] = slope
        restored = network(hazy, hazy[:, :1]).picture
    torch.testing.assert_close(restored, clean, atol=2e-3, rtol=0)


def _busy() -> ScatteringUNet:
    """A network whose last layers are not constant."""
    network = _network()
    nn.init.normal_(network.tail.weight, std=0.02)
    nn.init.normal_(network.light.weight, std=2.0)
    return network


def test_statistics_of_scene_cells_do_not_depend_on_the_resolution() -> None:
    scene = F.interpolate(_random(1, 3, 24, 32), SCENE, mode="bilinear")
    large = scene.repeat_interleave(3, 2).repeat_interleave(3, 3)
    network = _busy()
    with torch.no_grad():
        small, big = (network(picture, picture[:, :1]).picture for picture in (scene, large))
    assert (small - scene).abs().mean() > 0.03
    # Planes are interpolated around the middle of a cell, where the pixels are compared.
    torch.testing.assert_close(big[..., 1::3, 1::3], small, atol=1e-4, rtol=0)


def test_statistics_of_scene_cells_follow_the_scattering_model() -> None:
    clean = _random(1, 3, 4 * SCENE[0], 4 * SCENE[1])
    cells = clean.unflatten(2, (-1, 4)).unflatten(4, (-1, 4))
    seen = look_at(scene_parts(clean))
    expected = [
        cells.mean((3, 5)),
        5 * cells.mean(1, keepdim=True).std((3, 5), correction=0),
        cells.amin((1, 3, 5))[:, None],
        cells.amax((1, 3, 5))[:, None],
    ]
    torch.testing.assert_close(seen, torch.cat(expected, 1), atol=1e-5, rtol=0)
    # Haze scales everything by the transmission, and adds light to everything but the contrast.
    light = torch.tensor([0.7, 0.7, 0.7, 0, 0.7, 0.7])[:, None, None]
    hazy = look_at(scene_parts(0.3 * clean + 0.7))
    torch.testing.assert_close(hazy, 0.3 * seen + light, atol=1e-5, rtol=0)
    large = clean.repeat_interleave(2, 2).repeat_interleave(3, 3)
    torch.testing.assert_close(look_at(scene_parts(large)), seen, atol=1e-5, rtol=0)


def test_texture_tells_patterns_apart_that_have_the_same_mean_contrast_and_ends() -> None:
    dark_and_bright = torch.tensor([0.3, 0.6]).repeat(2 * SCENE[1])
    lying = dark_and_bright.expand(1, 3, 4 * SCENE[0], -1)
    standing = torch.tensor([0.3, 0.6]).repeat(2 * SCENE[0])[:, None].expand_as(lying)
    torch.testing.assert_close(look_at(scene_parts(lying)), look_at(scene_parts(standing)))
    torch.manual_seed(0)
    texture = Texture(3, 8)
    with torch.no_grad():
        one, other = (texture(scene_parts(picture)) for picture in (lying, standing))
        large = texture(scene_parts(lying.repeat_interleave(2, 2).repeat_interleave(3, 3)))
    assert one.shape == (1, 8, *SCENE)
    assert (one - other).abs().mean() > 1e-2
    torch.testing.assert_close(large, one, atol=1e-5, rtol=0)


def test_half_of_the_first_texture_filters_see_detail_only() -> None:
    """For a uniform picture of any brightness they give only their bias."""
    texture = Texture(3, 8)
    with torch.no_grad():
        for brightness in (0.1, 0.9):
            seen = texture.first(torch.full((1, 3, 16, 16), brightness))[0, :, 2:-2, 2:-2]
            flat = texture.first.bias[:4, None, None].expand_as(seen[:4])
            torch.testing.assert_close(seen[:4], flat, atol=1e-5, rtol=0)
            assert (seen[4:] - texture.first.bias[4:, None, None]).abs().max() > 1e-2


def test_texture_is_refused_without_a_scene_and_out_of_range() -> None:
    shape = {"unshuffle": 4, "width": 8, "dilations": (1, 1, 1, 1)}
    with pytest.raises(HyperguideError, match="texture needs view: scene"):
        CompactProxySettings(view="image", texture=8, **shape)
    for wrong in (
        lambda: CompactProxySettings(view="scene", texture=-1, **shape),
        lambda: ScatteringSettings(
            unshuffle=2, widths=(8,), middle=1, network="scattering", texture=-1
        ),
    ):
        with pytest.raises(HyperguideError, match="texture must be from 0 to 256"):
            wrong()


def test_every_part_of_the_dehazed_picture_knows_the_whole_scene() -> None:
    scene = _random(1, 3, *SCENE)
    changed = scene.clone()
    changed[..., 64:, 96:] = 1
    network = _busy()
    with torch.no_grad():
        first, second = (network(picture, scene[:, :1]).picture for picture in (scene, changed))
    assert (first - second)[..., :8, :8].abs().mean() > 1e-4


def test_blocks_that_the_scene_cannot_hold_are_refused() -> None:
    with pytest.raises(HyperguideError, match="96x128 does not divide into blocks of 64"):
        ScatteringUNet(3, True, 1.0, UNetShape(4, (16,) * 5, 1))


@pytest.mark.parametrize("least", [0.3, 0.8, 1.0])
def test_crops_that_cover_a_share_of_the_scene_show_so_much_of_it(least: float) -> None:
    """Measured on pictures whose values are their column and row numbers."""
    height, width = 150, 250
    columns = np.tile(np.arange(width, dtype=np.float32), (height, 1))
    rows = np.tile(np.arange(height, dtype=np.float32)[:, None], (1, width))
    rng = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(200):
        window = draw_window(64, 80, 1, rng, least)
        tall, wide = (window.crop(picture) for picture in (rows, columns))
        assert tall.shape == wide.shape == (64, 80)
        # Pixels are averages over areas: the first and the last value belong to the middle of one.
        shares.append((np.ptp(tall) * 64 / 63 / height, np.ptp(wide) * 80 / 79 / width))
    down, across = np.array(shares).T
    # Crops consist of whole pixels.
    assert min(down.min(), across.min()) > least - 0.015
    assert max(down.max(), across.max()) < 1.015
    if least < 1:
        assert down.max() > 0.97
        assert down.min() < least + 0.15
        assert 1.1 < (down / across).max() < 1.32


def test_a_stage_squeezes_depth_and_photo_alike(tmp_path: Path) -> None:
    for part in ("rgb", "depth"):
        (tmp_path / part).mkdir()
    for i in range(4):
        picture = noise_picture(i, 64, 96)
        write_picture(tmp_path / "rgb" / f"{i}.png", picture)
        write_picture(tmp_path / "depth" / f"{i}.png", picture[..., 0])
    preset = load_preset("dehaze", "fast")
    preset.degradation.update(invented=0, tone=0)
    data = open_data(preset, [tmp_path])
    stage = Stage(until=1, crop=32, batch=4, least_share=0.5)
    sample = data.draw("train", 0, stage, seed=0).sample
    red = sample.clean[:, :1] / sample.clean[:, :1].amax((2, 3), keepdim=True)
    torch.testing.assert_close(sample.guidance, red, atol=0.02, rtol=0)


def test_crop_shares_beyond_the_photo_are_refused() -> None:
    with pytest.raises(HyperguideError, match="least_share must be from 0 to 1"):
        Stage(until=1, crop=32, batch=4, least_share=1.5)
    with pytest.raises(HyperguideError, match="aspect must be from 1 to 4"):
        Stage(until=1, crop=32, batch=4, aspect=0.5)


def test_a_stage_may_have_crops_of_the_scenes_shape(tmp_path: Path) -> None:
    for i in range(4):
        write_picture(tmp_path / f"{i}.png", noise_picture(i, 64, 96))
    data = open_data(load_preset("dehaze", "fast"), [tmp_path])
    stage = Stage(until=1, crop=32, batch=2, aspect=1.34)
    sample = data.draw("train", 0, stage, seed=0).sample
    assert sample.degraded.shape == (2, 3, 32, 43)
    assert sample.guidance.shape == (2, 1, 32, 43)


def _dehazing(weight: float) -> Bilevel:
    torch.manual_seed(0)
    preset = replace(load_preset("dehaze", "fast"), haze_weight=weight)
    model = build_model(preset)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return Bilevel(
        *(model, guidance_loss(1.0), log_mse, optimizer, optimizer), haze_weight=preset.haze_weight
    )


def test_light_and_transmission_count_by_their_weight_where_they_are_known() -> None:
    clean = _random(2, 3, 64, 64)
    batch = Haze(clean=0).degrade(clean, None, torch.Generator().manual_seed(1))
    algorithm = _dehazing(0.5)
    with torch.no_grad():
        result = algorithm.model.restore(batch.degraded)
        plain = float(replace(algorithm, haze_weight=0).f(result, batch))
        weighted = float(algorithm.f(result, batch))
        unknown = float(algorithm.f(result, batch._replace(airlight=None, transmission=None)))
    assert result.haze is not None
    assert batch.airlight is not None
    assert batch.transmission is not None
    light, t = result.haze
    share = 1 - batch.transmission.mean((2, 3), keepdim=True)
    errors = share * (light - batch.airlight), t - batch.transmission
    parts = sum((e.square().mean((1, 2, 3)) + 1e-4).log().mean() for e in errors)
    assert weighted == pytest.approx(plain + 0.5 * float(parts), abs=1e-5)
    assert unknown == plain == float(log_mse(result.restored, clean))


def test_the_light_of_a_picture_without_haze_does_not_count() -> None:
    t, light = torch.ones(1, 1, 8, 8), torch.full((1, 3, 1, 1), 0.9)
    assert float(haze_loss(0 * light, t, light, t)) == float(haze_loss(light, t, light, t))
    assert float(haze_loss(0 * light, 0.5 * t, light, 0.5 * t)) > float(
        haze_loss(0.8 * light, 0.5 * t, light, 0.5 * t)
    )


def test_batches_with_pairs_do_not_know_the_haze(tmp_path: Path) -> None:
    photos, pairs = fill(tmp_path / "photos", numbers(2)), make_pairs(tmp_path / "pairs")
    stage = Stage(until=1, crop=16, batch=8)
    alone = open_data(small_preset("dehaze"), [photos]).draw("train", 0, stage, 0).sample
    assert alone.airlight is not None
    assert alone.transmission is not None
    mixed = open_data(small_preset("dehaze"), [photos, pairs]).draw("train", 0, stage, 0).sample
    assert mixed.airlight is None
    assert mixed.transmission is None
