"""Command-line arguments of the components: a mapping up to v1beta3, a list of pairs after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.configuration import Configuration

_GATES = "feature-gates"


def put(
    document: dict[str, Any],
    path: tuple[str, ...],
    arguments: Mapping[str, str],
    configuration: Configuration,
) -> None:
    """Set arguments at a path through a document, in the form that its API version has.

    The mappings on the way are made where they are missing; other arguments stay.
    """
    *way, last = path
    inner = document
    for key in way:
        inner[key] = dict(inner.get(key) or {})
        inner = inner[key]
    type_ = configuration.at(document["kind"], *path)
    if type_ is not None and type_.wraps[:1] == ("list",):
        others = [
            argument for argument in inner.get(last) or () if argument.get("name") not in arguments
        ]
        pairs = [{"name": name, "value": value} for name, value in arguments.items()]
        inner[last] = [*others, *pairs]
    else:
        inner[last] = {**(inner.get(last) or {}), **arguments}


def get(document: Mapping[str, Any], path: tuple[str, ...], name: str) -> str | None:
    """Return the value of an argument, or None when it is not set; the last one counts."""
    inner: Any = document
    for key in path:
        inner = (inner or {}).get(key)
    if isinstance(inner, dict):
        return inner.get(name)
    values = [argument.get("value") for argument in inner or () if argument.get("name") == name]
    return values[-1] if values else None


def open_gate(
    document: dict[str, Any], path: tuple[str, ...], gate: str, configuration: Configuration
) -> None:
    """Open a feature gate in the arguments at a path, unless they open or close it already."""
    named = [name for name in (get(document, path, _GATES) or "").split(",") if name]
    if gate not in {name.partition("=")[0].strip() for name in named}:
        named.append(f"{gate}=true")
    put(document, path, {_GATES: ",".join(named)}, configuration)
