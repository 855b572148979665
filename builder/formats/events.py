"""YAML to plain values, out of the parser's events, as strictly as ``formats.text`` says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from builder.errors import DocumentError
from builder.formats import json_events
from builder.formats.reading import Document, child, refusal
from builder.strict_json import DEEPEST, short

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_NODES = 2_000_000
_MOST_LINES = 200_000
_CHARACTERS = 16
"""Of a string that an alias repeats: so many weigh as much as a node."""
_TAGS = {"!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_STANDARD = "tag:yaml.org,2002:"
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
_YAML = "YAML"
ALIAS = "*"
HELM = "this is a Helm template: `helm template NAME CHART` renders it"
_OTHER_TEMPLATE = "this is a template: have the program that it is for (Ansible, Jinja) fill it in"
_TEMPLATE = re.compile(r"^ *(?:- +)?(?:[\w.\"'/-]+: +)?\{[{%]", re.MULTILINE)
_OF_HELM = re.compile(
    r"\{\{-? *(?:[.$(/]|(?:include|template|if|else|end|range|with|define|toYaml|tpl|printf|quote"
    r"|default|required|lookup)\b)"
)
PRINTED = "this is what Helm prints of a release: `helm get manifest NAME` prints manifests alone"
PRINTED_KEYS = frozenset({"LAST DEPLOYED", "HOOKS", "MANIFEST", "NOTES", "TEST SUITE"})
_PRINTED = re.compile(rf"^(?:{'|'.join(sorted(PRINTED_KEYS))}):", re.MULTILINE)
_TWINS = "keep one; old releases of kubectl take the last one without a word"
_CONFLICT = re.compile(r"<{7}|={7}|>{7}")
_BYTE_ORDER_MARK = "\ufeff"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def template_hint(text: str) -> str:
    """Return what helps against placeholders in double braces."""
    return HELM if _OF_HELM.search(text) else _OTHER_TEMPLATE


class Scalar(str):
    """A string that knows where it stands in its document's text, and how it is written."""

    __slots__ = ("end", "start", "style")
    start: int
    end: int
    style: str
    """Empty for a plain one, else its first mark: a quote, ``|`` or ``>``, or :data:`ALIAS`."""


def documents(
    text: str, name: str, *, manifest: bool = False, applied: bool = False
) -> list[Document]:
    """Read every document of a YAML text; empty ones are left out; raise DocumentError.

    Of a manifest, merge keys are read as kubectl does, and each string is a :class:`Scalar`. What
    is ``applied`` by kubectl, or started by kubelet, is JSON for them if it begins with ``{``.
    """
    try:
        if manifest:
            return list(_streams(text, name, applied=applied))
        return list(_documents(text, _Builder(name)))
    except (UnicodeError, OverflowError) as error:
        # text that no file can hold, handed over by a caller or written as an escape
        raise refusal(name, "not YAML: a character that UTF-8 does not have") from error


def _streams(text: str, name: str, *, applied: bool) -> Iterator[Document]:
    """Read the documents of a manifest: a YAML stream, or JSON values one after the other."""
    begins = json_events.is_json(text)
    what, line, column = json_events.check(text) if begins else ("", 0, 0)
    if begins and not what:
        yield from _built(json_events.parse(text), _ManifestBuilder(name))
        return
    yield from _documents(text, _ManifestBuilder(name))
    if applied and begins:
        raise refusal(
            name,
            f"kubectl and kubelet read what begins with {{ as JSON, and this is none: {what}",
            where=_at(line, column),
            hint="write --- alone into a first line, and it is read as YAML",
        )


def _at(line: int, column: int) -> str:
    return f"line {line}, column {column}" if line else ""


def _in_words(text: str, line: int, column: int, problem: str, form: str) -> tuple[str, str | None]:
    """Say what is wrong at a place that the parser stopped at, and what helps."""
    lines = text.split("\n")
    there = lines[line] if line < len(lines) else ""
    if there[column : column + 1] == "\t" and form == _YAML:
        return "a tab; YAML is indented with spaces", None
    if there[column : column + 1] in {"%", "@", "`"}:
        fence = "leave out the lines with ```, which are Markdown's"
        value = "quote the value; if it is a placeholder or a template, fill it in first"
        return problem, fence if there.startswith("```") else value
    if any(_CONFLICT.match(one) for one in lines[max(0, line - 1) : line + 1]):
        return "a conflict that git left in the file", None
    if text.lstrip().startswith("<"):
        return problem, "this looks like a web page: a login or error page, or one around a file"
    return problem, None


@dataclass(slots=True)
class _Open:
    value: Any
    path: str
    anchor: str | None
    key: str | None = None
    weight: int = 1
    height: int = 1
    """Levels of collections below and with this one."""
    merging: bool = False
    """Whether the value that comes is a merge key's."""
    merged: list[Any] = field(default_factory=list)
    """The mappings that merge keys bring in."""


def _documents(text: str, builder: _Builder) -> Iterator[Document]:
    try:
        yield from _built(yaml.parse(text, Loader=_LOADER), builder)
    except DocumentError as error:
        if builder.of_manifest and _TEMPLATE.search(text):
            faults = [replace(fault, hint=template_hint(text)) for fault in error.faults]
            raise DocumentError(builder.name, faults) from error
        raise
    except yaml.YAMLError as error:
        template = builder.of_manifest and _TEMPLATE.search(text)
        form, problem, line, column = _stopped(text, builder, error, template=bool(template))
        where, hint = _at(line, column), None
        if line:
            problem, hint = _in_words(text, line - 1, column - 1, problem, form)
        if _BYTE_ORDER_MARK in text:
            place = text.count("\n", 0, text.index(_BYTE_ORDER_MARK)) + 1
            where, problem = f"line {place}", "a byte order mark inside, as where files were joined"
            hint = "remove it: sed -i 's/\\xef\\xbb\\xbf//g' FILE"
        if "\x1b[" in text:
            hint = "it has a terminal's colours: write it anew without them (NO_COLOR=1)"
        elif template:
            hint = template_hint(text)
        elif builder.of_manifest and _PRINTED.search(text):
            hint = PRINTED
        raise refusal(builder.name, f"not {form}: {problem}", where=where, hint=hint) from error


def _stopped(
    text: str, builder: _Builder, error: yaml.YAMLError, *, template: bool
) -> tuple[str, str, int, int]:
    """Return as what a text can't be read, why, and at which line and column."""
    meant = builder.name.endswith(".json") or (builder.of_manifest and json_events.is_json(text))
    if meant and not template:
        what, line, column = json_events.check(text)
        if what:
            return "JSON", what, line, column
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    return (_YAML, problem, mark.line + 1, mark.column + 1) if mark else (_YAML, problem, 0, 0)


def _built(events: Iterator[Any], builder: _Builder) -> Iterator[Document]:
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            document = builder.build(events)
            if document.value is not None:
                yield document


class _Builder:
    """Builds one document from parser events, without recursion."""

    of_manifest = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.begin()

    def begin(self) -> None:
        self.lines: dict[str, int] = {}
        self.anchors: dict[str, tuple[Any, int, int]] = {}
        self.stack: list[_Open] = []
        self.root: Any = None

    def build(self, events: Iterator[Any]) -> Document:
        self.begin()
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
            self.alias(event, line)
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
                raise self.refuse(
                    line,
                    f"the key {short(key)} appears twice",
                    hint=_TWINS if self.of_manifest else None,
                )
            top.key = key
            if key == "<<":
                self.merge_key(top, event)
            return
        self.check_tag(event, line)
        self.here(line)
        plain = event.implicit[0] and event.tag is None
        value = self.string(_resolve(event.value) if plain else event.value, event)
        if event.anchor:
            # each alias of a long text is a copy of it
            self.anchors[event.anchor] = (value, 1 + len(event.value) // _CHARACTERS, 0)
        self.put(value, 1, 0, line)

    def alias(self, event: Any, line: int) -> None:
        anchor = event.anchor
        self.here(line)
        if anchor is None or anchor not in self.anchors:
            what = f"the alias {short(f'*{anchor}')} names nothing that is complete"
            raise self.refuse(line, what)
        value, weight, height = self.anchors[anchor]
        if len(self.stack) + height > DEEPEST:
            raise self.refuse(line, f"nested more than {DEEPEST} levels deep")
        self.put(self.string(value, event), weight, height, line)

    def close(self, line: int) -> None:
        done = self.stack.pop()
        for mapping in done.merged:  # what is written out goes before, and the first of many
            for key, value in mapping.items():
                done.value.setdefault(key, value)
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
            return
        if top.merging:
            self.merge(top, value, line)
        else:
            top.value[top.key] = value
        top.key, top.merging = None, False

    def string(self, value: Any, event: Any) -> Any:  # noqa: ARG002 -- a manifest's takes it
        return value

    def merge_key(self, top: _Open, event: Any) -> None:  # noqa: ARG002 -- a manifest's takes it
        raise self.refuse(event.start_mark.line + 1, "merge keys (<<) are not supported")

    def merge(self, top: _Open, value: Any, line: int) -> None:
        raise NotImplementedError

    def check_tag(self, event: Any, line: int) -> None:
        tag = event.tag
        if tag and tag not in _TAGS:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise self.refuse(line, f"the tag {short(shown)} is not supported")

    def refuse(self, line: int, what: str, *, hint: str | None = None) -> DocumentError:
        return refusal(self.name, what, where=f"line {line}", hint=hint)


class _ManifestBuilder(_Builder):
    of_manifest = True

    def check_tag(self, event: Any, line: int) -> None:
        if not event.tag or not event.tag.startswith(_STANDARD):  # a string counts as it is written
            _Builder.check_tag(self, event, line)

    def string(self, value: Any, event: Any) -> Any:
        if not isinstance(value, str):
            return value
        scalar = Scalar(value)
        scalar.start = event.start_mark.index
        scalar.end = event.end_mark.index
        scalar.style = ALIAS if isinstance(event, yaml.AliasEvent) else event.style or ""
        return scalar

    def merge_key(self, top: _Open, event: Any) -> None:
        top.merging = event.implicit[0]  # in quotes it is a key like any other

    def merge(self, top: _Open, value: Any, line: int) -> None:
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            raise self.refuse(line, "a merge key (<<) takes a mapping or a list of mappings")
        top.merged += mappings


def _resolve(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _WHOLE.fullmatch(text) else text
