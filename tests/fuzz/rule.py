"""The rule for untrusted bytes: read correctly or refused, quickly and in little memory.

A refusal is a HyperguideError with one or two plain sentences. Reading takes at most 5 s of CPU
time, and 512 MiB plus 20 times the size of the file.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType

import hyperguide
from hyperguide.errors import HyperguideError

SECONDS = 5.0  # CPU time, so that other work on the machine does not count
BYTES, TIMES = 512 << 20, 20
LONGEST = 400  # characters of a sentence, not counting paths
_ABOUT = 40  # characters of an assertion that distinguish causes

_PACKAGE = str(Path(hyperguide.__file__).parent)
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Finding(Exception):  # noqa: N818 - not an error, but what is searched for
    """Bytes that break the rule.

    kind: the name of an exception, or `wrong`, `message`, `time` or `memory`.
    place: the function of the package where it happened, as file.py:function.
    about: distinguishes findings in one place that have several causes.
    """

    def __init__(self, kind: str, place: str, detail: str, about: str = "") -> None:
        super().__init__(f"{kind} in {place}: {detail}")
        self.kind, self.place, self.detail, self.about = kind, place, detail, about

    @property
    def key(self) -> str:
        """The key that findings with the same cause share."""
        return " ".join(filter(None, (self.kind, self.place, self.about)))


class _TooSlow(BaseException):
    """The CPU time is used up; not an Exception, so that no reader catches it."""


def check(read: Callable[[bytes], object], data: bytes, seconds: float = SECONDS) -> str | None:
    """Read bytes and check the rule.

    read: raises AssertionError if its result is wrong.
    Returns the sentence of the refusal, or None if the bytes were read. Raises Finding.
    """
    memory, refusal = _Memory(), None
    try:
        with warnings.catch_warnings(), _time_limit(seconds):
            warnings.simplefilter("ignore")
            read(data)
    except HyperguideError as error:
        refusal = str(error)
        problem = problem_of(refusal)
        if problem:
            raise Finding(
                "message", _place(error.__traceback__), f"{problem}: {refusal!r}"
            ) from None
    except AssertionError as error:
        raise Finding("wrong", _place(error.__traceback__), str(error)) from error
    except _TooSlow as slow:
        detail = f"more than {seconds:g} s of the processor"
        raise Finding("time", _place(slow.__traceback__), detail) from None
    except (Exception, SystemExit) as error:
        raise Finding(
            type(error).__name__, _place(error.__traceback__), f"{error}"[:LONGEST]
        ) from error
    taken, most = memory.taken(), BYTES + TIMES * len(data)
    if taken > most:
        detail = f"{taken >> 20} MiB for {len(data)} bytes"
        raise Finding("memory", "read" if refusal is None else "refused", detail)
    return refusal


def problem_of(sentence: str) -> str:
    """Why a refusal is not a plain sentence; empty if it is one."""
    words = [word for word in sentence.split(" ") if "/" not in word]  # without paths
    if any(_obeyed(character) for character in sentence):
        return "characters that are not printable"
    if not sentence.endswith((".", ".'", "?")):
        return "no stop at its end"
    if len(" ".join(words)) > LONGEST:
        return f"longer than {LONGEST} characters"
    return ""


def _obeyed(character: str) -> bool:
    """Whether a character controls a terminal: control codes, line breaks, bidi marks.

    Spaces of other scripts are shown; the joiners that Persian and Indic scripts need are allowed.
    """
    category = unicodedata.category(character)
    return (category[0] == "C" or category in ("Zl", "Zp")) and character not in "\u200c\u200d"


def _place(trace: TracebackType | None) -> str:
    """The innermost running function of the package, or else the reader itself."""
    inside = reader = "reader"
    while trace is not None:
        code = trace.tb_frame.f_code
        name = f"{Path(code.co_filename).name}:{code.co_name}"
        if code.co_filename.startswith(_PACKAGE):
            inside = name
        elif Path(code.co_filename).parent.name == "targets":
            reader = name
        trace = trace.tb_next
    return reader if inside == "reader" else inside


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise _TooSlow in the main thread; native code is interrupted only when it returns."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _TooSlow


class _Memory:
    """Measures the peak memory taken from now on, beyond what is held now.

    Uses the system's peak since the process started. The peak is reset only if it is already too
    high, which may be due to an earlier reading.
    """

    def __init__(self) -> None:
        self._held = int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE
        if _peak() > self._held + BYTES:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # reset the peak
        self._peak = _peak()

    def taken(self) -> int:
        """Bytes, or 0 if an earlier peak was not exceeded."""
        peak = _peak()
        return peak - self._held if peak > self._peak else 0


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
