"""JSON from strangers: registries, credential helpers, archives, locks.

Python's reader takes more than the standard and fails in more ways than one; this one takes less
and fails by JsonError alone.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 64
"""Levels of nesting; the deepest real document (a CRD's schema) has under fifty."""
_DIGITS = 19
_LONGEST_SHOWN = 80
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(f"{what} ({where})" if where else what)
        self.what = what
        self.where = where


def load(content: bytes | str, *, integers: bool = False) -> Any:
    """Read a JSON text; raise JsonError for what is none.

    Refused as well: duplicate keys (two readers would see two things), NaN, numbers of more than
    19 digits, other encodings than UTF-8, deep nesting, and with ``integers`` all other numbers.
    """
    try:
        text = content if isinstance(content, str) else content.decode()
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_no_float if integers else None,
            parse_constant=_constant,
        )
        if _LONE_SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise JsonError("this is not UTF-8 text") from error
    except UnicodeEncodeError as error:
        raise JsonError("not JSON: half of a surrogate pair") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise JsonError(f"not JSON: {error.msg}", where) from error
    except RecursionError as error:
        raise JsonError(f"nested more than {DEEPEST} levels deep") from error
    if _deeper(document, DEEPEST):
        raise JsonError(f"nested more than {DEEPEST} levels deep")
    return document


def short(key: str) -> str:
    return repr(key if len(key) <= _LONGEST_SHOWN else key[:_LONGEST_SHOWN] + "...")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError(f"the key {short(key)} appears twice")
            seen.add(key)
    return value


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise JsonError(f"the number {text[:20]}… is too large")
    return int(text)


def _no_float(text: str) -> None:
    raise JsonError(f"the number {text[:40]} is not whole")


def _constant(text: str) -> None:
    raise JsonError(f"not JSON: {text}")


def _deeper(value: Any, levels: int) -> bool:
    layer = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not layer:
            return False
    return True
