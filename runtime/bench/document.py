"""The frame of a self-contained HTML page: its style, and tables."""

from __future__ import annotations

import html
from collections.abc import Sequence

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667079; --line: #d6dade;
  --paper: #ffffff; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --soft: #98a1a9; --line: #3a4148;
  --paper: #16191c; --bad: #ff8a80; } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 80rem; margin: 0 auto; padding: 1.2rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
p { margin: .3rem 0 } .soft { color: var(--soft) } .bad { color: var(--bad); font-weight: 600 }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap }
th { font-weight: 600; color: var(--soft) }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper) }
h3 { font-size: .95rem; font-weight: 600; margin: 1.2rem 0 .2rem }
svg { width: 100%; height: auto; min-width: 30rem; max-width: 44rem; display: block }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink) } svg .soft { fill: var(--soft) }
svg .axis { stroke: var(--line) } svg .curve { fill: none; stroke-width: 2 }
code { font-size: .85rem; overflow-wrap: anywhere }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .85rem; margin: .3rem 0 }
.legend i { display: inline-block; width: .9rem; height: .25rem; margin-right: .4rem;
  vertical-align: middle }
"""


def document(title: str, parts: Sequence[str]) -> str:
    """A page of HTML fragments under a headline."""
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{_STYLE}</style></head>\n<body>\n<h1>{name}</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def html_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """An HTML table, which scrolls separately on narrow screens."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in lines
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'
