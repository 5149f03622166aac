"""Imports PyAV, the Python bindings of FFmpeg's libraries, and words its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hyperguide.errors import DiskFullError, HyperguideError, UnavailableError

if TYPE_CHECKING:
    import av as av_module

try:
    import av as av_module
except ImportError as error:
    raise UnavailableError(
        "Video needs the package av: pip install 'hyperguide[video]'."
    ) from error

av = av_module
av.logging.set_level(None)  # what matters arrives as exceptions

_NO_SPACE = 28


@contextmanager
def av_errors(sentence: str) -> Iterator[None]:
    """Raise FFmpeg's errors as HyperguideError: `sentence`, then FFmpeg's reason.

    BrokenPipeError stays: it is no failure if the reader of a pipe wants no more.
    """
    try:
        yield
    except BrokenPipeError:  # the program that reads the output has ended
        raise
    except (av.error.FFmpegError, OSError) as error:
        full = getattr(error, "errno", None) == _NO_SPACE
        kind = DiskFullError if full else HyperguideError
        raise kind(f"{sentence}: {reason(error)}.") from error
    except (ValueError, OverflowError, RuntimeError) as error:
        raise HyperguideError(f"{sentence}: {reason(error)}.") from error


def reason(error: BaseException) -> str:
    """FFmpeg's reason for an error, in a few words without a full stop."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split()).rstrip(".")
