from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import yaml
from openssl import P256, RSA, SIGNS, authority, openssl

from builder.errors import UsageError
from builder.secrets import client, kubeconfig, supplied

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.secrets import ClusterAuthority


@pytest.fixture
def ca(tmp_path: Path) -> ClusterAuthority:
    authority(tmp_path, days=100)
    return supplied.load(tmp_path)[0]


def verified(folder: Path, minted: client.MintedCertificate, *options: object) -> bool:
    """Let openssl verify a client as an API server would."""
    (folder / "client.crt").write_text(minted.certificate)
    command = (
        *("openssl", "verify", "-x509_strict", "-purpose", "sslclient", *map(str, options)),
        *("-CAfile", folder / "ca.crt", folder / "client.crt"),
    )
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("key", "uses"), [(P256, SIGNS), (RSA, SIGNS), (RSA, (*SIGNS, "-set_serial", "0"))]
)
def test_openssl_verifies_it(key: tuple[str, ...], uses: tuple[str, ...], tmp_path: Path) -> None:
    authority(tmp_path, key=key, uses=uses)
    minted = client.mint(supplied.load(tmp_path)[0], user="jane", groups=["developers", "ops"])
    assert verified(tmp_path, minted)
    shown = openssl(
        *("x509", "-in", tmp_path / "client.crt", "-noout", "-subject", "-ext"),
        "basicConstraints,keyUsage,extendedKeyUsage",
    )
    assert shown == (
        "subject=O = developers, O = ops, CN = jane\n"
        "X509v3 Basic Constraints: critical\n    CA:FALSE\n"
        "X509v3 Key Usage: critical\n    Digital Signature, Key Encipherment\n"
        "X509v3 Extended Key Usage: \n    TLS Web Client Authentication\n"
    )
    (tmp_path / "client.key").write_text(minted.key)
    assert openssl("pkey", "-in", tmp_path / "client.key", "-pubout") == openssl(
        "x509", "-in", tmp_path / "client.crt", "-noout", "-pubkey"
    )
    assert minted.key.split("\n")[1] not in repr(minted)


def test_without_key_identifiers(tmp_path: Path) -> None:
    """The authority of an old kubeadm has none."""
    authority(tmp_path, uses=(*SIGNS, "-addext", "subjectKeyIdentifier=none"))
    minted = client.mint(supplied.load(tmp_path)[0], user="jane", groups=[])
    (tmp_path / "client.crt").write_text(minted.certificate)
    openssl("verify", "-CAfile", tmp_path / "ca.crt", tmp_path / "client.crt")


def test_it_is_not_taken_for_a_server(ca: ClusterAuthority, tmp_path: Path) -> None:
    minted = client.mint(ca, user="jane", groups=[])
    (tmp_path / "client.crt").write_text(minted.certificate)
    with pytest.raises(subprocess.CalledProcessError):
        openssl(
            *("verify", "-purpose", "sslserver", "-CAfile", tmp_path / "ca.crt"),
            tmp_path / "client.crt",
        )


def test_it_lives_as_long_as_said(ca: ClusterAuthority, tmp_path: Path) -> None:
    minted = client.mint(ca, user="jane", groups=[], days=7)
    assert abs(minted.end - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=5)
    now = int(time.time())
    assert verified(tmp_path, minted, "-attime", now + 7 * 86400 - 600)
    assert not verified(tmp_path, minted, "-attime", now + 7 * 86400 + 600)


def test_it_does_not_outlive_its_authority(ca: ClusterAuthority) -> None:
    minted = client.mint(ca, user="jane", groups=[])
    assert timedelta(days=99) < minted.end - datetime.now(UTC) <= timedelta(days=100)
    time.sleep(1.1)  # then the hundredth day is not whole any more
    with pytest.raises(UsageError) as caught:
        client.mint(ca, user="jane", groups=[], days=101)
    last = datetime.now(UTC) + timedelta(days=100)
    assert str(caught.value) == (
        "101 days are longer than the cluster's authority is valid, which ends on "
        f"{last:%Y-%m-%d} (expected 99 days at most)"
    )
    client.mint(ca, user="jane", groups=[], days=99)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", " jane", "jane\x1b[31m"])
def test_names_that_are_none(name: str, ca: ClusterAuthority) -> None:
    for user, groups in ((name, ["ops"]), ("jane", [name])):
        with pytest.raises(UsageError) as caught:
            client.mint(ca, user=user, groups=groups)
        assert str(caught.value) == (
            f"{name[:64]!r} can't be used in a certificate (expected 1 to 64 printable characters)"
        )


@pytest.mark.parametrize(
    "user", ["jane", 'j"a\\n: e', "j\u00e4ne \U0001f600", "system:node:x", "- #"]
)
def test_every_name_survives_the_kubeconfig(user: str, ca: ClusterAuthority) -> None:
    minted = client.mint(ca, user=user, groups=["ops"])
    read = yaml.safe_load(
        kubeconfig.text(
            cluster="c1", server="https://[fd00::1]:6443", user=user, authority=ca, client=minted
        )
    )
    assert read["users"][0]["name"] == user
    assert read["current-context"] == read["contexts"][0]["name"] == f"{user}@c1"
    assert read["contexts"][0]["context"] == {"cluster": "c1", "user": user}
    assert read["clusters"][0]["cluster"]["server"] == "https://[fd00::1]:6443"
