"""OpenVINO on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.model_file import ENHANCED, GUIDANCE, IMAGE, ModelFile, default_feeds
from hyperguide.pixels import merge_planes, split_pixels

from .engine import closed, failure
from .libraries import import_library

T = TypeVar("T")

# Shapes that OpenVINO stays prepared for.
_SHAPES = 16


class OpenVino:
    """OpenVINO's CPU plugin, in the precision of the file.

    To OpenVINO a dial with a default is a constant. So there are up to four forms of a model,
    compiled when they are first needed: one that takes bytes and converts them within the graph,
    the same for batches, one that takes floats, and one whose dials are inputs. Told that there is
    one picture, OpenVINO merges more of what is done to each pixel.
    """

    largest = None

    def __init__(
        self, model: ModelFile, threads: int = 0, at_once: int = 1, bf16: bool = False
    ) -> None:
        """Load a model.

        threads: of one call; 0 takes one per core. at_once: calls computed at the same time.
        bf16: compute what is fp32 in the file in bf16. Raises HyperguideError if the processor
        cannot.
        """
        openvino = import_library("openvino")
        self.name = "OpenVINO, CPU in bf16" if bf16 else "OpenVINO, CPU"
        self._openvino = openvino
        self._core: Any = openvino.Core()
        if bf16 and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise HyperguideError(
                "This processor does not compute in bf16: leave out --precision bf16."
            )
        self._model = model
        self._options: dict[str, Any] = {
            # Unasked, OpenVINO takes bf16 where the processor has it.
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        }
        # Unasked, it keeps something for each of thousands of shapes, a megabyte or more.
        self._options["CPU_RUNTIME_CACHE_CAPACITY"] = _SHAPES
        if at_once == 1:
            self._options["PERFORMANCE_HINT"] = "LATENCY"
        else:
            self._options["NUM_STREAMS"] = at_once
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads * at_once
        self._at_once = at_once
        self._requests: dict[str, SimpleQueue[Any]] = {}
        self._lock = threading.Lock()
        self._idle("picture")  # a file that it rejects is rejected here

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        if feeds.keys() == {IMAGE}:
            return self._infer("plain", dict(feeds))
        return self._infer("steerable", default_feeds(self._model.inputs) | dict(feeds))

    def run_bytes(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Run once on bytes; see `TakesBytes.run_bytes`."""
        form = "picture" if len(pixels) == 1 else "batch"
        if self._model.info.io == "uint8":
            return self._infer(form, {IMAGE: pixels})
        return self._infer(form, {IMAGE: split_pixels(pixels)}, merge=True)

    def close(self) -> None:
        """Free the compiled forms."""
        with self._lock:
            self._requests.clear()
            self._core = None

    def _infer(
        self, form: str, feeds: dict[str, np.ndarray], merge: bool = False
    ) -> dict[str, np.ndarray]:
        """Run a form of the model; `merge`: give the result as pixels rather than planes."""
        idle = self._idle(form)
        request = idle.get()  # waits while as many calls as there are requests are under way

        def run() -> dict[str, np.ndarray]:
            request.infer(feeds, share_inputs=True, share_outputs=True)  # without further copies
            enhanced, guidance = (request.get_tensor(name).data for name in (ENHANCED, GUIDANCE))
            # Copies: the next call writes into the same memory.
            is_planes = merge and enhanced.ndim == 4  # what else it is, `Runner` refuses
            picture = merge_planes(enhanced) if is_planes else enhanced.copy()
            return {ENHANCED: picture, GUIDANCE: guidance.copy()}

        try:
            return _guarded(run, f"{self.name} failed on this picture")
        finally:
            idle.put(request)

    def _idle(self, form: str) -> SimpleQueue[Any]:
        """The requests for a form of the model that nobody uses."""
        with self._lock:
            if self._core is None:
                raise closed(self._model.path)
            if form not in self._requests:
                build = {
                    "picture": self._of_picture,
                    "batch": self._of_bytes,
                    "plain": self._read,
                    "steerable": self._steerable,
                }
                compiled = _guarded(
                    lambda: self._core.compile_model(build[form](), "CPU", self._options),
                    f"OpenVINO rejects {self._model.path}",
                )
                self._requests[form] = SimpleQueue()
                for _ in range(self._at_once):
                    request = _guarded(
                        compiled.create_infer_request, f"OpenVINO rejects {self._model.path}"
                    )
                    self._requests[form].put(request)
            return self._requests[form]

    def _read(self, content: bytes | None = None) -> Any:
        return self._core.read_model(self._model.content if content is None else content)

    def _steerable(self) -> Any:
        return self._read(self._model.with_inputs())

    def _of_picture(self) -> Any:
        """The graph of bytes for one picture."""
        model = self._of_bytes()
        shape = model.input(IMAGE).partial_shape
        shape[0] = 1
        model.reshape({IMAGE: shape})
        return model

    def _of_bytes(self) -> Any:
        """The graph between conversions of bytes in planes, unless it has its own of pixels."""
        model = self._read()
        return model if self._model.info.io == "uint8" else _take_bytes(model, self._openvino)


def _take_bytes(model: Any, openvino: Any) -> Any:
    """Let a graph take its picture as planes of bytes, shape (N, C, H, W), and give its result so.

    OpenVINO converts them while it reads and writes them.
    """
    ops = openvino.opset13
    (image,) = (p for p in model.get_parameters() if IMAGE in p.output(0).get_names())
    (result,) = (r for r in model.get_results() if ENHANCED in r.input_value(0).get_names())
    levels = ops.parameter(image.partial_shape, np.uint8)
    enhanced = result.input_value(0)
    found = _last_shuffle(result)
    if found:
        # Add and round in blocks, and shuffle what is rounded.
        strength, shuffle = found
        block, mode = (shuffle.get_attributes()[name] for name in ("block_size", "mode"))
        blocks = _to_floats(ops, ops.space_to_depth(levels, mode, block))
        total = ops.add(blocks, ops.multiply(shuffle.input_value(0), strength))
        rounded = ops.depth_to_space(_to_bytes(ops, ops.clamp(total, 0, 1)), mode, block)
    else:
        rounded = _to_bytes(ops, enhanced)
    result.input(0).replace_source_output(rounded.output(0))
    image.output(0).replace(_to_floats(ops, levels).output(0))
    for before, after in ((image.output(0), levels.output(0)), (enhanced, result.input_value(0))):
        names = before.get_names()
        before.set_names(set())
        after.set_names(names)
    model.remove_parameter(image)
    model.add_parameters([levels])
    model.validate_nodes_and_infer_types()
    return model


def _to_floats(ops: Any, levels: Any) -> Any:
    """Bytes times 1/255, to the bit as `pixels.to_tensor` computes it.

    Without the maximum, which changes nothing, OpenVINO takes bytes for quantised values and goes
    on in bytes: means are rounded to bytes, and maps are off by up to a half. It also keeps the
    factor here, where it is computed once, rather than with whatever reads the picture.
    """
    least = ops.constant(np.finfo(np.float32).min)
    floats = ops.multiply(ops.convert(levels, "f32"), ops.constant(np.float32(1 / 255)))
    return ops.maximum(floats, least)


def _to_bytes(ops: Any, values: Any) -> Any:
    """Round(255 x), in the form that OpenVINO merges with what is before."""
    low, high, most = (ops.constant(np.float32(v)) for v in (0, 1, 255))
    return ops.convert(ops.fake_quantize(values, low, high, low, most, 256), "u8")


def _last_shuffle(result: Any) -> tuple[Any, Any] | None:
    """`strength` and DepthToSpace of graphs ending in clip(image + strength * DepthToSpace(x))."""

    def source(node: Any, kind: str) -> Any:
        inputs = (value.get_node() for value in node.input_values()) if node else ()
        return next((n for n in inputs if n.get_type_name() == kind), None)

    least = source(result, "Minimum")  # what ONNX calls Clip
    total = source(source(least, "Maximum"), "Add")
    image, scaled = source(total, "Parameter"), source(total, "Multiply")
    strength, shuffle = source(scaled, "Constant"), source(scaled, "DepthToSpace")
    if image is None or strength is None or shuffle is None or any(n != 1 for n in strength.shape):
        return None
    return strength, shuffle


def _guarded(action: Callable[[], T], sentence: str) -> T:
    """Run an action of OpenVINO; what it raises becomes one sentence."""
    try:
        return action()
    except RuntimeError as error:
        raise failure(sentence, error) from error
