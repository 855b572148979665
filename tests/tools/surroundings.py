"""What must not show in anything that airseed writes: who runs it, where, and under which rules."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sandbox

SURROUNDINGS: dict[str, dict[str, str]] = {
    "077": {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "2"},
    "000": {"LC_ALL": "C.UTF-8", "TZ": "America/St_Johns", "SOURCE_DATE_EPOCH": "1"},
}
"""By umask: locale, time zone, order of sets."""


def under(umask: str) -> tuple[str, ...]:
    """Return the words that run a program with this umask."""
    return ("sh", "-c", f'umask {umask}; exec "$@"', "sh")


def lock_and_bundle(sandbox: Sandbox, *prefix: str) -> dict[str, tuple[str, bytes]]:
    """Lock and bundle; return permissions and bytes of all that is left, by name."""
    catalog = os.path.relpath(sandbox.catalog, sandbox.folder)  # another user can't look above it
    for words in (
        ("lock", "cluster.yaml", "--catalog", catalog),
        ("bundle", "cluster.lock"),
        ("bundle", "cluster.lock", "-o", "parts.tar", "--split", "5M"),
    ):
        ran = sandbox.run(*words, prefix=prefix)
        assert ran.code == 0, ran.err
    return left(sandbox.folder)


def left(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Return permissions and bytes of all below a folder but what the tests put there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name != "cluster.yaml":
            name = path.relative_to(folder).as_posix()
            plain = path.is_file() and not path.name.endswith(".provenance.json")
            found[name] = (stat.filemode(path.stat().st_mode), path.read_bytes() if plain else b"")
    return found


def unlike(one: dict[str, tuple[str, bytes]], other: dict[str, tuple[str, bytes]]) -> list[str]:
    """Name what two runs did not leave alike."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
