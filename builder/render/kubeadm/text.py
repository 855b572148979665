"""Documents to YAML that every reader of kubeadm's takes the same way.

kubeadm reads YAML 1.1 with a Go library that knows more words for true and false (``y``, ``n``)
than PyYAML does. So plain text is written only where it begins with a letter and nobody could
take it for anything else; the rest stands in double quotes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]+")
_WIDEST = 1 << 20
"""Text is never folded; a reader of the file wants to find it in one line."""
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_DUMPER):  # type: ignore[misc] # whichever of the two there is
    """Quote whatever is not plainly text, and write no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- PyYAML's signature
        return True


def _text(dumper: Any, data: str) -> Any:
    style = None if _PLAIN.fullmatch(data) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _text)


def written(documents: Iterable[Any]) -> str:
    """Write documents as one YAML stream, keys in the order that they have."""
    text: str = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDEST
    )
    return text
