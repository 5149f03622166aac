"""The peers against the bundled files: speed on one picture, quality on a few."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from peers import AbsentError, peers
from quality_against_speed import call_of, differs, open_material

from conftest import InTurns
from hyperguide.tasks import TASKS
from hyperguide.training.evaluation.protocols import PROTOCOLS
from hyperguide.training.evaluation.suites import Case, Suite
from hyperguide.training.evaluation.target import Target

_DATA = os.environ.get("HYPERGUIDE_DATA")
DATA = Path(_DATA) if _DATA else None
PICTURES = 3
# Peers that take minutes per picture or compile for it.
_LONG = ("BM3D", "torch.compile, same network")


def _all() -> list[object]:
    return [
        pytest.param(
            task,
            peer.name,
            marks=pytest.mark.long if peer.name in _LONG else (),
            id=f"{task}, {peer.name.removeprefix(f'{task} ')}",
        )
        for task in TASKS
        for peer in peers(task, DATA)
    ]


@cache
def _prepared(task: str, name: str) -> tuple[Target, Suite, list[Case], float]:
    """A peer, the pictures, and its mean PSNR on them."""
    suite = open_material(task, DATA, PICTURES)
    score = PROTOCOLS[suite.protocol].score
    target = next(p for p in peers(task, DATA) if p.name == name).open()
    cases = [make() for make in suite.cases]
    scores = [score(call_of(target, case)(), case.clean, case.border).psnr for case in cases]
    return target, suite, cases, float(np.mean(scores))


@pytest.mark.parametrize(("task", "name"), _all())
def test_peer(task: str, name: str, in_turns: InTurns) -> None:
    torch.set_num_threads(os.cpu_count() or 1)
    ours, peer = peers(task, DATA)[0], next(p for p in peers(task, DATA) if p.name == name)
    try:
        target, suite, cases, psnr = _prepared(task, name)
        reference, _, _, expected = _prepared(task, ours.name)
    except AbsentError as error:
        pytest.skip(str(error))
    assert not (wrong := differs(peer, psnr, expected)), wrong
    in_turns(
        call_of(target, cases[0]),
        None if name == ours.name else call_of(reference, cases[0]),
        group=f"{task}, one picture of {suite.about}",
        against=ours.name,
        warm=peer.kind != "network",
        psnr=psnr,
        pictures=len(cases),
        megapixels=cases[0].clean.shape[0] * cases[0].clean.shape[1] / 1e6,
        told=peer.told,
    )
