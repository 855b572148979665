"""What another run of ``seeds`` would change, by node and file, in words that can be reviewed.

A user-data of thousands of lines is told by the files in it: scripts by name and digest, all others
by the lines that differ. Secrets are blotted out, and so are the digests of what has them.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from builder.errors import DocumentError
from builder.formats.text import yaml_document
from builder.model.digest import Digest
from builder.pipeline.masked_diff import changed_lines, differences, readable
from builder.render.seed import USER_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

Action: TypeAlias = Literal["add", "change", "remove"]
_ENTRY = re.compile(r"^  - path: \"(?P<path>[^\n]*)\"\n(?:(?: {4}[^\n]*)?\n)*", re.MULTILINE)
"""A file of user-data, as the template writes it."""


SEED = USER_DATA
"""The file without which a node has no seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedPart:
    """Hold what changes of a file that a user-data lays down, or of what is beside them in it."""

    path: str
    """Empty for the rest of the document."""
    action: Action
    is_script: bool = False
    before: str = ""
    """The short digest of a script."""
    after: str = ""
    lines: tuple[str, ...] = ()
    """Those that go and come, marked by - and +."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDifference:
    node: str
    """Empty for a file that all nodes share."""
    name: str
    before: bytes | None
    after: bytes | None

    @property
    def action(self) -> Action:
        if self.before is None:
            return "add"
        return "change" if self.after is not None else "remove"

    @property
    def path(self) -> str:
        return f"{self.node}/{self.name}" if self.node else self.name

    def diff(self) -> Iterator[str]:
        """Return the whole unified diff."""
        return differences(self.before, self.after, self.path)

    def parts(self) -> tuple[SeedPart, ...]:
        """Return what changes inside; nothing of a file that comes or goes as a whole."""
        if self.action != "change":
            return ()
        old, new = readable(self.before), readable(self.after)
        if self.name != USER_DATA:
            return (SeedPart(path="", action="change", lines=changed_lines(old, new)),)
        before, after = _entries(old), _entries(new)
        parts = [
            _part(path, before.get(path), after.get(path))
            for path in dict.fromkeys((*before, *after))
            if before.get(path) != after.get(path)
        ]
        rest = changed_lines(_ENTRY.sub("", old), _ENTRY.sub("", new))
        if rest or not parts:
            parts.append(SeedPart(path="", action="change", lines=rest))
        return tuple(parts)


def _entries(text: str) -> dict[str, str]:
    return {match["path"]: match[0] for match in _ENTRY.finditer(text)}


def _part(path: str, before: str | None, after: str | None) -> SeedPart:
    action: Action = "add" if before is None else "change" if after is not None else "remove"
    contents = [_content(entry) for entry in (before, after)]
    if all(content is None or content.startswith(b"#!") for content in contents):
        old, new = ("" if content is None else Digest.of(content).short for content in contents)
        return SeedPart(path=path, action=action, is_script=True, before=old, after=new)
    lines = changed_lines(before or "", after or "") if action == "change" else ()
    return SeedPart(path=path, action=action, lines=lines)


def _content(entry: str | None) -> bytes | None:
    """Return the bytes of a file as the machine gets them."""
    if entry is None:
        return None
    try:
        (fields,) = yaml_document(entry, USER_DATA).value
        content = str(fields["content"])
        return base64.b64decode(content) if "encoding" in fields else content.encode()
    except (DocumentError, ValueError, TypeError, KeyError):
        return b""  # somebody's hand was in it
