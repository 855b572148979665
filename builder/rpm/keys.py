"""OpenPGP keys of those who sign packages, and detached signatures over metadata.

pysequoia reads the keys, whatever their age, and checks detached signatures by today's rules: no
version 3, no SHA-1, also not in the key's own signature over itself. RPM signatures are another
matter: see :mod:`builder.rpm.signature`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builder.errors import VerificationError
from builder.openpgp import framed, packets_of_file
from builder.rpm.certificates import SIGNATURE, doubt, made_by, read_certificate
from builder.rpm.packet_signature import read_signature
from builder.rpm.problems import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KEYS_LIMIT = 1 << 20
"""Bytes of the largest file of keys that is read."""
SIGNATURE_LIMIT = 1 << 18
"""Bytes of the largest detached signature that is read."""
_MOST_KEYS = 64
_MOST_SIGNATURES = 16
_MOST_USERS = 1000
"""User IDs in a file: the library compares each with each."""
_SHORT_ID = 16
_CLOCK = "set this machine's clock if it is behind; else it is the signer's that was ahead"
_SECRET, _USERS = {5, 7}, {13, 17}


class EarlyError(VerificationError):
    """A signature or its key is from the future, by this machine's clock."""


class UncheckableError(VerificationError):
    """Say that a signature proves nothing here: a stranger's, or one that today's rules forbid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmKey:
    fingerprint: str
    """Of the primary key, upper-case hex."""
    content: bytes = field(repr=False)
    """The packets, not armoured, and none that the key itself did not sign."""
    armoured: bytes = field(repr=False)
    """The same as text, ready for rpm --import and gpgkey= (EL7 reads nothing else)."""
    users: tuple[str, ...]
    parts: tuple[str, ...]
    """Fingerprints of the primary key and its subkeys, any of which may have signed."""

    def has(self, issuer: str) -> bool:
        """Tell whether a fingerprint or key ID (hex of any case) is one of this key."""
        end = issuer.upper()
        return len(end) >= _SHORT_ID and any(part.endswith(end) for part in self.parts)

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.users[0]})" if self.users else self.fingerprint


def load_keys(content: bytes, *, where: str = "key", all_of: bool = False) -> tuple[RpmKey, ...]:
    """Read all keys of a file, armoured or binary, in the order in which they stand.

    Raise VerificationError when there is none, or what is there is not a public key; and for
    ``all_of`` them, where one says nothing of itself: rpm of EL7 believes it nevertheless.
    """
    if len(content) > KEYS_LIMIT:
        raise VerificationError(
            f"{len(content):,} bytes is too much for keys", where=where,
            expected=f"at most {KEYS_LIMIT:,} bytes",
        )  # fmt: skip
    pysequoia = load_pysequoia()
    try:
        certs = pysequoia.Cert.split_bytes(_plain(content, where))
        if certs and has_secrets(content):
            raise VerificationError(
                "there is a secret key in it",
                where=where,
                expected="its public half",
                hint="`airseed secrets` leaves that of signing-key.asc beside it, as"
                " signing-key.pub.asc; gpg --armor --export FINGERPRINT writes another key's",
            )
        keys: list[RpmKey] = []
        unread: VerificationError | None = None
        for cert in certs[: _MOST_KEYS + 1]:
            try:
                keys.append(_key(pysequoia, bytes(cert)))
            except VerificationError as error:
                unread = error
    except (RuntimeError, ValueError, OSError) as error:  # pysequoia raises RuntimeError for all
        raise VerificationError(
            f"no OpenPGP key can be read: {reason(error)}", where=where
        ) from error
    if not keys or (unread and all_of):
        what = unread.fault.what if unread else "there is no OpenPGP key in it"
        raise VerificationError(what, where=where)
    if len(keys) > _MOST_KEYS:
        raise VerificationError(f"there are more than {_MOST_KEYS} keys in it", where=where)
    return tuple({key.fingerprint: key for key in keys}.values())


def public_half(content: bytes, *, where: str = "key") -> bytes:
    """Return a secret key's public half, subkeys included, armoured; raise VerificationError."""
    pysequoia = load_pysequoia()
    try:
        [cert] = pysequoia.Cert.split_bytes(content)
        return _key(pysequoia, bytes(cert)).armoured  # its secrets were left out when it was read
    except (RuntimeError, ValueError, OSError) as error:
        # without its cause, which might quote what it could not read
        raise VerificationError(
            "no OpenPGP key can be read", where=where, expected="one key"
        ) from error


def has_secrets(content: bytes) -> bool:
    """Look into the file itself, for what is read of it leaves secrets out."""
    return any(tag in _SECRET for tag, _ in packets_of_file(content))


def _plain(content: bytes, where: str) -> bytes:
    """Return the packets of a file alone, as libraries may read them; raise PacketError."""
    found = list(packets_of_file(content))
    if sum(tag in _USERS for tag, _ in found) > _MOST_USERS:
        raise VerificationError(f"there are more than {_MOST_USERS:,} user IDs in it", where=where)
    return b"".join(framed(tag, body) for tag, body in found)


def _key(pysequoia: Any, content: bytes) -> RpmKey:
    """Describe what of a key is its own, because policies refuse to say the names of old ones."""
    certificate = read_certificate(content)
    armoured = pysequoia.armor(certificate.content, pysequoia.ArmorKind.PublicKey)
    parts = tuple(part.fingerprint for part in certificate.parts)
    return RpmKey(
        fingerprint=parts[0],
        content=certificate.content,
        armoured=str(armoured).encode(),
        users=tuple(map(plain, certificate.users)),
        parts=parts,
    )


def verify_detached(
    content: bytes, signature: bytes, keys: Sequence[RpmKey], *, where: str = "signature"
) -> str:
    """Check a detached signature, armoured or binary; return the fingerprint of the key.

    There may be several, as while a signer changes keys: one good one is enough. Raise
    UncheckableError that says which key signed and which were expected, or which of today's rules
    an old signature breaks; VerificationError for one that is wrong.
    """
    if len(signature) > SIGNATURE_LIMIT:
        raise VerificationError("this is too large for a signature", where=where)
    issuers: list[str] = []
    bad, early = None, None
    for packet, body in _signatures(signature, where):
        issuer = _issuer(packet)
        issuers.append(issuer or "of an unknown number")
        for key in keys:
            if issuer and key.has(issuer):
                try:
                    return _verify(content, packet, body, key, where)
                except EarlyError as error:
                    early = error
                except VerificationError as error:
                    bad = error
    # the one that can't be judged yet may be the good one
    raise early or bad or _stranger(issuers, keys, where)


def _signatures(content: bytes, where: str) -> list[tuple[Any, bytes]]:
    pysequoia = load_pysequoia()
    try:
        signatures = [
            (pysequoia.Sig.from_bytes(framed(tag, body)), body)
            for tag, body in packets_of_file(content)
            if tag == SIGNATURE
        ]
        if not signatures:
            raise VerificationError("there is no OpenPGP signature in it", where=where)
        return signatures[:_MOST_SIGNATURES]
    except (RuntimeError, ValueError, OSError) as error:
        raise VerificationError(
            f"no OpenPGP signature can be read: {reason(error)}", where=where
        ) from error


def _verify(content: bytes, packet: Any, body: bytes, key: RpmKey, where: str) -> str:
    pysequoia = load_pysequoia()
    cert = pysequoia.Cert.from_bytes(key.content)
    try:
        result = pysequoia.verify(bytes=content, store=lambda _ids: [cert], signature=packet)
        good = {str(valid.certificate).upper() for valid in result.valid_sigs}
    except (RuntimeError, ValueError, OSError) as error:
        if early := _early(packet, key):
            raise EarlyError(
                f"the signature of {key} can't be judged yet: {early}", where=where, hint=_CLOCK
            ) from error
        if outdated := _outdated(packet, cert):
            raise UncheckableError(
                f"the signature of {key} can't be checked", where=where, hint=outdated
            ) from error
        ended, renewed = _ended(packet), _renewed(packet, key)
        made = _made_here(content, body, key)
        if made and renewed and not ended:
            return key.fingerprint
        raise VerificationError(
            f"the signature of {key} is not good: {reason(error)}",
            where=where,
            hint=doubt(key.content, _issuer(packet), _seconds(packet))
            or ended
            or renewed
            or "the content, the signature or both were changed",
        ) from error
    if key.fingerprint not in good:
        raise VerificationError(f"the signature of {key} is not good", where=where)
    if why := doubt(key.content, _issuer(packet), _seconds(packet)):
        raise VerificationError(f"the signature of {key} does not count: {why}", where=where)
    return key.fingerprint


def _made_here(content: bytes, body: bytes, key: RpmKey) -> bool:
    """Judge a signature as that of an RPM: by what the key says of itself now.

    The library wants what the key said then, which is gone where it was prolonged since.
    """
    try:
        signature = read_signature(body)
    except (IndexError, ValueError):
        return False
    if signature.kind or signature.is_old or signature.hash in {None, "sha1"}:
        return False
    hasher = hashlib.new(signature.hash or "", content + signature.trailer, usedforsecurity=False)
    part = made_by(signature, hasher.digest(), key.content)
    return part is not None and not doubt(key.content, part.fingerprint, signature.created)


def _early(packet: Any, key: RpmKey) -> str | None:
    """Say which times do not go together where a signature or its key is from the future."""
    now = dt.datetime.now(dt.UTC)
    for what, made in (("it", packet.created), *_beginnings(key, _issuer(packet))):
        if made is not None and made > now:
            return (
                f"{what} says that it was made on {made:%Y-%m-%d at %H:%M} UTC, this machine's"
                f" clock says {now:%Y-%m-%d %H:%M}"
            )
    return None


def _beginnings(key: RpmKey, issuer: str) -> Iterator[tuple[str, dt.datetime]]:
    """Give when the parts of a key that count were made, and the oldest word for each.

    A key that is prolonged has a new word in the place of the old one.
    """
    primary, *subkeys = read_certificate(key.content).parts
    signing = [part for part in subkeys if part.fingerprint.endswith(issuer)]
    for part, name in ((primary, "the key"), *((part, "its subkey") for part in signing)):
        times = [(name, part.created)]
        if part.vouched:
            oldest = min(signature.created for signature in part.vouched)
            times.append((f"{name}'s own signature", oldest))
        for what, seconds in times:
            yield what, dt.datetime.fromtimestamp(seconds, dt.UTC)


def _ended(packet: Any) -> str | None:
    """Say when a signature ended that is for some time only."""
    end = packet.expiration
    if end is None or end > dt.datetime.now(dt.UTC):
        return None
    return f"its maker says that it was good until {end:%Y-%m-%d at %H:%M} UTC"


def _renewed(packet: Any, key: RpmKey) -> str | None:
    """Say what a key said of itself only after the signature, in the place of what it said then."""
    for what, made in _beginnings(key, _issuer(packet)):
        if packet.created is not None and made > packet.created:
            return (
                f"{what} was made on {made:%Y-%m-%d at %H:%M} UTC, after this one: take the key as"
                " it was before it was renewed, or have it signed again"
            )
    return None


def _issuer(packet: Any) -> str:
    return str(packet.issuer_fingerprint or packet.issuer_key_id or "").upper()


def _seconds(packet: Any) -> int:
    return int(packet.created.timestamp()) if packet.created else 0


def _stranger(issuers: Iterable[str], keys: Iterable[RpmKey], where: str) -> UncheckableError:
    return UncheckableError(
        f"it is signed by the key {' and '.join(issuers)}",
        where=where,
        expected=" or ".join(str(key) for key in keys) or "no key was given to check it with",
        hint="if the signer changed the key, check the new one's fingerprint and add it to the"
        " catalog",
    )


def _outdated(packet: Any, cert: Any) -> str | None:
    """Say which of today's rules an old but perhaps genuine signature breaks."""
    try:
        if str(packet.version).endswith("3"):
            return "it is a version 3 signature, which is not accepted since 2021"
        if "SHA1" in str(packet.hash_algorithm).upper():
            return "it is made with SHA-1, which is not accepted since 2023"
    except (RuntimeError, ValueError) as error:
        return f"it is of an unknown kind: {reason(error)}"
    try:
        _ = cert.user_ids
    except (RuntimeError, ValueError) as error:
        return f"the key breaks today's rules: {reason(error)}"
    return None


def reason(error: Exception) -> str:
    """Return pysequoia's sentence and its causes, without the stack that follows them."""
    head = str(error).partition("Stack backtrace")[0]
    lines = [line.strip().removeprefix("0: ").removeprefix("1: ") for line in head.splitlines()]
    return plain("; ".join(line for line in lines if line and line != "Caused by:"))


def load_pysequoia() -> Any:
    import pysequoia  # noqa: PLC0415 -- heavy, and only needed where something is signed

    return pysequoia
