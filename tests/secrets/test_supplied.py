from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import openssl as tool
import pytest
from openssl import P256, RSA, SIGNS, authority, openssl, pin

from builder.errors import AirseedError, StorageError, VerificationError
from builder.model.cluster import Pki
from builder.secrets import authority as our_own
from builder.secrets import client, pem, store, supplied

if TYPE_CHECKING:
    from pathlib import Path

BACKUP = "restore the file from your backup"


@pytest.fixture(scope="session")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tool.site(tmp_path_factory.mktemp("brought") / "site")


@pytest.fixture
def site(brought: Path, tmp_path: Path) -> Path:
    return shutil.copytree(brought, tmp_path / "site")


def refusal(folder: Path, kind: type[AirseedError] = VerificationError) -> list[str]:
    """Return what is wrong with a folder, without its path."""
    with pytest.raises(AirseedError) as caught:
        supplied.load(folder)
    assert type(caught.value) is kind
    assert str(caught.value) == f"{folder}: these files can't be used"
    return [str(fault).replace(f"{folder}/", "") for fault in caught.value.faults]


def test_all_is_taken(site: Path, tmp_path: Path) -> None:
    pki = Pki(kind="files", folder="site")
    store.prepare(tmp_path / "secrets", pki)
    secrets = store.load(tmp_path / "secrets", pki)
    assert secrets.authority is not None
    assert secrets.authority.digest == pin(site / "ca.crt")
    assert secrets.authority.certificate == (site / "ca.crt").read_text()
    assert set(secrets.shared) == {
        *("etcd/ca.crt", "etcd/ca.key", "front-proxy-ca.crt", "front-proxy-ca.key"),
        *("sa.key", "sa.pub"),
    }
    assert secrets.shared["sa.pub"] == (site / "sa.pub").read_text()
    assert secrets.shared["etcd/ca.crt"] == (site / "etcd/ca.crt").read_text()
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == {
        *(".lock", "token", "certificate-key", "phone-home-token", "signing-key.asc")
    }


def test_the_cluster_authority_alone_is_enough(tmp_path: Path) -> None:
    authority(tmp_path / "site")
    own, shared = supplied.load(tmp_path / "site")
    assert own.digest == pin(tmp_path / "site/ca.crt")
    assert shared == {}


@pytest.mark.parametrize(
    "key",
    [
        P256,
        RSA,
        ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
    ],
)
def test_kinds_of_keys(key: tuple[str, ...], tmp_path: Path) -> None:
    authority(tmp_path, key=key)
    own, _ = supplied.load(tmp_path)
    assert own.digest == pin(tmp_path / "ca.crt")
    (tmp_path / "again.key").write_text(own.key)
    assert openssl("pkey", "-in", tmp_path / "again.key", "-pubout") == openssl(
        "x509", "-in", tmp_path / "ca.crt", "-pubkey", "-noout"
    )


@pytest.mark.parametrize(
    "identifiers",
    [
        ("-addext", "subjectKeyIdentifier=none"),
        ("-addext", "authorityKeyIdentifier=keyid,issuer:always"),  # repeats the number
    ],
)
def test_the_authority_of_an_old_kubeadm_is_taken(
    identifiers: tuple[str, ...], tmp_path: Path
) -> None:
    """Those have the serial number 0, which newer rules forbid; nobody is to hear of it."""
    authority(tmp_path, key=RSA, uses=(*SIGNS, "-set_serial", "0", *identifiers))
    own, _ = supplied.load(tmp_path)
    assert own.digest == pin(tmp_path / "ca.crt")
    client.mint(own, user="jane", groups=["ops"])


def test_only_what_is_asked_for_leaves_a_file(site: Path) -> None:
    """Neither comments nor a second block go to a node."""
    key = (site / "ca.key").read_text()
    (site / "ca.key").write_text(
        openssl("ecparam", "-name", "prime256v1")
        + "a comment\n"
        + key
        + (site / "ca.crt").read_text()
    )
    text = openssl("x509", "-in", site / "ca.crt", "-text")
    (site / "ca.crt").write_text(text)
    own, _ = supplied.load(site)
    assert own.certificate == text[text.index("-----BEGIN") :]
    assert own.key.count("-----BEGIN") == 1


def test_of_a_chain_the_first_signs(site: Path) -> None:
    chain = (site / "ca.crt").read_text() + (site / "etcd/ca.crt").read_text()
    (site / "ca.crt").write_text(chain)
    own, _ = supplied.load(site)
    assert own.certificate == chain
    assert own.digest == pin(site / "ca.crt")


def test_what_is_missing(site: Path) -> None:
    for name in ("ca.key", "etcd/ca.key", "front-proxy-ca.crt", "sa.pub"):
        (site / name).unlink()
    assert refusal(site, StorageError) == [
        f"{name}: is missing" for name in ("ca.key", "etcd/ca.key", "front-proxy-ca.crt", "sa.pub")
    ]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none", StorageError) == ["ca.crt: is missing", "ca.key: is missing"]


def test_what_others_may_do(site: Path) -> None:
    (site / "sa.key").chmod(0o640)
    (site / "ca.crt").chmod(0o666)
    assert refusal(site, StorageError) == [
        "ca.crt: others may change this file (mode 0666) (expected mode 0644)",
        "sa.key: others may read this file (mode 0640) (expected mode 0600)",
    ]


def test_all_mistakes_at_once(site: Path) -> None:
    shutil.copy(site / "ca.key", site / "etcd/ca.key")
    (site / "front-proxy-ca.crt").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    openssl("genrsa", "-out", site / "sa.key", "2048")
    (site / "ca.crt").write_text((site / "ca.crt").read_text() + (site / "ca.key").read_text())
    with pytest.raises(VerificationError) as caught:
        supplied.load(site)
    assert [
        (fault.where.removeprefix(f"{site}/"), fault.what) for fault in caught.value.faults
    ] == [
        ("ca.crt", "holds a private key, and this file goes to many nodes"),
        ("etcd/ca.key", f"the key does not belong to {site}/etcd/ca.crt"),
        ("front-proxy-ca.crt", "the certificate is damaged"),
        ("sa.key", f"the key does not belong to {site}/sa.pub"),
    ]


@pytest.mark.parametrize(
    ("uses", "fault"),
    [
        (
            ("-addext", "basicConstraints=critical,CA:FALSE"),
            "the certificate is not an authority's",
        ),
        (
            ("-addext", "keyUsage=critical,digitalSignature"),
            "the certificate is not an authority's",
        ),
        (
            (*SIGNS, "-addext", "extendedKeyUsage=serverAuth"),
            "the certificate is not an authority's",
        ),
    ],
)
def test_a_certificate_that_may_not_sign(uses: tuple[str, ...], fault: str, tmp_path: Path) -> None:
    if "basicConstraints" in uses[1]:  # openssl adds its own CA:TRUE unless its section is empty
        (tmp_path / "empty.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")
        uses = ("-config", str(tmp_path / "empty.cnf"), *uses)
    authority(tmp_path, uses=uses)
    assert refusal(tmp_path) == [f"ca.crt: {fault}"]


def lived(folder: Path, begin: timedelta, end: timedelta) -> None:
    """Make an authority that lives from then to then, as openssl's own CA command can."""
    authority(folder)
    openssl(
        *("req", "-new", "-key", folder / "ca.key", "-subj", "/CN=site", "-out", folder / "ca.csr"),
    )
    (folder / "index").write_text("")
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index\nnew_certs_dir={folder}\n"
        "rand_serial=yes\ndefault_md=sha256\npolicy=any\nx509_extensions=v3\n"
        "[any]\ncommonName=supplied\n"
        "[v3]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
    )
    now = datetime.now(UTC)
    stamps = [f"{now + shift:%Y%m%d%H%M%SZ}" for shift in (begin, end)]
    openssl(
        *("ca", "-batch", "-notext", "-selfsign", "-config", folder / "ca.cnf"),
        *("-keyfile", folder / "ca.key", "-in", folder / "ca.csr", "-out", folder / "ca.crt"),
        *("-startdate", stamps[0], "-enddate", stamps[1]),
    )


@pytest.mark.parametrize(
    ("begin", "end", "what", "hint"),
    [
        (
            -10,
            -2,
            "ended",
            "a new one for the same key keeps the hash; set the clock if it is ahead",
        ),
        (2, 20, "begins", "set the clock if it is behind"),
    ],
)
def test_an_authority_that_does_not_live_now(
    begin: int, end: int, what: str, hint: str, tmp_path: Path
) -> None:
    """It may be the clock that is wrong: both times are said."""
    before = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    lived(tmp_path, timedelta(days=begin), timedelta(days=end))
    with pytest.raises(VerificationError) as caught:
        supplied.load(tmp_path)
    [fault] = caught.value.faults
    said, clock = str(fault.what).split(" UTC, this machine's clock says ")
    assert before <= clock <= f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    then = datetime.strptime(said, f"the certificate {what} on %Y-%m-%d at %H:%M").replace(
        tzinfo=UTC
    )
    days = begin if begin > 0 else end
    assert abs(then - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=10)
    assert fault.hint == hint


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (
            ("genrsa", "-aes128", "-passout", "pass:x", "-traditional", "2048"),
            "the key needs a passphrase, which kubeadm can't ask for",
        ),
        (
            ("genpkey", "-algorithm", "RSA", "-aes128", "-pass", "pass:x"),
            "the key needs a passphrase, which kubeadm can't ask for",
        ),
        (("genrsa", "1024"), "the key has 1024 bits, fewer than 2048"),
        (
            ("genpkey", "-algorithm", "ED25519"),
            "the key is neither RSA nor ECDSA over P-256, P-384 or P-521",
        ),
        (
            ("ecparam", "-genkey", "-noout", "-name", "secp256k1"),
            "the key is neither RSA nor ECDSA over P-256, P-384 or P-521",
        ),
    ],
)
def test_keys_that_kubeadm_would_not_take(command: tuple[str, ...], fault: str, site: Path) -> None:
    (site / "ca.key").write_text(openssl(*command))
    with pytest.raises(VerificationError) as caught:
        supplied.load(site)
    assert [fault.what for fault in caught.value.faults] == [fault]
    assert caught.value.faults[0].hint == BACKUP


def test_several_public_keys_may_verify(site: Path, tmp_path: Path) -> None:
    other = openssl("genrsa", "2048")
    (tmp_path / "other.key").write_text(other)
    public = openssl("pkey", "-in", tmp_path / "other.key", "-pubout")
    both = public + (site / "sa.pub").read_text()
    (site / "sa.pub").write_text(both)
    assert supplied.load(site)[1]["sa.pub"] == both


@pytest.mark.parametrize("own", [True, False])
def test_flipped_bits_are_found(own: bool, brought: Path, tmp_path: Path) -> None:
    """Turn bits all over certificate and key: nothing of it is taken for sound."""
    for name in ("ca.crt", "ca.key"):
        shutil.copy(brought / name, tmp_path)
    if own:
        made = our_own.self_signed(pem.private_key((tmp_path / "ca.key").read_bytes()))
        (tmp_path / "ca.crt").write_text(pem.certificate_text(made))
    supplied.load(tmp_path)
    for name in ("ca.crt", "ca.key"):
        path = tmp_path / name
        whole = path.read_text()
        label, body = _body(whole)
        for place in range(0, len(body), 3):
            damaged = bytearray(body)
            damaged[place] ^= 0x10
            path.write_text(_armored(label, bytes(damaged)))
            if name == "ca.key" and _same_key(path, whole):
                continue  # the flip hit what no number of the key depends on
            with pytest.raises(VerificationError):
                supplied.load(tmp_path)
        path.write_text(whole)


def _same_key(path: Path, whole: str) -> bool:
    try:
        return pem.key_text(pem.private_key(path.read_bytes())) == pem.key_text(
            pem.private_key(whole.encode())
        )
    except ValueError:
        return False


def _body(text: str) -> tuple[str, bytes]:
    import base64

    match = re.fullmatch(r"-----BEGIN (.*)-----\n(.*)-----END \1-----\n", text, re.DOTALL)
    assert match
    return match[1], base64.b64decode(match[2])


def _armored(label: str, body: bytes) -> str:
    import base64

    return f"-----BEGIN {label}-----\n{base64.encodebytes(body).decode()}-----END {label}-----\n"
