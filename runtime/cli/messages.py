"""Messages for the user."""

from __future__ import annotations

import click

from hyperguide.printable import printable


def say(sentence: str) -> None:
    """Print a sentence on standard error; see `printable`."""
    click.echo(printable(sentence), err=True)
