"""Output files of the tools: existing files are kept unless --force is given."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hyperguide.errors import HyperguideError
from hyperguide.storage.atomic import refuse_existing


def add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="replace existing files")


def check_outputs(
    parser: argparse.ArgumentParser, paths: Sequence[Path | None], force: bool
) -> None:
    """Exit before any work if one of the files exists and `force` is not set."""
    try:
        for path in paths:
            if path is not None:
                refuse_existing(path, force)
    except HyperguideError as error:
        parser.exit(1, f"{error}\n")
