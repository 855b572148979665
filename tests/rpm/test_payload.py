"""Whether what is signed covers an RPM's files, in new RPMs and in those of EL7."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builder.errors import VerificationError
from builder.lab.packages import PackageRecipe, build_package
from builder.rpm.header import LEAD, main_header, read_head, value
from builder.rpm.keys import load_keys
from builder.rpm.payload import verify_payload

if TYPE_CHECKING:
    from pathlib import Path

    from builder.lab.openpgp import VendorKey
    from builder.rpm.keys import RpmKey

RECIPE = PackageRecipe(nevra="bash-4.2.46-31.el7.x86_64", files=("/usr/bin/bash",), size=1 << 20)
SIGPGP = 1002
PAYLOAD_DIGESTS = {5092, 5093, 5097}
HINT = "the RPM was changed after it was signed, or damaged on the way"


@pytest.fixture
def rpm(tmp_path: Path, modern: VendorKey) -> bytes:
    return build_package(RECIPE, modern, tmp_path).path.read_bytes()


def check(rpm: bytes, *signers: VendorKey) -> bool:
    file = io.BytesIO(rpm)
    head = read_head(file, where="bash")
    keys: list[RpmKey] = [key for one in signers for key in load_keys(one.public)]
    return verify_payload(head, file, keys, where="bash")


def refused(rpm: bytes, *signers: VendorKey) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        check(rpm, *signers)
    assert caught.value.fault.what == "the payload is not the one that was signed"
    assert caught.value.fault.where == "bash"
    assert caught.value.fault.hint == HINT
    return caught.value


def aged(rpm: bytes, signature: bytes | None) -> bytes:
    """Return an RPM as EL7's rpmbuild makes it: no payload digest, perhaps SIGPGP."""
    file = io.BytesIO(rpm)
    header = bytearray(main_header(read_head(file)))
    (entries,) = struct.unpack_from(">I", header, 8)
    for place in range(16, 16 + 16 * entries, 16):
        (tag,) = struct.unpack_from(">I", header, place)
        if tag in PAYLOAD_DIGESTS:
            struct.pack_into(">I", header, place, tag + 60_000)
    content = b"" if signature is None else signature
    entry = struct.pack(">IIII", SIGPGP if content else SIGPGP + 1, 7, 0, len(content))
    intro = b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">II", 1, len(content))
    region = intro + entry + content
    return rpm[:LEAD] + region + b"\0" * (-len(region) % 8) + bytes(header) + file.read()


def signed(rpm: bytes, key: VendorKey) -> bytes:
    """Sign header and payload together, as ``rpm --addsign`` of EL7 does beside the header."""
    bare = aged(rpm, None)
    file = io.BytesIO(bare)
    header = main_header(read_head(file))
    return aged(rpm, key.sign(header + file.read()))


def with_other_byte(rpm: bytes, place: int) -> bytes:
    changed = bytearray(rpm)
    changed[place] ^= 1
    return bytes(changed)


def test_the_payloads_digest_in_the_header_is_compared(rpm: bytes, modern: VendorKey) -> None:
    assert check(rpm, modern)
    found = value(read_head(io.BytesIO(rpm)), 5092)
    assert found
    digest = found[1].partition(b"\0")[0].decode()
    error = refused(with_other_byte(rpm, -1), modern)
    assert error.fault.expected == f"sha256:{digest}, as the signed header says"
    refused(rpm[:-1], modern)
    refused(rpm + b"\0", modern)


def test_nothing_covers_a_payload_without_digest_and_old_signature(
    rpm: bytes, modern: VendorKey
) -> None:
    assert check(aged(rpm, None), modern) is False


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_the_old_signature_covers_header_and_payload(
    rpm: bytes, modern: VendorKey, old: VendorKey, version: int, algorithm: str
) -> None:
    signer = replace(old, version=version, hash=algorithm)  # type: ignore[arg-type]
    good = signed(rpm, signer)
    assert check(good, modern, old)
    start = good.index(main_header(read_head(io.BytesIO(good))))
    for place in (start + 500, len(good) // 2, -1):
        error = refused(with_other_byte(good, place), modern, old)
        assert error.fault.expected == "what its signature over header and payload covers"
    refused(good[:-1], old)


def test_a_strangers_old_signature_is_refused(
    rpm: bytes, modern: VendorKey, old: VendorKey
) -> None:
    refused(signed(rpm, old), modern)
    refused(signed(rpm, old))


def test_a_digest_cannot_be_passed_off_in_an_altered_padding(
    rpm: bytes, modern: VendorKey, old: VendorKey
) -> None:
    # the signature of one RPM on another, and numbers that no key makes
    other = signed(rpm.replace(b"bash", b"dash"), old)
    found = value(read_head(io.BytesIO(other)), SIGPGP, signature=True)
    assert found
    refused(aged(rpm, found[1]), old)
    for number in (b"\x80".ljust(256, b"\0"), b"\xff" * 256):
        forged = found[1][:-258] + (2048).to_bytes(2) + number
        forged = forged[:1] + (len(forged) - 3).to_bytes(2) + forged[3:]
        refused(aged(rpm, forged), old)


@pytest.mark.parametrize(
    "packet",
    [
        b"\x89",
        b"\x89\x00\x05hello",
        b"\xc2\xff\xff\xff\xff\xffx",
        b"\xc2\xe1x",
        b"\x89\x01\x00" + b"\x04\x00\x01\x08\xff\xff" + b"\0" * 250,
        b"\x99\x00\x03\x04\x00\x01",
    ],
)
def test_nonsense_is_told_apart_from_a_wrong_signature(
    rpm: bytes, modern: VendorKey, packet: bytes
) -> None:
    with pytest.raises(VerificationError) as caught:
        check(aged(rpm, packet), modern)
    assert caught.value.fault.what.startswith(
        "the signature over header and payload can't be read: "
    )
