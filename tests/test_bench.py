"""`hyperguide bench`: what it measures, which results it rejects, and its page."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import pytest

from conftest import Cli, fails
from fake_clock import FakeClock
from hyperguide.bench.machine import describe, peaks
from hyperguide.bench.page import page
from hyperguide.bench.plots import Curve, plot
from hyperguide.bench.precision import census
from hyperguide.bench.run import BenchPlan, Scenario, measure, record
from hyperguide.bench.subject import Spec, Subject, Verdict, synthetic_frame
from hyperguide.bench.table import table
from hyperguide.engines import Device
from hyperguide.errors import HyperguideError
from hyperguide.export.model import seal
from hyperguide.model_format.model_file import read_model_file


class _Fake:
    """A subject with a known call time, which may be wrong from the start or later.

    breaks: number of the call that fails. clock: set by `_run`.
    """

    def __init__(
        self, spec: Spec, seconds: float, wrong: str = "", later: str = "", breaks: int = 0
    ) -> None:
        self.clock = FakeClock()
        self.spec, self.seconds, self.wrong, self.later = spec, seconds, wrong, later
        self.breaks = breaks
        self.file = read_model_file(spec.model)
        self.load_seconds = self.first_seconds = self.call_seconds = 0.0
        self.peak_memory = self.gpu = self.gpu_memory = None
        self.engine = SimpleNamespace(name="fake")
        self.calls: list[float] = []

    def call(self) -> None:
        self.calls.append(self.clock.now())
        if len(self.calls) == self.breaks:
            raise HyperguideError("The engine ran out of memory: close other programs.")
        self.clock.work(self.seconds)

    def gpu_clock(self) -> None:
        return None

    def verify(self) -> Verdict:
        return Verdict(("golden samples",), self.wrong)

    def still_right(self) -> Verdict:
        return Verdict(("the last call",), self.later)

    def stages(self) -> dict[str, float]:
        return {"engine": self.seconds}

    def close(self) -> None:
        pass


@pytest.fixture
def specs(exported: Path) -> list[Spec]:
    return [Spec(exported, name, Device("cpu"), 16, 24) for name in ("one", "two", "three")]


def _run(fakes: dict[str, Any], specs: list[Spec], **plan: Any) -> dict[str, Any]:
    chosen = BenchPlan(**({"seconds": 0.3, "confidence": 10.0} | plan))
    clock = FakeClock()
    for fake in fakes.values():
        fake.clock = clock
    rows = measure(specs, chosen, lambda spec: fakes[spec.label], clock=clock)
    return record(rows, chosen, describe() | {"peaks": {"fp32": 100.0}})


def test_subjects_are_timed_in_turn_and_each_is_first_once(specs: list[Spec]) -> None:
    fakes = {spec.label: _Fake(spec, 0.002) for spec in specs}
    told = _run(fakes, specs, rounds=3)
    warm = 2  # calls of each before the turns start
    order = sorted((moment, label) for label, fake in fakes.items() for moment in fake.calls[warm:])
    turns = [label for i, (_, label) in enumerate(order) if i == 0 or order[i - 1][1] != label]
    assert turns == ["one", "two", "three", "two", "three", "one", "three", "one", "two"]
    for row in told["rows"]:
        assert row["latency_ms"]["p50"] == pytest.approx(2)
        assert row["latency_ms"]["count"] == len(row["latencies_ms"])
        assert row["verified"]


def test_a_subject_that_computes_wrong_fails_and_is_not_timed(specs: list[Spec]) -> None:
    fakes = {
        "one": _Fake(specs[0], 0.0001, wrong="enhanced is off by 1"),
        "two": _Fake(specs[1], 0.01),
        "three": _Fake(specs[2], 0.01, later="calls on the same frame differ"),
    }
    told = _run(fakes, specs)
    one, two, three = told["rows"]
    assert "latency_ms" not in one
    assert not fakes["one"].calls
    assert "latency_ms" not in three
    assert (one["verified"], two["verified"], three["verified"]) == (False, True, False)
    text = table(told)
    assert "FAILED one on fake at 24x16: enhanced is off by 1" in text
    assert "FAILED three on fake at 24x16: calls on the same frame differ" in text
    assert len(re.findall("^two .* yes$", text, re.MULTILINE)) == 1
    assert "Failed: one on cpu: enhanced is off by 1." in page(told)


@pytest.mark.parametrize("breaks", [2, 9], ids=["warming up", "in the middle"])
@pytest.mark.parametrize("scenario", ["single", "streams", "rate"])
def test_a_call_that_fails_costs_its_own_figures_only(
    scenario: Scenario, breaks: int, specs: list[Spec]
) -> None:
    fakes = {
        "one": _Fake(specs[0], 0.005, breaks=breaks),
        "two": _Fake(specs[1], 0.005),
        "three": _Fake(specs[2], 0.005),
    }
    told = _run(fakes, specs, scenario=scenario, streams=2)
    one, two, three = told["rows"]
    # Only calls of the other stream may follow the failure, until the turn ends.
    assert len(fakes["one"].calls) < 0.6 * len(fakes["two"].calls)
    assert "latency_ms" not in one
    assert one["problem"] == "The engine ran out of memory: close other programs"
    assert two["latency_ms"]["count"] > 8
    assert three["verified"]


def test_uncertain_medians_are_measured_longer(specs: list[Spec]) -> None:
    fake, unsure = _Fake(specs[0], 0.01), _Fake(specs[1], 0.01)
    waits = itertools.cycle([0.001, 0.03])  # random times might by chance be nearly equal
    unsure.call = lambda: unsure.clock.work(next(waits))  # type: ignore[method-assign]
    told = _run({"one": fake, "two": unsure}, specs[:2], confidence=0.3, seconds=0.4)
    sure, not_sure = (sum(row["latencies_ms"]) / 1000 for row in told["rows"])
    assert sure == pytest.approx(0.4, abs=0.06)
    assert not_sure == pytest.approx(4 * 0.4, abs=0.15)
    assert told["rows"][0]["uncertainty"] < 0.3


def test_a_slow_first_call_is_no_reason_not_to_warm_up(specs: list[Spec]) -> None:
    fake = _Fake(specs[0], 0.001)
    fake.first_seconds = 2.0
    told = _run({"one": fake}, specs[:1])
    rounds = told["plan"]["rounds"]
    assert len(fake.calls) == told["rows"][0]["latency_ms"]["count"] + 2 + rounds


def test_a_subject_whose_stages_cannot_be_timed_keeps_its_figures(specs: list[Spec]) -> None:
    """For example, for a batch that the engine splits."""
    fake = _Fake(specs[0], 0.001)

    def refuse() -> dict[str, float]:
        raise HyperguideError("The engine takes no image of this shape.")

    fake.stages = refuse  # type: ignore[method-assign]
    told = _run({"one": fake}, specs[:1])
    assert told["rows"][0]["verified"]
    assert told["rows"][0]["latency_ms"]["count"] > 10
    assert told["rows"][0]["stages_ms"] == {}
    assert "<svg" in page(told)


def test_too_few_frames_give_no_verdict_on_keeping_up_with_the_rate(
    specs: list[Spec],
) -> None:
    plan = {"scenario": "rate", "fps": 5.0, "seconds": 0.4, "rounds": 1}
    told = _run({"one": _Fake(specs[0], 0.3)}, specs[:1], **plan)
    assert told["rows"][0]["keeps_up"] is None
    assert "too few frames to tell" in table(told)


def test_peaks_of_a_gpu_that_does_not_start_are_left_out() -> None:
    assert peaks(0.01, gpu=0).keys() == {"fp32", "int8"}


def test_slow_calls_are_timed_no_longer_than_four_times_the_seconds(specs: list[Spec]) -> None:
    """At most four times the seconds, although two calls give no bounds; there is no warm-up."""
    fake = _Fake(specs[0], 0.7)
    fake.call_seconds = 0.7
    told = _run({"one": fake}, specs[:1], seconds=0.3)
    assert len(fake.calls) == told["rows"][0]["latency_ms"]["count"] == 2
    assert told["rows"][0]["uncertainty"] is None
    assert "?" in table(told)
    json.loads(json.dumps(told), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("seconds", "keeps_up"), [(0.005, True), (0.03, False)], ids=["below", "above"]
)
def test_above_capacity_the_report_says_so(
    specs: list[Spec], seconds: float, keeps_up: bool
) -> None:
    fakes = {"one": _Fake(specs[0], seconds)}
    told = _run(fakes, specs[:1], scenario="rate", fps=50.0, seconds=1.0, rounds=2)
    row = told["rows"][0]
    assert row["keeps_up"] is keeps_up
    assert row["latency_growth"] == pytest.approx(max(seconds * 50 - 1, 0), abs=1e-9)
    assert ("s later each second" in table(told)) is not keeps_up
    assert ("s later each second" in page(told)) is not keeps_up


def test_streams_and_batches_count_every_picture(exported: Path) -> None:
    spec = Spec(exported, "one", Device("cpu"), 16, 24, batch=4)
    offline = _run({"one": _Fake(spec, 0.01)}, [spec], scenario="offline")["rows"][0]
    assert offline["pictures_per_second"] == pytest.approx(400)
    spec = Spec(exported, "one", Device("cpu"), 16, 24)
    streams = _run({"one": _Fake(spec, 0.01)}, [spec], scenario="streams", streams=3)["rows"][0]
    assert streams["pictures_per_second"] == pytest.approx(300)


def test_bench_names_a_file_that_cannot_be_opened_and_times_the_others(specs: list[Spec]) -> None:
    fake = _Fake(specs[1], 0.005)

    def open_subject(spec: Spec) -> Any:
        if spec.label == "one":
            raise HyperguideError("there is no such engine.")
        return fake

    plan = BenchPlan(seconds=0.1)
    told = record(measure(specs[:2], plan, open_subject, clock=fake.clock), plan, describe())
    assert told["rows"][0]["problem"] == "there is no such engine"
    assert told["rows"][1]["latency_ms"]["count"] > 5


def test_a_bench_without_verification_says_so_in_table_and_page(specs: list[Spec]) -> None:
    told = _run({"one": _Fake(specs[0], 0.005)}, specs[:1], verify=False)
    assert not told["verified"]
    assert not told["rows"][0]["verified"]
    assert "NOT VERIFIED" in table(told)
    assert "Not verified" in page(told)


@pytest.mark.parametrize("scenario", ["single", "streams", "rate", "offline"])
def test_the_bench_command_times_a_model_file(
    scenario: Scenario, exported: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    words = ("--shape", "64x96", "--seconds", 0.3, "--confidence", 1, "--device", "cpu")
    out = tmp_path / "a.json"
    result = quick_cli("bench", exported, *words, "--scenario", scenario, "--json", out)
    assert result.code == 0, result.err
    told = json.loads(out.read_text())
    (row,) = told["rows"]
    assert row["engine"] == "ONNX Runtime, CPU"
    assert row["verified"]
    assert row["checked"] == ["golden samples"]
    assert row["convolutions"].keys() == {"fp32"}
    assert row["giga_macs_per_second"] > 0
    assert row["share_of_peak"]["share"] > 0
    assert set(row["stages_ms"]) == {"pre", "engine", "post"}
    assert min(row["stages_ms"].values()) > 0
    assert told["command"][0] == "hyperguide"
    assert told["machine"]["packages"]["numpy"] == np.__version__
    assert row["model"] in result.out


def _wrong(path: Path, target: Path) -> Path:
    """The file with red and blue swapped, resealed."""
    model = onnx.load(path)
    next(node for node in model.graph.node if "enhanced" in node.output).output[0] = "right"
    order = onnx.numpy_helper.from_array(np.array([2, 1, 0]), "order")
    model.graph.initializer.append(order)
    axis = onnx.helper.make_attribute("axis", 1)
    node = onnx.helper.make_node("Gather", ["right", "order"], ["enhanced"])
    node.attribute.append(axis)
    model.graph.node.append(node)
    seal(model)
    onnx.save(model, target)
    return target


def test_a_model_file_that_computes_wrong_fails_the_bench_command(
    exported: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    wrong = _wrong(exported, tmp_path / "wrong.onnx")
    words = ("--shape", "32x48", "--seconds", 0.1, "--device", "cpu")
    out = tmp_path / "a.json"
    result = quick_cli("bench", exported, wrong, *words, "--json", out)
    fails(result, "1 of 2 failed")
    assert re.search("FAILED wrong on ONNX Runtime, CPU at 48x32: enhanced is off by", result.out)
    right, bad = json.loads(out.read_text())["rows"]
    assert "latency_ms" in right
    assert "latency_ms" not in bad
    blind = quick_cli("bench", wrong, *words, "--no-verify", "--json", tmp_path / "b.json")
    assert blind.code == 0
    assert "NOT VERIFIED" in blind.out
    assert not json.loads((tmp_path / "b.json").read_text())["verified"]


class _Checker(HTMLParser):
    """Checks that every element is closed and nothing is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_html_page_loads_nothing_and_shows_every_plot(specs: list[Spec]) -> None:
    fakes = {spec.label: _Fake(spec, 0.003) for spec in specs}
    told = _run(fakes, specs)
    told["rows"][1] |= {"batch": 4, "model": "one"}
    told["rows"][2]["model"] = "<b>&"
    for row in told["rows"]:
        row["quality"] = {"bsd68": {"15/255": {"output_psnr": 31.0}, "protocol": "rgb"}}
    checker = _Checker()
    checker.feed(page(told))
    assert not checker.open
    text = " ".join(checker.texts)
    assert "Throughput over batch size" in text
    assert "Quality against speed: denoise, bsd68" in text
    assert "<b>&, fake" in text
    drawings = re.findall("<svg.*?</svg>", page(told), re.DOTALL)
    assert len(drawings) == 4  # latency for two batch sizes, throughput, quality
    for drawing in drawings:
        assert ET.fromstring(drawing).findall(".//{*}path") or "<circle" in drawing


def test_plots_draw_points_where_their_values_are() -> None:
    drawing = plot([Curve("a", [1, 10, 100], [0.0, 5.0, 10.0], dots=True)], "x", "y", log_x=True)
    root = ET.fromstring(re.search("<svg.*</svg>", drawing, re.DOTALL)[0])  # type: ignore[index]
    dots = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter("circle")]
    (x0, y0), (x1, y1), (x2, y2) = dots
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)  # logarithmic axis
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y0 > y1 > y2
    marks = {
        t.text: float(t.attrib["x"])
        for t in root.iter("text")
        if t.get("text-anchor") == "middle" and "x" in t.attrib
    }
    for value, (x, _) in zip(("1", "10", "100"), dots, strict=True):
        assert marks[value] == pytest.approx(x, abs=0.2)
    many = plot([Curve(str(n), [1.0, 2.0], [n, n + 1.0]) for n in range(9)], "x", "y")
    assert many.count("stroke-dasharray") == 1  # the ninth curve, which reuses the first colour
    flat = plot([Curve("b", [2.0], [3.0])], "x", "y")  # one point has no range
    assert "<circle" in flat


def test_convolutions_run_in_the_type_of_their_weights() -> None:
    """Weights as in ONNX Runtime's optimised graphs: constants, or dequantised int8."""

    def constant(name: str, kind: type) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1), kind), name)

    node = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            node("Conv", ["x", "single"], ["a"]),
            node("Conv", ["a", "half"], ["b"]),
            node("DequantizeLinear", ["q", "scale"], ["w"]),
            node("Conv", ["b", "w"], ["c"]),
            node("QLinearConv", ["c", *("s", "z", "q", "s", "z", "s", "z")], ["d"]),
        ],
        "convolutions",
        [],
        [],
        [
            constant("single", np.float32),
            constant("half", np.float16),
            constant("q", np.int8),
            constant("scale", np.float16),
        ],
    )
    content = memoryview(graph.SerializeToString())
    assert census(content) == {"fp16": 2, "fp32": 1, "int8": 1}


def test_measured_peaks_of_the_machine_are_positive() -> None:
    found = peaks(0.05)
    assert found.keys() == {"fp32", "int8"}
    assert min(found.values()) > 0
    assert describe()["cores"] >= 1


@pytest.mark.parametrize("batch", [1, 3])
def test_a_bench_subject_is_verified_against_the_enhancer(batch: int, exported: Path) -> None:
    subject = Subject(Spec(exported, "x", Device("cpu"), 50, 70, batch), synthetic_frame())
    assert subject.verify().passed
    result = subject.call()
    assert (
        result.image.shape == subject.frame.shape == ((50, 70, 3) if batch == 1 else (3, 50, 70, 3))
    )
    assert subject.still_right().passed
    subject._last.image[..., 0] ^= 255
    assert "differ by" in subject.still_right().problem
    subject.close()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--fps", 10), "belongs to --scenario rate"),
        (("--streams", 2), "belongs to --scenario streams and rate"),
        (("--shape", "64"), "is not like 720x1280"),
        (("--batch", 0), "0 is not in the range"),
    ],
)
def test_wrong_usage_exits_2(words: tuple[object, ...], reason: str, quick_cli: Cli) -> None:
    result = quick_cli("bench", "denoise", *words)
    assert result.code == 2
    assert reason in result.err


def test_bench_outputs_keep_existing_files_and_name_missing_folders(
    exported: Path, tmp_path: Path, quick_cli: Cli
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("mine")
    fails(quick_cli("bench", exported, "--json", kept), "exists")
    assert kept.read_text() == "mine"
    fails(quick_cli("bench", exported, "--html", tmp_path / "no" / "page.html"), "folder")
    fails(quick_cli("bench", tmp_path / "no.onnx", "--seconds", 0.1), "no model file")
