"""The base networks compared with their papers' equations in NumPy, and their losses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import pytest
import skimage.metrics
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.export.graph import export_graph
from hyperguide.training.losses import TASK_LOSSES, mse, negative_ssim, perceptual_loss, task_loss
from hyperguide.training.model import GuidedModel
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.networks.griddehazenet import GridDehazeNet
from hyperguide.training.networks.hyper import PlainHyperNetwork
from hyperguide.training.networks.prenet import PReNet
from hyperguide.training.perceptual import FILE, PerceptualDistance, load_perceptual_distance
from hyperguide.training.preset import LossName

Array = np.ndarray
Build = Callable[[bool, float], nn.Module]
both_networks = pytest.mark.parametrize("build", [PReNet, GridDehazeNet])


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=_generator(seed), dtype=torch.float64)


def _arrays(network: nn.Module) -> dict[str, Array]:
    return {name: weights.numpy() for name, weights in network.state_dict().items()}


def _convolve(x: Array, weights: Array, bias: Array, stride: int = 1) -> Array:
    """Convolution with zero padding, x: (C, H, W), weights: (outputs, C, k, k)."""
    size = weights.shape[2]
    border = size // 2
    padded = np.pad(x, ((0, 0), (border, border), (border, border)))
    windows = sliding_window_view(padded, (size, size), (1, 2))[:, ::stride, ::stride]
    return np.einsum("chwyx,ocyx->ohw", windows, weights) + bias[:, None, None]


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def test_prenet_follows_the_equations_of_its_paper() -> None:
    stages = 3
    network = PReNet(guided=True, maximum=2.0, stages=stages).double()
    state = _arrays(network)

    def conv(name: str, x: Array) -> Array:
        return _convolve(x, state[f"{name}.weight"], state[f"{name}.bias"])

    image, rain = _random(3, 5, 7), 2 * _random(1, 5, 7, seed=1)
    y = image.numpy()
    x, hidden, cell = y, np.zeros((32, 5, 7)), np.zeros((32, 5, 7))
    for _ in range(stages):
        features = _relu(conv("conv0.0", np.concatenate([y, x, rain.numpy() / 2])))
        joined = np.concatenate([features, hidden])
        i, f, o = (_sigmoid(conv(f"conv_{gate}.0", joined)) for gate in "ifo")
        cell = f * cell + i * np.tanh(conv("conv_g.0", joined))
        hidden = o * np.tanh(cell)
        x = hidden
        for block in range(1, 6):
            inner = _relu(conv(f"res_conv{block}.0", x))
            x = _relu(x + _relu(conv(f"res_conv{block}.2", inner)))
        x = y + conv("conv.0", x)
    with torch.no_grad():
        ours = network(image[None], rain[None])[0].numpy()
    np.testing.assert_allclose(ours, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("stages", [1, 2, 6])
@pytest.mark.parametrize("guided", [True, False])
def test_a_folded_prenet_computes_the_same(guided: bool, stages: int) -> None:
    torch.manual_seed(0)
    network = PReNet(guided, 2.0, stages).double()
    image = _random(2, 3, 11, 14)
    guidance = 2 * _random(2, 1, 11, 14, seed=1) if guided else None
    folded = fold_layers(network)
    with torch.no_grad():
        torch.testing.assert_close(
            folded(image, guidance), network(image, guidance), atol=1e-12, rtol=0
        )
        # Of the branches, the gates, the tail, the image and the restored picture, and the map.
        convolutions = [m for m in folded.modules() if isinstance(m, nn.Conv2d)]
        assert len(convolutions) == 10 + 8 + 1 + 2 + guided
        network.conv_f[0].weight.mul_(2)  # the copy does not change
        if stages > 1:
            assert not torch.allclose(folded(image, guidance), network(image, guidance))


def test_griddehazenet_follows_the_grid_of_its_paper() -> None:
    network = GridDehazeNet(guided=True, maximum=2.0).double()
    with torch.no_grad():
        network.coefficient.copy_(0.5 + _random(3, 6, 2, 64))
        assert network.conv_out.bias is not None
        network.conv_out.bias.copy_(torch.tensor([0.3, 0.5, 0.7]))  # its ReLU might hide all
    state = _arrays(network)

    def conv(name: str, x: Array, stride: int = 1) -> Array:
        return _convolve(x, state[f"{name}.weight"], state[f"{name}.bias"], stride)

    def dense(name: str, x: Array) -> Array:
        layers = x
        for layer in range(4):
            grown = _relu(conv(f"{name}.residual_dense_layers.{layer}.conv", layers))
            layers = np.concatenate([layers, grown])
        return x + conv(f"{name}.conv_1x1", layers)

    def down(name: str, x: Array) -> Array:
        return _relu(conv(f"{name}.conv2", _relu(conv(f"{name}.conv1", x, stride=2))))

    def up(name: str, x: Array) -> Array:
        # A transposed convolution is a convolution of the zero-stuffed input with a flipped kernel.
        stuffed = np.zeros((x.shape[0], 2 * x.shape[1], 2 * x.shape[2]))
        stuffed[:, ::2, ::2] = x
        turned = state[f"{name}.deconv.weight"].transpose(1, 0, 2, 3)[..., ::-1, ::-1]
        doubled = _relu(_convolve(stuffed, turned, state[f"{name}.deconv.bias"]))
        return _relu(conv(f"{name}.conv", doubled))

    image, depth = _random(3, 8, 12), 2 * _random(1, 8, 12, seed=1)

    @cache
    def joint(i: int, j: int) -> Array:
        """Row i, column j of the grid (Fig. 2 of the paper), computed from its inputs."""
        if i == j == 0:
            y = (image.numpy() - 0.5) / 0.5
            return dense("rdb_in", conv("conv_in", np.concatenate([y, depth.numpy() / 2])))
        arriving = []
        if j > 0:
            arriving.append(dense(f"rdb_module.{i}_{j - 1}", joint(i, j - 1)))
        if j < 3 and i > 0:
            arriving.append(down(f"downsample_module.{i - 1}_{j}", joint(i - 1, j)))
        if j >= 3 and i < 2:
            arriving.append(up(f"upsample_module.{i}_{j}", joint(i + 1, j)))
        if len(arriving) == 1:
            return arriving[0]
        weights = state["coefficient"][i, j, :, : 16 * 2**i, None, None]
        return weights[0] * arriving[0] + weights[1] * arriving[1]

    expected = _relu(conv("conv_out", dense("rdb_out", joint(0, 5))))
    assert expected.std() > 0.01
    with torch.no_grad():
        ours = network(image[None], depth[None])[0].numpy()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("build", "published", "first", "width"),
    [(PReNet, 168_963, "conv0.0.weight", 32), (GridDehazeNet, 958_051, "conv_in.weight", 16)],
)
def test_the_map_adds_one_input_channel_to_the_published_parameters(
    build: Build, published: int, first: str, width: int
) -> None:
    twin, guided = _arrays(build(False, 1.0)), _arrays(build(True, 1.0))
    assert sum(weights.size for weights in twin.values()) == published
    assert twin.keys() == guided.keys()
    assert [n for n in twin if twin[n].shape != guided[n].shape] == [first]
    assert guided[first].size - twin[first].size == width * 3 * 3


@pytest.mark.parametrize(("build", "multiple"), [(PReNet, 1), (GridDehazeNet, 4)])
def test_every_multiple_of_the_networks_size_works(build: Build, multiple: int) -> None:
    network = build(True, 1.0)
    assert network.size_multiple == multiple
    for rows, columns in ((1, 1), (1, 3), (5, 2)):
        size = (multiple * rows, multiple * columns)
        with torch.no_grad():
            restored = network(torch.rand(2, 3, *size), torch.rand(2, 1, *size))
        assert restored.shape == (2, 3, *size)


@pytest.mark.parametrize(
    ("build", "parameters"),
    [(PReNet, 168_963), pytest.param(GridDehazeNet, 958_051, marks=pytest.mark.long)],
)
def test_the_exported_graph_takes_any_size_and_holds_the_weights_once(
    build: Build, parameters: int
) -> None:
    model = GuidedModel(PlainHyperNetwork(3, 8, 1.0), build(True, 1.0)).eval()
    content = export_graph(fold_layers(model)).SerializeToString()
    assert len(content) < 4 * parameters + 100_000
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    for count, height, width in ((1, 4, 8), (2, 20, 16)):
        image = torch.rand(count, 3, height, width, generator=_generator())
        expected = model.restore(image).restored.detach().clamp(0, 1)
        enhanced = session.run(["enhanced"], {"image": image.numpy()})[0]
        np.testing.assert_allclose(enhanced, expected.numpy(), rtol=0, atol=1e-5)


def test_mse_is_the_mean_squared_error() -> None:
    a, b = _random(2, 3, 4, 5), _random(2, 3, 4, 5, seed=1)
    assert abs(float(mse(a, b)) - np.mean((a.numpy() - b.numpy()) ** 2)) < 1e-6


def test_negative_ssim_equals_scikit_image_on_rgb(astronaut: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    clean = np.stack([astronaut[:48, :64] / 255, astronaut[64:112, 64:128] / 255])
    degraded = (clean + rng.normal(0, 0.1, clean.shape)).clip(0, 1)
    expected = np.mean(
        [
            skimage.metrics.structural_similarity(
                *(a, b),
                data_range=1,
                channel_axis=2,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for a, b in zip(degraded, clean, strict=True)
        ]
    )
    tensors = (torch.from_numpy(x.transpose(0, 3, 1, 2)).float() for x in (degraded, clean))
    assert abs(float(negative_ssim(*tensors)) + expected) < 1e-4


@pytest.fixture
def vgg_file(tmp_path: Path) -> Path:
    """Random weights with the names and shapes of torchvision's VGG16, and a deeper layer."""
    state = {}
    sizes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}
    sizes |= {10: (256, 128), 12: (256, 256), 14: (256, 256), 17: (512, 256)}
    for number, (outputs, inputs) in sizes.items():
        scale = (2 / (9 * inputs)) ** 0.5
        weights = scale * torch.randn(outputs, inputs, 3, 3, generator=_generator(number))
        state[f"features.{number}.weight"] = weights
        state[f"features.{number}.bias"] = 0.1 * torch.randn(outputs, generator=_generator(99))
    state["classifier.6.bias"] = torch.zeros(1000)
    torch.save(state, tmp_path / FILE)
    return tmp_path / FILE


@pytest.mark.parametrize("channels", [1, 3])
def test_the_perceptual_loss_equals_its_definition(vgg_file: Path, channels: int) -> None:
    state = torch.load(vgg_file, weights_only=True)

    def features(x: Tensor) -> list[Tensor]:
        def conv(x: Tensor, number: int) -> Tensor:
            weights, bias = (state[f"features.{number}.{kind}"] for kind in ("weight", "bias"))
            return F.conv2d(x, weights, bias, padding=1).relu()

        relu1_2 = conv(conv(x, 0), 2)
        relu2_2 = conv(conv(F.max_pool2d(relu1_2, 2), 5), 7)
        return [relu1_2, relu2_2, conv(conv(conv(F.max_pool2d(relu2_2, 2), 10), 12), 14)]

    clean = torch.rand(2, channels, 16, 20, generator=_generator())
    restored = clean + 3 * (torch.rand(2, channels, 16, 20, generator=_generator(1)) - 0.5)
    restored.requires_grad_()
    read = zip(*(features(x.expand(-1, 3, -1, -1)) for x in (restored, clean)), strict=True)
    perceptual = sum((a - b).square().mean().item() for a, b in read) / 3
    d = (restored - clean).abs()
    smooth_l1 = torch.where(d < 1, 0.5 * d**2, d - 0.5).mean().item()
    loss = perceptual_loss(vgg_file)(restored, clean)
    assert abs(float(loss.detach()) - (smooth_l1 + 0.04 * perceptual)) < 1e-5
    loss.backward()
    assert restored.grad is not None
    assert restored.grad.abs().min() > 0
    assert not any(p.requires_grad for p in PerceptualDistance().parameters())


def test_every_loss_of_a_preset_has_a_function(vgg_file: Path) -> None:
    picture = torch.rand(1, 3, 16, 16, generator=_generator())
    for name in get_args(LossName):
        loss = task_loss(name, vgg_file)
        assert name not in TASK_LOSSES or loss is TASK_LOSSES[name]
        worse = loss(picture + 0.2, picture)
        assert worse.shape == ()
        assert float(loss(picture, picture)) < float(worse)


def test_vgg_weights_come_from_torchvisions_folder_or_are_asked_for(
    vgg_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    cached = tmp_path / "home" / "hub" / "checkpoints" / FILE
    with pytest.raises(HyperguideError, match="--vgg-weights") as error:
        task_loss("smooth_l1_perceptual")
    assert str(cached) in str(error.value)
    cached.parent.mkdir(parents=True)
    vgg_file.rename(cached)
    expected = torch.load(cached, weights_only=True)["features.14.weight"]
    loaded = load_perceptual_distance().state_dict()
    assert torch.equal(loaded["features.14.weight"], expected)


def test_other_weights_than_vgg16_are_refused(vgg_file: Path, tmp_path: Path) -> None:
    state = torch.load(vgg_file, weights_only=True)
    del state["features.14.bias"]
    for other in (state, PReNet(False, 1.0).state_dict()):
        torch.save(other, tmp_path / "other.pth")
        with pytest.raises(HyperguideError, match=r"other\.pth does not hold torchvision's VGG16"):
            perceptual_loss(tmp_path / "other.pth")
    with pytest.raises(HyperguideError, match="no weight file"):
        perceptual_loss(tmp_path / "missing.pth")


@both_networks
def test_learning_the_map_channel_alone_lowers_the_loss(build: Build) -> None:
    torch.manual_seed(0)
    network = build(True, 1.0)
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        first.weight[:, -1] = 0
    # A veil over half of each picture; only the map shows where it is.
    region = (torch.rand(4, 1, 16, 16, generator=_generator()) > 0.5).float()
    clean = torch.rand(4, 3, 16, 16, generator=_generator(1))
    degraded = clean + 0.3 * region

    def fall(guidance: Tensor) -> float:
        """The share of the loss removed by small steps on the weights of the map's channel."""
        losses = []
        with torch.no_grad():
            first.weight[:, -1] = 0
        for _ in range(20):
            loss = mse(network(degraded, guidance), clean)
            (gradient,) = torch.autograd.grad(loss, first.weight)
            losses.append(loss.item())
            with torch.no_grad():
                first.weight[:, -1] -= 0.5 * gradient[:, -1]
        return 1 - losses[-1] / losses[0]

    assert fall(torch.zeros_like(region)) == 0
    assert fall(region) > 0.02
