"""`hyperguide export`: see export/cli.py, which needs the extra `export`."""

from .loading import load_command

export = load_command("hyperguide.export.cli", "export")
