"""Loads commands by the name of their module when they are needed."""

from __future__ import annotations

import importlib

import click


def load_command(module: str, name: str) -> click.Command:
    """Import a module by its full name, and return its command of this name.

    By name, not with an import statement: startup stays fast, and nothing in the runtime imports
    training or export. Raises ModuleNotFoundError if a package that the module needs is missing.
    """
    command = getattr(importlib.import_module(module), name)
    assert isinstance(command, click.Command)
    return command
