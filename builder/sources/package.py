"""RPMs: the check that the right key signed the right package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import VerificationError
from builder.rpm.header import read_head
from builder.rpm.keys import Key, load_keys
from builder.rpm.signature import check_signature, read_header

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from builder.model.artifact import Package
    from builder.model.lock import Lock


class Signatures:
    """Check RPMs with the keys that their lock names.

    ``read`` gives the content of one of the lock's key files, which is asked for once.
    """

    def __init__(self, lock: Lock, read: Callable[[str], bytes]) -> None:
        self._paths = {file.fingerprint: file.path for file in lock.files if file.kind == "key"}
        self._read = read
        self._keys: dict[str, Key] = {}

    def check(self, package: Package, content: io.BufferedReader) -> None:
        """Raise VerificationError unless a pinned key signed it, and it is what the lock names."""
        where = package.name
        head = read_head(content, where=where)
        check_signature(head, [self._key(one) for one in package.keys], where=where)
        found = read_header(head, where=where).nevra
        if found != package.nevra:
            raise VerificationError(
                f"the RPM says that it is {found}", where=where, expected=str(package.nevra)
            )

    def _key(self, fingerprint: str) -> Key:
        if fingerprint not in self._keys:
            path = self._paths[fingerprint]
            keys = load_keys(self._read(path), where=path)
            found = next((key for key in keys if key.fingerprint == fingerprint), None)
            if found is None:
                raise VerificationError("this file does not hold the key", where=path)
            self._keys[fingerprint] = found
        return self._keys[fingerprint]
