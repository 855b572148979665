"""``bundle --sign`` and ``verify --require-signature``, with gpg on the other side."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
import tarfile
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.bundle.layout import SUMS_PATH
from builder.cli.root import run
from builder.cli.verify import UNPROVED
from builder.secrets import signing

if TYPE_CHECKING:
    from pgp import Gpg
    from sandboxes import Sample, Sandbox

RIGHT = "very hush"
KINDS = (
    ("rsa2048", ""),
    ("rsa2048+", "fünf Wörter"),
    ("ed25519", "fünf Wörter"),
    ("ed25519+", ""),
    ("nistp256", "x"),
)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The site's own key, as ``airseed secrets`` makes it."""
    path = tmp_path / "signing-key.asc"
    path.touch(mode=0o600)
    path.write_bytes(signing.new("the site <site@localhost>").secret)
    return path


@pytest.fixture
def public(own: Path, tmp_path: Path) -> Path:
    path = tmp_path / "site.asc"
    path.write_bytes(signing.read(own.read_bytes()).public)
    return path


@pytest.fixture
def bundle(sample: Sample, tmp_path: Path) -> Path:
    """A finished bundle in a folder of its own; its bytes are shared, so nobody changes them."""
    place = tmp_path / "signed"
    place.mkdir()
    for name in ("cluster.lock", "cluster.yaml"):
        shutil.copy(sample.folder / name, place)
    os.link(sample.bundle, place / "bundle.tar")
    return place / "bundle.tar"


def sign(bundle: Path, key: Path, *words: str) -> int:
    lock = bundle.with_name("cluster.lock")
    return run(["bundle", "-q", str(lock), "--sign", str(key), *words])


def verdict(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = run(["verify", "-q", "--json", *words])
    out, err = capsys.readouterr()
    assert err == ""
    value: dict[str, Any] = json.loads(out)
    return code, value


def fault(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Verify what is whole but not well signed; return the one fault."""
    code, value = verdict(capsys, *words)
    assert (code, value["whole"], value["signedBy"]) == (1, False, None)
    [found] = value["faults"]
    return dict(found)


def test_the_sites_own_key(
    bundle: Path, own: Path, public: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fingerprint = signing.read(own.read_bytes()).fingerprint
    before = bundle.stat().st_mtime_ns
    assert run(["bundle", str(bundle.with_name("cluster.lock")), "--sign", str(own)]) == 0
    assert capsys.readouterr().err.endswith(
        f"wrote {bundle}.asc: signed by {fingerprint} (the site <site@localhost>)\n"
    )
    assert bundle.stat().st_mtime_ns == before
    assert run(["verify", str(bundle), "--require-signature", "--key", str(public)]) == 0
    assert capsys.readouterr().err.endswith(f"it is signed by {fingerprint}\n")
    unpacked = tmp_path / "unpacked"
    with tarfile.open(bundle) as tar:
        tar.extractall(unpacked, filter="data")
    words = ["--key", str(public), "--signature", f"{bundle}.asc"]
    assert verdict(capsys, str(unpacked), *words)[1]["signedBy"] == fingerprint
    (tmp_path / "unpacked.asc").write_bytes(Path(f"{bundle}.asc").read_bytes())
    assert verdict(capsys, str(unpacked), "--key", str(public))[1]["signedBy"] == fingerprint


def test_secrets_makes_both_halves(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What signs and what checks lie beside each other, and the one is refused as the other."""
    assert run(["secrets", "-q", str(bundle.with_name("cluster.yaml"))]) == 0
    folder = bundle.with_name("secrets")
    assert sign(bundle, folder / "signing-key.asc") == 0
    capsys.readouterr()
    code, value = verdict(capsys, str(bundle), "--key", str(folder / "signing-key.pub.asc"))
    assert (code, value["faults"]) == (0, [])
    assert run(["verify", str(bundle), "--key", str(folder / "signing-key.asc")]) == 1
    assert "as signing-key.pub.asc" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "passphrase"), KINDS)
def test_gpg_makes_the_key_and_checks_the_signature(
    gpg: Gpg, bundle: Path, kind: str, passphrase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fingerprint = gpg.key("site@example.org", kind, passphrase=passphrase)
    words = gpg.folder / "words"
    words.touch(mode=0o600)
    words.write_text(passphrase + "\n", "utf-8")
    key = gpg.secret(fingerprint, passphrase)
    assert sign(bundle, key, "--passphrase-file", str(words)) == 0
    capsys.readouterr()
    code, value = verdict(capsys, str(bundle), "--key", str(gpg.public(fingerprint)))
    assert (code, value["signedBy"], value["faults"]) == (0, fingerprint, [])
    # as the documentation says, by hand
    by_hand = f"tar -xOf {bundle} SHA256SUMS | gpg --batch --verify {bundle}.asc -"
    environment = {**os.environ, "GNUPGHOME": str(gpg.home)}
    done = subprocess.run(["bash", "-c", by_hand], env=environment, capture_output=True, check=True)
    assert b"Good signature" in done.stderr
    ring = gpg.public(fingerprint, armour=False)
    by_hand = f"tar -xOf {bundle} SHA256SUMS | gpgv --keyring {ring} {bundle}.asc -"
    done = subprocess.run(["bash", "-c", by_hand], env=environment, capture_output=True, check=True)
    assert b"Good signature" in done.stderr
    done = subprocess.run(
        ["bash", "-c", by_hand.replace("|", "| sed '1s/./0/' | tail -n +2 |")],
        env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert b"BAD signature" in done.stderr


def test_gpg_signs_and_airseed_checks(
    gpg: Gpg, bundle: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    fingerprint = gpg.key("site@example.org", "ed25519")
    content = gpg.run("--detach-sign", "-u", fingerprint, content=sample.layout.sums)
    Path(f"{bundle}.asc").write_bytes(content)
    code, value = verdict(capsys, str(bundle), "--key", str(gpg.public(fingerprint)))
    assert (code, value["signedBy"]) == (0, fingerprint)


def test_what_is_not_signed_well(
    gpg: Gpg, bundle: Path, own: Path, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (str(bundle), "--key", str(public))
    missing = fault(capsys, *words)
    assert (missing["where"], missing["what"]) == (f"{bundle}.asc", "there is no signature")
    # the content is right, and another copy would be no better
    assert run(["verify", "-q", *words]) == 1
    assert capsys.readouterr().err == (
        f"error: {bundle}: 1 fault\n"
        f"  {bundle}.asc: there is no signature\n"
        "    hint: airseed bundle --sign KEYFILE makes it where the bundle is built; "
        "copy it along\n"
    )
    # another's
    fingerprint = gpg.key("mallory@example.org", "rsa2048")
    assert sign(bundle, gpg.secret(fingerprint)) == 0
    assert fault(capsys, *words)["what"] == f"it is signed by the key {fingerprint}"
    # no signature at all, and one that is damaged
    place = Path(f"{bundle}.asc")
    place.write_text("hello\n", "utf-8")
    assert fault(capsys, *words)["what"].startswith("no OpenPGP signature can be read")
    assert sign(bundle, own) == 0
    assert verdict(capsys, *words)[0] == 0
    content = bytearray(signing.read(own.read_bytes()).sign(b"other sums"))
    place.write_bytes(content)
    assert "is not good" in fault(capsys, *words)["what"]
    content[-3] ^= 1
    place.write_bytes(content)
    assert "is not good" in fault(capsys, *words)["what"]


def test_a_bundle_of_another_lock_under_a_good_signature(
    bundle: Path, own: Path, public: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole in itself, but not what was signed."""
    assert sign(bundle, own) == 0
    unpacked = bundle.parent / "other"
    with tarfile.open(bundle) as tar:
        tar.extractall(unpacked, filter="data")
    lock = unpacked / "cluster.lock"
    text = lock.read_bytes()
    lock.write_bytes(text.replace(b'"kubernetes": "1.18.5"', b'"kubernetes": "1.18.6"', 1))
    assert lock.read_bytes() != text
    sums = unpacked / SUMS_PATH
    listed = sums.read_text("utf-8").splitlines(keepends=True)
    listed[1] = f"{hashlib.sha256(lock.read_bytes()).hexdigest()}  cluster.lock\n"
    sums.write_text("".join(listed), "utf-8")
    assert verdict(capsys, str(unpacked))[0] == 0
    found = fault(capsys, str(unpacked), "--key", str(public), "--signature", f"{bundle}.asc")
    assert "is not good" in found["what"]
    assert sample.lock.size


def test_pinned_by_fingerprint_alone(
    bundle: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key comes out of keys/ of the bundle; the lab's RPM key has signed no bundle."""
    known = next(file for file in sample.lock.files if file.fingerprint)
    assert known.fingerprint
    own = signing.new("somebody <s@localhost>")
    Path(f"{bundle}.asc").write_bytes(own.sign(sample.layout.sums))
    found = fault(capsys, str(bundle), "--key", known.fingerprint.lower())
    assert found["what"] == f"it is signed by the key {own.fingerprint}"
    assert found["expected"].startswith(known.fingerprint)
    found = fault(capsys, str(bundle), "--key", f"0x{own.fingerprint}")
    assert (found["where"], found["what"]) == (
        own.fingerprint,
        "the bundle does not contain this key",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--require-signature"],
            (
                "error: --require-signature needs --key\n"
                "  hint: give the signer's public key, which you got another way than the bundle: "
                "that of a key that airseed secrets made is signing-key.pub.asc\n"
            ),
        ),
        (
            ["--key", "F4A80EB5"],
            (
                "error: F4A80EB5: this is a short key ID, which anybody can forge\n"
                "  expected a key's file, or its whole fingerprint: 40 or 64 hex digits\n"
            ),
        ),
        *(
            (
                ["--key", text],
                (
                    f"error: {text}: this is neither a file nor a fingerprint\n"
                    "  expected a key's file, or its whole fingerprint: 40 or 64 hex digits\n"
                ),
            )
            for text in ("nowhere.asc", "abcd", "jane@example.com")
        ),
        (
            ["--key", "/dev/null"],
            "error: /dev/null: is a device, not a file\n",
        ),
    ],
)
def test_wrong_use(
    bundle: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(bundle), *words]) in {1, 2}
    assert capsys.readouterr().err == message


def test_keys_that_can_sign_nothing(
    gpg: Gpg, bundle: Path, own: Path, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signature = Path(f"{bundle}.asc")

    def refused(key: Path, *words: str) -> str:
        assert sign(bundle, key, *words) == 1
        assert not signature.exists()
        return capsys.readouterr().err

    for mode in (0o644, 0o600):
        public.chmod(mode)
        assert refused(public) == (
            f"error: {public}: this is a public key, there is no secret key in it\n"
            "  expected one OpenPGP secret key\n"
            "  hint: airseed secrets makes secrets/signing-key.asc;"
            " gpg --armor --export-secret-keys FINGERPRINT writes one\n"
        )
    own.chmod(0o640)
    assert "others may read this file (mode 0640)" in refused(own)
    assert "there is no secret key in it" in refused(_private(gpg.folder / "p", public))
    garbage = gpg.folder / "garbage"
    garbage.touch(mode=0o600)
    garbage.write_text("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nc2VjcmV0\n", "utf-8")
    assert "c2VjcmV0" not in refused(garbage)
    locked = gpg.secret(gpg.key("locked@example.org", "ed25519", passphrase=RIGHT), RIGHT)
    assert "the key has a passphrase" in refused(locked)
    words = gpg.folder / "words"
    words.touch(mode=0o600)
    words.write_text("wrong\n", "utf-8")
    text = refused(locked, "--passphrase-file", str(words))
    assert "the passphrase is wrong" in text
    words.write_text(f"{RIGHT}\n", "utf-8")
    words.chmod(0o644)
    assert "others may read this file" in refused(locked, "--passphrase-file", str(words))
    old = gpg.secret(gpg.key("old@example.org", "rsa2048", life="seconds=1"))
    subprocess.run(["sleep", "2"], check=True)
    assert "error:" in refused(old)


def _private(path: Path, content: Path) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content.read_bytes())
    return path


def test_the_passphrase_is_asked_for_on_a_terminal(gpg: Gpg, bundle: Path) -> None:
    """And shown nowhere."""
    key = gpg.secret(gpg.key("asked@example.org", "ed25519", passphrase=RIGHT), RIGHT)
    words = ["bundle", str(bundle.with_name("cluster.lock")), "--sign", str(key)]
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "builder", *words],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(slave)
        seen = b""
        while b"Passphrase" not in seen:
            seen += os.read(master, 1024)
        # what is typed before the echo is off is thrown away
        while process.poll() is None and termios.tcgetattr(master)[3] & termios.ECHO:
            time.sleep(0.01)
        os.write(master, RIGHT.encode() + b"\n")
        try:
            while part := os.read(master, 1024):
                seen += part
        except OSError:
            pass  # the other end is closed
    os.close(master)
    assert process.returncode == 0
    assert b"hush" not in seen
    assert b"signed by" in seen


def test_the_key_is_tried_before_anything_is_fetched(sandbox: Sandbox, public: Path) -> None:
    public.chmod(0o600)
    ran = sandbox.bundle("--sign", str(public))
    assert ran.code == 1
    assert "there is no secret key in it" in ran.err
    assert not ran.requests


def test_a_bundle_made_anew_keeps_no_older_signature(sandbox: Sandbox, own: Path) -> None:
    assert sandbox.lock().code == 0
    signature = Path(f"{sandbox.bundle_path}.asc")
    assert sandbox.bundle("--sign", str(own)).code == 0
    assert signature.exists()
    assert sandbox.bundle().code == 0
    assert signature.exists()
    sandbox.bundle_path.unlink()
    assert sandbox.bundle().code == 0
    assert not signature.exists()


def test_the_same_bundle_in_another_form_keeps_its_signature(
    sandbox: Sandbox, sample: Sample, own: Path
) -> None:
    """It covers SHA256SUMS, and that is the same; beside something else it is dropped."""
    signature = Path(f"{sandbox.bundle_path}.asc")
    base = ("--base", str(sample.bundle))
    assert sandbox.bundle(*base, "--sign", str(own)).code == 0
    content = signature.read_bytes()
    for words in (("--split", "4M"), ("--split", "3M"), ()):
        if not words:
            sandbox.bundle_path.unlink()
        ran = sandbox.bundle(*base, *words)
        assert ran.code == 0
        assert "is there already" not in ran.err
        assert signature.read_bytes() == content
    sandbox.bundle_path.write_bytes(b"")
    assert sandbox.bundle(*base).code == 0
    assert not signature.exists()


def test_parts_and_deltas(
    sandbox: Sandbox, own: Path, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One signature holds for the tar, for its parts, and for a delta, whose sums are the same."""
    fingerprint = signing.read(own.read_bytes()).fingerprint
    assert sandbox.lock().code == 0
    assert sandbox.bundle("--split", "4MB", "--sign", str(own)).code == 0
    signature = Path(f"{sandbox.bundle_path}.asc")
    assert signature.exists()
    assert not sandbox.bundle_path.exists()
    part = f"{sandbox.bundle_path}.001"
    for place in (f"{sandbox.bundle_path}.sha256", part):
        code, value = verdict(capsys, place, "--key", str(public))
        assert (code, value["signedBy"]) == (0, fingerprint)
    joined = sandbox.folder / "joined.tar"
    pieces = sorted(sandbox.folder.glob("bundle.tar.[0-9][0-9][0-9]"))
    joined.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    words = ("--key", str(public), "--signature", str(signature))
    assert verdict(capsys, str(joined), *words)[1]["signedBy"] == fingerprint
    sums = f"tar -xOf {part} SHA256SUMS 2>/dev/null | sha256sum"
    by_hand = subprocess.run(["bash", "-c", sums], capture_output=True, check=True).stdout.decode()
    with tarfile.open(joined) as tar:
        content = tar.extractfile(SUMS_PATH)
        assert content is not None
        assert by_hand.split()[0] == hashlib.sha256(content.read()).hexdigest()
    made = sandbox.run("inventory", str(joined), "-o", "inventory.json")
    assert made.code == 0, made.err
    made = sandbox.bundle("--have", "inventory.json", "-o", "delta.tar", "--sign", str(own))
    assert made.code == 0, made.err
    delta = sandbox.folder / "delta.tar"
    code, value = verdict(capsys, str(delta), "--key", str(public))
    assert (code, value["signedBy"]) == (UNPROVED, fingerprint)
    shutil.copy(signature, f"{delta}.asc")
    code, value = verdict(capsys, str(delta), "--key", str(public))
    assert (code, value["signedBy"]) == (UNPROVED, fingerprint)


def test_the_provenance_of_parts(sandbox: Sandbox) -> None:
    assert sandbox.lock().code == 0
    assert sandbox.bundle("--split", "4MB").code == 0
    ran = sandbox.run("inspect", "bundle.tar.sha256", "--provenance", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert len(json.loads(ran.out)) > 50
