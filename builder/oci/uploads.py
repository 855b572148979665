"""Uploads that a registry keeps, remembered across runs: where each of them goes on.

Only a place in a registry is written down, and it is of use to nobody without a login.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import TYPE_CHECKING

from builder import disk, owners
from builder.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.digest import Digest
    from builder.oci.scope import Scope

_LONGEST = 16 << 10
_LIFE = 7 * 86_400.0
"""Seconds; registries sweep what nobody went on with for as long, as docker-registry does."""


class Uploads:
    """One small file an upload. Whoever takes it has it alone, be it another process.

    A folder that cannot be written costs no more than the memory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, scope: Scope, digest: Digest, session: str) -> None:
        path = self._path(scope, digest)
        with contextlib.suppress(StorageError, OSError):
            disk.folder(self._folder)
            disk.put(path, session.encode(), mode=disk.PRIVATE, sync=False)

    def take(self, scope: Scope, digest: Digest) -> str:
        """Return where an upload goes on, and forget it; empty where there is none."""
        path = self._path(scope, digest)
        mine = path.with_name(f"{path.name}.{time.monotonic_ns()}")
        try:
            path.rename(mine)
            content = owners.read_own(mine, _LONGEST) or b""
            fresh = time.time() - mine.stat().st_mtime < _LIFE
        except (OSError, StorageError):
            return ""
        finally:
            with contextlib.suppress(OSError):
                mine.unlink()
        return content.decode("ascii", "ignore") if fresh else ""

    def forget(self, scope: Scope, digest: Digest) -> None:
        with contextlib.suppress(OSError):
            self._path(scope, digest).unlink()

    def _path(self, scope: Scope, digest: Digest) -> Path:
        name = f"{scope.repository}@{digest}".encode()
        return self._folder / hashlib.sha256(name).hexdigest()
