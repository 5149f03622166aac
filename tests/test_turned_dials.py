"""What int8 is fitted to besides the defaults: the float pair with its dials turned."""

from __future__ import annotations

import torch

from hyperguide.export.turned_dials import turn_dials
from hyperguide.training.data.sample import Sample
from made_runs import rough_pair

_MAXIMUM = 80 / 255


def _sample(count: int, planes: int = 3) -> Sample:
    rng = torch.Generator().manual_seed(1)
    clean = torch.rand((count, planes, 16, 32), generator=rng)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=rng)
    return Sample(noisy, clean, torch.full_like(clean[:, :1], 0.1))


def test_turned_dials_restore_as_the_dials_of_the_model_do() -> None:
    model = rough_pair()
    turned = turn_dials(_sample(64), 3, _MAXIMUM, torch.Generator().manual_seed(2))
    found = turned.restore(model)
    with torch.no_grad():
        expected, _ = model(
            turned.image, turned.given, turned.mix, turned.scale, torch.ones(1, 1, 1, 1)
        )
    torch.testing.assert_close(found.restored.clamp(0, 1), expected)
    torch.testing.assert_close(found.maps[-1], model.predict(turned.image))


def test_dials_span_their_ranges() -> None:
    turned = turn_dials(_sample(2000), 3, _MAXIMUM, torch.Generator().manual_seed(3))
    assert 0.25 <= float(turned.scale.min()) < 0.3
    assert 3.5 < float(turned.scale.max()) <= 4
    assert float(turned.given.max()) <= _MAXIMUM
    assert float(turned.given.min()) < 0.02 * _MAXIMUM
    for share, where in ((0.6, turned.mix == 0), (0.2, turned.mix == 1), (0.25, turned.gray)):
        assert abs(float(where.float().mean()) - share) < 0.04


def test_turned_dials_change_how_degraded_the_pictures_are() -> None:
    sample = _sample(500)
    turned = turn_dials(sample, 3, _MAXIMUM, torch.Generator().manual_seed(4))
    colored = ~turned.gray.flatten()
    given = (sample.degraded - sample.clean)[colored]
    changed = (turned.image - sample.clean)[colored]
    amounts = ((changed * given).sum((1, 2, 3)) / given.square().sum((1, 2, 3))).view(-1, 1, 1, 1)
    torch.testing.assert_close(changed, amounts * given)
    assert 0.24 < float(amounts.min()) < 0.3
    assert 1.8 < float(amounts.max()) < 2.02


def test_gray_pictures_have_gray_targets() -> None:
    model = rough_pair()
    turned = turn_dials(_sample(64), 3, _MAXIMUM, torch.Generator().manual_seed(5))
    gray = turned.gray.flatten()
    assert torch.equal(turned.image[gray].amin(1), turned.image[gray].amax(1))
    even = turned.image[gray].flatten(1)
    assert (even.amin(1) == even.amax(1)).any()
    in_floats = turned.restore(model).restored.detach()
    wanted = turned.wanted(model).restored
    assert float((in_floats[gray].amax(1) - in_floats[gray].amin(1)).max()) > 0.01
    assert torch.equal(wanted[gray].amin(1), wanted[gray].amax(1))
    torch.testing.assert_close(wanted[gray].mean(1), in_floats[gray].mean(1))
    torch.testing.assert_close(wanted[~gray], in_floats[~gray])


def test_gray_samples_fill_three_planes_for_a_colour_model() -> None:
    turned = turn_dials(_sample(8, planes=1), 3, _MAXIMUM, torch.Generator().manual_seed(6))
    assert turned.image.shape == (8, 3, 16, 32)
    assert torch.equal(turned.image.amin(1), turned.image.amax(1))
