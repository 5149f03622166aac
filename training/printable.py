"""Names of files as one line of text that any terminal shows as it is."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with escapes like `\\x1b` for line breaks, bytes that are no UTF-8 and the like."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
