"""`hyperguide VERB ...`: finds the verb, and turns errors into one sentence.

Exit codes: 0 done, 1 failed on the input, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any, NoReturn

import click

from hyperguide import __version__
from hyperguide.errors import HyperguideError
from hyperguide.printable import printable

from .loading import load_command
from .messages import say
from .streams import prepare

# Verb -> what it does. The command VERB is in the file VERB.py beside this one, and is loaded when
# it is called, so that the runtime's verbs start fast and work without torch.
_VERBS = {
    "enhance": "Enhance pictures, folders, videos and cameras.",
    "train": "Train a guided pair on photos.",
    "eval": "Measure a run, model file or official weights on a test suite.",
    "export": "Fuse a trained pair into one ONNX file.",
    "build": "Build a TensorRT engine of a model file.",
    "verify": "Prove that a model file is right on this machine.",
    "bench": "Time models on this machine and check them.",
    "info": "Show what a model file is and how good.",
    "models": "List the models that come with the package.",
    "demo": "Show the models in a web page: pictures, webcam, maps.",
    "doctor": "Show what this machine can run.",
}

# Package that a verb needs -> the extra that installs it.
_EXTRAS = {
    "torch": "train",
    "safetensors": "train",
    "yaml": "train",
    "tensorboard": "train",
    "matplotlib": "train",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "cpu",
    "ray": "ray",
    "pyarrow": "ray",
}


class _Verbs(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        return load_command(f"hyperguide.cli.{name}", name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example:  hyperguide enhance -i rainy.jpg -o clean.png -t derain",
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.version_option(__version__, message="hyperguide %(version)s")
def program(debug: bool) -> None:
    """Guided image enhancement: train, export, enhance."""


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run the program and exit."""
    prepare()
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    # Accepted before and after the verb.
    rest = [a for a in arguments if a != "--debug"]
    sys.exit(_run(rest, debug))


def _run(arguments: list[str], debug: bool) -> int:
    try:
        result: Any = program.main(arguments, prog_name="hyperguide", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # while a full disk can still be reported
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        words = printable(error.format_message(), kept="\n\t")
        click.UsageError(words, error.ctx).show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("hyperguide: Interrupted.")
        return 130
    except BrokenPipeError:  # `hyperguide info ... | head`
        _write_no_more()
        return 1
    except Exception as error:  # the edge: nothing may reach the user as a traceback
        if debug:
            traceback.print_exc()
        if _is_of_the_output(error):
            _write_no_more()
        say(f"hyperguide: {_sentence(error)}")
        return 1


def _sentence(error: Exception) -> str:
    """The message for the user about an error."""
    if isinstance(error, HyperguideError):
        return str(error)
    if isinstance(error, OSError) and _is_of_the_output(error):
        return f"What was to be printed could not be written, {error.strerror}: free some space."
    if isinstance(error, MemoryError):
        return "There is not enough memory: close other programs, or give --max-memory."
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in _EXTRAS:
        return f"This needs the package {missing}: pip install 'hyperguide[{_EXTRAS[missing]}]'."
    return (
        f"Internal error: {type(error).__name__}: {' '.join(str(error).split())}. "
        "Run again with --debug for the traceback and report it."
    )


def _is_of_the_output(error: Exception) -> bool:
    """Whether standard output could not be written; errors of files name the file."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    return isinstance(error, OSError) and error.filename is None and error.errno in full


def _write_no_more() -> None:
    """Discard what is left for standard output, which Python would try to write again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
