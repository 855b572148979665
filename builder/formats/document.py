"""What a document's text is read into, and the error where it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from builder.errors import DocumentError, Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    value: Any
    lines: dict[str, int] = field(default_factory=dict)


def refusal(name: str, what: str, *, where: str = "", hint: str | None = None) -> DocumentError:
    return DocumentError(name, [Fault(where=where, what=what, hint=hint)])
