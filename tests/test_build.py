"""`hyperguide build`: engines have the types of their files, and describe themselves."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import onnx
import pytest

import hyperguide.engines.tensorrt
from conftest import Cli, fails, nothing_left
from hyperguide.engines.tensorrt.bindings import TensorRt, open_tensorrt
from hyperguide.engines.tensorrt.build import BuildOptions, CancelledError, build_engine, round_up
from hyperguide.errors import HyperguideError
from hyperguide.export.model import Lower, export_model, seal
from hyperguide.model_format.bundled import bundled_models
from hyperguide.model_format.contract import DIALS
from hyperguide.model_format.engine_file import read_engine, sidecar_path
from hyperguide.model_format.model_file import read_model_file
from hyperguide.training.checkpoint import load_run

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")

TARGETS = ("sm75", "sm86", "sm89", "sm120")
# Convolutions of the int8 files that stay in floats: those around the surroundings' mean, those
# that enlarge noise maps or read the map, and first and last layers, as each file's export did it.
IN_FLOATS = {
    "denoise-fast-int8": 7,
    "denoise-gray-fast-int8": 1,
    "denoise-live-int8": 6,
    "deblur-fast-int8": 1,
    "derain-fast-int8": 1,
    "dehaze-fast-int8": 4,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Redirect the user's cache to a folder of the test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def tensorrt() -> TensorRt:
    return open_tensorrt("tensorrt_rtx")


def _plan(multiple: int = 1, **more: object) -> BuildOptions:
    least, best, most = (round_up(size, multiple) for size in ((64, 64), (720, 1280), (2160, 3840)))
    return replace(BuildOptions((least, best, most), targets=("sm89",)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("steerable", [False, True])
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=pytest.mark.long if "deblur" in path.stem else ())
        for path in bundled_models()
    ],
)
def test_every_bundled_file_builds_for_all_targets_and_sizes_up_to_4k(
    path: Path, steerable: bool, tensorrt: TensorRt, tmp_path: Path
) -> None:
    file = read_model_file(path)
    # Deblurring needs fp32 matrix products, which TensorRT-RTX does not have for SM75.
    targets = TARGETS[1:] if file.info.task == "deblur" else TARGETS
    plan = _plan(file.info.size_multiple, targets=targets, steerable=steerable, batches=(1, 1, 4))
    built = build_engine(file, tmp_path / "model.engine", plan, tensorrt)
    others = sum(built.convolutions.values()) - built.convolutions[file.info.precision]
    assert others == (IN_FLOATS[path.stem] if file.info.precision == "int8" else 0)
    engine = read_engine(tmp_path / "model.engine")
    info = engine.sidecar
    assert len(engine.content) > 0.5 * len(file.content)
    assert info.targets == targets
    given = set(file.inputs) if steerable else set(file.inputs) - set(DIALS)
    assert set(info.profiles) == given
    image = info.profiles["image"]
    assert image.least[2] <= 64
    assert image.most[0] == 4
    assert image.most[2] >= 2160
    assert info.precision == file.info.precision


def test_the_sidecar_describes_model_and_engine(
    model_copy: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    engine = tmp_path / "denoise.engine"
    result = quick_cli("build", model_copy, "-o", engine, "--target", "sm89", "--workspace", "1G")
    assert result.code == 0, result.err
    assert "sm89" in result.out
    assert "fp32" in result.out
    values = json.loads(sidecar_path(engine).read_text())
    assert values["engine"] == hashlib.sha256(engine.read_bytes()).hexdigest()
    assert values["model"] == hashlib.sha256(model_copy.read_bytes()).hexdigest()
    assert values["builder"] == "tensorrt_rtx"
    assert values["options"] == {"workspace": 1 << 30, "tf32": False}
    assert str(tmp_path) not in json.dumps(values)
    info = read_engine(engine).sidecar
    file = read_model_file(model_copy)
    assert info.model_info(engine) == file.info
    golden = [key for key in file.metadata if "golden" in key]
    assert golden
    assert all(info.metadata[key] == file.metadata[key] for key in golden)
    nothing_left(tmp_path, "denoise.engine", "denoise.engine.json", "model.onnx")


def test_a_precision_that_the_file_has_not_is_refused(
    model_copy: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    for precision in ("fp16", "int8"):
        result = quick_cli("build", model_copy, "-o", tmp_path / "e", "--precision", precision)
        fails(result, f"does not compute in {precision}", "in fp32", f"--precision {precision}")
    nothing_left(tmp_path, "model.onnx")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shapes", "64x62,720x1280,2160x3840"], ["62x64", "multiple of 16", "64x64"]),
        (["--shapes", "720x1280,64x64,2160x3840"], ["heights 720, 64, 2160", "sort them"]),
        (["--shapes", "64x64,64x128,64x80"], ["widths 64, 128, 80"]),
        (["--batch", "4,1,1"], ["batches 4, 1, 1"]),
        (["--batch", "0,1,1"], ["batches 0, 1, 1"]),
        (["--target", "sm99"], ["knows no target sm99", "sm89"]),
        (["--builder", "tensorrt"], ["No TensorRT", "pip install 'hyperguide[tensorrt]'"]),
    ],
)
def test_build_options_that_do_not_fit_the_model_are_refused(
    options: list[str], words: list[str], model_copy: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    fails(quick_cli("build", model_copy, "-o", tmp_path / "e", *options), *words)
    nothing_left(tmp_path, "model.onnx")


@pytest.mark.parametrize("options", [["--shapes", "64"], ["--batch", "x"], ["--workspace", "2X"]])
def test_sizes_that_do_not_parse_are_wrong_usage_of_build(
    options: list[str], model_copy: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    assert quick_cli("build", model_copy, "-o", tmp_path / "e", *options).code == 2


def test_build_keeps_existing_files_unless_forced(
    model_copy: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    engine = tmp_path / "e.engine"
    sidecar_path(engine).write_text("mine")
    fails(quick_cli("build", model_copy, "-o", engine), "exists", "--force")
    assert sidecar_path(engine).read_text() == "mine"
    assert quick_cli("build", model_copy, "-o", engine, "--force").code == 0
    read_engine(engine)


def test_a_changed_file_is_not_built(model_copy: Path, tmp_path: Path, quick_cli: Cli) -> None:
    content = model_copy.read_bytes()
    model_copy.write_bytes(content.replace(b"noise_level", b"noise_lever"))
    fails(quick_cli("build", model_copy, "-o", tmp_path / "e"), "was changed since")


def test_an_operator_that_tensorrt_lacks_is_named(
    model_copy: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    proto = onnx.load(model_copy)
    node = next(node for node in proto.graph.node if node.op_type == "Relu")
    node.op_type, node.name = "Det", "the_odd_one"
    seal(proto)
    onnx.save(proto, model_copy)
    result = quick_cli("build", model_copy, "-o", tmp_path / "e", "--target", "sm89")
    fails(result, "does not take", "the_odd_one")
    nothing_left(tmp_path, "model.onnx")


def test_an_engine_build_can_be_cancelled(
    model_copy: Path, tmp_path: Path, tensorrt: TensorRt
) -> None:
    phases: list[str] = []
    with pytest.raises(CancelledError):
        build_engine(
            read_model_file(model_copy),
            tmp_path / "e",
            _plan(8),
            tensorrt,
            report=lambda phase, done, steps: phases.append(phase),
            stopped=lambda: bool(phases),
        )
    assert phases
    nothing_left(tmp_path, "model.onnx")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda engine: sidecar_path(engine).unlink(), ["lacks its", ".json"]),
        (lambda engine: sidecar_path(engine).write_text("{"), ["is damaged"]),
        (lambda engine: sidecar_path(engine).write_text('{"format": 1}'), ["is damaged"]),
        (lambda engine: sidecar_path(engine).write_text('{"format": 9}'), ["has format 9"]),
        (lambda engine: engine.write_bytes(engine.read_bytes()[:-1]), ["is not the engine that"]),
        (lambda engine: engine.unlink(), ["There is no TensorRT engine"]),
    ],
)
def test_damaged_engines_and_sidecars_are_refused(
    harm: Callable[[Path], object],
    words: list[str],
    model_copy: Path,
    tmp_path: Path,
    quick_cli: Cli,
) -> None:
    engine = tmp_path / "e.engine"
    assert quick_cli("build", model_copy, "-o", engine, "--target", "sm89").code == 0
    harm(engine)
    with pytest.raises(HyperguideError) as refusal:
        read_engine(engine)
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_an_engine_of_someone_else_must_be_trusted(
    model_copy: Path, tmp_path: Path, quick_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tmp_path / "e.engine"
    assert quick_cli("build", model_copy, "-o", engine, "--target", "sm89").code == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(HyperguideError, match="--trust"):
        read_engine(engine)
    content = read_engine(engine, trust=True).content
    assert content == engine.read_bytes()


def test_build_without_tensorrt_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "tensorrt" in name else find(name)
    )
    with pytest.raises(HyperguideError, match=r"hyperguide\[tensorrt\].*hyperguide\[rtx\]"):
        open_tensorrt()


@pytest.mark.usefixtures("few_crops")
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_files_of_lower_precision_are_engines_of_it(
    precision: Literal["fp16", "int8"],
    run_folder: Path,
    photos: Path,
    tensorrt: TensorRt,
    tmp_path: Path,
) -> None:
    lower = Lower(precision, [photos], steps=0, accept_loss=True)
    export_model(load_run(run_folder), tmp_path / "model.onnx", lower=lower)
    file = read_model_file(tmp_path / "model.onnx")
    for steerable in (False, True):
        plan = _plan(8, precision=precision, steerable=steerable)
        built = build_engine(file, tmp_path / "e", plan, tensorrt, force=True)
        floats = built.convolutions["fp32"]
        assert built.convolutions.total() == built.convolutions[precision] + floats
        # The convolutions that enlarge and read the map, three of the surroundings, and the first
        # and the last of the reconstruction.
        assert floats <= (7 if precision == "int8" else 0)
        assert built.info.precision == precision
    with pytest.raises(HyperguideError, match="does not compute in fp32"):
        build_engine(file, tmp_path / "f", _plan(8, precision="fp32"), tensorrt)


# The API used here, as documented for TensorRT 10.13 and 11.4 (Python API pages of Builder,
# Network, OnnxParser, BuilderConfig, ...).
DOCUMENTED = {
    "Builder", "ILogger", "IProgressMonitor", "OnnxParser", "NetworkDefinitionCreationFlag",
    "STRONGLY_TYPED", "Severity", "INTERNAL_ERROR", "ERROR", "DataType", "FLOAT", "HALF", "BF16",
    "LayerType", "CONVOLUTION", "DEQUANTIZE", "MemoryPoolType", "WORKSPACE", "BuilderFlag", "TF32",
    "__version__", "Runtime", "TensorIOMode", "INPUT", "nptype",
}  # fmt: skip
# TensorRT-RTX only; used when targets are given, and for recording CUDA graphs.
RTX_ONLY = {"ComputeCapability", "CudaGraphStrategy", "WHOLE_GRAPH_CAPTURE"}


def test_tensorrt_has_every_name_that_we_use(tensorrt: TensorRt) -> None:
    used: dict[str, set[str]] = {}
    for path in Path(hyperguide.engines.tensorrt.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                chain = _chain(node)
                if chain[0] in ("trt", "module"):
                    used.setdefault(".".join(chain[1:]), set()).add(path.name)
    assert len(used) > 10
    for chain in used:
        thing = tensorrt.module
        for name in chain.split("."):
            assert hasattr(thing, name), f"TensorRT-RTX has no {chain}"
            thing = getattr(thing, name)
            assert name in DOCUMENTED | RTX_ONLY, f"is {chain} in TensorRT 10 and 11?"


def _chain(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [*_chain(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else [""]
