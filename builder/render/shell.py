"""Values in words of the shell."""

from __future__ import annotations


def quoted(value: str) -> str:
    """Quote a value for bash; nothing in it is expanded."""
    return "'" + value.replace("'", "'\\''") + "'"
