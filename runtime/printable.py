"""Text from outside made fit for a terminal.

A name may hold any byte but the slash: escape codes that colour or move the text, line breaks that
forge other messages, marks that turn the direction of writing, bytes that are no UTF-8.
"""

from __future__ import annotations

import reprlib
import unicodedata

_LONGEST = 64  # characters of a value
_values = reprlib.Repr()
_values.maxstring = _values.maxother = _values.maxlong = _LONGEST

# The joiners that Persian and Indian words need.
_KEPT = {"\u200c", "\u200d"}


def printable(text: str, kept: str = "") -> str:
    """A text in which whatever a terminal would obey, or could not show, is an escape: `\\x1b`.

    kept: control characters that stay, line breaks say.
    """
    if text.isprintable():
        return text
    return "".join(c if c in kept or _is_shown(c) else _escape(c) for c in text)


def shown(value: object) -> str:
    """A value as Python writes it, for a message: of a long one the beginning."""
    return shortened(_values.repr(value))


def shortened(text: str) -> str:
    """A name out of a file, for a message: of a long one the beginning."""
    return text if len(text) <= _LONGEST + 2 else f"{text[:_LONGEST]}..."


def _is_shown(character: str) -> bool:
    """Spaces of other scripts count as well."""
    return character.isprintable() or character in _KEPT or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
