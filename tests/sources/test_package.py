"""RPMs against their lock: the right key, and the right package."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builder.errors import VerificationError
from builder.lab.openpgp import armour, generate
from builder.lab.packages import PackageRecipe, build_package
from builder.model.artifact import File, Package
from builder.model.digest import Digest
from builder.model.lock import Lock, Subject
from builder.model.rpm import Nevra
from builder.openpgp import framed, packets
from builder.rpm.keys import load_keys
from builder.sources.package import Signatures

if TYPE_CHECKING:
    from pathlib import Path

    from builder.lab.openpgp import VendorKey

KUBELET = PackageRecipe(nevra="kubelet-1.18.5-0.x86_64", files=("/usr/bin/kubelet",), size=5000)
SUBJECT = Subject(
    cluster="c", kubernetes="1.18.5", os="o", base="core", runtime="r", cni="c", platforms=()
)


@pytest.fixture(scope="session")
def google() -> VendorKey:
    return generate("Google", created=1_500_000_000)


@pytest.fixture(scope="session")
def centos() -> VendorKey:
    """Sign as CentOS 7 does."""
    return generate("CentOS", created=1_400_000_000, version=3, self_algorithm="sha1")


class Keys:
    """Hold a lock's key files, and count how often they are read."""

    def __init__(self, **keys: VendorKey) -> None:
        self.files = {f"keys/{name}.asc": key.public for name, key in keys.items()}
        self.reads: list[str] = []
        self.lock = Lock(
            subject=SUBJECT,
            files=tuple(
                File(
                    kind="key",
                    path=f"keys/{name}.asc",
                    digest=Digest.of(key.public),
                    size=len(key.public),
                    sources=(),
                    fingerprint=key.fingerprint,
                )
                for name, key in keys.items()
            ),
        )

    def read(self, path: str) -> bytes:
        self.reads.append(path)
        return self.files[path]


def package(content: bytes, *keys: VendorKey, nevra: str = KUBELET.nevra) -> Package:
    return Package(
        nevra=Nevra.parse(nevra),
        repository="kubernetes",
        digest=Digest.of(content),
        size=len(content),
        sources=(),
        keys=tuple(key.fingerprint for key in keys),
        requested=True,
        needed_by=("kubeadm",),
    )


def built(folder: Path, key: VendorKey | None) -> bytes:
    return build_package(KUBELET, key, folder).path.read_bytes()


def check(signatures: Signatures, what: Package, content: bytes) -> None:
    signatures.check(what, io.BufferedReader(io.BytesIO(content)))  # type: ignore[arg-type]


def refused(signatures: Signatures, what: Package, content: bytes) -> str:
    with pytest.raises(VerificationError) as caught:
        check(signatures, what, content)
    return str(caught.value)


def test_each_of_the_packages_keys_may_have_signed(
    tmp_path: Path, google: VendorKey, centos: VendorKey
) -> None:
    keys = Keys(google=google, centos=centos)
    signatures = Signatures(keys.lock, keys.read)
    for signer in (google, centos):
        content = built(tmp_path, signer)
        for _ in range(3):
            check(signatures, package(content, google, centos), content)
    assert sorted(keys.reads) == ["keys/centos.asc", "keys/google.asc"], "read once each"


def test_a_key_of_another_repository_does_not_count(
    tmp_path: Path, google: VendorKey, centos: VendorKey
) -> None:
    """That a key is in the lock is not enough: it must be one of that very package's."""
    keys = Keys(google=google, centos=centos)
    content = built(tmp_path, centos)
    message = refused(Signatures(keys.lock, keys.read), package(content, google), content)
    assert message == (
        f"kubelet-1.18.5-0.x86_64: the RPM is signed by the key {centos.fingerprint[-16:]}"
        f" (expected a signature of {google.fingerprint} (Google))"
    )


def test_unsigned_and_tampered_packages_are_refused(tmp_path: Path, google: VendorKey) -> None:
    keys = Keys(google=google)
    signatures = Signatures(keys.lock, keys.read)
    unsigned = built(tmp_path, None)
    assert refused(signatures, package(unsigned, google), unsigned) == (
        "kubelet-1.18.5-0.x86_64: the RPM is not signed"
        f" (expected a signature of {google.fingerprint} (Google))"
    )
    content = built(tmp_path, google)
    tampered = content.replace(b"/usr/bin/\0", b"/usr/sbin\0", 1)
    assert tampered != content
    assert refused(signatures, package(tampered, google), tampered).startswith(
        f"kubelet-1.18.5-0.x86_64: the signature of {google.fingerprint} (Google) is not good: "
    )


def test_a_package_without_keys_is_never_right(tmp_path: Path, google: VendorKey) -> None:
    keys = Keys(google=google)
    content = built(tmp_path, google)
    message = refused(Signatures(keys.lock, keys.read), package(content), content)
    assert message.endswith("(expected a signature of a pinned key)")


def test_a_signed_package_under_anothers_name_is_refused(tmp_path: Path, google: VendorKey) -> None:
    """An old, vulnerable build carries a good signature, too."""
    keys = Keys(google=google)
    content = built(tmp_path, google)
    newer = package(content, google, nevra="kubelet-1.18.20-0.x86_64")
    assert refused(Signatures(keys.lock, keys.read), newer, content) == (
        "kubelet-1.18.20-0.x86_64: the RPM says that it is kubelet-1.18.5-0.x86_64"
        " (expected kubelet-1.18.20-0.x86_64)"
    )


def test_a_key_file_with_another_key_is_refused(
    tmp_path: Path, google: VendorKey, centos: VendorKey
) -> None:
    keys = Keys(google=google)
    keys.files["keys/google.asc"] = centos.public
    content = built(tmp_path, google)
    message = refused(Signatures(keys.lock, keys.read), package(content, google), content)
    assert message == "keys/google.asc: this file does not contain the key"


def test_a_key_file_with_a_key_that_says_nothing_of_itself_is_refused(
    tmp_path: Path, google: VendorKey, centos: VendorKey
) -> None:
    """rpm of EL7 imports that, too, and looks at no signature of it."""
    keys = Keys(google=google)
    (_, bare), (_, user), *_ = packets(load_keys(centos.public)[0].content)
    bare = framed(6, bare) + framed(13, user)
    content = built(tmp_path, google)
    for more in (armour("PUBLIC KEY BLOCK", bare), b"\nsome words\n"):
        keys.files["keys/google.asc"] = google.public + more
        signatures = Signatures(keys.lock, keys.read)
        if more.startswith(b"-"):
            message = refused(signatures, package(content, google), content)
            assert message == (
                "keys/google.asc: the key can't be read: no user ID in it is signed by the key"
                " itself"
            )
        else:
            check(signatures, package(content, google), content)


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>"])
def test_what_is_no_rpm_is_refused(google: VendorKey, content: bytes) -> None:
    keys = Keys(google=google)
    message = refused(Signatures(keys.lock, keys.read), package(content, google), content)
    assert message.startswith("kubelet-1.18.5-0.x86_64: ")


def test_what_rpm_of_el7_cannot_install_is_refused(tmp_path: Path, google: VendorKey) -> None:
    """A solver passes over what a package requires of rpm itself, and the node's rpm does not."""
    keys = Keys(google=google)
    needs = ("rpmlib(RichDependencies) <= 4.12.0-1", "rpmlib(TildeInVersions) <= 4.10.0-1")
    recipe = replace(KUBELET, requires=needs)
    content = build_package(recipe, google, tmp_path).path.read_bytes()
    message = refused(Signatures(keys.lock, keys.read), package(content, google), content)
    assert message == (
        "kubelet-1.18.5-0.x86_64: it requires of rpm 'RichDependencies',"
        " which that of EL7 does not have"
    )
