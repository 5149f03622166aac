"""Builds a TensorRT engine and its sidecar from a model file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hyperguide.engines.devices import why_absent
from hyperguide.engines.proof import seal_breaks
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import DIALS, IMAGE, KERNEL
from hyperguide.model_format.engine_file import (
    EngineInfo,
    Profile,
    Shape,
    digest,
    sidecar_path,
    write_engine,
)
from hyperguide.model_format.model_file import ModelFile
from hyperguide.padding import next_multiple
from hyperguide.storage.atomic import refuse_existing, refuse_missing_folder, write_atomically

from .bindings import Messages, TensorRt
from .cuda import Gpu
from .network import census, check_precision, inputs, parse

Size = tuple[int, int]
"""Height and width."""

# From thumbnails, which 'hyperguide verify' runs, to 4K; tuned for 720p.
DEFAULT_SIZES: tuple[Size, Size, Size] = ((16, 16), (720, 1280), (2160, 3840))

# Called with a phase of the build, the steps done in it, and its number of steps.
BuildProgress = Callable[[str, int, int], None]

# TensorRT-RTX's message about Fourier transforms on GPUs of compute capability 7.5.
_NO_MATRIX_PRODUCTS = "FP32 GEMM is not supported"

# Smallest, best and largest blur kernel that an engine takes.
_KERNELS = Profile((1, 1, 1, 1), (1, 1, 25, 25), (1, 1, 63, 63))


class CancelledError(Exception):
    """Raised when a build was told to stop."""


@dataclass(frozen=True)
class BuildOptions:
    """What to build.

    sizes: smallest, best and largest picture.
    batches: smallest, best and largest number of pictures in a call.
    precision: that the file must have; None accepts any.
    targets: compute capabilities to build for, such as `sm89`; empty for the builder's default:
        this machine's GPU for TensorRT, all from sm80 on for TensorRT-RTX.
    steerable: whether the dials become inputs; otherwise only the image is, and for deblurring the
        kernel, which it needs.
    workspace: bytes of GPU memory that the build may try tactics with; None sets no limit.
    timing_cache: file of measured tactics to use and extend.
    tf32: whether fp32 convolutions may round their inputs to TF32, which is faster but exceeds the
        file's tolerance.
    gpu: number of this machine's GPU that TensorRT builds for.
    """

    sizes: tuple[Size, Size, Size]
    batches: tuple[int, int, int] = (1, 1, 1)
    precision: str | None = None
    targets: tuple[str, ...] = ()
    steerable: bool = False
    workspace: int | None = None
    timing_cache: Path | None = None
    tf32: bool = False
    gpu: int = 0


@dataclass(frozen=True)
class Built:
    """The result of a build.

    content: the engine. info: for its sidecar.
    convolutions: number per precision.
    """

    content: bytes = field(repr=False)
    info: EngineInfo
    convolutions: Counter[str]


def build_engine(
    file: ModelFile,
    output: Path,
    options: BuildOptions,
    tensorrt: TensorRt,
    force: bool = False,
    report: BuildProgress = lambda phase, done, steps: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Built:
    """Build an engine and write it with its sidecar; see `compile_engine`.

    Raises HyperguideError also if the output exists, unless forced.
    """
    for path in (output, sidecar_path(output)):
        refuse_existing(path, force)
    refuse_missing_folder(output)
    built = compile_engine(file, options, tensorrt, report, stopped)
    write_engine(output, built.content, built.info)
    return built


def compile_engine(
    file: ModelFile,
    options: BuildOptions,
    tensorrt: TensorRt,
    report: BuildProgress = lambda phase, done, steps: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Built:
    """Build a strongly typed engine: its precision is the file's.

    report: called while TensorRT works.
    stopped: polled during the build; once it returns True, the build raises CancelledError.
    Raises HyperguideError if the file was changed, the options do not fit it, or TensorRT rejects
    it.
    """
    if seal_breaks(file):
        raise HyperguideError(f"{file.path} was changed since it was exported: export it again.")
    check_options(file, options, tensorrt)
    gpu = _own_gpu(options, tensorrt)
    with nullcontext() if gpu is None else gpu.current():
        built = _compile(file, options, tensorrt, report, stopped)
    if options.targets or gpu is None:
        return built
    return replace(built, info=replace(built.info, targets=(gpu.capability,)))


def _compile(
    file: ModelFile,
    options: BuildOptions,
    tensorrt: TensorRt,
    report: BuildProgress,
    stopped: Callable[[], bool],
) -> Built:
    trt = tensorrt.module
    messages = Messages(tensorrt)
    builder = trt.Builder(messages.logger)
    content = file.with_inputs([*DIALS, KERNEL] if options.steerable else [KERNEL])
    network = parse(tensorrt, builder, messages, content, file.path)
    convolutions = census(tensorrt, network)
    precision = options.precision or file.info.precision
    check_precision(convolutions, precision, file.path)
    profiles = _profiles(file, options, [tensor.name for tensor in inputs(network)])
    config = _config(builder, trt, options, profiles)
    cache = _timing_cache(config, options.timing_cache)
    config.progress_monitor = _monitor(trt, report, stopped)
    serialized = builder.build_serialized_network(network, config)
    if stopped():
        raise CancelledError
    if serialized is None:
        raise HyperguideError(_why_not_built(file, tensorrt, messages.reason()))
    if cache is not None and options.timing_cache is not None:
        measured = bytes(config.get_timing_cache().serialize())
        write_atomically(options.timing_cache, lambda temporary: temporary.write_bytes(measured))
    content = bytes(serialized)
    info = EngineInfo(
        engine=digest(content),
        model=digest(file.content),
        metadata=dict(file.metadata),
        builder=tensorrt.name,
        version=tensorrt.version,
        targets=options.targets,
        precision=precision,
        steerable=options.steerable,
        profiles=profiles,
        options={"workspace": options.workspace, "tf32": options.tf32},
    )
    return Built(content, info, convolutions)


def _config(builder: Any, trt: Any, options: BuildOptions, profiles: dict[str, Profile]) -> Any:
    """The builder's configuration."""
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for name, shapes in profiles.items():
        profile.set_shape(name, shapes.least, shapes.best, shapes.most)
    config.add_optimization_profile(profile)
    if options.targets:
        config.num_compute_capabilities = len(options.targets)
    for number, target in enumerate(options.targets):
        config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), number)
    if options.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
    if not options.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    return config


def _why_not_built(file: ModelFile, tensorrt: TensorRt, reason: str) -> str:
    mend = ""
    if _NO_MATRIX_PRODUCTS in reason:
        mend = "; it has no matrix products in fp32 for sm75: leave that out of --target"
    return f"{tensorrt.name} {tensorrt.version} could not build {file.path}: {reason}{mend}"


def check_options(file: ModelFile, options: BuildOptions, tensorrt: TensorRt) -> None:
    """Raise HyperguideError if sizes, batches or targets cannot be built."""
    sizes = file.info.sizes
    for height, width in options.sizes:
        if not sizes.are_met(height, width):
            multiple = sizes.multiple
            rows, columns = round_up((height, width), multiple)
            raise HyperguideError(
                f"{width}x{height} is no multiple of {multiple} as {file.path} needs: give "
                f"{columns}x{rows}."
            )
    for what, values in (
        ("heights", [height for height, _ in options.sizes]),
        ("widths", [width for _, width in options.sizes]),
        ("batches", list(options.batches)),
    ):
        if values != sorted(values) or values[0] < 1:
            text = ", ".join(map(str, values))
            raise HyperguideError(
                f"The {what} {text} are not in the order smallest, best, largest: sort them."
            )
    if options.targets and not tensorrt.is_rtx:
        raise HyperguideError(
            f"{tensorrt.name} builds for the GPU of this machine only: leave out --target, or "
            "pip install 'hyperguide[rtx]'."
        )
    unknown = [target for target in options.targets if target not in tensorrt.targets]
    if unknown:
        raise HyperguideError(
            f"{tensorrt.name} {tensorrt.version} knows no target {unknown[0]}: choose of "
            f"{', '.join(tensorrt.targets)}."
        )


def default_sizes(multiple: int) -> tuple[Size, Size, Size]:
    """Default smallest, best and largest picture, rounded up to a multiple."""
    least, best, most = DEFAULT_SIZES
    return round_up(least, multiple), round_up(best, multiple), round_up(most, multiple)


def round_up(size: Size, multiple: int) -> Size:
    """The smallest size in multiples that holds a picture."""
    height, width = size
    return next_multiple(height, multiple), next_multiple(width, multiple)


def _profiles(file: ModelFile, options: BuildOptions, names: Sequence[str]) -> dict[str, Profile]:
    """The shapes of each input; a dial is one value or one per pixel."""
    channels = file.info.channels

    def picture(count: int, size: Size) -> Shape:
        return (count, *size, channels) if file.info.io == "uint8" else (count, channels, *size)

    kinds = {IMAGE: Profile(*map(picture, options.batches, options.sizes)), KERNEL: _KERNELS}
    count, (height, width) = options.batches[-1], options.sizes[-1]
    dial = Profile((1, 1, 1, 1), (1, 1, 1, 1), (count, 1, height, width))
    return {name: kinds.get(name, dial) for name in names}


def _own_gpu(options: BuildOptions, tensorrt: TensorRt) -> Gpu | None:
    """The GPU that TensorRT builds for; None without one, and for TensorRT-RTX."""
    if tensorrt.is_rtx or why_absent("tensorrt") is not None:
        return None
    return Gpu(options.gpu)


def _timing_cache(config: Any, path: Path | None) -> Any:
    """Load the tactics measured before; an empty cache if there are none, None without a path."""
    if path is None:
        return None
    content = path.read_bytes() if path.exists() else b""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):
        raise HyperguideError(
            f"The timing cache {path} is damaged or of another version: delete it."
        )
    return cache


def _monitor(trt: Any, report: BuildProgress, stopped: Callable[[], bool]) -> Any:
    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self.steps[name] = max(steps, 1)
            report(name, 0, self.steps[name])

        def step_complete(self, name: str, step: int) -> bool:
            report(name, step + 1, self.steps.get(name, step + 1))
            return not stopped()

        def phase_finish(self, name: str) -> None:
            steps = self.steps.get(name, 1)
            report(name, steps, steps)

    return Monitor()
