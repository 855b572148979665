"""RPMs: the check that the right key signed the right package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import VerificationError
from builder.rpm.header import read_head
from builder.rpm.keys import RpmKey, load_keys
from builder.rpm.payload import verify_payload
from builder.rpm.signature import read_header, verify_signature

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
        self._signed = {repository.name for repository in lock.repositories if repository.signed}
        self._read = read
        self._keys: dict[str, RpmKey] = {}

    def check(self, package: Package, content: io.BufferedReader) -> None:
        """Raise VerificationError unless a pinned key signed it, and it is what the lock names.

        Its files count, too: where the signature does not reach them, a pinned digest or signed
        repository metadata must.
        """
        where = package.name
        head = read_head(content, where=where)
        keys = [self._key(fingerprint) for fingerprint in package.keys]
        verify_signature(head, keys, where=where)
        nevra = read_header(head, where=where).nevra
        if nevra != package.nevra:
            raise VerificationError(
                f"the RPM says that it is {nevra}", where=where, expected=str(package.nevra)
            )
        covered = verify_payload(head, content, keys, where=where)
        if not (covered or package.trust == "pinned" or package.repository in self._signed):
            raise VerificationError(
                "only its header is signed; no signature covers its files",
                where=where,
                expected="a payload digest in the header, or a signature over header and payload",
                hint="pin its SHA-256 in the catalog (kubernetes/MINOR.yaml) if you know it to be"
                " right",
            )

    def _key(self, fingerprint: str) -> RpmKey:
        if fingerprint not in self._keys:
            path = self._paths[fingerprint]
            keys = load_keys(self._read(path), where=path)
            key = next((key for key in keys if key.fingerprint == fingerprint), None)
            if key is None:
                raise VerificationError("this file does not contain the key", where=path)
            self._keys[fingerprint] = key
        return self._keys[fingerprint]
