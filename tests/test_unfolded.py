"""The unfolded restoration network: its stages, its maps, its borders."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.training.deconvolution import ClosedForm, taper
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.networks.hyper import StageHyperNetworks
from hyperguide.training.networks.unfolded import (
    DilatedDenoiser,
    UnfoldedDeconvolution,
    rho_factors,
)
from hyperguide.training.preset import load_preset, preset_from_dict


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _rough(model: GuidedModel) -> GuidedModel:
    """Give all last layers weights, so that maps have an effect."""
    for module in model.reconstruction.modules():
        for last in (getattr(module, "tail", None), *list(getattr(module, "convs", []))[-1:]):
            if last is not None:
                nn.init.normal_(last.weight, std=0.05)
    return model.eval()


def _kernel(size: int = 7) -> Tensor:
    kernel = torch.rand(1, 1, size, size) ** 3
    return kernel / kernel.sum()


def test_rho_follows_the_schedule_of_the_papers_code() -> None:
    expected = [9.0e-4, 1.75e-3, 3.4e-3, 6.6e-3, 1.28e-2]  # sigma 0.01, s from 49 to 13
    actual = [1e-4 * factor for factor in rho_factors(5)]
    np.testing.assert_allclose(actual, expected, rtol=0.02)


@pytest.mark.parametrize(
    ("tier", "dilations"),
    [("paper", [1, 2, 3, 4, 4, 4, 3, 2, 1]), ("paper-tiny", [1, 2, 3, 3, 2, 1])],
)
def test_the_paper_tier_has_five_stages_with_denoisers_and_hyper_networks_of_their_own(
    tier: str, dilations: list[int]
) -> None:
    model = build_model(load_preset("deblur", tier))
    assert isinstance(model.proxy, StageHyperNetworks)
    denoisers = list(model.reconstruction.denoisers)
    assert len(model.proxy) == len(denoisers) == 5
    for denoiser in denoisers:
        assert isinstance(denoiser, DilatedDenoiser)
        assert [c.dilation[0] for c in denoiser.convs] == dilations
        assert [c.out_channels for c in denoiser.convs] == [64] * (len(dilations) - 1) + [1]
        assert denoiser.convs[0].in_channels == 2  # z and the map
    for proxy in model.proxy:
        assert [c.out_channels for c in proxy.convs] == [64, 64, 64, 1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 3)])
def test_an_untrained_stage_is_the_closed_form_of_the_stage_before(
    shape: tuple[int, int],
) -> None:
    """x = F^-1((K* Y + rho X) / (|K|^2 + rho)) on the tapered canvas, computed with numpy."""
    network = UnfoldedDeconvolution(
        [DilatedDenoiser(False, [1, 1], 16, 1.0) for _ in range(3)], 0, False, False, 1.0
    )
    image, kernel = torch.rand(1, 1, 32, 40), torch.rand(1, 1, *shape)
    kernel /= kernel.sum()
    iterates = network(image, None, kernel)
    x = y = taper(image, kernel).numpy()[0, 0].astype(np.float64)
    rows, columns = (
        slice(side // 2, side // 2 + n) for side, n in zip(shape, (32, 40), strict=True)
    )
    centred = np.zeros_like(x)
    centred[: shape[0], : shape[1]] = kernel.numpy()[0, 0]
    spectrum = np.fft.fft2(np.roll(centred, (-(shape[0] // 2), -(shape[1] // 2)), (0, 1)))
    for factor, actual in zip(rho_factors(3), iterates, strict=True):
        rho = 1e-4 * factor
        share = spectrum.conj() * np.fft.fft2(y) + rho * np.fft.fft2(x)
        x = np.fft.ifft2(share / (np.abs(spectrum) ** 2 + rho)).real
        found = actual[0, 0].detach().numpy()
        np.testing.assert_allclose(found, x[rows, columns], atol=1e-3)


@pytest.mark.parametrize("preset", [("denoise", "paper"), ("deblur", "fast")])
def test_an_unfolded_network_without_a_kernel_equals_that_of_the_unit_impulse(
    preset: tuple[str, str],
) -> None:
    model = _rough(build_model(load_preset(*preset)))
    impulse = torch.zeros(1, 1, 1, 1) + 1
    image = torch.rand(1, model.channels, 24, 32)
    with torch.no_grad():
        direct = model.restore(image)
        fourier = model.restore(image, impulse)
    torch.testing.assert_close(direct.restored, fourier.restored, atol=1e-5, rtol=0)
    torch.testing.assert_close(direct.maps[-1], fourier.maps[-1], atol=1e-5, rtol=0)


def test_zeros_around_a_kernel_change_nothing() -> None:
    """Training pads by half the largest kernel; a small kernel must not reduce that padding."""
    model = _rough(build_model(load_preset("deblur", "fast")))
    image, kernel = torch.rand(1, 1, 40, 48), _kernel(5)
    with torch.no_grad():
        small = model.restore(image, kernel).restored
        large = model.restore(image, nn.functional.pad(kernel, (14, 14, 11, 11))).restored
    torch.testing.assert_close(small, large, atol=1e-5, rtol=0)


def test_each_hyper_network_reads_its_own_stages_iterate() -> None:
    model = _rough(build_model(load_preset("deblur", "paper-tiny")))
    image, kernel = torch.rand(1, 1, 32, 32), _kernel()
    read: list[Tensor] = []

    def guide(iterate: Tensor, stage: int) -> Tensor:
        assert stage == len(read)
        read.append(iterate)
        return model.predict(iterate, stage)

    with torch.no_grad():
        result = model.restore(image, kernel, guide)
    assert len(read) == len(result.maps) == len(result.iterates) == 5
    assert all(z.shape == image.shape for z in read)
    # z_2 is the closed form of x_1, and so closer to x_1 than to the image.
    assert not torch.equal(read[0], read[1])
    assert (read[1] - result.iterates[0]).abs().mean() < (read[1] - image).abs().mean()


def test_a_given_map_replaces_those_of_all_stages_and_the_last_is_reported() -> None:
    model = _rough(build_model(load_preset("deblur", "paper-tiny")))
    image, kernel = torch.rand(1, 1, 32, 32), _kernel()
    own = torch.full((1, 1, 32, 32), 0.03)
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    with torch.no_grad():
        predicted = model.restore(image, kernel)
        enhanced, reported = model(image, own, zero, one, one, kernel)
        torch.testing.assert_close(reported, predicted.maps[-1])
        given, told = model(image, own, one, one, one, kernel)
        by_hand = model.restore(image, kernel, lambda read, stage: own)
    assert torch.equal(told, own)
    torch.testing.assert_close(given, by_hand.restored.clamp(0, 1))
    assert (given - enhanced).abs().max() > 1e-3


def test_unfolded_networks_restore_colour_as_three_planes_with_one_map() -> None:
    model = _rough(build_model(load_preset("deblur", "fast")))
    image, kernel = torch.rand(2, 3, 32, 40), _kernel().expand(2, -1, -1, -1)
    own = torch.rand(2, 1, 32, 40) * 0.1
    with torch.no_grad():
        colour = model.restore(image, kernel, lambda read, stage: own).restored
        planes = [
            model.restore(image[:, c : c + 1], kernel, lambda read, stage: own).restored
            for c in range(3)
        ]
        maps = [model.predict(image[:, c : c + 1]) for c in range(3)]
        torch.testing.assert_close(colour, torch.cat(planes, 1), atol=1e-5, rtol=0)
        torch.testing.assert_close(model.predict(image), torch.stack(maps).mean(0))


def test_every_sample_has_its_own_kernel() -> None:
    model = _rough(build_model(load_preset("deblur", "fast")))
    image, kernels = torch.rand(2, 1, 32, 32), torch.cat([_kernel(), _kernel()])
    with torch.no_grad():
        both = model.restore(image, kernels).restored
        for n in range(2):
            alone = model.restore(image[n : n + 1], kernels[n : n + 1]).restored
            torch.testing.assert_close(both[n : n + 1], alone, atol=1e-5, rtol=0)


def test_rho_follows_the_predicted_level() -> None:
    network = build_model(load_preset("deblur", "fast")).reconstruction
    image, kernel = torch.rand(1, 1, 32, 32), _kernel(5)
    with torch.no_grad():
        low, high = (
            network(image, torch.full((1, 1, 32, 32), level), kernel)[0] for level in (0.005, 0.08)
        )
    # More noise means a larger rho and a result closer to the observation.
    assert (high - image).abs().mean() < 0.5 * (low - image).abs().mean()


def test_deconvolution_sharpens_what_the_kernel_blurred(astronaut: np.ndarray) -> None:
    clean = torch.from_numpy(astronaut[64:192, 160:288].mean(2) / 255).float()[None, None]
    kernel = torch.full((1, 1, 5, 5), 1 / 25)
    blurred = nn.functional.conv2d(clean, kernel)
    target = clean[..., 2:-2, 2:-2]
    model = build_model(load_preset("deblur", "paper"))  # untrained: pure deconvolution
    with torch.no_grad():
        restored = model.restore(blurred, kernel).restored
    error = (restored - target).square().mean() / (blurred - target).square().mean()
    assert float(error) < 0.7


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_fourier_part_keeps_full_precision_under_autocast(dtype: torch.dtype) -> None:
    model = build_model(load_preset("deblur", "paper"))
    image, kernel = torch.rand(1, 1, 32, 32), _kernel()
    with torch.no_grad():
        expected = model.restore(image, kernel).restored
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            actual = model.restore(image, kernel).restored
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected)  # an untrained denoiser adds zero


def test_the_guidance_loss_reaches_earlier_hyper_networks_through_the_iterates() -> None:
    model = _rough(build_model(load_preset("deblur", "paper-tiny")))
    image, kernel = torch.rand(1, 1, 24, 24), _kernel(5)
    maps = model.predictions(image, kernel)
    with torch.no_grad():
        expected = model.restore(image, kernel).maps
    assert len(maps) == 5
    for ours, theirs in zip(maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    maps[-1].square().sum().backward()
    assert model.proxy is not None
    assert all(p.grad is not None for p in model.proxy[0].parameters())
    assert all(p.grad is None for p in model.reconstruction.parameters())


def test_settings_of_unfolded_networks_that_contradict_each_other_are_refused() -> None:
    fields = {"network": "unfolded", "stages": 2, "rho": "predicted", "maps": "stage"}
    fields |= {"denoiser": {"network": "dilated", "dilations": [1, 1]}}
    preset = load_preset("deblur", "paper")
    wrong = dataclasses.asdict(preset) | {"reconstruction": fields}
    with pytest.raises(HyperguideError, match="maps: image"):
        preset_from_dict(wrong, "mine.yaml")
    fields |= {"maps": "image", "padding": -1}
    with pytest.raises(HyperguideError, match="padding must be from 0 to 512"):
        preset_from_dict(wrong, "mine.yaml")
    with pytest.raises(HyperguideError, match="channels: 1"):
        preset_from_dict(dataclasses.asdict(preset) | {"channels": 3}, "mine.yaml")


def test_the_closed_form_takes_a_rho_for_each_sample() -> None:
    y, k = torch.rand(2, 1, 16, 16), torch.cat([_kernel(3), _kernel(3)])
    rho = torch.tensor([0.1, 2.0]).view(2, 1, 1, 1)
    both = ClosedForm(y, k)(y, rho)
    for n in range(2):
        alone = ClosedForm(y[n : n + 1], k[n : n + 1])(y[n : n + 1], float(rho[n]))
        torch.testing.assert_close(both[n : n + 1], alone)
