"""Runs the command line as `python -m hyperguide`."""

from hyperguide.cli.main import run

run()
