"""The template engine: strict, deterministic, and with one way of quoting.

Every scalar of a template goes through :func:`quote`; the text of a file may go through
:func:`block`, which keeps it readable where that is safe.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from builder.assets import text, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Environment

TREE = "cloudinit-templates"
_FOREIGN = re.compile(r"[^\x20-\x7e]")
_KEY = re.compile(r"[a-z][a-z0-9_-]*")
_PLAIN_LINES = re.compile(r"(?:[\t\x20-\x7e]*\n)+")
_EMPTY_LAST = "\n\n"
_LAST_OF_BMP = 0xFFFF
_SHARED = 512
"""Texts of which many nodes have the same: scripts, units, lists of images."""


def quote(value: object) -> str:
    """Write text as a double-quoted scalar, which is YAML (and JSON, but for rare characters).

    Everything beyond ASCII is escaped: PyYAML 3.10 of CentOS 7 refuses an emoji that stands there
    plainly, and every PyYAML control characters.
    """
    return _FOREIGN.sub(_escape, json.dumps(str(value), ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\U{code:08x}" if code > _LAST_OF_BMP else f"\\u{code:04x}"


@lru_cache(_SHARED)
def block(text: str, indent: int) -> str:
    """Write text as a literal block of lines ``indent`` deep, or quoted where that is not safe.

    A literal block keeps what is in it, braces and quotes included. It is safe for lines of
    printable ASCII of which the last one ends.
    """
    if not _PLAIN_LINES.fullmatch(text) or not text.strip("\n"):
        return quote(text)
    margin = " " * indent
    lines = (f"{margin}{line}" if line else "" for line in text[:-1].split("\n"))
    # the indicator says how deep the block is: its first line may begin with spaces of its own
    return f"|2{'+' if text.endswith(_EMPTY_LAST) else ''}\n" + "\n".join(lines)


def environment(source: Callable[[str], str], **marks: str) -> Environment:
    """Make what renders templates; ``marks`` are other ones than Jinja's own."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 -- start-up

    made = Environment(
        loader=FunctionLoader(source),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 -- the output is no HTML; every value is quoted
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **marks,  # type: ignore[arg-type] # all of them are texts
    )
    made.filters.update({"quote": quote, "block": block, "scalar": scalar, "shell": quoted})
    return made


@cache
def _environment() -> Environment:
    return environment(source)


def source(name: str) -> str:
    return text(tree(TREE) / name)


def render(name: str, values: Mapping[str, Any]) -> str:
    """Render a template; a value that it asks for and does not get is a bug of airseed's."""
    return _environment().get_template(name).render(values)


def dumped(value: Any) -> str:
    """Write a small document as YAML; every text in it is quoted."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Any, margin: str) -> list[str]:
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            lines += _entry(f"{margin}{_key(key)}:", item, f"{margin}  ")
        return lines
    if isinstance(value, list) and value:
        lines = []
        for item in value:
            first, *rest = _lines(item, f"{margin}  ")
            lines += [f"{margin}- {first.removeprefix(f'{margin}  ')}", *rest]
        return lines
    return [f"{margin}{scalar(value)}"]


def _entry(head: str, item: Any, margin: str) -> list[str]:
    if isinstance(item, (dict, list)) and item:
        return [head, *_lines(item, margin)]
    return [f"{head} {scalar(item)}"]


def _key(key: str) -> str:
    return key if _KEY.fullmatch(key) else quote(key)


def scalar(value: Any) -> str:
    """Write text, a flag, a number or a flat list in one line."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(scalar, value))}]"
    return json.dumps(value)


def quoted(value: str) -> str:
    """Quote a value for bash; nothing in it is expanded."""
    return "'" + value.replace("'", "'\\''") + "'"


def number(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() else text
