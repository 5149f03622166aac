"""Rain over photos, and what must not be taken for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hyperguide.training.evaluation.text as text_suite
from hyperguide.training.data import lettering
from hyperguide.training.data import rain as rain_module
from hyperguide.training.data.overlays import Overlay, draw_overlay
from hyperguide.training.data.photo_variety import MARGIN
from hyperguide.training.data.rain import Rain, draw_streaks
from made_data import generator


def test_a_veil_is_in_the_clean_picture_too() -> None:
    clean = torch.full((32, 3, 64, 64), 0.2)
    sample = Rain(synthetic=1, veil=0.5, clean=0).degrade(clean, None, generator())
    veiled = (sample.clean - clean).abs().amax((1, 2, 3)) > 0.01
    assert 0.2 < float(veiled.float().mean()) < 0.8
    dry = (sample.guidance == 0).expand_as(clean)
    assert torch.equal(sample.degraded[dry], sample.clean[dry])


def test_rain_is_the_clipped_sum_and_its_map_is_what_it_adds() -> None:
    layer = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    clean = torch.full((4, 3, 64, 64), 0.4)
    sample = Rain(synthetic=0, clean=0, veil=0, bank=(layer,)).degrade(clean, None, generator())
    for picture, guidance in zip(sample.degraded, sample.guidance, strict=True):
        expected = np.minimum(0.4 + layer / 255, 1)
        found = picture.numpy()
        turned = expected if np.allclose(found[0], expected) else expected[:, ::-1]
        for plane in found:
            np.testing.assert_allclose(plane, turned, atol=1e-6)
        np.testing.assert_allclose(guidance[0], turned - 0.4, atol=1e-6)


def test_covering_streaks_brighten_up_to_their_own_light() -> None:
    clean = torch.full((16, 3, 64, 64), 0.95)
    rain = Rain(synthetic=1, covering=1, clean=0, veil=0)
    added = (rain.degrade(clean, None, generator()).degraded - clean).amax((1, 2, 3))
    assert float(added.max()) <= 0.05  # the brightest light is 1
    dark = torch.full((16, 3, 64, 64), 0.1)
    sample = rain.degrade(dark, None, generator())
    assert float((sample.degraded - dark).amax((1, 2, 3)).mean()) > 0.1
    assert float(sample.degraded.max()) <= 1


def test_heavy_rain_adds_several_layers() -> None:
    layer = np.full((48, 48), 20, np.uint8)
    rain = Rain(synthetic=0, heavy=1, layers=4, clean=0, veil=0, bank=(layer,))
    sample = rain.degrade(torch.zeros(40, 1, 48, 48), None, generator())
    counts = (255 * sample.degraded.amax((1, 2, 3)) / 20).round().int().tolist()
    assert set(counts) == {2, 3, 4}


def test_streaks_are_between_0_and_09_and_lean_one_way() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        layer = draw_streaks(96, 80, rng, 2)
        assert layer.shape == (96, 80)
        assert 0 <= layer.min() < 0.01
        assert 0.02 < layer.max() <= np.float32(0.9)


def test_dry_samples_are_left_alone_whatever_is_drawn_on_them() -> None:
    crops = torch.rand(12, 3, 48 + MARGIN, 48 + MARGIN, generator=generator(1))
    rain = Rain(clean=1, varied=0.8, drawn=0.1, overlays=1, stored=0.5)
    sample = rain.degrade(crops, None, generator())
    assert sample.degraded.shape == (12, 3, 48, 48)
    assert torch.equal(sample.degraded, sample.clean)
    assert not sample.guidance.any()


@pytest.mark.parametrize("channels", [1, 3])
def test_overlays_are_in_front_of_the_rain_in_half_of_the_samples(
    monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    on_black = np.zeros((64, 64, 3), np.uint8)
    on_black[16:48] = 30
    on_white = np.where(on_black, on_black, 255).astype(np.uint8)
    monkeypatch.setattr(rain_module, "draw_overlay", lambda *_: Overlay(on_black, on_white))
    crops = torch.full((40, channels, 64, 64), 0.3)
    sample = Rain(synthetic=1, clean=0, veil=0, overlays=1).degrade(crops, None, generator())
    assert torch.equal(sample.clean[:, :, 16:48], torch.full_like(crops[:, :, 16:48], 30 / 255))
    torch.testing.assert_close(
        sample.guidance, (sample.degraded - sample.clean).amax(1, keepdim=True)
    )
    is_dry = sample.guidance[:, :, 16:48].amax((1, 2, 3)) == 0
    assert 10 < int(is_dry.sum()) < 30
    assert float((sample.guidance.amax((1, 2, 3)) > 0).float().mean()) > 0.7  # it rains beside them


def test_noise_and_jpeg_stay_in_the_target() -> None:
    crops = torch.full((8, 3, 64, 64), 0.3)
    sample = Rain(synthetic=1, clean=0, veil=0, stored=1).degrade(crops, None, generator())
    assert float(sample.clean.std((1, 2, 3)).median()) > 0.5 / 255
    dry = (sample.guidance < 1e-6).expand_as(crops)
    # JPEG spreads a streak over its blocks.
    assert float((sample.degraded - sample.clean)[dry].abs().median()) < 2 / 255


def test_letters_of_fonts_are_drawn_where_they_belong() -> None:
    picture = np.full((60, 200, 3), 90, np.uint8)
    lettering.write(picture, "Hill", (20, 10), "cmss10", 30, (250, 250, 0), outline=2)
    changed = (picture != 90).any(2)
    assert not changed[:, :16].any()
    assert not changed[:8].any()
    assert (picture == (250, 250, 0)).all(2).sum() > 100
    assert (picture == 0).all(2).sum() > 50
    assert not set(lettering.FONTS) & set(text_suite._FONTS)
    for font in lettering.FONTS:
        lettering.open_font(font, 12)


def test_an_overlay_covers_by_its_opacity() -> None:
    on_black, on_white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    on_black[0, 0] = on_white[0, 0] = 255, 0, 0
    on_black[0, 1] = 51  # a fifth of white
    overlay = Overlay(on_black, on_white)
    photo = np.full((2, 2, 3), 0.5, np.float32)
    found = overlay.over(photo)
    np.testing.assert_allclose(found[0, 0], [1, 0, 0])
    np.testing.assert_allclose(found[0, 1], 0.2 + 0.8 * 0.5)
    np.testing.assert_allclose(found[1], 0.5)
    gray = overlay.over(photo[..., :1])
    np.testing.assert_allclose(gray[0, 0], [1 / 3])


def test_drawn_overlays_are_repeatable_and_cover_a_part() -> None:
    shares = []
    for seed in range(40):
        overlay, again = (draw_overlay(64, 80, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(overlay.on_black, again.on_black)
        assert overlay.on_black.shape == overlay.on_white.shape == (64, 80, 3)
        behind = overlay.on_white.astype(int) - overlay.on_black
        assert behind.min() >= -4  # rounding while edges are smoothed
        shares.append((behind < 128).all(2).mean())
    assert 0.03 < np.median(shares) < 0.6
