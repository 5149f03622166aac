"""`hyperguide train`: see training/cli.py, which needs the extra `train`."""

from .loading import load_command

train = load_command("hyperguide.training.cli", "train")
