"""The benchmark tools: the GPU recipe, the suites' page, and the comparison of two runs."""

from __future__ import annotations

import copy
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hyperguide.cli.main import program
from hyperguide.model_format.bundled import bundled_models

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def _tool(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, BENCHMARKS / name, *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def test_the_gpu_recipe_knows_the_command_line() -> None:
    """Every command parses, and every bundled file is verified, built and timed."""
    result = _tool("gpu.py", "--list")
    assert result.returncode == 0, result.stderr
    lines = [shlex.split(line) for line in result.stdout.splitlines()]
    scripts = [words[1] for words in lines if words[0] == "python"]
    assert scripts
    assert all((BENCHMARKS.parent / script).exists() for script in scripts)
    commands = [words[1:] for words in lines if words[0] == "hyperguide"]
    for verb, *words in commands:
        command = program.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        command.make_context(verb, words)
    for model in bundled_models():
        verbs = {words[0] for words in commands if any(model.stem in word for word in words)}
        assert verbs == {"verify", "build", "bench"}


def test_the_gpu_recipe_goes_on_behind_a_failure_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu

    wrong, right = gpu.Step("wrong", ("info", "nothing")), gpu.Step("right", ("models",))
    monkeypatch.setattr(gpu, "steps", lambda *given: [wrong, right])
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path / "out")])
    assert gpu.main() == 1
    assert "failed: wrong\n" in capsys.readouterr().out
    assert "denoise" in (tmp_path / "out" / "right.txt").read_text()


def test_steps_of_the_gpu_recipe_end_in_time_and_what_they_said_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr("gpu._HYPERGUIDE", ("-u", "-c"))
    import gpu

    asleep = "import time; print('half done'); time.sleep(1000)"
    bench = gpu.Step("bench", (asleep,), limit=3)
    training = gpu.Step("training", (asleep,), limit=3, may_be_ended=True)
    assert not gpu.run(bench, tmp_path)
    assert gpu.run(training, tmp_path)
    assert (tmp_path / "bench.txt").read_text() == "half done\n"
    assert capsys.readouterr().out.count("ended in") == 2
    monkeypatch.setattr(gpu, "steps", lambda *given: [training])
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path), "--minutes", "-1"])
    assert gpu.main() == 1
    assert "not begun in -1 minutes: training" in capsys.readouterr().out


def test_trainings_of_the_gpu_recipe_go_on_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu

    def words() -> tuple[str, ...]:
        (step,) = gpu.trainings(tmp_path, ["derain"], [Path("photos")], 60)
        program.get_command(None, "train").make_context("train", list(step.words[1:]))  # type: ignore
        return step.words

    assert "--resume" not in words()
    (tmp_path / "train-derain").mkdir()
    (tmp_path / "train-derain" / "state.safetensors").touch()
    assert "--resume" in words()


def _told() -> dict[str, Any]:
    """The parts of pytest-benchmark's output that are read."""
    against = {"ratio": 2.0, "against": "one", "against_data": [0.1]}
    members = [
        {
            "group": "a < b",
            "fullname": f"benchmarks/test_x.py::test_x[{name}]",
            "name": f"test_x[{name}]",
            "param": name,
            "stats": {"data": [seconds, 1.1 * seconds, 1.3 * seconds], "rounds": 3},
            "extra_info": {
                **{"p50_ms": 1.1e3 * seconds, "p90_ms": 1.3e3 * seconds, "p99_ms": 1.3e3 * seconds},
                **{"psnr": 30.5, "megapixels": 0.5, "told": ""},
                **(against if name == "two" else {}),
            },
        }
        for name, seconds in (("one", 0.1), ("two", 0.2))
    ]
    return {"datetime": "2026-01-02T03:04:05", "benchmarks": members}


def test_the_suites_page_shows_figures_and_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import report

    page = report.page(_told())
    assert "<h2>a &lt; b</h2>" in page
    assert re.search(r"<td>two</td><td>one</td><td>2.000</td><td>220.00</td>", page)
    assert page.count("<svg") == 2  # latencies, quality against speed
    # Quality against speed is per megapixel: 110 ms for half a megapixel.
    assert "ms per megapixel" in page


def test_sittings_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls count equally: in one sitting both sides were slower, one of them more."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import report

    told = _told()
    one = told["benchmarks"][1]
    one["extra_info"]["against_data"] = [0.1, 0.11, 0.12]
    other = copy.deepcopy(one)
    other["stats"]["data"] = [0.8] * 7
    other["extra_info"]["against_data"] = [0.3] * 7
    for number, member in enumerate((one, other), 1):
        for key in ("name", "fullname", "param"):
            member[key] = member[key].replace("two", f"two-sitting{number}")
    told["benchmarks"].append(other)
    joined = report.joined(told)["benchmarks"]
    assert [member["param"] for member in joined] == ["one", "two"]
    assert joined[1]["stats"]["rounds"] == 10
    assert joined[1]["extra_info"]["p50_ms"] == pytest.approx(800)
    assert joined[1]["extra_info"]["ratio"] == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("ids", "rest"),
    [("sitting1", ""), ("a-sitting1", "a"), ("sitting1-a", "a"), ("a-sitting12-b", "a-b")],
)
def test_a_sitting_is_no_part_of_a_name(
    ids: str, rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import report

    told = _told()
    told["benchmarks"][0] |= {"param": ids, "name": f"test[{ids}]"}
    member = report.joined(told)["benchmarks"][0]
    assert member["param"] == rest
    assert "sitting" not in member["name"]


@pytest.mark.parametrize(("second", "code"), [(2.18, 0), (2.22, 1), (1.78, 1)])
def test_runs_that_differ_by_a_tenth_do_not_agree(
    second: float, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import report

    other = copy.deepcopy(_told())
    other["benchmarks"][1]["extra_info"]["ratio"] = second
    assert report.compare(_told(), other) == code
    del other["benchmarks"][1]["extra_info"]["against_data"]
    with pytest.raises(SystemExit, match="older version"):
        report.compare(_told(), other)


def test_a_tool_replaces_no_file_unless_told(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("precious")
    (tmp_path / "suites.json").write_text("{}")
    result = _tool("report.py", str(tmp_path / "suites.json"), "--html", str(page))
    assert result.returncode == 1
    assert "exists: choose another name or add --force" in result.stderr
    assert "Traceback" not in result.stderr
    assert page.read_text() == "precious"
