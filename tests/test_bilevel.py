"""Algorithm 1: each step moves its own network only, and the loop finds a known solution."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from hyperguide.training.bilevel import Average, Bilevel, Sample
from hyperguide.training.losses import guidance_loss, log_mse
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.muon import MuonWithAdam
from hyperguide.training.preset import load_preset


def _algorithm() -> tuple[Bilevel, GuidedModel]:
    torch.manual_seed(0)
    model = build_model(load_preset("denoise", "fast"))
    nn.init.normal_(model.reconstruction.tail.weight, std=0.1)  # else the map has no effect
    assert model.proxy is not None
    algorithm = Bilevel(
        model.proxy,
        model.reconstruction,
        guidance_loss(model.proxy.maximum),
        log_mse,
        MuonWithAdam.for_network(model.proxy, 0.01, 0.01),
        MuonWithAdam.for_network(model.reconstruction, 0.01, 0.01),
    )
    return algorithm, model


def _batch() -> Sample:
    clean = torch.rand(2, 3, 32, 32)
    level = torch.full((2, 1, 32, 32), 0.1)
    return Sample(clean + level * torch.randn_like(clean), clean, level)


def _copy(network: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in network.parameters()]


def _equal(network: nn.Module, before: list[Tensor]) -> bool:
    return all(torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True))


def test_the_outer_step_leaves_theta_bit_identical_and_without_gradients() -> None:
    algorithm, model = _algorithm()
    assert model.proxy is not None
    theta, omega = _copy(model.proxy), _copy(model.reconstruction)
    algorithm.outer_step(_batch())
    assert _equal(model.proxy, theta)
    assert all(p.grad is None for p in model.proxy.parameters())
    assert not _equal(model.reconstruction, omega)


def test_no_step_leaves_gradients_behind_in_the_alternation() -> None:
    algorithm, model = _algorithm()
    assert model.proxy is not None
    for _ in range(2):
        algorithm.inner_step(_batch())
        theta, omega = _copy(model.proxy), _copy(model.reconstruction)
        assert all(p.grad is None for p in model.parameters())
        algorithm.outer_step(_batch())
        assert _equal(model.proxy, theta)
        assert not _equal(model.reconstruction, omega)
        assert all(p.grad is None for p in model.parameters())


def test_the_inner_step_leaves_omega_bit_identical_and_without_gradients() -> None:
    algorithm, model = _algorithm()
    assert model.proxy is not None
    theta, omega = _copy(model.proxy), _copy(model.reconstruction)
    algorithm.inner_step(_batch())
    assert _equal(model.reconstruction, omega)
    assert all(p.grad is None for p in model.reconstruction.parameters())
    assert not _equal(model.proxy, theta)


def test_the_outer_loss_depends_on_the_predicted_map() -> None:
    algorithm, model = _algorithm()
    assert model.proxy is not None
    batch = _batch()
    with torch.no_grad():
        guidance = model.proxy(batch.degraded)
        result = model.reconstruction(batch.degraded, guidance)
        other = model.reconstruction(batch.degraded, guidance * 0.5)
    assert (result - other).abs().max() > 1e-4
    before = algorithm.outer_step(batch)
    assert before == log_mse(result, batch.clean)


class _LinearProxy(nn.Module):
    """sigma = y theta."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(features, 1, dtype=torch.float64))

    def forward(self, y: Tensor) -> Tensor:
        return y @ self.theta


class _LinearReconstruction(nn.Module):
    """x = omega_0 y_0 + omega_1 sigma."""

    def __init__(self) -> None:
        super().__init__()
        self.omega = nn.Parameter(torch.zeros(2, 1, dtype=torch.float64))

    def forward(self, y: Tensor, guidance: Tensor) -> Tensor:
        return torch.cat([y[:, :1], guidance], 1) @ self.omega


def test_the_loop_converges_to_the_closed_form_of_a_linear_quadratic_problem() -> None:
    """Inner: theta* = argmin |y theta - sigma|^2.

    Outer: omega* = argmin |[y_0, y theta*] omega - x|^2.

    sigma is not a function of y, so theta* has a residual; a theta that followed f, or an omega
    that followed g, would end elsewhere.
    """
    rng = np.random.default_rng(0)
    y = rng.normal(size=(200, 3))
    sigma = y @ [[0.5], [-1.0], [0.3]] + rng.normal(size=(200, 1))
    x = y @ [[1.5], [0.7], [-0.4]] + 0.5 * sigma + rng.normal(size=(200, 1))
    theta_star = np.linalg.lstsq(y, sigma, rcond=None)[0]
    omega_star = np.linalg.lstsq(np.hstack([y[:, :1], y @ theta_star]), x, rcond=None)[0]
    naive = np.linalg.lstsq(np.hstack([y[:, :1], sigma]), x, rcond=None)[0]
    assert np.abs(omega_star - naive).max() > 0.1  # the test can tell the two apart

    def mean_square(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).square().mean()

    proxy, reconstruction = _LinearProxy(3), _LinearReconstruction()
    algorithm = Bilevel(
        proxy,
        reconstruction,
        mean_square,
        mean_square,
        torch.optim.SGD(proxy.parameters(), 0.1),
        torch.optim.SGD(reconstruction.parameters(), 0.1),
        clip=1e9,
    )
    batch = Sample(torch.from_numpy(y), torch.from_numpy(x), torch.from_numpy(sigma))
    for _ in range(1500):
        algorithm.inner_step(batch)
        algorithm.outer_step(batch)
    np.testing.assert_allclose(proxy.theta.detach().numpy(), theta_star, atol=1e-9)
    np.testing.assert_allclose(reconstruction.omega.detach().numpy(), omega_star, atol=1e-9)


def test_the_average_follows_the_recursion_of_an_exponential_moving_average() -> None:
    layer = nn.Linear(1, 1)
    average = Average([("net", layer)], decay=0.5)
    expected = layer.weight.item()
    for step in range(1, 6):
        with torch.no_grad():
            layer.weight.fill_(float(step))
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert abs(average.values["net.weight"].item() - expected) < 1e-6
