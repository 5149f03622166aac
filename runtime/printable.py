"""Makes text from outside safe for a terminal.

A file name may hold any byte except the slash: escape codes that colour or move the text, line
breaks that forge other messages, marks that change the writing direction, bytes that are not UTF-8.
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
    """Escape the characters that a terminal would obey or could not show, as in `\\x1b`.

    kept: control characters to keep, such as line breaks.
    """
    if text.isprintable():
        return text
    return "".join(c if c in kept or _is_shown(c) else _escape(c) for c in text)


def shown(value: object) -> str:
    """The repr of a value for a message, cut if it is long."""
    return shortened(_values.repr(value))


def shortened(text: str) -> str:
    """A name from a file for a message, cut if it is long."""
    return text if len(text) <= _LONGEST + 2 else f"{text[:_LONGEST]}..."


def _is_shown(character: str) -> bool:
    """Whether a character is kept as is; spaces of other scripts are too."""
    return character.isprintable() or character in _KEPT or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python represents a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
