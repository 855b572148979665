"""Results of first boot: ``result.json`` as the node's scripts write it, or the text of a console.

A console may come from a serial log or from ``journalctl``, with prefixes of their own before each
line; what begins with ``airseed:`` is read, and the last word counts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError, Fault
from builder.formats.reading import Reading
from builder.formats.records import Field, Record
from builder.formats.shape import Anything, Choice, Number, Text
from builder.formats.text import decode, json_value
from builder.model.result import FORMAT, STATES, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.model.result import State

LARGEST = 64 << 20
"""Bytes of one file; a serial console of months has less."""
_LONGEST = 4000
_LINE = re.compile(r"airseed: (?P<text>[^\r\n]*)")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_STEP = re.compile(r"step (?P<step>[a-z]+)")
_DONE = re.compile(r"step (?P<step>[a-z]+) is done after (?P<seconds>[0-9]{1,9}) s")
_FAILED = re.compile(
    r"step (?P<step>[a-z]+) failed \(exit code (?P<code>[0-9]{1,3}), "
    r"attempt (?P<attempt>[0-9]{1,9})\): ?(?P<message>.*)"
)
_JOINED = re.compile(r"(?P<node>[a-z0-9.-]+) is in its cluster, after (?P<seconds>[0-9]{1,9}) s")
_WAITING = re.compile(r"waiting for (?P<what>.*)")
_HINT = re.compile(r"hint: (?P<hint>.*)")


def _text(what: str) -> Field[str]:
    return Field(Text(expected=what, empty=True, longest=_LONGEST), default="")


def _result(started: int, updated: int, **said: Any) -> Result:
    known = {key: said[key] for key in Result.__slots__ if key in said}
    return Result(**known, seconds=max(0, updated - started) if started else None)


_RESULT = Record(
    _result,
    {
        "format": Field(
            Number(least=FORMAT, most=FORMAT, hint="a newer airseed reads it"), required=True
        ),
        "node": Field(Text(longest=253), required=True),
        "cluster": _text("a cluster's name"),
        "role": _text("a role"),
        "generation": _text("a number"),
        "plan": Field(Text(longest=_LONGEST), default="first-boot"),
        "state": Field(Choice(STATES), required=True),
        "step": _text("a step"),
        "attempt": Field(Number(), default=1),
        "exit_code": Field(Number(most=255), default=0),
        "message": _text("a message"),
        "hint": _text("a hint"),
        "waiting_for": _text("what is waited for"),
        "retry_in": Field(Number(), default=0),
        "started": Field(Number(most=2**53), default=0),
        "updated": Field(Number(most=2**53), default=0),
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
        reading = Reading(name)
        found = _RESULT.read(json_value(decode(content, name), name), "", reading)
        reading.finish()
        return found
    return _console(content.decode("utf-8", "replace"), name, node)


def _console(text: str, name: str, node: str) -> Result:
    found: dict[str, Any] = {}
    for match in _LINE.finditer(_CONTROL.sub("", text)):
        line = match["text"].strip()[:_LONGEST]
        for pattern, change in _MEANINGS:
            said = pattern.match(line)
            if said is not None:
                change(found, said)
                break
    if "state" not in found:
        hint = (
            "the machine may not have begun; else give a result.json, or what its console or "
            "journal says"
        )
        fault = Fault(where="", what="no line of airseed's is in it", hint=hint)
        raise DocumentError(name, [fault])
    return Result(**{"node": node, **found})


def _begin(found: dict[str, Any], state: State, step: str) -> None:
    kept: dict[str, Any] = {key: found[key] for key in ("node", "seconds") if key in found}
    found.clear()
    found.update(kept, state=state, step=step)


def _failed(found: dict[str, Any], said: re.Match[str]) -> None:
    _begin(found, "failed", said["step"])
    found.update(exit_code=int(said["code"]), attempt=int(said["attempt"]), message=said["message"])


def _joined(found: dict[str, Any], said: re.Match[str]) -> None:
    _begin(found, "done", "")
    found.update(node=said["node"], seconds=int(said["seconds"]))


def _waiting(found: dict[str, Any], said: re.Match[str]) -> None:
    _begin(found, "waiting", found.get("step", ""))
    found["waiting_for"] = said["what"]


def _hint(found: dict[str, Any], said: re.Match[str]) -> None:
    if found.get("state") == "failed":
        found["hint"] = said["hint"]


def _running(found: dict[str, Any], said: re.Match[str]) -> None:
    _begin(found, "running", said["step"])


_MEANINGS: tuple[tuple[re.Pattern[str], Callable[[dict[str, Any], re.Match[str]], None]], ...] = (
    (_FAILED, _failed),
    (_DONE, _running),
    (_STEP, _running),
    (_JOINED, _joined),
    (_WAITING, _waiting),
    (_HINT, _hint),
)
"""What each kind of line changes; the first that matches counts."""
