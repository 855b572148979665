"""A clock that is behind is not called tampering."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from builder.errors import VerificationError
from builder.lab.openpgp import VendorKey
from builder.rpm.keys import load_keys, verify_detached

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
