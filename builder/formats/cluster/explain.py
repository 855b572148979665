"""What the table of keys says about each key of cluster.yaml, in words for people.

``airseed explain`` and docs/cluster.md are both made from it, so neither can disagree with the
reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from builder.errors import UsageError, did_you_mean
from builder.formats.cluster.keys import CLUSTER
from builder.formats.cluster.machine_terms import KINDS, Documents
from builder.formats.records import Field, ListOf, MapOf, Record, TextOr
from builder.formats.shape import Anything, Flag, Number, OneOf, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.formats.shape import Shape

_MOST_NAMED = 3
_VERBS = ("lock", "secrets", "seeds", "kubeconfig", "packer", "changes")
"""In the order of the work."""
_DOCUMENTS: dict[str, Field[Any]] = {
    name: Field(Anything(), title=name, doc=doc, examples=(example,))
    for name, (doc, example) in KINDS.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHelp:
    path: str
    """Without places in lists: ``nodes.address``; empty for the whole document."""
    title: str
    doc: str
    type: str
    values: str = ""
    """Which ones are allowed, where the type does not say it."""
    required: bool = False
    default: str = ""
    examples: tuple[Any, ...] = ()
    """Plain values."""
    verbs: tuple[str, ...] = ()
    """Which verbs read it, or something below it."""
    same_as: str = ""
    """The first key of which this one is a repetition, with all that is below it."""
    also_at: tuple[str, ...] = ()
    """Where it may be repeated; only :func:`find` says it."""
    keys: tuple[KeyHelp, ...] = ()
    """Those below it, in the order of the table."""


def tree() -> KeyHelp:
    whole: Field[Any] = Field(CLUSTER, doc="A cluster, as cluster.yaml describes it.")
    return _entry("", whole, (), {})


def walk(entry: KeyHelp, *, repeats: bool = True) -> Iterator[KeyHelp]:
    """Yield what is below an entry, depth first; without ``repeats`` what is the same only once."""
    for key in entry.keys:
        yield key
        if repeats or not key.same_as:
            yield from walk(key, repeats=repeats)


def find(path: str) -> KeyHelp:
    """Return the entry of a key; ``nodes[2].address`` is taken as messages write it.

    Raises:
        UsageError: there is no such key.
    """
    wanted = re.sub(r"\[[0-9]*\]", "", path).strip(".")
    whole = tree()
    entries = {entry.path: entry for entry in walk(whole)}
    if not wanted:
        return whole
    if wanted in entries:
        others = tuple(entry.path for entry in entries.values() if entry.same_as == wanted)
        return replace(entries[wanted], also_at=others)
    ending = named(wanted.rpartition(".")[2])
    hint = f"did you mean {' or '.join(map(repr, ending))}?" if ending else None
    hint = hint or did_you_mean(wanted, [entry.path for entry in walk(whole, repeats=False)])
    raise UsageError(
        f"cluster.yaml has no key {path[:80]!r}", hint=hint or "airseed explain lists the keys"
    )


def named(last: str) -> list[str]:
    """Return where there are keys of this name."""
    paths = (entry.path for entry in walk(tree(), repeats=False))
    return [path for path in paths if path.rpartition(".")[2] == last][:_MOST_NAMED]


def _entry(path: str, field: Field[Any], verbs: tuple[str, ...], seen: dict[int, str]) -> KeyHelp:
    verbs = field.verbs or verbs
    shape = field.shape
    below = {f"{path}.{key}" if path else key: value for key, value in _fields(shape).items()}
    # before what is further below: machine is named before roles.worker.machine
    for name, child in below.items():
        if _fields(child.shape):
            seen.setdefault(id(child), name)
    first = seen.get(id(field), path)
    keys = tuple(_entry(name, child, verbs, seen) for name, child in below.items())
    verbs = tuple(dict.fromkeys((*verbs, *(verb for key in keys for verb in key.verbs))))
    kind, values = _describe(shape)
    default = "" if field.required else _plain(field.default)
    return KeyHelp(
        path=path,
        title=field.title,
        doc=field.doc.replace(f" Default: {default}.", ""),
        type=kind,
        values=values,
        required=field.required,
        default=default,
        examples=field.examples or _examples(shape),
        verbs=tuple(sorted(verbs, key=_VERBS.index)),
        same_as="" if first == path else first,
        keys=keys,
    )


def _fields(shape: Shape[Any]) -> Mapping[str, Field[Any]]:
    """Return the fields of the mapping that a shape reads, be it one of a list."""
    if isinstance(shape, ListOf):
        shape = shape.item
    if isinstance(shape, TextOr):
        shape = shape.long
    if isinstance(shape, Record):
        return shape.fields
    return _DOCUMENTS if isinstance(shape, Documents) else {}


def _describe(shape: Shape[Any]) -> tuple[str, str]:
    """Return the type of a shape's values, and which of them are allowed."""
    kind, values = "mapping", ""
    match shape:
        case Text():
            kind, values = "text", "" if shape.expected == "text" else shape.expected
        case OneOf():
            kind, values = "text", ", ".join(shape.words)
        case Flag():
            kind = "true or false"
        case Number():
            kind, values = "number", f"{shape.least} to {shape.most}"
            if shape.least == shape.most:
                values = str(shape.least)
        case ListOf():
            kind, values = _describe(shape.item)
            kind = f"{kind}, or a list" if shape.lone else f"list of {kind}"
        case MapOf():
            kind, values = _describe(shape.item)
            kind = f"mapping to {kind}"
        case TextOr():
            kind, values = _describe(shape.short)
            kind = f"{kind}, or a mapping"
        case _:
            pass
    return kind, values


def _examples(shape: Shape[Any]) -> tuple[Any, ...]:
    if isinstance(shape, TextOr):
        return _examples(shape.short)
    if isinstance(shape, ListOf):
        inner = _examples(shape.item)
        return inner if shape.lone else tuple([example] for example in inner)
    return (shape.example,) if isinstance(shape, Text) and shape.example else ()


def _plain(default: Any) -> str:
    """Return a default as cluster.yaml would have it; nothing where it is made of other keys."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ", ".join(map(str, filter(None, default)))
    if isinstance(default, str | int):
        return str(default)
    return getattr(default, "kind", "")


def examples(entry: KeyHelp) -> tuple[str, ...]:
    import yaml  # noqa: PLC0415 -- slow to load

    name = entry.path.rpartition(".")[2]
    return tuple(
        yaml.safe_dump(
            {name: value},
            default_flow_style=None if isinstance(value, dict | list) else False,
            sort_keys=False,
            width=70,
        ).rstrip()
        for value in entry.examples
    )
