"""`hyperguide demo`: shows the models in a web page."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from threading import Thread

import click

from hyperguide.web_demo.page import page_folder
from hyperguide.web_demo.server import DemoServer

from .messages import say


@click.command(
    epilog="""\b
Examples:
  hyperguide demo
  hyperguide demo --port 0 --open
  hyperguide demo --page bindings/web/build/page
"""
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8317,
    show_default=True,
    help="Port on this machine; 0 takes a free one.",
)
@click.option(
    "--page", type=Path, metavar="FOLDER", help="Show a page that you built, not the package's."
)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def demo(port: int, page: Path | None, opens: bool) -> None:
    """Show the models in a web page: pictures, webcam, maps.

    The browser computes; pictures stay on this machine, and other machines cannot open the page.
    """
    with DemoServer(page_folder(page), port, _tell) as server:
        click.echo(f"Open {server.address} (Ctrl-C ends it)")
        if opens:  # in a thread: some browsers return when they end
            Thread(target=_open, args=(server.address,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return  # the usual end


def _open(address: str) -> None:
    if not webbrowser.open(address):
        _tell("No browser was found to open the page.")


def _tell(sentence: str) -> None:
    say(f"hyperguide: {sentence}")
