"""Detached signatures by an OpenPGP key of the site's own, made by pysequoia.

Any key that gpg exports will do: RSA or elliptic curves, with or without subkeys and passphrase.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builder.errors import VerificationError
from builder.rpm.keys import has_secrets, load_keys, load_pysequoia, reason, verify_detached

if TYPE_CHECKING:
    from builder.rpm.keys import RpmKey

_TRIAL = b"airseed"


class PassphraseError(VerificationError):
    """Say that a key can't be used without its passphrase, or not with this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPgpSigner:
    """Hold a secret key that is ready to sign; nothing of it shows in its ``repr``."""

    key: RpmKey
    """The public half."""
    where: str
    _handle: Any = field(repr=False)

    def sign(self, content: bytes) -> bytes:
        """Return an armoured detached signature, checked with the public half.

        Raise VerificationError where that does not hold: the key has expired or is revoked.
        """
        pysequoia = load_pysequoia()
        try:
            made = bytes(
                pysequoia.sign(self._handle, content, mode=pysequoia.SignatureMode.DETACHED)
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise VerificationError(
                f"the key can't sign: {reason(error)}", where=self.where
            ) from error
        verify_detached(content, made, (self.key,), where=self.where)
        return made


def open_signer(content: bytes, passphrase: str | None = None, *, where: str) -> OpenPgpSigner:
    """Read a secret key, armoured or binary, and try it.

    Raise PassphraseError when it has a passphrase and this is not it, VerificationError when it is
    no single key that signs. Neither repeats anything of the file.
    """
    pysequoia = load_pysequoia()
    try:
        certificates = pysequoia.Cert.split_bytes(content)
        count, secret = len(certificates), has_secrets(content)
        public = bytes(certificates[0]) if certificates else b""
    except (RuntimeError, ValueError, OSError) as error:
        # without its cause, which might quote what it could not read
        raise VerificationError("no OpenPGP key can be read", where=where) from error
    if count != 1 or not secret:
        raise VerificationError(
            f"there are {count} keys in it" if count > 1 else "there is no secret key in it",
            where=where,
            expected="one OpenPGP secret key",
            hint="gpg --armor --export-secret-keys FINGERPRINT writes one",
        )
    handle = _signer(pysequoia.Tsk.from_bytes(content), passphrase, where)
    signer = OpenPgpSigner(key=load_keys(public, where=where)[0], where=where, _handle=handle)
    signer.sign(_TRIAL)
    return signer


def _signer(secrets: Any, passphrase: str | None, where: str) -> Any:
    try:
        return secrets.signer(passphrase)
    except (RuntimeError, ValueError, OSError) as error:
        words = reason(error)
        if passphrase is None and "encrypted" in words:
            raise PassphraseError("the key has a passphrase", where=where) from error
        if passphrase is not None and "not encrypted" in words:
            return _signer(secrets, None, where)
        if passphrase is not None:
            raise PassphraseError(
                "the passphrase is wrong, or the key in it can't sign", where=where
            ) from error
        raise VerificationError(f"the key can't sign: {words}", where=where) from error
