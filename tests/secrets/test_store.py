from __future__ import annotations

import base64
import os
import re
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from openssl import authority, openssl, pin

from builder.errors import AirseedError, Fault, StorageError, VerificationError
from builder.model.cluster import Pki
from builder.secrets import store

if TYPE_CHECKING:
    from pathlib import Path

GENERATED = Pki()
ON_NODE = Pki(kind="on-node")
WORDS = ("token", "certificate-key", "phone-home-token")
CLUSTERS = {*WORDS, "ca.crt", "ca.key"}
NAMES = CLUSTERS | {"signing-key.asc"}
BACKUP = "restore the file from your backup"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make secrets once; tests copy them."""
    folder = tmp_path_factory.mktemp("made") / "secrets"
    store.prepare(folder, GENERATED)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "secrets")


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """Return secrets with a key that is quick to read, since these are read again and again."""
    folder = tmp_path / "quick/secrets"
    folder.mkdir(parents=True, mode=0o700)
    authority(folder)
    (folder / "ca.crt").chmod(0o600)
    store.prepare(folder, GENERATED)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def faults(error: AirseedError) -> list[str]:
    return [str(fault) for fault in error.faults]


def test_everything_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    before = os.umask(0)
    assert set(store.prepare(folder, GENERATED)) == NAMES
    os.umask(before)
    first = contents(folder)
    assert set(first) == NAMES
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in NAMES} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert store.prepare(folder, GENERATED) == ()
    assert contents(folder) == first


def test_forms_are_those_of_kubeadm(folder: Path) -> None:
    secrets = store.load(folder, GENERATED)
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", secrets.token)
    assert re.fullmatch(r"[0-9a-f]{64}", secrets.certificate_key)
    assert re.fullmatch(r"[0-9a-f]{64}", secrets.phone_home_token)
    assert secrets.phone_home_token != secrets.certificate_key
    assert secrets.authority is not None
    assert secrets.authority.key.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert secrets.shared == {}


def test_openssl_agrees_with_the_authority(folder: Path) -> None:
    secrets = store.load(folder, GENERATED)
    assert secrets.authority is not None
    assert secrets.authority.digest == pin(folder / "ca.crt")
    shown = openssl("x509", "-in", folder / "ca.crt", "-noout", "-text")
    assert "Issuer: CN = kubernetes\n" in shown
    assert "Subject: CN = kubernetes\n" in shown
    assert "Public-Key: (2048 bit)" in shown
    assert "X509v3 Basic Constraints: critical\n                CA:TRUE\n" in shown
    assert (
        "X509v3 Key Usage: critical\n"
        "                Digital Signature, Key Encipherment, Certificate Sign\n"
    ) in shown
    assert openssl("verify", "-x509_strict", "-CAfile", folder / "ca.crt", folder / "ca.crt")
    years = openssl("x509", "-in", folder / "ca.crt", "-noout", "-checkend", 3649 * 86400)
    assert years == "Certificate will not expire\n"
    with pytest.raises(subprocess.CalledProcessError):
        openssl("x509", "-in", folder / "ca.crt", "-noout", "-checkend", 3651 * 86400)


def test_a_clock_that_is_behind_takes_it_already(folder: Path) -> None:
    """A machine that takes local time for UTC is up to 14 hours behind."""
    import time

    behind = int(time.time()) - 14 * 3600
    openssl(
        *("verify", "-attime", behind, "-CAfile", folder / "ca.crt", folder / "ca.crt"),
    )


def test_nothing_secret_shows(folder: Path) -> None:
    secrets = store.load(folder, GENERATED)
    assert secrets.authority is not None
    shown = repr(secrets)
    words = (secrets.token, secrets.certificate_key, secrets.phone_home_token)
    for secret in (*words, secrets.authority.key.split("\n")[1]):
        assert secret not in shown


@pytest.mark.parametrize("rotate", [*([word] for word in WORDS), [*WORDS]])
def test_rotation_changes_that_and_nothing_else(folder: Path, rotate: list[store.Word]) -> None:
    before = contents(folder)
    assert store.prepare(folder, GENERATED, rotate=rotate) == tuple(rotate)
    after = contents(folder)
    assert {name for name in NAMES if before[name] != after[name]} == set(rotate)
    store.load(folder, GENERATED)


def test_on_node_there_is_no_authority(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    store.prepare(folder, ON_NODE)
    assert store.load(folder, ON_NODE).authority is None
    assert set(contents(folder)) == {*WORDS, "signing-key.asc"}
    assert store.load_authority(folder, ON_NODE) is None


def test_the_authority_can_be_had_alone(folder: Path) -> None:
    own = store.load(folder, GENERATED).authority
    (folder / "token").unlink()
    assert store.load_authority(folder, GENERATED) == own


def test_what_proves_results_can_be_had_alone(folder: Path) -> None:
    token = store.load(folder, GENERATED).phone_home_token
    for name in NAMES - {"phone-home-token"}:
        (folder / name).unlink()
    assert store.load_phone_home_token(folder) == token
    (folder / "phone-home-token").write_text("ABCD")
    with pytest.raises(VerificationError) as caught:
        store.load_phone_home_token(folder)
    (fault,) = faults(caught.value)
    assert fault.startswith(f"{folder}/phone-home-token: holds no phone home token (expected 64 ")
    (folder / "phone-home-token").unlink()
    with pytest.raises(StorageError, match="the secrets can't be used"):
        store.load_phone_home_token(folder)


def test_all_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    with pytest.raises(StorageError) as caught:
        store.load(tmp_path / "secrets", GENERATED)
    assert str(caught.value) == f"{tmp_path}/secrets: the secrets can't be used"
    assert caught.value.faults == tuple(
        Fault(
            where=f"{tmp_path}/secrets/{name}",
            what="is missing",
            hint="`airseed secrets` makes it",
        )
        for name in (*WORDS, "ca.crt", "ca.key")
    )


def test_all_open_files_are_named_and_nothing_is_made(folder: Path) -> None:
    (folder / "token").unlink()
    for name in ("ca.crt", "ca.key", "certificate-key"):
        (folder / name).chmod(0o644)
    before = contents(folder)
    for act in (store.prepare, store.load_authority):
        with pytest.raises(StorageError) as caught:
            act(folder, GENERATED)
        assert f"{folder}/ca.key: others may read this file (mode 0644) (expected mode 0600)" in (
            faults(caught.value)
        )
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("name", "content", "fault", "hint"),
    [
        (
            "token",
            "abcdef.0123456789abcde",
            (
                "holds no token (expected 6 and 16 lower-case letters or digits with a point "
                "between them)"
            ),
            "`airseed secrets --rotate token` makes a new one",
        ),
        (
            "certificate-key",
            "ABCD" * 16,
            "holds no certificate key (expected 64 hexadecimal digits in lower case)",
            "`airseed secrets --rotate certificate-key` makes a new one",
        ),
        (
            "phone-home-token",
            'secret"\nurl = http://elsewhere',
            "holds no phone home token (expected 64 hexadecimal digits in lower case)",
            "`airseed secrets --rotate phone-home-token` makes a new one",
        ),
        ("ca.crt", "hello", "holds no certificate in PEM form", BACKUP),
        ("ca.key", "", "holds no private key in PEM form", BACKUP),
    ],
)
def test_what_is_malformed_is_refused_and_kept(
    folder: Path, name: str, content: str, fault: str, hint: str
) -> None:
    (folder / name).write_text(content)
    before = contents(folder)
    for act in (store.load, store.prepare):
        with pytest.raises(VerificationError) as caught:
            act(folder, GENERATED)
        assert str(caught.value) == f"{folder}: the secrets can't be used"
        assert faults(caught.value) == [f"{folder}/{name}: {fault}"]
        assert caught.value.faults[0].hint == hint
    assert contents(folder) == before
    if name in WORDS:
        store.prepare(folder, GENERATED, rotate=[name])  # type: ignore[list-item]


def test_all_that_is_malformed_is_named_at_once(folder: Path) -> None:
    for name in NAMES:
        (folder / name).write_text("?")
    with pytest.raises(VerificationError) as caught:
        store.load(folder, GENERATED)
    assert {fault.where for fault in caught.value.faults} == {
        str(folder / name) for name in CLUSTERS
    }


def test_a_lost_certificate_is_made_again_for_the_same_key(folder: Path) -> None:
    before = store.load(folder, GENERATED).authority
    (folder / "ca.crt").unlink()
    assert store.prepare(folder, GENERATED) == ("ca.crt",)
    after = store.load(folder, GENERATED).authority
    assert before is not None
    assert after is not None
    assert (after.digest, after.key) == (before.digest, before.key)


def test_a_lost_key_is_not_made_anew(folder: Path) -> None:
    """And nobody is told that a run would make it."""
    (folder / "ca.key").unlink()
    for act in (store.prepare, store.load, store.load_authority):
        with pytest.raises(AirseedError) as caught:
            act(folder, GENERATED)
        assert str(caught.value) == f"{folder}: the secrets can't be used"
        assert faults(caught.value) == [
            f"{folder}/ca.key: is missing, and nothing else can sign for ca.crt"
        ]
        assert caught.value.faults[0].hint == (
            "restore it from your backup; where no node has booted yet, delete ca.crt"
        )


def test_an_authority_that_was_there_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    authority(folder)
    (folder / "ca.crt").chmod(0o600)
    assert store.prepare(folder, GENERATED) == (*WORDS, "signing-key.asc")
    own = store.load(folder, GENERATED).authority
    assert own is not None
    assert own.digest == pin(folder / "ca.crt")


def test_runs_at_once_agree(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    program = (
        "import pathlib, sys\n"
        "from builder.secrets import store\n"
        "from builder.model.cluster import Pki\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "store.prepare(folder, Pki(), rotate=sys.argv[2:])\n"
        "print(store.load(folder, Pki()).authority.digest)"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder), *rotate],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rotate in ([], [], ["token"], [], ["token"], ["certificate-key"])
    ]
    outputs = {run.communicate(timeout=120)[0] for run in runs}
    assert [run.returncode for run in runs] == [0] * len(runs)
    assert outputs == {f"{pin(folder / 'ca.crt')}\n"}
    assert set(contents(folder)) == NAMES
    store.load(folder, GENERATED)


KILLED = """
import os, pathlib, signal, sys
from builder.secrets import authority, pem, signing, store
from builder.model.cluster import Pki
root, *rotate = sys.argv[1:]
key = pem.private_key(sys.stdin.buffer.read())
authority.new_key = lambda: key  # making one takes long, and makes no difference here
signer = signing.new("Test")
signing.new = lambda user: signer
calls = deadline = 0
def deadly(real):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == deadline:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
for name in ("open", "fchmod", "fsync", "rename", "close"):
    setattr(os, name, deadly(getattr(os, name)))
while True:
    calls, deadline = 0, deadline + 1
    child = os.fork()
    if child == 0:
        store.prepare(pathlib.Path(root) / str(deadline) / "secrets", Pki(), rotate=rotate)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        print(deadline, os.waitstatus_to_exitcode(status))
        break
"""
"""Run again and again, each time killed before a later one of the calls that touch the disk."""


def killed(root: Path, key: Path, *rotate: str) -> list[Path]:
    """Return the folders that runs left which were killed; the run after the last came through."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(root), *rotate],
        input=key.read_bytes(),
        check=True,
        stdout=subprocess.PIPE,
        timeout=300,
    )
    last, code = map(int, done.stdout.split())
    assert code == 0
    assert last > 10
    return [root / str(point) / "secrets" for point in range(1, last)]


def test_a_run_that_is_killed_anywhere_leaves_whole_files(quick: Path, tmp_path: Path) -> None:
    """What a killed run left is kept by the next."""
    for point in range(1, 100):
        (tmp_path / str(point)).mkdir()
    seen = set()
    for folder in killed(tmp_path, quick / "ca.key"):
        left = contents(folder) if folder.exists() else {}
        left = {name: content for name, content in left.items() if name in NAMES}
        seen.add(frozenset(left))
        if "ca.key" not in left:
            (folder.parent / "secrets").mkdir(mode=0o700, exist_ok=True)
            shutil.copy(quick / "ca.key", folder)  # the same, had it been there already
        store.prepare(folder, GENERATED)
        secrets = store.load(folder, GENERATED)
        after = contents(folder)
        assert set(after) == NAMES
        assert {name: after[name] for name in left} == left
        assert secrets.authority is not None
        assert secrets.authority.digest == pin(folder / "ca.crt")
    assert len(seen) == len(NAMES) + 1


def test_a_rotation_that_is_killed_anywhere_leaves_old_or_new(quick: Path, tmp_path: Path) -> None:
    for point in range(1, 40):
        shutil.copytree(quick, tmp_path / str(point) / "secrets")
    old = (quick / "token").read_text().strip()
    seen = set()
    for folder in killed(tmp_path, quick / "ca.key", "token"):
        secrets = store.load(folder, GENERATED)  # whole at every moment
        seen.add(secrets.token == old)
        store.prepare(folder, GENERATED)
        assert set(contents(folder)) == NAMES
    assert seen == {True, False}


def test_the_key_for_what_etcd_holds_is_made_once_and_where_it_is_wanted(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    store.prepare(folder, GENERATED)
    assert not (folder / "encryption-config").exists()
    with pytest.raises(StorageError) as caught:
        store.load(folder, GENERATED, encrypted=True)
    assert "encryption-config: is missing" in str(caught.value.faults[0])
    assert store.prepare(folder, GENERATED, encrypted=True) == ("encryption-config",)
    made = store.load(folder, GENERATED, encrypted=True).encryption
    assert made is not None
    assert (folder / "encryption-config").stat().st_mode & 0o777 == 0o600
    document = yaml.safe_load(made)
    (key,) = document["resources"][0]["providers"][0]["secretbox"]["keys"]
    assert len(base64.b64decode(key["secret"])) == 32
    assert store.prepare(folder, GENERATED, encrypted=True) == ()
    assert key["secret"] not in repr(store.load(folder, GENERATED, encrypted=True))
    (folder / "encryption-config").write_text("")
    with pytest.raises(VerificationError):
        store.prepare(folder, GENERATED, encrypted=True)
