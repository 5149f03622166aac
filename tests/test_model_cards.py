"""Cards are checked against the files that they describe."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperguide.model_format.bundled import bundled_path
from hyperguide.model_format.model_file import ModelFile, read_model_file

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import model_cards

    return model_cards


@pytest.fixture
def model() -> ModelFile:
    return read_model_file(bundled_path("derain", "fast"))


def test_the_cards_of_the_package_say_what_its_files_say() -> None:
    command = [sys.executable, str(BENCHMARKS / "model_cards.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_training_numbers_of_a_card_come_from_the_model_file(cards: Any, model: ModelFile) -> None:
    words = cards.read_words(cards.WORDS / "derain-fast.yaml")
    data = model.info.training["data"]
    text = words.filled(model.info)
    assert f"{data['pairs']} pairs" in text
    changed = replace(model.info, training=model.info.training | {"data": data | {"pairs": 7}})
    assert "7 pairs" in words.filled(changed)
    assert words.filled(changed) != text


def test_a_card_whose_purpose_differs_from_the_model_file_is_a_fault(
    cards: Any, model: ModelFile
) -> None:
    words = cards.read_words(cards.WORDS / "derain-fast.yaml")
    assert cards.faults(model.info, words) == []
    assert "its card" in cards.faults(model.info, replace(words, purpose="Paints."))[0]


def test_a_model_file_trained_on_its_test_pictures_is_a_fault(cards: Any, model: ModelFile) -> None:
    words = cards.read_words(cards.WORDS / "derain-fast.yaml")
    quality = model.info.quality
    seen = quality["rain100l"] | {"seen_in_training": 75}
    info = replace(model.info, quality=quality | {"rain100l": seen})
    assert "trained on pictures of rain100l" in cards.faults(info, words)[0]
    unknown = {k: v for k, v in model.info.training.items() if k != "seen"}
    info = replace(model.info, training=unknown)
    assert "nobody knows" in cards.faults(info, words)[0]


def test_a_card_counts_the_test_pictures_that_were_seen(cards: Any, model: ModelFile) -> None:
    words = cards.read_words(cards.WORDS / "derain-fast.yaml")
    text = cards.write_card("derain-fast", words, [model])
    (seen,) = [line for line in text.splitlines() if "Test pictures among" in line]
    assert "rain100l 0 of 100" in seen
