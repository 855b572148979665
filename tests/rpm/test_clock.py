"""A clock that is behind is not called tampering."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pgp import Gpg

from builder.errors import VerificationError
from builder.lab.openpgp import VendorKey
from builder.rpm.keys import load_keys, verify_detached
from builder.secrets.openpgp import OVER_DATA, public_body, signature

HOUR = 3600


@pytest.fixture(scope="module")
def key() -> VendorKey:
    private = rsa.generate_private_key(65537, 2048)
    return VendorKey(user="lab", created=int(time.time()) - HOUR, private=private)


@pytest.mark.parametrize("young", [True, False])
def test_a_signature_from_the_future(key: VendorKey, young: bool) -> None:
    """Both times are told, and the clock; so, too, where the key itself is not made yet."""
    made = key.created + 2 * HOUR
    later = replace(key, created=made)
    keys = load_keys((later if young else key).public)
    assert later.fingerprint != key.fingerprint  # the time is part of it
    signature = (later if young else replace(later, created=key.created)).sign(b"x")
    if not young:
        assert verify_detached(b"x", signature, keys) == key.fingerprint
        return
    with pytest.raises(VerificationError) as caught:
        verify_detached(b"x", signature, keys, where="repomd.xml.asc")
    then, now = datetime.fromtimestamp(made, UTC), datetime.now(UTC)
    texts = {
        f"repomd.xml.asc: the signature of {keys[0]} can't be judged yet: it says that it was made"
        f" on {then:%Y-%m-%d at %H:%M} UTC, this machine's clock says {at:%Y-%m-%d %H:%M}"
        for at in (now, now - timedelta(minutes=1))
    }
    assert str(caught.value) in texts
    assert "clock" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["rsa2048", "ed25519"])
@pytest.mark.parametrize("of", ["key", "subkey"])
@pytest.mark.parametrize("hours", [5, -1])
def test_a_key_that_was_prolonged(hours: int, of: str, kind: str) -> None:
    """What it said of itself before is gone, which is no tampering."""
    with tempfile.TemporaryDirectory(prefix="gpg-") as folder:
        opened = Gpg(Path(folder))

        def gpg(at: int, *words: str, content: bytes | None = None) -> bytes:
            clock = f"{datetime.now(UTC) + timedelta(hours=at):%Y%m%dT%H%M%S}!"
            by = ("--faked-system-time", clock, "--passphrase", "")
            return opened.run(*by, *words, content=content)

        def fingerprints() -> list[str]:
            listed = gpg(0, "--with-colons", "--list-keys").decode().splitlines()
            return [line.split(":")[9] for line in listed if line.startswith("fpr")]

        usage = "cert" if of == "subkey" else "sign"
        gpg(-99, "--quick-gen-key", "lab", kind, usage, "1y")
        if of == "subkey":
            gpg(-98, "--quick-add-key", fingerprints()[0], kind, "sign", "1y")
        signed = gpg(-2, "--detach-sign", content=b"x")
        primary, *subkeys = fingerprints()
        gpg(hours, "--quick-set-expire", primary, "2y", *subkeys)
        public = gpg(hours + 1, "--export")
        opened.close()
    [key] = load_keys(public)
    if kind == "rsa2048" and hours < 0:  # as rpm judges it, and gpg
        assert verify_detached(b"x", signed, [key]) == primary
        with pytest.raises(VerificationError, match="is not good"):
            verify_detached(b"y", signed, [key])
        return
    with pytest.raises(VerificationError) as caught:
        verify_detached(b"x", signed, [key])
    name = {"key": "the key", "subkey": "its subkey"}[of]
    told = f"{caught.value}; {caught.value.hint}"
    if hours > 0:
        assert f"can't be judged yet: {name}'s own signature says that it was made on 2" in told
        assert "set this machine's clock if it is behind" in told
    else:
        assert f"{name}'s own signature was made on 2" in told
        assert "take the key as it was before it was renewed" in told
    assert "changed" not in told


@pytest.mark.parametrize("first", ["early", "bad"])
def test_of_two_signatures_the_early_one_may_be_good(key: VendorKey, first: str) -> None:
    body = public_body(key.private, key.created)
    made = key.created + 2 * HOUR
    early = signature(key.private, body, b"x", created=made, kind=OVER_DATA)
    both = [early, key.sign(b"y")]
    with pytest.raises(VerificationError, match="can't be judged yet: it says that it was made"):
        verify_detached(
            b"x", b"".join(both if first == "early" else both[::-1]), load_keys(key.public)
        )
