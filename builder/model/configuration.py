"""The fields that kubeadm, kubelet and kube-proxy know in their configuration documents.

The tables are data (``mirrors/configuration/``), made from the Go types; here is what they mean.
A :class:`Configuration` is the view of one Kubernetes release on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from builder.model.life import ALWAYS, RELEASE, Life, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FORM = re.compile(
    rf"((?:(?:list|map) of )*)([A-Za-z][A-Za-z0-9]*)((?: (?:since|before) {RELEASE})*)"
)
PLAIN = ("text", "flag", "integer", "number", "quantity", "duration", "anything")
"""What a field holds where its type is none of the table's own."""


@dataclass(frozen=True, slots=True)
class FieldType:
    name: str
    """One of :data:`PLAIN`, or a type of the same table."""
    wraps: tuple[str, ...] = ()
    """``list`` and ``map``, the outermost first."""
    life: Life = ALWAYS
    """The minors that have it."""

    @classmethod
    def parse(cls, text: str) -> FieldType:
        """Read ``[list of|map of]... TYPE [since MINOR] [before MINOR]``; raise ValueError."""
        match = _FORM.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is not a field's type (like list of text since 1.19)")
        wraps, name, life = match.groups()
        life = Life.parse(life.strip() or "always")
        return cls(name, tuple(wraps.replace(" of ", " ").split()), life)

    @property
    def item(self) -> FieldType:
        return FieldType(self.name, self.wraps[1:])

    def __str__(self) -> str:
        return "".join(f"{wrap} of " for wrap in self.wraps) + self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Hold the types of one API version of one program's configuration."""

    name: str
    """The program: ``kubeadm``, ``kubelet``, ``kube-proxy``."""
    version: str
    group: str
    kinds: tuple[str, ...]
    """The types that are documents of their own."""
    types: Mapping[str, Mapping[str, FieldType]]
    """By type, then by field."""

    @property
    def api(self) -> str:
        return f"{self.group}/{self.version}"


@dataclass(frozen=True)
class Configuration:
    release: tuple[int, int]
    tables: tuple[Table, ...] = field(default=())

    @cached_property
    def _by_kind(self) -> Mapping[str, Table]:
        return {kind: table for table in self.tables for kind in table.kinds}

    @property
    def kinds(self) -> Iterable[str]:
        return self._by_kind.keys()

    def api(self, kind: str) -> str:
        return self._by_kind[kind].api

    def fields(self, kind: str, name: str) -> Mapping[str, FieldType] | None:
        """Return the fields of a type in the table of a kind, or None when it is a plain one."""
        fields = self._by_kind[kind].types.get(name)
        if fields is None:
            return None
        return {key: field for key, field in fields.items() if field.life.is_known(self.release)}

    def elsewhere(self, kind: str, name: str, key: str) -> str | None:
        """Say which releases have a field that this one lacks, where the table knows."""
        field = self._by_kind[kind].types.get(name, {}).get(key)
        if field is None or field.life.is_known(self.release):
            return None
        if field.life.since and field.life.is_ahead(self.release):
            return f"Kubernetes {written(field.life.since)} and later"
        return f"Kubernetes before {written(field.life.before or self.release)}"

    def at(self, kind: str, *path: str) -> FieldType | None:
        """Return the type of the field at a path through a document, or None when there is none."""
        type_: FieldType | None = FieldType(kind)
        for key in path:
            fields = None if type_ is None or type_.wraps else self.fields(kind, type_.name)
            type_ = None if fields is None else fields.get(key)
        return type_
