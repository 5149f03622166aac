"""Algorithm 1 and its alternatives: what each step changes, and convergence to a known solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hyperguide.training.average import Average
from hyperguide.training.bilevel import Bilevel, NotFiniteError, Strategy
from hyperguide.training.data.sample import Sample
from hyperguide.training.losses import guidance_loss, log_mse
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.muon import MuonWithAdam
from hyperguide.training.networks.hyper import PlainHyperNetwork
from hyperguide.training.optimizers import build_optimizer
from hyperguide.training.preset import DilatedSettings, UnfoldedSettings, load_preset
from hyperguide.training.validation import diagnose

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

# One-shot (H reads the image); one hyper-network before an unfolded network; one for each stage.
KINDS = ("one-shot", "unfolded", "per-stage")


def _model(kind: str, strategy: Strategy) -> GuidedModel:
    torch.manual_seed(0)
    if kind == "one-shot":
        preset = load_preset("denoise", "fast")
    else:
        preset = load_preset("deblur", "paper-tiny" if kind == "per-stage" else "fast")
        assert isinstance(preset.reconstruction, UnfoldedSettings)
        small = DilatedSettings(dilations=(1, 1), width=16)
        preset = replace(
            preset, reconstruction=replace(preset.reconstruction, stages=2, denoiser=small)
        )
    level = 0.05 if strategy == "manual" else None
    model = build_model(preset, strategy != "unguided", level)
    for module in model.reconstruction.modules():  # a new network ignores the map
        for last in (getattr(module, "tail", None), *list(getattr(module, "convs", []))[-1:]):
            if last is not None:
                nn.init.normal_(last.weight, std=0.1)
    return model


def _algorithm(kind: str, strategy: Strategy = "strict") -> Bilevel:
    model = _model(kind, strategy)
    schedule = load_preset("denoise", "fast").schedule
    has_theta = model.proxy is not None and strategy != "manual"
    return Bilevel(
        model,
        guidance_loss(0.3),
        log_mse,
        build_optimizer(model.proxy, schedule, 0.01) if has_theta and model.proxy else None,
        build_optimizer(model.reconstruction, schedule, 0.01),
        strategy,
    )


def _batch(kind: str, seed: int = 0) -> Sample:
    rng = torch.Generator().manual_seed(seed)
    channels = 3 if kind == "one-shot" else 1
    clean = torch.rand(2, channels, 32, 32, generator=rng)
    level = torch.full((2, 1, 32, 32), 0.1)
    noisy = clean + level * torch.randn(clean.shape, generator=rng)
    kernel = None if kind == "one-shot" else torch.full((2, 1, 3, 3), 1 / 9)
    return Sample(noisy, clean, level, kernel)


def _mean_square(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean()


def _copy(network: nn.Module | None) -> list[Tensor]:
    return [] if network is None else [p.detach().clone() for p in network.parameters()]


def _moved(network: nn.Module | None, before: list[Tensor]) -> bool:
    """Whether the parameters changed; either all must have, or none."""
    now = [] if network is None else list(network.parameters())
    moved = [not torch.equal(p, b) for p, b in zip(now, before, strict=True)]
    assert len(set(moved)) <= 1, "some parameters moved and some did not"
    return any(moved)


def _gradients(algorithm: Bilevel, loss: Tensor) -> tuple[bool, bool]:
    """Whether a loss reaches theta and omega, judged by their gradients."""
    loss.backward()
    networks = algorithm.model.proxy, algorithm.model.reconstruction
    reached = tuple(
        network is not None
        and any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
        for network in networks
    )
    algorithm.model.zero_grad()
    return reached  # type: ignore[return-value]


# strategy -> whether the outer step's f reaches, and changes: (theta, omega).
_OUTER = {
    "strict": (False, True),
    "response": (True, True),
    "oracle": (False, True),
    "manual": (False, True),
    "unguided": (False, True),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", list(_OUTER))
def test_the_outer_step_moves_what_the_strategy_says(kind: str, strategy: Strategy) -> None:
    algorithm = _algorithm(kind, strategy)
    model, batch = algorithm.model, _batch(kind)
    expected = _OUTER[strategy]
    assert _gradients(algorithm, algorithm.f(algorithm._guided(batch), batch)) == expected
    theta, omega = _copy(model.proxy), _copy(model.reconstruction)
    algorithm.outer_step(batch)
    assert (_moved(model.proxy, theta), _moved(model.reconstruction, omega)) == expected
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["strict", "response", "oracle"])
def test_the_inner_step_moves_theta_alone(kind: str, strategy: Strategy) -> None:
    algorithm = _algorithm(kind, strategy)
    model, batch = algorithm.model, _batch(kind)
    assert _gradients(algorithm, algorithm.g(batch)) == (True, False)
    theta, omega = _copy(model.proxy), _copy(model.reconstruction)
    algorithm.inner_step(batch)
    assert _moved(model.proxy, theta)
    assert not _moved(model.reconstruction, omega)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_the_naive_step_descends_f_plus_lambda_g_in_both(kind: str) -> None:
    """The step's gradients equal finite differences of f + lambda g along a random direction."""
    algorithm = replace(
        _algorithm(kind, "naive"),
        guidance_loss=_mean_square,  # in double precision
        task_loss=_mean_square,
        naive_weight=3.0,
        clip=1e9,
    )
    model, batch = algorithm.model.double(), _batch(kind)
    for module in model.proxy.modules():  # type: ignore[union-attr]
        if isinstance(module, PlainHyperNetwork):  # away from the ends of its range
            nn.init.normal_(module.convs[-1].weight, std=1e-3)
            nn.init.constant_(module.convs[-1].bias, 0.05)
    batch = Sample(*(None if t is None else t.double() for t in batch))  # type: ignore[arg-type]

    def objective() -> Tensor:
        result = model.restore(batch.degraded, batch.kernel)
        return algorithm.f(result, batch) + 3.0 * algorithm._mean_g(
            result.maps, (batch.guidance,) * len(result.maps)
        )

    gradients: dict[str, Tensor] = {}

    class Keeper:
        def step(self) -> None:
            gradients.update(
                {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
            )

        def zero_grad(self, set_to_none: bool = True) -> None:
            pass

    keeper = Keeper()
    replace(algorithm, proxy_optimizer=keeper, reconstruction_optimizer=keeper).joint_step(batch)
    assert {name.partition(".")[0] for name in gradients} == {"proxy", "reconstruction"}
    rng = torch.Generator().manual_seed(1)
    for part in ("proxy", "reconstruction"):
        chosen = {n: p for n, p in model.named_parameters() if n.startswith(part)}
        along = {n: torch.randn(p.shape, generator=rng, dtype=p.dtype) for n, p in chosen.items()}
        values, step = [], 1e-6
        with torch.no_grad():
            for sign in (1, -2):
                for name, p in chosen.items():
                    p += sign * step * along[name]
                values.append(float(objective()))
            for name, p in chosen.items():
                p += step * along[name]
        slope = (values[0] - values[1]) / (2 * step)
        expected = sum(float((gradients[n] * along[n]).sum()) for n in chosen)
        assert abs(slope - expected) < 1e-3 * max(1.0, abs(expected)), part


def test_the_outer_step_is_guided_as_the_strategy_says() -> None:
    batch = _batch("one-shot")
    batch = batch._replace(guidance=torch.full_like(batch.guidance, 0.2))
    for strategy in STRATEGIES:
        if strategy == "naive":
            continue
        algorithm = _algorithm("one-shot", strategy)
        model = algorithm.model
        used = {
            "oracle": lambda: batch.guidance,
            "manual": lambda: torch.full_like(batch.guidance, 0.05),
            "unguided": lambda: None,
        }.get(strategy, lambda model=model: model.predict(batch.degraded))()
        with torch.no_grad():
            restored = model.reconstruction(batch.degraded, used)
            if used is not None:
                other = model.reconstruction(batch.degraded, 0.5 * used)
                assert (restored - other).abs().max() > 1e-4  # the map matters
        assert float(algorithm.outer_step(batch)) == float(log_mse(restored, batch.clean))


def _inner_only(algorithm: Bilevel, kind: str, steps: int, with_outer: bool) -> list[Tensor]:
    for step in range(steps):
        algorithm.inner_step(_batch(kind, step))
        if with_outer:
            algorithm.outer_step(_batch(kind, 1000 + step))
    return _copy(algorithm.model.proxy)


def _equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("kind", ["one-shot", "unfolded"])
def test_strict_training_of_theta_equals_training_it_alone_where_h_reads_only_the_image(
    kind: str,
) -> None:
    """In this case g does not involve omega, so the two problems are not coupled."""
    alone = _inner_only(_algorithm(kind), kind, 4, with_outer=False)
    alternating = _inner_only(_algorithm(kind), kind, 4, with_outer=True)
    assert _equal(alone, alternating)


@pytest.mark.parametrize(("kind", "strategy"), [("per-stage", "strict"), ("one-shot", "response")])
def test_the_problems_are_coupled_through_iterates_and_through_f(
    kind: str, strategy: Strategy
) -> None:
    alone = _inner_only(_algorithm(kind, strategy), kind, 4, with_outer=False)
    alternating = _inner_only(_algorithm(kind, strategy), kind, 4, with_outer=True)
    assert not _equal(alone, alternating)


def test_earlier_iterates_count_by_the_stage_weight() -> None:
    algorithm = _algorithm("per-stage")
    batch = _batch("per-stage")
    result = algorithm.model.restore(batch.degraded, batch.kernel)
    first, last = (float(log_mse(x.detach(), batch.clean)) for x in result.iterates)
    assert float(algorithm.f(result, batch).detach()) == last
    weighted = replace(algorithm, stage_weight=0.5)
    assert abs(float(weighted.f(result, batch).detach()) - (last + 0.5 * first)) < 1e-5


@pytest.mark.parametrize("step", ["inner_step", "outer_step"])
def test_a_step_that_is_not_finite_is_not_taken(step: str) -> None:
    algorithm = _algorithm("one-shot")
    batch = _batch("one-shot")
    batch.degraded[0, 0, 3, 3] = torch.nan
    before = _copy(algorithm.model)
    take: Callable[[Sample], Tensor] = getattr(algorithm, step)
    with pytest.raises(NotFiniteError):
        take(batch)
    assert not _moved(algorithm.model, before)


class _LinearProxy(nn.Module):
    """sigma = y theta."""

    channels = 3

    def __init__(self, features: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(features, 1, dtype=torch.float64))

    def forward(self, y: Tensor) -> Tensor:
        return y @ self.theta


class _LinearReconstruction(nn.Module):
    """x = omega_0 y_0 + omega_1 sigma."""

    asks_per_stage = False

    def __init__(self) -> None:
        super().__init__()
        self.omega = nn.Parameter(torch.zeros(2, 1, dtype=torch.float64))

    def forward(self, y: Tensor, guidance: Tensor) -> Tensor:
        return torch.cat([y[:, :1], guidance], 1) @ self.omega


def _linear_problem() -> tuple[Sample, np.ndarray, np.ndarray, np.ndarray]:
    """(y, x, sigma) where sigma is not a function of y."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(200, 3))
    sigma = y @ [[0.5], [-1.0], [0.3]] + rng.normal(size=(200, 1))
    x = y @ [[1.5], [0.7], [-0.4]] + 0.5 * sigma + rng.normal(size=(200, 1))
    return Sample(*(torch.from_numpy(a) for a in (y, x, sigma))), y, x, sigma


def _linear_algorithm(strategy: Strategy) -> Bilevel:
    model = GuidedModel(_LinearProxy(3), _LinearReconstruction())
    assert model.proxy is not None
    return Bilevel(
        model,
        _mean_square,
        _mean_square,
        torch.optim.SGD(model.proxy.parameters(), 0.1),
        torch.optim.SGD(model.reconstruction.parameters(), 0.1),
        strategy,
        clip=1e9,
    )


def test_the_loop_converges_to_the_closed_form_of_a_linear_quadratic_problem() -> None:
    """Inner: theta* = argmin |y theta - sigma|^2.

    Outer: omega* = argmin |[y_0, y theta*] omega - x|^2.

    sigma is not a function of y, so theta* has a residual; a theta that followed f, or an omega
    that followed g, would end elsewhere.
    """
    batch, y, x, sigma = _linear_problem()
    theta_star = np.linalg.lstsq(y, sigma, rcond=None)[0]
    omega_star = np.linalg.lstsq(np.hstack([y[:, :1], y @ theta_star]), x, rcond=None)[0]
    told = np.linalg.lstsq(np.hstack([y[:, :1], sigma]), x, rcond=None)[0]
    assert np.abs(omega_star - told).max() > 0.1  # the two solutions can be distinguished
    algorithm = _linear_algorithm("strict")
    for _ in range(1500):
        algorithm.inner_step(batch)
        algorithm.outer_step(batch)
    theta = algorithm.model.proxy.theta  # type: ignore[union-attr]
    omega = algorithm.model.reconstruction.omega
    np.testing.assert_allclose(theta.detach().numpy(), theta_star, atol=1e-9)
    np.testing.assert_allclose(omega.detach().numpy(), omega_star, atol=1e-9)


def test_oracle_and_naive_converge_to_their_own_solutions() -> None:
    batch, y, x, sigma = _linear_problem()
    told = np.linalg.lstsq(np.hstack([y[:, :1], sigma]), x, rcond=None)[0]
    oracle = _linear_algorithm("oracle")
    naive = _linear_algorithm("naive")
    for _ in range(3000):
        oracle.outer_step(batch)
        naive.joint_step(batch)
    np.testing.assert_allclose(oracle.model.reconstruction.omega.detach().numpy(), told, atol=1e-9)
    # Naive is stationary where the gradient of f + g is zero, and f pulls theta off theta*.
    theta = naive.model.proxy.theta.detach().numpy()  # type: ignore[union-attr]
    omega = naive.model.reconstruction.omega.detach().numpy()
    restored = np.hstack([y[:, :1], y @ theta]) @ omega
    slope = 2 / 200 * y.T @ ((y @ theta - sigma) + (restored - x) * omega[1])
    assert np.abs(slope).max() < 1e-6
    assert np.abs(theta - np.linalg.lstsq(y, sigma, rcond=None)[0]).max() > 0.005


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


def test_muon_leaves_the_last_layer_of_every_stage_to_adam() -> None:
    model = build_model(load_preset("deblur", "fast"))
    optimizer = MuonWithAdam.for_network(model.reconstruction, 0.01, 0.01)
    groups = {g["rule"]: {id(p) for p in g["params"]} for g in optimizer.param_groups}
    tails = {id(d.tail.weight) for d in model.reconstruction.denoisers}
    assert tails <= groups["adam"]
    assert groups["muon"].isdisjoint(groups["adam"])
    assert groups["muon"] | groups["adam"] == {id(p) for p in model.reconstruction.parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_diagnostics_change_nothing_and_measure_what_they_say(kind: str) -> None:
    algorithm = _algorithm(kind)
    before = _copy(algorithm.model)
    held_out, more = [_batch(kind, 7)], [_batch(kind, s) for s in range(3)]
    schedule = load_preset("denoise", "fast").schedule
    figures = diagnose(algorithm, held_out, more, schedule)
    assert not _moved(algorithm.model, before)
    assert all(p.grad is None for p in algorithm.model.parameters())
    with torch.no_grad():
        predicted = algorithm.f(_restore(algorithm, held_out[0]), held_out[0])
        told = algorithm.f(
            algorithm.model.restore(
                held_out[0].degraded, held_out[0].kernel, lambda r, s: held_out[0].guidance
            ),
            held_out[0],
        )
        assert abs(figures["held_out_g"] - float(algorithm.g(held_out[0]))) < 1e-7
    assert abs(figures["regret"] - float(predicted - told)) < 1e-6
    assert -1 <= figures["cosine"] <= 1
    # Theta is untrained, so further inner steps must still help.
    assert figures["inner_gap"] > 0


def _restore(algorithm: Bilevel, batch: Sample):  # type: ignore[no-untyped-def]
    return algorithm.model.restore(batch.degraded, batch.kernel)


def test_the_cosine_is_that_of_the_linear_problems_gradients() -> None:
    batch, y, x, sigma = _linear_problem()
    algorithm = _linear_algorithm("strict")
    with torch.no_grad():
        algorithm.model.proxy.theta.copy_(torch.tensor([[0.3], [0.2], [-0.1]]))  # type: ignore[union-attr]
        algorithm.model.reconstruction.omega.copy_(torch.tensor([[0.5], [2.0]]))
    theta, omega = np.array([[0.3], [0.2], [-0.1]]), np.array([[0.5], [2.0]])
    restored = np.hstack([y[:, :1], y @ theta]) @ omega
    f = y.T @ (restored - x) * 2.0
    g = y.T @ (y @ theta - sigma)
    expected = float((f * g).sum() / np.linalg.norm(f) / np.linalg.norm(g))
    figures = diagnose(algorithm, [batch], [], load_preset("denoise", "fast").schedule)
    assert abs(figures["cosine"] - expected) < 1e-6
