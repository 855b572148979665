"""Text to plain values, strictly: YAML that people write, JSON that machines write.

The values are ``None``, ``bool``, ``int``, ``str``, ``list`` and ``dict``. YAML numbers with a
point stay text, so that ``kubernetes: 1.20`` means what it says. Duplicate keys, deep nesting and
documents that grow without bound through aliases are refused. Hostile input ends in a
:class:`DocumentError`, never in another exception.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from builder.errors import DocumentError, Fault
from builder.formats.shape import child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEEPEST = 64
"""Levels of nesting; the deepest real document (a CRD's schema) has under fifty."""
LARGEST = 32 << 20
"""Bytes of one document file; Calico's largest manifest has under 3 MB."""
_MOST_NODES = 2_000_000
_LONGEST_SHOWN = 80
_MOST_LINES = 200_000
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TAGS = {"!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_WORDS: dict[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Hold one document's values and the line on which each path begins."""

    value: Any
    lines: dict[str, int] = field(default_factory=dict)


def read_content(path: Path, *, largest: int = LARGEST) -> bytes:
    """Read a file whole; raise DocumentError when it cannot be had or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        hint = "check the path" if isinstance(error, FileNotFoundError) else None
        raise _refusal(str(path), error.strerror or str(error), hint=hint) from error
    if len(content) > largest:
        raise _refusal(str(path), f"the file is larger than {largest:,} bytes")
    return content


def read_text(path: Path, *, largest: int = LARGEST) -> str:
    """Read a UTF-8 text file; raise DocumentError when it cannot be had or is too large."""
    return decode(read_content(path, largest=largest), str(path))


def decode(content: bytes, name: str) -> str:
    """Decode UTF-8, with or without a byte order mark; raise DocumentError otherwise."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(name, f"byte {error.start} is not UTF-8 text") from error


def yaml_documents(text: str, name: str) -> list[Document]:
    """Read every document of a YAML text; empty ones are left out."""
    try:
        return list(_documents(text, name))
    except (UnicodeError, OverflowError) as error:
        # text that no file can hold, handed over by a caller or written as an escape
        raise _refusal(name, "not YAML: a character that UTF-8 does not have") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _refusal(name, f"not YAML: {problem}", where=where) from error


def yaml_document(text: str, name: str) -> Document:
    """Read a YAML text that holds exactly one document."""
    documents = yaml_documents(text, name)
    if not documents:
        raise _refusal(name, "the document is empty")
    if len(documents) != 1:
        raise _refusal(name, f"{len(documents)} documents where one was expected")
    return documents[0]


def json_value(text: str, name: str) -> Any:
    """Read a JSON text; duplicate keys and floats are refused."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(items)
        if len(value) != len(items):
            seen: set[str] = set()
            twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise ValueError(f"the key {_short(twice)} appears twice")
        return value

    def point(number: str) -> Any:
        raise ValueError(f"the number {number[:40]} is not whole")

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_float=point, parse_constant=point)
        if _LONE_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise _refusal(name, "not JSON: half of a surrogate pair") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _refusal(name, f"not JSON: {error.msg}", where=where) from error
    except ValueError as error:
        raise _refusal(name, str(error)) from error
    except RecursionError as error:
        raise _refusal(name, f"nested more than {DEEPEST} levels deep") from error
    if _deeper(value, DEEPEST):
        raise _refusal(name, f"nested more than {DEEPEST} levels deep")
    return value


def _deeper(value: Any, levels: int) -> bool:
    """Tell whether collections lie in each other more than so many levels deep."""
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


def _short(key: str) -> str:
    return repr(key if len(key) <= _LONGEST_SHOWN else key[:_LONGEST_SHOWN] + "...")


def _refusal(name: str, what: str, *, where: str = "", hint: str | None = None) -> DocumentError:
    return DocumentError(name, [Fault(where=where, what=what, hint=hint)])


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    value: Any
    path: str
    anchor: str | None
    key: str | None = None
    weight: int = 1
    height: int = 1
    """Levels of collections below and with this one."""


def _documents(text: str, name: str) -> Iterator[Document]:
    events = yaml.parse(text, Loader=_LOADER)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            document = _Builder(name).build(events)
            if document.value is not None:
                yield document


class _Builder:
    """Builds one document from parser events, without recursion."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[str, int] = {}
        self.anchors: dict[str, tuple[Any, int, int]] = {}
        self.stack: list[_Open] = []
        self.root: Any = None

    def build(self, events: Iterator[Any]) -> Document:
        for event in events:
            if isinstance(event, yaml.DocumentEndEvent):
                break
            self.step(event)
        return Document(value=self.root, lines=self.lines)

    def step(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self.close(line)
        elif isinstance(event, yaml.AliasEvent):
            self.alias(event.anchor, line)
        elif isinstance(event, yaml.ScalarEvent):
            self.scalar(event, line)
        else:
            path = self.here(line)
            if len(self.stack) >= DEEPEST:
                raise self.refuse(line, f"nested more than {DEEPEST} levels deep")
            empty: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            self.check_tag(event, line)
            self.stack.append(_Open(empty, path, event.anchor))

    def here(self, line: int) -> str:
        """The path of the value that begins now; complex keys are refused."""
        if not self.stack:
            self.lines[""] = line
            return ""
        top = self.stack[-1]
        if isinstance(top.value, list):
            path = f"{top.path}[{len(top.value)}]"
        elif top.key is None:
            raise self.refuse(line, "a key must be plain text")
        else:
            path = child(top.path, top.key)
        if len(self.lines) < _MOST_LINES:
            self.lines[path] = line
        return path

    def scalar(self, event: Any, line: int) -> None:
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            key = str(event.value)
            if key in top.value:
                raise self.refuse(line, f"the key {_short(key)} appears twice")
            if key == "<<":
                raise self.refuse(line, "merge keys (<<) are not supported")
            top.key = key
            return
        self.check_tag(event, line)
        self.here(line)
        plain = event.implicit[0] and event.tag is None
        value = _resolve(event.value) if plain else event.value
        if event.anchor:
            self.anchors[event.anchor] = (value, 1, 0)
        self.put(value, 1, 0, line)

    def alias(self, anchor: str | None, line: int) -> None:
        self.here(line)
        if anchor is None or anchor not in self.anchors:
            what = f"the alias {_short(f'*{anchor}')} names nothing that is complete"
            raise self.refuse(line, what)
        value, weight, height = self.anchors[anchor]
        if len(self.stack) + height > DEEPEST:
            raise self.refuse(line, f"nested more than {DEEPEST} levels deep")
        self.put(value, weight, height, line)

    def close(self, line: int) -> None:
        done = self.stack.pop()
        if done.anchor:
            self.anchors[done.anchor] = (done.value, done.weight, done.height)
        self.put(done.value, done.weight, done.height, line)

    def put(self, value: Any, weight: int, height: int, line: int) -> None:
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        top.weight += weight
        top.height = max(top.height, height + 1)
        if top.weight > _MOST_NODES:
            raise self.refuse(line, "the document grows without bound through its aliases")
        if isinstance(top.value, list):
            top.value.append(value)
        else:
            top.value[top.key] = value
            top.key = None

    def check_tag(self, event: Any, line: int) -> None:
        tag = event.tag
        if tag and tag not in _TAGS:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise self.refuse(line, f"the tag {_short(shown)} is not supported")

    def refuse(self, line: int, what: str) -> DocumentError:
        return _refusal(self.name, what, where=f"line {line}")


def _resolve(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _WHOLE.fullmatch(text) else text
