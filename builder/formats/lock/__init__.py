"""The lock as text: canonical JSON, one artifact a line, so that a diff reads well.

The bytes are a pure function of the value: fixed key order, sorted artifacts, no time stamps,
ASCII. The reader is strict, since everything right of the air gap trusts what it returns.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from builder.formats.lock.rules import check
from builder.formats.lock.table import ARTIFACT, LOCK, SUBJECT
from builder.formats.reading import Reading, check_format, refusal
from builder.formats.text import json_value, read_text
from builder.model.lock import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from builder.model.artifact import Artifact
    from builder.model.lock import Lock


def write(lock: Lock) -> bytes:
    lines = [_line(ARTIFACT.write(artifact)) for artifact in _ordered(lock)]
    head = f'{{\n"format": {FORMAT},\n"cluster": {_line(SUBJECT.write(lock.subject))},\n'
    body = ",\n".join(lines)
    return f'{head}"artifacts": [\n{body}\n]\n}}\n'.encode("ascii")


def read(path: Path) -> Lock:
    """Read a lock file; raise DocumentError with every fault in it."""
    return parse(read_text(path), str(path))


def parse(text: str, name: str) -> Lock:
    """Read a lock's text; ``name`` is what errors call it."""
    value = json_value(text, name) if text.lstrip()[:1] in {"{", "["} else None
    if not isinstance(value, dict) or not {"format", "artifacts"} <= value.keys():
        raise refusal(name, "this is not a lock", expected="a file that airseed lock wrote")
    check_format(value, FORMAT, name, "the lock", again="make it again with airseed lock")
    lock = LOCK.read_document(value, name)
    reading = Reading(name)
    check(lock, reading)
    reading.finish()
    return lock


def _ordered(lock: Lock) -> Iterator[Artifact]:
    groups: tuple[Iterable[Artifact], ...] = (
        lock.repositories,
        lock.files,
        lock.packages,
        lock.images,
        lock.blobs,
    )
    for group in groups:
        yield from sorted(group, key=lambda artifact: artifact.name)


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=True)
