"""Tests that encoders leave the scheduling of a program as it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import av
import pytest
from made_videos import clip

from conftest import printed_by

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="Only root on Linux may change it."
)

POLICIES = """
import os
def policies():
    return {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
"""


def test_svt_av1_still_makes_threads_real_time_ones() -> None:
    """Otherwise the next tests, and what they test, are not needed any more."""
    script = f"""
import av{POLICIES}
encoder = av.CodecContext.create("libsvtav1", "w")
encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 128, 96, "yuv420p", 25
encoder.options = {{"svtav1-params": "lp=1"}}
encoder.open()
print(os.sched_getscheduler(0) == os.SCHED_FIFO)
"""
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("This FFmpeg has no SVT-AV1.")
    assert printed_by(script).split() == ["True"]


def test_no_thread_is_a_real_time_one_while_av1_is_encoded(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", frames=3)
    script = f"""
from hyperguide import video{POLICIES}
seen = set()
with video.writer({str(tmp_path / "a.mkv")!r}, codec="av1") as output:
    for frame in video.frames({str(source)!r}):
        output.write(frame, frame.image)
        seen |= policies()
video.enhance(
    {str(source)!r}, {str(tmp_path / "b.mp4")!r}, "denoise", device="cpu", codec="av1", strength=0
)
print(sorted(seen | policies()))
"""
    assert printed_by(script) == f"[{os.SCHED_OTHER}]\n"


def test_a_thread_that_was_changed_before_stays_changed() -> None:
    script = f"""
from hyperguide.video.scheduling import usual_scheduling{POLICIES}
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
with usual_scheduling():
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
print(os.sched_getscheduler(0) == os.SCHED_BATCH)
"""
    assert printed_by(script) == "True\n"
