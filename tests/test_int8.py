"""int8 files: their content, their loss, and what they refuse."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import hyperguide
from conftest import Cli, fails
from hyperguide.export.graph import export_graph
from hyperguide.export.model import Lower, export_model
from hyperguide.export.quantization import _added_loss, insert_pairs
from hyperguide.export.quantized_layers import (
    QuantizedConvolution,
    Rounding,
    largest_pair,
    quantize_layers,
    round_keeping_sums,
    to_floats,
)
from hyperguide.model_format.model_file import read_model_file
from hyperguide.training.checkpoint import load_run
from hyperguide.training.model import GuidedModel, Restoration
from hyperguide.training.networks.folding import fold_layers
from hyperguide.training.networks.hyper import HyperNetwork, PlainHyperNetwork
from hyperguide.training.networks.prenet import PReNet
from hyperguide.training.networks.scattering import ScatteringUNet
from hyperguide.training.networks.scene_hyper import SceneHyperNetwork
from hyperguide.training.networks.unet import GuidedUNet, ResidualBlock
from hyperguide.training.preset import UNetShape
from made_runs import rough_pair

pytestmark = pytest.mark.usefixtures("few_crops")


@pytest.fixture(scope="module")
def int8_file(
    run_folder: Path,
    photos: Path,
    few_crops: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("int8") / "model.onnx"
    export_model(
        load_run(run_folder), path, lower=Lower("int8", [photos], steps=2, accept_loss=True)
    )
    return path


def _crops(count: int = 2) -> list[Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.rand((1, 3, 32, 48), generator=rng) for _ in range(count)]


def test_a_quantized_convolution_equals_one_of_integers() -> None:
    torch.manual_seed(0)
    conv, x = nn.Conv2d(4, 3, 3), torch.randn(2, 4, 8, 9)
    layer = QuantizedConvolution(conv, Rounding(0.02))
    units = (x / 0.02).round().clamp(-128, 127)
    step = largest_pair(conv.weight) / 126
    weights = round_keeping_sums(conv.weight / step.view(-1, 1, 1, 1))
    sums = nn.functional.conv2d(units.double(), weights.double())
    assert torch.equal(sums, sums.round())
    expected = sums * (0.02 * step).view(1, -1, 1, 1) + conv.bias.view(1, -1, 1, 1)  # type: ignore[union-attr]
    torch.testing.assert_close(layer(x).double(), expected, atol=1e-5, rtol=0)


def _largest_sums(units: np.ndarray) -> tuple[int, int]:
    """The largest and the least sum of two products that processors without VNNI add in 16 bits.

    units: weights in int8, shape (O, I, kh, kw), stored tap by tap; an odd number of inputs is
        stored with or without padding. Activations are 255.
    """
    taps = units.transpose(0, 2, 3, 1).astype(int)
    padded = np.pad(taps, [(0, 0), (0, 0), (0, 0), (0, taps.shape[3] % 2)])
    rows = [padded.reshape(-1, 2)]
    for filter_ in taps.reshape(len(taps), -1):
        rows.append(np.pad(filter_, (0, filter_.size % 2)).reshape(-1, 2))
    pairs = 255 * np.concatenate(rows)
    return int(pairs.clip(min=0).sum(1).max()), int(pairs.clip(max=0).sum(1).min())


@pytest.mark.parametrize(("inputs", "side"), [(4, 3), (3, 6), (16, 1), (1, 3)])
def test_products_of_neighbouring_weights_fit_into_16_bits(inputs: int, side: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(inputs, 8, side)
    conv.weight.data[3] = 0.1  # all of one sign
    layer = QuantizedConvolution(conv, Rounding(0.02))
    units = (layer.rounded_weight() / layer.weight_steps().view(-1, 1, 1, 1)).round().detach()
    largest, least = _largest_sums(units.numpy())
    assert -(2**15) <= least < largest < 2**15
    assert units.abs().max() > 63  # as far as every weight could go


def test_the_range_of_pixels_is_not_trained() -> None:
    """Noise goes beyond the range of pictures; a fitted range would clip it."""
    quantized = quantize_layers(_with_detail(), lambda m, x: m.restore(x), _crops(), 0.999)
    layers = quantized.named_modules()
    rounded = {n: m.rounding for n, m in layers if isinstance(m, QuantizedConvolution)}
    kept = {name for name, rounding in rounded.items() if not rounding.log_step.requires_grad}
    assert kept == {"proxy.convs.0.image", "proxy.convs.0.other"}
    assert len(rounded) > len(kept)


def test_the_fit_counts_what_is_added_to_the_error_of_the_float_pair() -> None:
    clean, wanted = torch.zeros(2, 3, 8, 8), torch.tensor([0.1, 0.02]).view(2, 1, 1, 1)
    wanted = wanted.expand_as(clean)
    found = wanted + torch.tensor([0.01, 0.01]).view(2, 1, 1, 1)
    loss = _added_loss(Restoration((found,), ()), Restoration((wanted,), ()), clean, 1.0)
    # MSE of independent errors; beyond 47 dB they count less.
    ratios = [1 + 0.01**2 / (0.1**2 + 2e-5), 1 + 0.01**2 / (0.02**2 + 2e-5)]
    assert float(loss) == pytest.approx(np.log(ratios).mean(), rel=1e-4)


def test_gradients_pass_the_rounding_and_stop_where_it_clips() -> None:
    rounding = Rounding(0.01)
    x = torch.tensor([0.504, 5.0], requires_grad=True)
    rounding(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([1.0, 0.0]))
    # The gradient of the step: the rounding error inside the range, the range's end beyond it.
    expected = 0.01 * ((50 - 50.4) + 127)
    torch.testing.assert_close(rounding.log_step.grad, torch.tensor(expected))


def test_a_value_that_several_layers_read_is_rounded_once() -> None:
    torch.manual_seed(0)
    block = nn.Sequential(ResidualBlock(16), ResidualBlock(16))
    quantized = quantize_layers(block, lambda m, x: m(x), [torch.randn(1, 16, 8, 8)], 0.999)
    for part in quantized:
        assert isinstance(part, ResidualBlock)
        assert isinstance(part.entry, Rounding)
        assert isinstance(part.conv1, QuantizedConvolution)
        assert isinstance(part.conv2, QuantizedConvolution)
        assert part.conv1.rounding is part.entry
        assert part.conv2.rounding is not part.entry
    plain, steps = to_floats(quantized)
    assert {name: step.shared for name, step in steps.items()} == {
        "0.conv1.weight": True,
        "0.conv2.weight": False,
        "1.conv1.weight": True,
        "1.conv2.weight": False,
    }
    assert not any(isinstance(m, Rounding | QuantizedConvolution) for m in plain.modules())


def test_rounded_weights_keep_the_sums_over_their_taps() -> None:
    units = 20 * torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    rounded = round_keeping_sums(units)
    assert torch.equal(rounded, rounded.round())
    assert float((rounded - units).abs().max()) <= 1.0
    sums = [taps.sum((2, 3)) for taps in (units, rounded, units.round())]
    assert float((sums[1] - sums[0]).abs().max()) <= 0.5 + 1e-3
    assert float((sums[2] - sums[0]).abs().max()) > 2.0  # errors of 36 taps add up
    single = units[:, :, :1, :1]
    assert torch.equal(round_keeping_sums(single), single.round())


def _rounded_unet(precise: bool) -> tuple[GuidedUNet, GuidedUNet, set[str]]:
    """A folded U-Net, its int8 form, and the names of the convolutions that stay in floats."""
    torch.manual_seed(0)
    shape = UNetShape(2, (8, 8), 1, precise_int8=precise)
    network = fold_layers(GuidedUNet(3, True, 0.3, shape, "residual")).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(torch.randn_like(weights), alpha=0.05)

    def run(module: nn.Module, image: Tensor) -> Tensor:
        restored: Tensor = module(image, torch.full_like(image[:, :1], 0.1))
        return restored

    quantized = quantize_layers(network, run, _crops(), 0.999)
    rounded = {n for n, m in quantized.named_modules() if isinstance(m, QuantizedConvolution)}
    plain = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)} - rounded
    return network, quantized, plain


def test_the_last_layer_of_a_unet_and_what_reads_the_map_stay_in_floats() -> None:
    assert _rounded_unet(precise=False)[2] == {"head.guidance", "tail"}


def test_a_precise_unet_rounds_only_what_its_inner_convolutions_read() -> None:
    network, quantized, plain = _rounded_unet(precise=True)
    assert plain == {"head.image", "head.guidance", "tail"}
    assert not any(steps.shared for steps in to_floats(quantized)[1].values())
    # What the blocks add is small: were their input rounded as well, the image would be, too.
    coarse = copy.deepcopy(quantized)
    for module in coarse.modules():
        if isinstance(module, Rounding):
            module.log_step.data += math.log(1e9)  # everything that is rounded becomes zero
    image = _crops()[0]
    with torch.no_grad():
        x = network.head(image, torch.full_like(image[:, :1], 0.1))
        assert torch.count_nonzero(coarse.encoder[0](x) - x) > 0  # biases
        spread = (coarse.encoder[0](x) - x)[:, :, 2:-2, 2:-2].std((2, 3))
    assert float(spread.max()) < 1e-5


def _with_detail() -> GuidedModel:
    torch.manual_seed(0)
    proxy = HyperNetwork(3, 16, 2, (1, 2, 2, 1), "image+detail", False, 1.0)
    return fold_layers(GuidedModel(proxy, rough_pair().reconstruction)).eval()


def _recurrent() -> GuidedModel:
    """PReNet, whose stages share their weights."""
    torch.manual_seed(0)
    model = GuidedModel(PlainHyperNetwork(3, 8, 1.0), PReNet(True, 1.0, stages=3))
    return fold_layers(model).eval()


def _scattering() -> GuidedModel:
    torch.manual_seed(0)
    proxy = SceneHyperNetwork(3, 8, 4, (1, 1, 1, 1), 1.0, texture=4, grain=True, edges=True)
    shape = UNetShape(2, (8, 8), 1)
    return fold_layers(
        GuidedModel(proxy, ScatteringUNet(3, True, 1.0, shape, texture=4, exposure=True))
    ).eval()


def test_inputs_of_optical_depth_and_light_stay_in_floats() -> None:
    quantized = quantize_layers(_scattering(), GuidedModel.restore, _crops(), 0.999)
    network = quantized.reconstruction
    assert all(type(getattr(network, name)) is nn.Conv2d for name in network.in_floats)  # type: ignore[union-attr]
    convolutions = {n for n, m in network.named_modules() if isinstance(m, QuantizedConvolution)}
    assert {"texture.first", "texture.third", "middle.0.conv1"} <= convolutions


@pytest.mark.parametrize("make", [rough_pair, _with_detail, _recurrent, _scattering])
def test_the_int8_graph_computes_what_the_imitation_in_torch_does(
    make: Callable[[], GuidedModel],
) -> None:
    model = make()
    crops = _crops()
    quantized = quantize_layers(model, GuidedModel.restore, crops, 0.999)
    plain, steps = to_floats(quantized)
    options = onnxruntime.SessionOptions()
    # Unoptimised, because integer kernels round in another order.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = insert_pairs(export_graph(plain), steps)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    image = crops[0]
    enhanced, guidance = session.run(["enhanced", "guidance"], {"image": image.numpy()})
    with torch.no_grad():
        result = quantized.restore(image)
        floats = model.restore(image).restored
    expected = result.restored.clamp(0, 1).numpy()
    apart = np.abs(enhanced - expected)
    assert apart.mean() < 0.1 * np.abs(floats.numpy() - expected).mean()
    np.testing.assert_allclose(guidance, result.maps[0].numpy(), atol=2e-3)


@pytest.mark.parametrize("make", [rough_pair, _with_detail, _scattering])
def test_openvino_computes_the_int8_graph(make: Callable[[], GuidedModel]) -> None:
    """OpenVINO moves roundings around, and gets layers that read a Concat wrong."""
    openvino = pytest.importorskip("openvino")
    crops = _crops()
    quantized = quantize_layers(make(), GuidedModel.restore, crops, 0.999)
    plain, steps = to_floats(quantized)
    proto = insert_pairs(export_graph(plain), steps)
    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(proto.SerializeToString()), "CPU", hints)
    results = compiled({"image": crops[0].numpy()})
    with torch.no_grad():
        expected = quantized.restore(crops[0])
    for name, tensor in (
        ("enhanced", expected.restored.clamp(0, 1)),
        ("guidance", expected.maps[0]),
    ):
        apart = np.abs(results[compiled.output(name)] - tensor.numpy())
        assert apart.mean() < 0.002 * float(tensor.max()), name


def test_every_convolution_of_the_int8_graph_has_integer_weights_and_a_rounded_input(
    int8_file: Path,
) -> None:
    model = onnx.load(int8_file)
    made = {output: node for node in model.graph.node for output in node.output}
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    quantized = [node for node in convolutions if node.input[1] in made]
    # All except the convolutions that enlarge the map, whose weights are not learnt, and read it,
    # those around the weighted mean of the surroundings, and the first and last of the network.
    names = {t.name for t in model.graph.initializer}
    in_floats = {node.input[1] for node in convolutions} & names
    assert len(convolutions) - len(quantized) <= 7
    small = {f"proxy.coarse.surroundings.{name}.weight" for name in ("weigh", "mix", "up")}
    assert {n for n in in_floats if n.startswith("proxy.")} == {"proxy.enlarge.kernel", *small}
    assert {name for name in in_floats if name.startswith("reconstruction.")} == {
        "reconstruction.head.guidance.weight",
        "reconstruction.head.image.weight",
        "reconstruction.tail.weight",
    }
    assert len(quantized) > 10
    for node in quantized:
        weight, source = made[node.input[1]], made[node.input[0]]
        assert weight.op_type == source.op_type == "DequantizeLinear"
        assert constants[weight.input[0]].dtype == np.int8
        largest, least = _largest_sums(constants[weight.input[0]])
        assert -(2**15) <= least < largest < 2**15
        assert constants[weight.input[1]].shape == (len(constants[weight.input[0]]),)
        assert not constants[weight.input[2]].any()  # symmetric
        assert constants[source.input[2]].dtype == np.int8
        assert constants[source.input[2]] == 0
        assert constants[node.input[2]].dtype == np.float32 if len(node.input) > 2 else True


def test_the_path_of_the_image_and_the_dials_stay_in_floats(int8_file: Path) -> None:
    enhancer = hyperguide.load(int8_file)
    image = np.random.default_rng(0).random((24, 32, 3), np.float32)
    tiny = enhancer(image, strength=1e-6).image
    np.testing.assert_allclose(tiny, image, atol=1e-5)
    assert np.abs(tiny - image).max() > 0
    given = np.linspace(0, 0.3, 24 * 32, dtype=np.float32).reshape(24, 32)
    np.testing.assert_array_equal(enhancer(image, guidance=given).guidance, given)


def test_an_int8_file_says_what_int8_costs_and_passes_verify(
    int8_file: Path, quick_cli: Cli
) -> None:
    info = read_model_file(int8_file).info
    assert info.precision == "int8"
    figures = {"loss_db", "guidance_rmse", "change_at_scale_2", "gray_spread"}
    assert info.quality["int8"].keys() == figures
    for device in ("cpu", "openvino"):
        assert quick_cli("verify", int8_file, "--device", device).code == 0
    assert "int8" in quick_cli("info", int8_file).out


def test_int8_files_are_smaller(int8_file: Path, exported: Path) -> None:
    kinds = [
        Counter(node.op_type for node in onnx.load(path).graph.node)
        for path in (int8_file, exported)
    ]
    assert kinds[0]["Conv"] == kinds[1]["Conv"]
    weights = [
        sum(len(t.raw_data) for t in onnx.load(path).graph.initializer)
        for path in (int8_file, exported)
    ]
    assert weights[0] < 0.4 * weights[1]


@pytest.mark.long
def test_learning_with_rounded_weights_lowers_the_loss_of_int8(
    photos: Path, run_folder: Path, tmp_path: Path
) -> None:
    trained = load_run(run_folder)
    losses = []
    for steps in (0, 40):
        lower = Lower("int8", [photos], steps, accept_loss=True)
        done: list[int] = []
        exported = export_model(trained, tmp_path / f"{steps}.onnx", False, lower, done.append)
        assert done == list(range(1, steps + 1))
        assert exported.loss is not None
        losses.append(exported.loss.enhanced)
    assert losses[1] < losses[0]


def test_an_int8_loss_above_the_limit_writes_nothing_unless_accepted(
    photos: Path, run_folder: Path, tmp_path: Path, quick_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperguide.export.model.MOST_LOSS", -100.0)
    words = ("--precision", "int8", "--calib", photos, "--steps", 0)
    result = quick_cli("export", run_folder, "-o", tmp_path / "a.onnx", *words)
    fails(result, "dB on held-out pictures", "--accept-loss")
    assert not list(tmp_path.iterdir())
    result = quick_cli("export", run_folder, "-o", tmp_path / "a.onnx", *words, "--accept-loss")
    assert result.code == 0, result.err


def test_int8_needs_pictures_and_floats_do_not(
    photos: Path, run_folder: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    out = ("-o", tmp_path / "a.onnx")
    fails(quick_cli("export", run_folder, *out, "--precision", "int8"), "--calib")
    fails(
        quick_cli("export", run_folder, *out, "--calib", photos),
        "belong to --precision fp16 or int8",
    )
    missing = ("--precision", "int8", "--calib", tmp_path / "none")
    fails(quick_cli("export", run_folder, *out, *missing), "does not exist")
    assert not list(tmp_path.iterdir())
