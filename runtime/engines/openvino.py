"""The engine that uses OpenVINO on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE
from hyperguide.model_format.model_file import ModelFile, default_feeds
from hyperguide.pixels import merge_planes, split_pixels

from .engine import closed, failure
from .libraries import import_library
from .openvino_core import openvino_core
from .openvino_graphs import (
    convolutions_in_bf16,
    mix_maps_flat,
    take_bytes,
    without_int8,
)

T = TypeVar("T")

# Number of shapes in OpenVINO's cache.
_SHAPES = 16

# If a network downsamples a narrow picture to one column, or to four cells in all, OpenVINO's int8
# and bf16 convolutions for processors with AMX are wrong by up to 235 levels and differ from call
# to call (2026.4.1; ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI fixes int8, but for the whole process).
# Pictures whose shorter side is below this many pixels, or this many size multiples, are computed
# in floats instead.
_NARROW, _NARROW_MULTIPLES = 16, 3


class OpenVino:
    """OpenVINO's CPU plugin, in the precision of the file.

    A model has up to three forms, compiled on first use: one that takes bytes and converts them in
    the graph, the same for batches, and one that takes floats. With a fixed batch size of 1,
    OpenVINO fuses more of the per-pixel operations. OpenVINO treats a dial with a default as a
    constant, so every form has them as required inputs: that costs no time. In int8 and bf16 each
    form exists once more, in floats, for narrow pictures.

    Networks with local context compute everything in bf16, those with global context only their
    convolutions: they count and sum pixels, for which eight significant bits are too few.
    """

    largest = None

    def __init__(
        self, model: ModelFile, threads: int = 0, at_once: int = 1, bf16: bool = False
    ) -> None:
        """Load a model.

        threads: of one call; 0 means one per core. at_once: calls computed at the same time.
        bf16: compute the file's fp32 in bf16.
        Raises HyperguideError if the processor lacks bf16, or OpenVINO rejects the file.
        """
        self._openvino = import_library("openvino")
        self.name = "OpenVINO, CPU in bf16" if bf16 else "OpenVINO, CPU"
        self._core: Any = openvino_core()
        if bf16 and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise HyperguideError(
                "This processor does not compute in bf16: leave out --precision bf16."
            )
        self._model = model
        self._defaults = default_feeds(model.inputs)
        self._bf16 = bf16
        self._everything = bf16 and model.info.context == "local"
        self._only_convolutions = bf16 and not self._everything
        # By default it caches a megabyte or more for each of thousands of shapes.
        self._options: dict[str, Any] = {"CPU_RUNTIME_CACHE_CAPACITY": _SHAPES}
        if at_once == 1:
            self._options["PERFORMANCE_HINT"] = "LATENCY"
        else:
            self._options["NUM_STREAMS"] = at_once
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads * at_once
        self._at_once = at_once
        self._requests: dict[tuple[str, bool], SimpleQueue[Any]] = {}
        self._lock = threading.Lock()
        self._idle("picture")  # a file that OpenVINO rejects fails here

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        return self._infer("floats", dict(feeds))

    def run_bytes(
        self, pixels: np.ndarray, dials: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Run once on bytes; see `TakesBytes.run_bytes`."""
        return self._infer_bytes(pixels, dials)

    def run_image(self, image: np.ndarray, dials: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run once and return the picture alone; see `OmitsMaps.run_image`."""
        if image.dtype != np.uint8:
            return self._infer("floats", {IMAGE: image, **dials}, maps=False)[ENHANCED]
        outputs = self._infer_bytes(image, dials, maps=False)
        if not np.isfinite(outputs[GUIDANCE]).all():
            raise FloatingPointError
        return outputs[ENHANCED]

    def close(self) -> None:
        """Free the compiled forms."""
        with self._lock:
            self._requests.clear()
            self._core = None

    def _infer_bytes(
        self, pixels: np.ndarray, dials: Mapping[str, np.ndarray], maps: bool = True
    ) -> dict[str, np.ndarray]:
        form = "picture" if len(pixels) == 1 else "batch"
        if self._model.info.io == "uint8":
            return self._infer(form, {IMAGE: pixels, **dials}, maps=maps)
        return self._infer(form, {IMAGE: split_pixels(pixels), **dials}, merge=True, maps=maps)

    def _infer(
        self, form: str, feeds: dict[str, np.ndarray], merge: bool = False, maps: bool = True
    ) -> dict[str, np.ndarray]:
        """Run a form of the model.

        merge: return the result as pixels rather than planes. maps: whether to return maps, or
            else the mean of each.
        """
        feeds = self._defaults | feeds
        shape = feeds[IMAGE].shape
        idle = self._idle(form, self._is_narrow(shape))
        request = idle.get()  # waits while all requests are in use

        def run() -> dict[str, np.ndarray]:
            request.infer(feeds, share_inputs=True, share_outputs=True)  # without further copies
            enhanced, guidance = (request.get_tensor(name).data for name in (ENHANCED, GUIDANCE))
            if enhanced.shape != shape:  # it continues after a layer that cannot run
                raise RuntimeError(f"the result has the shape {enhanced.shape}, not {shape}")
            # Copies: the next call writes into the same memory.
            is_planes = merge and enhanced.ndim == 4  # `Runner` refuses other ranks
            picture = merge_planes(enhanced) if is_planes else enhanced.copy()
            return {
                ENHANCED: picture,
                GUIDANCE: guidance.copy() if maps else guidance.mean((1, 2, 3)),
            }

        try:
            return _guarded(run, f"{self.name} failed on this picture")
        finally:
            idle.put(request)

    def _is_narrow(self, shape: tuple[int, ...]) -> bool:
        """Whether pictures of a shape, as the file takes them, need a form for narrow ones."""
        info = self._model.info
        if info.precision != "int8" and not self._bf16:
            return False
        sides = shape[1:3] if info.io == "uint8" else shape[2:]
        return min(sides) < max(_NARROW, _NARROW_MULTIPLES * info.size_multiple)

    def _idle(self, form: str, narrow: bool = False) -> SimpleQueue[Any]:
        """The idle requests for a form of the model, compiled on first use."""
        with self._lock:
            if self._core is None:
                raise closed(self._model.path)
            key = form, narrow
            if key not in self._requests:
                # By default OpenVINO uses bf16 where the processor supports it.
                precision = "bf16" if self._everything and not narrow else "f32"
                options = self._options | {"INFERENCE_PRECISION_HINT": precision}
                compiled = _guarded(
                    lambda: self._core.compile_model(self._build(form, narrow), "CPU", options),
                    f"OpenVINO rejects {self._model.path}",
                )
                self._requests[key] = SimpleQueue()
                for _ in range(self._at_once):
                    request = _guarded(
                        compiled.create_infer_request, f"OpenVINO rejects {self._model.path}"
                    )
                    self._requests[key].put(request)
            return self._requests[key]

    def _build(self, form: str, narrow: bool) -> Any:
        """Build the graph of a form."""
        model, ops = self._core.read_model(self._model.with_inputs()), self._openvino.opset13
        model = mix_maps_flat(model, ops)
        if narrow:
            model = without_int8(model, ops)
        elif self._only_convolutions:
            model = convolutions_in_bf16(model, ops)
        if form != "floats" and self._model.info.io != "uint8":
            model = take_bytes(model, ops, merge_rounding=narrow or not self._everything)
        if form == "picture":
            shapes = {value.any_name: value.partial_shape for value in model.inputs}
            for shape in shapes.values():
                shape[0] = 1
            model.reshape(shapes)
        return model


def _guarded(action: Callable[[], T], sentence: str) -> T:
    """Run an action of OpenVINO; its errors become one sentence."""
    try:
        return action()
    except RuntimeError as error:
        raise failure(sentence, error) from error
