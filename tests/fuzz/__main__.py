"""The command line of the fuzzers: `python -m fuzz`, with tests/ on the path."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from . import campaign
from .rule import Finding, check
from .targets import NAMES, find_target

ROOT = Path(__file__).parents[2]


@click.group()
def main() -> None:
    """Fuzz the readers of untrusted bytes."""


@main.command()
@click.argument("targets", nargs=-1)
@click.option("--seconds", type=click.FloatRange(1), default=60.0, help="For each target.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Targets at a time.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "fuzz", help="Folder.")
def run(targets: tuple[str, ...], seconds: float, jobs: int, out: Path) -> None:
    """Fuzz TARGETS, or all. A prefix stands for all targets that begin with it.

    Exit code 1 if there are findings or a target did not run.
    """
    for word in targets:
        if not any(name.startswith(word) for name in NAMES):
            raise click.UsageError(f"There is no target {word}: choose of {', '.join(NAMES)}.")
    names = [name for name in NAMES if not targets or name.startswith(targets)]
    outcomes = campaign.run(names, seconds, jobs, out.resolve())
    click.echo(campaign.table(outcomes))
    sys.exit(any(outcome.trouble or outcome.findings.causes for outcome in outcomes))


@main.command()
@click.argument("target", type=click.Choice(NAMES))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--raw", is_flag=True, help="Raise what the reader raises, with its traceback.")
def replay(target: str, file: Path, raw: bool) -> None:
    """Read FILE as TARGET does, and report whether the rule was kept."""
    read = find_target(target).read
    if raw:
        read(file.read_bytes())
        return
    try:
        refusal = check(read, file.read_bytes())
    except Finding as finding:
        click.echo(f"{finding.key}: {finding.detail.encode('unicode_escape').decode()}")
        sys.exit(1)
    click.echo("read rightly" if refusal is None else f"refused: {refusal}")


@main.command()
@click.argument("target", type=click.Choice(NAMES))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def seeds(target: str, folder: Path) -> None:
    """Write the valid inputs from which fuzzing of TARGET starts into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in find_target(target).seeds().items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main(prog_name="fuzz")
