"""JSON from strangers: registries, credential helpers, archives.

Python's reader takes more than the standard and fails in more ways than one; this one takes less
and fails by ValueError alone.
"""

from __future__ import annotations

import json
from typing import Any

LIMIT = 4 << 20
"""Bytes of a manifest or index at most: what registries must take (distribution-spec, 1.1)."""
_DIGITS = 19


def load(content: bytes) -> Any:
    """Read a JSON text; raise ValueError, with a sentence, for what is none.

    Refused as well: duplicate keys (two readers would see two things), NaN, numbers of more than
    19 digits, other encodings than UTF-8, and nesting that exhausts the stack.
    """
    try:
        document = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_constant=_constant,
        )
        if b"\\ud" in content.lower():
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text holds half of a character (a lone surrogate)") from error
    except UnicodeDecodeError as error:
        raise ValueError("this is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"this is not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        ) from error
    except RecursionError as error:
        raise ValueError("this is nested too deeply") from error
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} stands there twice")
    return found


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"the number {text[:20]}… is too large")
    return int(text)


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
