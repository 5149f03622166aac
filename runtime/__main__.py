"""`python -m hyperguide` is the command line."""

from hyperguide.cli.main import run

run()
