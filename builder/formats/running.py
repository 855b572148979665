"""``running.json``: what is known of a cluster that runs, and ``change.json``: one change of it.

Both are canonical JSON, a node a line, so that a diff reads well; neither has a secret in it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError
from builder.formats.cluster.terms import node_name
from builder.formats.reading import check_format, refusal
from builder.formats.records import Field, ListOf, MapOf, Record, required
from builder.formats.shape import Anything, Flag, Number, OneOf, Text
from builder.formats.text import decode, json_value
from builder.model.change import CLUSTER_WIDE, FORMAT, NodeState, Running

if TYPE_CHECKING:
    from builder.model.change import Change

LARGEST = 64 << 20
_HINT = "airseed writes this file: put a backup of it back"
_NAME = Text[str](longest=253)
_OPEN = Text[str](empty=True)
_NODE_NAME = Text(parse=node_name, expected="a node's name")
_ADDRESS = Text(parse=lambda text: str(ip_address(text)), expected="an IP address")
_VERSION = Text[str](pattern=r"[0-9]{1,4}(\.[0-9]{1,4}){2}", expected="a version", example="1.18.5")
_RUNTIME = Text[str](pattern=r"[a-z-]+ [0-9][0-9A-Za-z.~-]*", expected="a name and a version")
_ID = Text[str](pattern=r"[0-9]{3}-[a-z0-9.-]+", expected="the id of a change", longest=253)
_LAST = Text[str](pattern=r"|[0-9]{3}-[a-z0-9.-]+", empty=True, longest=253)
_DOCUMENTS = MapOf(MapOf(Anything()), key="|".join(CLUSTER_WIDE))
_FORMAT = Field(Number(), required=True)
_NODE: Record[NodeState] = Record(
    NodeState,
    {
        "name": Field(_NODE_NAME, required=True),
        "role": Field(OneOf(("control-plane", "worker")), required=True),
        "addresses": Field(ListOf(_ADDRESS), default=()),
        "generation": Field(Number(least=1), default=1),
        "kubernetes": Field(_VERSION, required=True),
        "runtime": Field(_RUNTIME, required=True),
        "registration": Field(MapOf(Anything()), default={}),
        "machine": Field(_OPEN, default=""),
    },
    title="a node",
)
_FIELDS: dict[str, Field[Any]] = {
    **required(dict.fromkeys(("cluster", "authority", "endpoint"), _OPEN)),
    "kubernetes": Field(_VERSION, required=True),
    **required(dict.fromkeys(("cni", "registry", "sums"), _OPEN)),
    "keeper": Field(MapOf(Anything()), default={}),
    "documents": Field(_DOCUMENTS, required=True),
    "applied": Field(ListOf(_ID), default=()),
    "written": Field(_LAST, default=""),
    "nodes": Field(ListOf(_NODE), required=True),
}
_RUNNING: Record[Running] = Record(Running, _FIELDS, title="what runs")
_DOCUMENT: Record[dict[str, Any]] = Record(
    lambda **fields: fields, {"format": _FORMAT, **_FIELDS}, title="what runs"
)


def read(content: bytes, name: str) -> Running:
    """Read what :func:`write` wrote; raise DocumentError."""
    return _running(_read(_DOCUMENT, content, name), name)


def write(running: Running) -> bytes:
    return _text({"format": FORMAT, **_RUNNING.write(running)})


def change(value: Change) -> bytes:
    """Write ``change.json``, with what runs after the change."""
    return _text(
        {
            "format": FORMAT,
            "id": value.id,
            "digest": value.digest,
            "atOnce": value.at_once,
            **({"asked": value.asked} if value.asked else {}),
            "stages": [
                {
                    "plan": stage.plan,
                    "what": stage.what,
                    "reason": stage.reason,
                    "nodes": list(stage.reporting),
                    **({"becomes": stage.becomes} if stage.becomes else {}),
                }
                for stage in value.stages
            ],
            **_RUNNING.write(replace(value.after, written="")),
        }
    )


_ASKED: Record[dict[str, Any]] = Record(
    lambda **fields: {name: value for name, value in fields.items() if value is not None},
    {"keepDocker": Field(Flag(), default=None), "renew": Field(Number(least=0), default=None)},
    title="options",
)
_CHANGE: Record[dict[str, Any]] = Record(
    lambda **fields: fields,
    {
        "format": _FORMAT,
        "id": Field(_ID, required=True),
        "digest": Field(_NAME, required=True),
        "atOnce": Field(Number(least=1), required=True, name="at_once"),
        "asked": Field(_ASKED, default={}),
        "stages": Field(
            ListOf(
                Record(
                    lambda **fields: fields,
                    {
                        **required(dict.fromkeys(("plan", "what", "reason"), _OPEN)),
                        "nodes": Field(ListOf(_NODE_NAME, least=1), required=True),
                        "becomes": Field(MapOf(_OPEN), default={}),
                    },
                    title="a stage",
                ),
                least=1,
            ),
            required=True,
        ),
        **_FIELDS,
    },
    title="a change",
)


def read_change(content: bytes, name: str) -> tuple[dict[str, Any], Running]:
    """Read what :func:`change` wrote: its own fields, and what runs after it."""
    fields = _read(_CHANGE, content, name)
    return fields, _running(fields, name)


def _read(record: Record[dict[str, Any]], content: bytes, name: str) -> dict[str, Any]:
    try:  # kube-proxy's documents may have numbers that are not whole
        value = json_value(decode(content, name), name, integers=False)
    except DocumentError as error:
        raise DocumentError(name, error.faults, hint=_HINT) from error
    check_format(value, FORMAT, name, "the file", again=_HINT)
    try:
        return record.read_document(value, name)
    except DocumentError as error:
        raise DocumentError(name, error.faults, hint=_HINT) from error


def _running(fields: dict[str, Any], name: str) -> Running:
    running = Running(**{key: fields[key] for key in _FIELDS})
    if len(running.by_name) != len(running.nodes):
        raise refusal(name, "a node is there twice", where="nodes", expected="each node once")
    if running.documents.keys() != {*CLUSTER_WIDE}:
        expected = " and ".join(CLUSTER_WIDE)
        raise refusal(name, "there are not all documents", where="documents", expected=expected)
    if running.keeper and not isinstance(running.keeper.get("by"), str):
        what = "it is not said by what the endpoint is kept up"
        raise refusal(name, what, where="keeper.by", expected="text")
    return running


def _text(fields: dict[str, Any]) -> bytes:
    """Write fields one a line, and nodes likewise."""
    nodes = ",\n".join(f"  {_line(node)}" for node in fields.pop("nodes"))
    head = "".join(f" {json.dumps(key)}: {_line(value)},\n" for key, value in fields.items())
    return f'{{\n{head} "nodes": [\n{nodes}\n ]\n}}\n'.encode()


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
