"""Results of first boot: ``result.json`` as the node's scripts write it, or the text of a console.

A console may come from a serial log or from ``journalctl``, with prefixes of their own before each
line; what begins with ``airseed:`` is read, and the last word counts.
"""

from __future__ import annotations

import re
from typing import Any

from builder.formats.reading import check_format, refusal
from builder.formats.records import Field, MapOf, Record
from builder.formats.shape import Anything, Number, OneOf, Text
from builder.formats.text import decode, json_value, other_than_text
from builder.model.result import FORMAT, STATES, Result

LARGEST = 64 << 20
"""Bytes of one file; a serial console of months has less."""
_LONGEST = 4000
_LINE = re.compile(r"airseed: (?P<text>[^\r\n]*)")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HINT = ""
_FAILED = (
    r"step (?P<step>[a-z]+) failed \(exit code (?P<exit_code>[0-9]{1,3}), "
    r"attempt (?P<attempt>[0-9]{1,9})\): ?(?P<message>.*)"
)
_MEANINGS = tuple(
    (state, re.compile(pattern))
    for state, pattern in (
        ("failed", _FAILED),
        ("running", r"step (?P<step>[a-z]+)"),
        ("done", r"(?P<node>[a-z0-9.-]+) is in its cluster, after (?P<seconds>[0-9]{1,9}) s"),
        ("waiting", r"waiting for (?!%s)(?P<waiting_for>.*)"),
        (_HINT, r"hint: (?P<hint>.*)"),
    )
)
"""Which state each kind of line begins, with the fields that it gives; the first match counts.

``%s`` is in scripts that say so, which seeds have.
"""
_NUMBERS = frozenset({"exit_code", "attempt", "seconds"})


def _text(what: str) -> Field[str]:
    return Field(Text(expected=what, empty=True, longest=_LONGEST), default="")


def _result(started: int, since: int, updated: int, **fields: Any) -> Result:
    known = {key: fields[key] for key in Result.__slots__ if key in fields}
    return Result(
        **known,
        seconds=max(0, updated - started) if started else None,
        since=max(0, updated - since) if since else None,
    )


RESULT = Record(
    _result,
    {
        "format": Field(Number(), required=True),
        "node": Field(Text(longest=253), required=True),
        "cluster": _text("a cluster's name"),
        "role": _text("a role"),
        "generation": _text("a number"),
        "plan": Field(Text(longest=_LONGEST), default="first-boot"),
        "change": _text("a change"),
        "stage": _text("a number"),
        "stages": _text("a number"),
        "kubernetes": _text("a version"),
        "runtime": _text("a runtime"),
        "lock": _text("a digest"),
        "state": Field(OneOf(STATES), required=True),
        "step": _text("a step"),
        "attempt": Field(Number(), default=1),
        "exit_code": Field(Number(most=255), default=0),
        "message": _text("a message"),
        "hint": _text("a hint"),
        "waiting_for": _text("what is waited for"),
        "since": Field(Number(most=2**53), default=0),
        "last_said": _text("what was said"),
        "trouble": _text("what is wrong"),
        "trouble_hint": _text("a hint"),
        "retry_in": Field(Number(), default=0),
        "started": Field(Number(most=2**53), default=0),
        "updated": Field(Number(most=2**53), default=0),
        "certificates": Field(MapOf(Number(most=2**53)), default={}),
        # for other readers
        "steps": Field(Anything()),
        "waits": Field(Anything()),
        "lines": Field(Anything()),
    },
    title="a result",
)


def read(content: bytes, name: str, *, node: str) -> Result:
    """Read a result or a console; ``node`` names the machine of a console that does not.

    Raise DocumentError when it is neither.
    """
    if content.lstrip()[:1] == b"{":
        return of_machine(json_value(decode(content, name), name), name)
    what, hint = other_than_text(content)
    if what:
        raise refusal(name, what, hint=hint)
    return _console(content.decode("utf-8", "replace"), name, node)


def of_machine(value: Any, name: str) -> Result:
    """Read the values of a result.json; raise DocumentError."""
    if isinstance(value, dict) and not {"node", "state"} & value.keys():
        expected = "a machine's /var/lib/airseed/result.json"
        raise refusal(name, "this is not what a machine says of itself", expected=expected)
    check_format(value, FORMAT, name, "the result")
    return RESULT.read_document(value, name)


def _console(text: str, name: str, node: str) -> Result:
    fields: dict[str, Any] = {}
    for line in _LINE.finditer(_CONTROL.sub("", text)):
        fields = _after(fields, line["text"].strip()[:_LONGEST])
    if "state" not in fields:
        hint = (
            "the machine may not have begun; else give a result.json, or what its console or "
            "journal says"
        )
        raise refusal(name, "it has no line of airseed's", hint=hint)
    return Result(**{"node": node, **fields})


def _after(fields: dict[str, Any], line: str) -> dict[str, Any]:
    """Return the fields of a result as they are after one more line."""
    for state, pattern in _MEANINGS:
        if (match := pattern.match(line)) is None:
            continue
        if state != _HINT:
            kept = ("node", "seconds", "step") if state == "waiting" else ("node", "seconds")
            fields = {"state": state, **{key: fields[key] for key in kept if key in fields}}
        elif fields.get("state") != "failed":
            break
        groups = match.groupdict().items()
        return fields | {key: int(text) if key in _NUMBERS else text for key, text in groups}
    return fields
