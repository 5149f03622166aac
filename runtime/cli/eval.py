"""`hyperguide eval`: see training/evaluation/cli.py, which needs the extra `train`."""

from .loading import load_command

eval = load_command("hyperguide.training.evaluation.cli", "evaluate")
