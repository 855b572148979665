"""JSON that kubectl and kubelet read, as the events that YAML would have: one builder for both.

They take a manifest that begins with ``{`` for JSON, of which YAML does not know all: surrogate
pairs, tabs, control characters, keys of more than 1,024 characters.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANKS = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(r'\s*(?:([{}\[\]])|[:,]|("[^"\\]*(?:\\.[^"\\]*)*")|([^\s{}\[\],:"]+))')
_OPEN, _SHUT = "{[", "}]"
_QUOTED, _PLAIN = (False, True), (True, False)


def is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def check(text: str) -> tuple[str, int, int]:
    """Return what makes a text no stream of JSON values, line and column; "" where it is one."""
    end = len(text) - len(text.lstrip())
    try:
        while end < len(text):
            _, end = _JSON.raw_decode(text, end)
            blanks = _BLANKS.match(text, end)
            end = blanks.end() if blanks else end
    except RecursionError:
        pass  # refused for its depth by whoever builds it
    except json.JSONDecodeError as error:
        return error.msg, error.lineno, error.colno
    except ValueError as error:
        return str(error), 0, 0
    return "", 0, 0


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_constant)


def _mark(index: int, line: int) -> yaml.Mark:
    return yaml.Mark("", index, line, 0, None, 0)


def parse(text: str) -> Iterator[Any]:
    """Yield the events of a stream of JSON values that was checked, each a document."""
    depth, line, seen = 0, 0, 0
    for match in _TOKEN.finditer(text):
        bracket, quoted, plain = match.groups()
        if not (bracket or quoted or plain):
            continue
        start, end = match.span(match.lastindex or 0)
        line += text.count("\n", seen, start)
        seen = start
        here = _mark(start, line), _mark(end, line)
        if depth == 0:
            yield yaml.DocumentStartEvent(*here)
        if bracket and bracket in _OPEN:
            depth += 1
            opening = yaml.MappingStartEvent if bracket == _OPEN[0] else yaml.SequenceStartEvent
            yield opening(None, None, True, *here)  # noqa: FBT003 -- PyYAML's: no tag is written
        elif bracket:
            depth -= 1
            yield (yaml.MappingEndEvent if bracket == _SHUT[0] else yaml.SequenceEndEvent)(*here)
        elif quoted:
            yield yaml.ScalarEvent(None, None, _QUOTED, _string(quoted), *here, style='"')
        else:
            yield yaml.ScalarEvent(None, None, _PLAIN, plain, *here)
        if depth == 0:
            yield yaml.DocumentEndEvent(*here)


def _string(quoted: str) -> str:
    """Return what is in quotes; half of a surrogate pair is no character, as for kubectl."""
    if "\\" not in quoted:
        return quoted[1:-1]
    text = str(_JSON.decode(quoted))
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
