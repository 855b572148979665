"""How first boots stand, as ``serve --boots`` keeps it in a file and answers at /boots.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from builder.formats import result as result_format
from builder.formats.reading import check_format
from builder.formats.records import Field, ListOf, Record
from builder.formats.shape import Anything, Number, Text
from builder.formats.text import decode, json_value
from builder.model.boots import Boots, Heard

FORMAT = 1
LARGEST = 64 << 20
_LINES, _LONGEST_LINE = 20, 400
_OTHERS = {"steps", "waits", "lines"}
"""Of a result's members, what nothing here reads; the last lines of a log are kept, cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One node of the cluster, whether it was heard of or not."""

    node: str
    role: str = ""
    received: float = 0
    result: Any = None


_TIME = Number(most=2**53)
_ENTRY = Record(
    _Entry,
    {
        "node": Field(Text(longest=253), required=True),
        "role": Field(Text(empty=True, longest=253), default=""),
        "received": Field(_TIME, default=0),
        "result": Field(Anything()),
    },
    title="a node",
)
_DOCUMENT = Record(
    lambda **fields: fields,
    {
        "format": Field(Number(), required=True),
        "cluster": Field(Text(longest=253), required=True),
        "now": Field(_TIME, required=True),
        "nodes": Field(ListOf(_ENTRY), required=True),
    },
    title="how first boots stand",
)


def read_post(content: bytes, received: float) -> Heard:
    """Read what a machine posts; raise DocumentError for what is not a result."""
    name = "result.json"
    value = json_value(decode(content, name), name)
    result = result_format.of_machine(value, name)
    kept = {key: text for key, text in value.items() if key not in _OTHERS}
    lines = value.get("lines")
    if isinstance(lines, list):
        kept["lines"] = [str(line)[:_LONGEST_LINE] for line in lines[-_LINES:]]
    return Heard(result=result, received=received, posted=kept)


def read(content: bytes, name: str) -> Boots:
    """Read what :func:`write` wrote; raise DocumentError."""
    value = json_value(decode(content, name), name)
    check_format(value, FORMAT, name, "the file")
    fields = _DOCUMENT.read_document(value, name)
    heard = {}
    for entry in fields["nodes"]:
        if entry.result is not None:
            heard[entry.node] = read_post(json.dumps(entry.result).encode(), entry.received)
    return Boots(
        cluster=fields["cluster"],
        now=fields["now"],
        nodes={entry.node: entry.role for entry in fields["nodes"]},
        heard=heard,
    )


def write(boots: Boots) -> bytes:
    """Write JSON, a node a line."""
    lines = []
    for node, role in boots.nodes.items():
        entry: dict[str, Any] = {"node": node, "role": role}
        if heard := boots.heard.get(node):
            entry |= {"received": int(heard.received), "result": dict(heard.posted)}
        lines.append(json.dumps(entry))
    head = json.dumps({"format": FORMAT, "cluster": boots.cluster, "now": int(boots.now)})
    nodes = ",\n".join(lines)
    return f'{head[:-1]}, "nodes": [\n{nodes}\n]}}\n'.encode()
