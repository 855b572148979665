"""Lay the raw documents of cluster.yaml over generated ones.

Mappings are merged key by key, anything else is replaced; null is a value like any other. Only
lists of arguments (``{name, value}``, from v1beta4 on) are joined by name, since they say what
older versions say in mappings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.model.cluster import Overrides
    from builder.model.configuration import Configuration, FieldType

_ARGUMENT = "Arg"
"""What kubeadm's Go types call an argument with name and value."""


def overlaid(
    document: dict[str, Any], overrides: Iterable[Overrides], configuration: Configuration
) -> dict[str, Any]:
    """Lay what each of the overrides says about this kind of document over it, in their order."""
    kind = document["kind"]
    result = document
    for override in overrides:
        if kind in override:
            laying = _Laying(kind, configuration)
            result = laying.mapping(result, override[kind], configuration.at(kind))
    return result


class _Laying:
    """Lays one raw document, with the types of its fields at hand."""

    def __init__(self, kind: str, configuration: Configuration) -> None:
        self.kind = kind
        self.configuration = configuration

    def mapping(
        self, base: Mapping[str, Any], over: Mapping[str, Any], type_: FieldType | None
    ) -> dict[str, Any]:
        merged = dict(base)
        for key, value in over.items():
            merged[key] = self.value(merged.get(key), value, self.inside(type_, key))
        return merged

    def inside(self, type_: FieldType | None, key: str) -> FieldType | None:
        if type_ is None:
            return None
        if type_.wraps:
            return type_.item
        return (self.configuration.fields(self.kind, type_.name) or {}).get(key)

    def value(self, base: Any, over: Any, type_: FieldType | None) -> Any:
        if isinstance(over, dict):
            return self.mapping(base if isinstance(base, dict) else {}, over, type_)
        if isinstance(over, list):
            item = type_.item if type_ and type_.wraps else None
            laid = [self.value(None, entry, item) for entry in over]
            joined = base and item is not None and item.name == _ARGUMENT
            return [*_others(base, laid), *laid] if joined else laid
        if isinstance(over, str) and type_ is not None and type_.name == "number":
            return float(over)  # a number with a point, which cluster.yaml's reader keeps as text
        return over


def _others(base: list[dict[str, Any]], over: list[dict[str, Any]]) -> list[dict[str, Any]]:
    named = {argument.get("name") for argument in over}
    return [argument for argument in base if argument.get("name") not in named]
