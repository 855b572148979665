"""The signature of a bundle: a file beside it, over its SHA256SUMS.

SHA256SUMS has the digest of every member, README.txt and cluster.lock among them, and where each
byte of the tar stands follows from them. So one signature holds for the tar, for its parts and for
the folder that it was unpacked to, and whoever has gpg checks it by hand::

    tar -xOf bundle.tar SHA256SUMS | gpg --verify bundle.tar.asc -
    sha256sum --quiet -c SHA256SUMS          # unpacked, in the folder
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle import split
from builder.errors import AirseedError, Fault, StorageError, UsageError, VerificationError
from builder.rpm.keys import KEYS_LIMIT, SIGNATURE_LIMIT, has_secrets, load_keys, verify_detached
from builder.rpm.signing import PassphraseError, open_signer
from builder.secrets.folder import OTHERS_MAY_ENTER, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.model.lock import Lock
    from builder.rpm.keys import RpmKey
    from builder.rpm.signing import OpenPgpSigner

SUFFIX = ".asc"
_FINGERPRINT = re.compile(r"(?:[0-9A-F]{40}|[0-9A-F]{64})")
_LOOKS = re.compile(r"(?:0[xX])?[0-9A-Fa-f]{8,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """Say by whom a bundle must be signed: one of these keys."""

    keys: tuple[RpmKey, ...] = ()
    fingerprints: tuple[str, ...] = ()
    """Of keys that the bundle itself brings in keys/, as it does for the site's own."""


def beside(bundle: Path) -> Path:
    """Return a signature's usual place: bundle.tar.asc beside bundle.tar, or beside its parts."""
    return split.beside(bundle, SUFFIX)


def load_signer(path: Path, ask: Callable[[], str] | None = None) -> OpenPgpSigner:
    """Read a secret key for signing; ``ask`` is asked for its passphrase, if it has one.

    Raises:
        StorageError: it cannot be read, or others may read it.
        PassphraseError: the passphrase is missing or wrong.
        VerificationError: it is not a key that signs, or only the public half.
    """
    _refuse_public(path)
    content = private(path)
    try:
        return open_signer(content, where=str(path))
    except PassphraseError as error:
        if ask is None:
            raise
        passphrase = ask()
        if not passphrase:
            raise PassphraseError("the key has a passphrase", where=str(path)) from error
        return open_signer(content, passphrase, where=str(path))


def _refuse_public(path: Path) -> None:
    """Raise VerificationError for a public key: all may read it, so its mode does not matter."""
    content = read_file(path, forbidden=0)
    if not isinstance(content, bytes):
        return
    try:
        public = bool(load_keys(content, where=str(path))) and not has_secrets(content)
    except (AirseedError, RuntimeError, ValueError, OSError):
        return
    if public:
        raise VerificationError(
            "this is a public key, there is no secret key in it",
            where=str(path),
            expected="one OpenPGP secret key",
            hint="airseed secrets makes secrets/signing-key.asc;"
            " gpg --armor --export-secret-keys FINGERPRINT writes one",
        )


def private(path: Path) -> bytes:
    """Read a file that only its owner may read; raise StorageError."""
    content = read_file(path, forbidden=OTHERS_MAY_ENTER)
    if content is None:
        raise StorageError("there is no such file", where=str(path))
    if isinstance(content, Fault):
        raise StorageError(
            content.what, where=content.where, expected=content.expected, hint=content.hint
        )
    return content


def sign(bundle: Path, sums: bytes, signer: OpenPgpSigner) -> Path:
    """Write the signature beside a bundle; give its place.

    Raise VerificationError when the key has expired meanwhile, StorageError when the disk does
    not take it.
    """
    path = beside(bundle)
    disk.put(path, signer.sign(sums))
    return path


def forget(bundle: Path) -> None:
    beside(bundle).unlink(missing_ok=True)


def pins(texts: Sequence[str]) -> Pins:
    """Read pinned keys, each a file of public keys or a whole fingerprint.

    Raise UsageError for a fingerprint that is too short to pin anything, VerificationError for a
    file that holds no public key, StorageError for one that cannot be read.
    """
    keys: list[RpmKey] = []
    fingerprints: list[str] = []
    for text in texts:
        plain = text.replace(" ", "").upper().removeprefix("0X")
        if _FINGERPRINT.fullmatch(plain):
            fingerprints.append(plain)
        elif not Path(text).exists():
            short = _LOOKS.fullmatch(text)
            raise UsageError(
                "this is a short key ID, which anybody can forge"
                if short
                else "this is neither a file nor a fingerprint",
                where=text,
                expected="a key's file, or its whole fingerprint: 40 or 64 hex digits",
            )
        else:
            keys += load_keys(_small(Path(text), KEYS_LIMIT), where=text)
    return Pins(keys=tuple(keys), fingerprints=tuple(fingerprints))


def check(
    sums: bytes, path: Path, wanted: Pins, lock: Lock, read: Callable[[str], bytes]
) -> str | Fault:
    """Check a bundle's signature; give the fingerprint of who made it, or what is wrong.

    ``sums`` is its SHA256SUMS; ``read`` gives a member of it by path.
    """
    try:
        keys = (*wanted.keys, *_brought(wanted.fingerprints, lock, read))
    except VerificationError as error:
        return error.fault
    return check_detached(
        sums,
        path,
        keys,
        hint="airseed bundle --sign KEYFILE makes it where the bundle is built; copy it along",
    )


def check_detached(content: bytes, path: Path, keys: Sequence[RpmKey], *, hint: str) -> str | Fault:
    """Check a signature in a file of its own; ``hint`` is for where there is none."""
    if not path.exists():
        return Fault(where=str(path), what="there is no signature", hint=hint)
    try:
        return verify_detached(content, _small(path, SIGNATURE_LIMIT), keys, where=str(path))
    except (StorageError, VerificationError) as error:
        return error.fault


def _brought(fingerprints: Sequence[str], lock: Lock, read: Callable[[str], bytes]) -> list[RpmKey]:
    """Find pinned keys among those that the bundle brings; its word alone counts for nothing."""
    brought: list[RpmKey] = []
    for fingerprint in fingerprints:
        file = next(
            (candidate for candidate in lock.files if candidate.fingerprint == fingerprint), None
        )
        its_keys = load_keys(read(file.path), where=file.path) if file is not None else ()
        keys = [key for key in its_keys if key.fingerprint == fingerprint]
        if not keys:
            raise VerificationError(
                "the bundle does not contain this key",
                where=fingerprint,
                hint="give the file that has it: --key FILE",
            )
        brought += keys
    return brought


def _small(path: Path, limit: int) -> bytes:
    """Read a small file; raise StorageError."""
    try:
        return disk.read(path, limit)
    except FileNotFoundError as error:
        raise StorageError("there is no such file", where=str(path)) from error
    except OSError as error:
        raise disk.failure(error, path) from error
