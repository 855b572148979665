"""``airseed explain``: describe a key of cluster.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from builder.cli.verb import as_json, verb

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from builder.cli.console import Console
    from builder.formats.cluster.explain import KeyHelp

_WIDTH = 80
_INDENT = 10


def _complete(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the keys one level below what is typed, with their titles."""
    from click.shell_completion import CompletionItem

    from builder.formats.cluster import explain

    level = incomplete.count(".")
    return [
        CompletionItem(entry.path, help=entry.title)
        for entry in explain.walk(explain.tree())
        if entry.path.startswith(incomplete) and entry.path.count(".") == level
    ]


@verb(
    "explain",
    examples="""
    airseed explain
    airseed explain machine.network.bond
    airseed explain nodes.address --json
    """,
)
@click.argument("key", default="", metavar="[KEY]", shell_complete=_complete)
@as_json
@click.pass_obj
def command(console: Console, key: str, *, as_json: bool) -> None:
    """Describe a key of cluster.yaml.

    Says what KEY means, which values it takes, its default, an example, and which verbs read it.
    Parts are joined by dots; places in lists may be left out. Without KEY: the keys at the top.
    """
    from builder.formats.cluster import explain

    entry = explain.find(key)
    if as_json:
        console.json(_value(entry))
        return
    for line in _lines(entry, explain.examples(entry)):
        console.result(line)


def _lines(entry: KeyHelp, examples: tuple[str, ...]) -> list[str]:
    lines = _wrapped("KEY", entry.path) if entry.path else []
    lines += _wrapped("" if entry.path else "DOCUMENT", entry.doc)
    for head, text in (
        ("TYPE", entry.type),
        ("VALUES", entry.values),
        ("DEFAULT", "none, it is required" if entry.required else entry.default),
        ("READ BY", ", ".join(entry.verbs)),
        ("SAME AS", entry.same_as),
        ("ALSO AT", ", ".join(entry.also_at)),
    ):
        lines += _wrapped(head, text) if text and entry.path else []
    for example in examples:
        lines += ["", "EXAMPLE", *(f"  {line}" for line in example.splitlines())]
    lines += ["", "KEYS"] if entry.keys else []
    names = [f"  {key.path.rpartition('.')[2]}{' *' * key.required}  " for key in entry.keys]
    for name, key in zip(names, entry.keys, strict=True):
        lines += _wrapped(name, key.doc, max(map(len, names)))
    lines += ["", "* is required"] if any(key.required for key in entry.keys) else []
    return lines


def _wrapped(head: str, text: str, indent: int = _INDENT) -> list[str]:
    from textwrap import wrap

    from builder.cli import table

    return wrap(
        text,
        min(table.width() or _WIDTH, _WIDTH),
        initial_indent=head.ljust(indent),
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )


def _value(entry: KeyHelp) -> dict[str, Any]:
    return {
        "key": entry.path,
        "title": entry.title,
        "description": entry.doc,
        "type": entry.type,
        "values": entry.values or None,
        "required": entry.required,
        "default": entry.default or None,
        "examples": list(entry.examples),
        "readBy": list(entry.verbs),
        "sameAs": entry.same_as or None,
        "alsoAt": list(entry.also_at),
        "keys": [key.path for key in entry.keys],
    }
