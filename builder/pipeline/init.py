"""``init``: write a commented cluster.yaml to start from, and the schema editors check it by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from builder import disk
from builder.assets import tree
from builder.errors import UsageError, did_you_mean
from builder.formats import cluster as cluster_format

if TYPE_CHECKING:
    from pathlib import Path

NAME = "cluster.yaml"
SCHEMA_NAME = "cluster.schema.json"
"""The first line of each example tells editors this name."""


def examples() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def write(example: str, target: Path, *, force: bool = False) -> Path:
    """Write an example to a file, or as cluster.yaml into a folder; give the file's path.

    The schema is put beside it. A file that is there already is left alone without ``force``.

    Raises:
        UsageError: there is no such example, or the file exists.
        StorageError: the disk does not take it.
    """
    if example not in examples():
        raise UsageError(
            f"there is no example {example!r}",
            expected=" or ".join(examples()),
            hint=did_you_mean(example, examples()),
        )
    content = (_folder() / f"{example}.yaml").read_bytes()
    if target.is_dir():
        target = target / NAME
    disk.claim(target, force=force)
    disk.put(target.with_name(SCHEMA_NAME), schema_text().encode())
    disk.put(target, content)  # last: while it is missing, the same command can be run again
    return target


def schema_text() -> str:
    return json.dumps(cluster_format.schema(), indent=2, ensure_ascii=False) + "\n"


def _folder() -> Path:
    return tree("mirrors") / "examples"
