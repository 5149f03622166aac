"""The hyper-network that sees the whole scene: pictures of any size to a fixed grid and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperguide.errors import HyperguideError
from hyperguide.export.graph import export_graph
from hyperguide.picture_files import write_picture
from hyperguide.training.data.batches import open_data
from hyperguide.training.model import GuidedModel, build_model
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.networks.grain import grain
from hyperguide.training.networks.guided_input import MIDDLE
from hyperguide.training.networks.resampling import SCENE, average, interpolate
from hyperguide.training.networks.scattering import ScatteringUNet
from hyperguide.training.networks.scene_hyper import SceneHyperNetwork
from hyperguide.training.networks.texture import Texture, scene_parts
from hyperguide.training.preset import Stage, UNetShape, load_preset
from made_data import noise_picture

SIZES = [(96, 128), (480, 640), (97, 131), (33, 40), (1, 1), (540, 961)]


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", SIZES)
def test_scene_averages_equal_torchs_interpolation(size: tuple[int, int]) -> None:
    image = _random(2, 3, *size)
    expected = F.adaptive_avg_pool2d(image, SCENE)
    torch.testing.assert_close(average(image, *SCENE), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_scene_enlargements_equal_torchs_interpolation(size: tuple[int, int]) -> None:
    grid = _random(2, 1, 24, 32)
    expected = F.interpolate(grid, size, mode="bilinear", align_corners=False, antialias=False)
    torch.testing.assert_close(interpolate(grid, *size), expected, atol=1e-5, rtol=0)


def _proxy() -> SceneHyperNetwork:
    torch.manual_seed(0)
    return SceneHyperNetwork(3, 16, 4, (1, 2, 4, 8), 1.0)


def test_blocks_that_the_scene_cannot_hold_are_refused() -> None:
    with pytest.raises(HyperguideError, match="96x128 cannot be unshuffled by 5: give 1, 2, 4"):
        SceneHyperNetwork(3, 16, 5, (1, 2, 4, 8), 1.0)


def test_the_map_does_not_depend_on_the_resolution() -> None:
    scene = _random(1, 3, 192, 256)
    larger = scene.repeat_interleave(5, 2).repeat_interleave(5, 3)
    with torch.no_grad():
        small, large = (_proxy()(picture) for picture in (scene, larger))
    assert small.shape[2:] == scene.shape[2:]
    assert large.shape[2:] == larger.shape[2:]
    assert small.std() > 1e-3
    torch.testing.assert_close(F.avg_pool2d(large, 5), small, atol=1e-3, rtol=0)


def test_every_part_of_the_map_knows_the_whole_scene() -> None:
    scene = _random(1, 3, 96, 128)
    changed = scene.clone()
    changed[..., 64:, 96:] = 1
    with torch.no_grad():
        difference = (_proxy()(scene) - _proxy()(changed)).abs()
    assert difference[..., :8, :8].mean() > 1e-5


def _bundled() -> GuidedModel:
    return build_model(load_preset("dehaze", "fast"))


def _with_grain_and_edges() -> GuidedModel:
    proxy = SceneHyperNetwork(3, 8, 4, (1, 1, 1, 1), 1.0, grain=True, edges=True)
    return GuidedModel(proxy, ScatteringUNet(3, True, 1.0, UNetShape(2, (8, 8), 1), grain=True))


@pytest.mark.parametrize("make", [_bundled, _with_grain_and_edges])
@pytest.mark.parametrize("size", [(64, 96), (480, 640), (1088, 320), (1, 1)])
def test_the_graph_takes_pictures_of_any_size(
    size: tuple[int, int], make: Callable[[], GuidedModel]
) -> None:
    torch.manual_seed(0)
    model = fold_layers(make()).eval()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        export_graph(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    image = _random(1, 3, *size)
    (guidance,) = session.run(["guidance"], {"image": image.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(guidance, model.predict(image).numpy(), atol=1e-5)


@pytest.mark.parametrize("level", [1 / 255, 20 / 255])
def test_grain_is_the_variance_of_noise_whatever_lies_behind_it(level: float) -> None:
    """The mixed difference of white noise of variance v has the variance 4 v."""
    rows = torch.linspace(0, 1, 960)[:, None].expand(960, 1280)
    columns = (torch.arange(1280) % 7 < 3).float()
    noise = level * torch.randn(1, 3, 960, 1280, generator=torch.Generator().manual_seed(0))
    found = grain(noise + 0.3 * rows + 0.3 * columns)
    variance = level**2 / 3  # of the mean of three channels
    expected = (math.log(16**2 * 4 * variance) + 3) / 4
    assert found.shape == (1, 1, *SCENE)
    assert float(found.mean()) == pytest.approx(expected, abs=0.03)
    flat = grain(torch.full((1, 3, 96, 128), 0.5))
    assert torch.equal(flat, flat[..., :1, :1].expand_as(flat))
    assert float(flat.max()) < float(found.min())


def test_the_map_may_end_within_a_block_where_the_brightness_does() -> None:
    network = SceneHyperNetwork(3, 8, 4, (1, 1, 1, 1), 1.0, edges=True)
    last = network.convs[-1]
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([0.5, 2.0])
    image = _random(1, 3, 96, 128)
    expected = torch.sigmoid(0.5 + 2 * (image.mean(1, keepdim=True) - MIDDLE))
    with torch.no_grad():
        torch.testing.assert_close(network(image), expected)


def test_a_crop_is_a_scene_whose_farthest_point_is_1(tmp_path: Path) -> None:
    for part in ("rgb", "depth"):
        (tmp_path / part).mkdir()
    ramp = np.linspace(10, 250, 96).astype(np.uint8)
    for i in range(4):
        write_picture(tmp_path / "rgb" / f"{i}.png", noise_picture(i, 64, 96))
        write_picture(tmp_path / "depth" / f"{i}.png", np.tile(ramp, (64, 1)))
    preset = load_preset("dehaze", "fast")
    preset.degradation["invented"] = 0
    data = open_data(preset, [tmp_path])
    guidance = data.draw("train", 0, Stage(until=1, crop=32, batch=8), seed=0).sample.guidance
    assert torch.equal(guidance.amax((1, 2, 3)), torch.ones(8))
    assert len(guidance.amin((1, 2, 3)).unique()) > 4  # crops from different places


@pytest.mark.parametrize("stride", [1, 2])
def test_textures_have_a_value_for_each_cell(stride: int) -> None:
    texture = Texture(3, 8, stride)
    parts = scene_parts(torch.rand(1, 3, 50, 70))
    assert texture(parts).shape == (1, 8, *SCENE)
