"""Which source gave which artifact: written while bundling, shown by ``inspect --provenance``."""

from __future__ import annotations

import json
import re
import shutil
import signal
import tarfile
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from fault_lab.faults import Drip, Status

from builder.cli.root import run
from builder.formats import lock as lock_format
from builder.model.artifact import Blob
from builder.model.digest import Digest

if TYPE_CHECKING:
    from sandboxes import Sandbox


def shown(sandbox: Sandbox, *words: str) -> dict[str, dict[str, Any]]:
    """Return what ``inspect --provenance`` says, by path."""
    ran = sandbox.run("inspect", "bundle.tar", "--provenance", "--json", *words)
    assert (ran.code, ran.err) == (0, "")
    return {one["path"]: one for one in json.loads(ran.out)}


def test_every_artifact_has_its_source(sandbox: Sandbox) -> None:
    assert sandbox.lock().code == 0
    assert sandbox.bundle().code == 0
    lock = lock_format.read(sandbox.lock_path)
    found = shown(sandbox)
    assert {path: one["digest"] for path, one in found.items()} == {
        one.path: str(one.digest) for one in lock.contents
    }
    for one in lock.contents:
        source = found[one.path]["source"]
        if one.kept:
            assert source == f"cluster.lock.d/{one.digest.hex}"
        elif isinstance(one, Blob):
            assert source == f"{one.sources[0]}@{one.digest}"
        else:
            # the lab's google has lost some packages, as the real one has
            assert source in one.sources
            passed = len(found[one.path]["passedOver"])
            assert passed == one.sources.index(source)
    text = (sandbox.folder / "bundle.tar.provenance.json").read_text("utf-8")
    assert str(sandbox.folder) not in text
    statement = json.loads(text)
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    with tarfile.open(sandbox.bundle_path) as tar:
        sums = tar.extractfile("SHA256SUMS")
        assert sums is not None
        digest = Digest.of(sums.read())
    assert statement["subject"] == [{"name": "SHA256SUMS", "digest": {"sha256": digest.hex}}]


def test_a_fallback_is_told_with_its_reason(sandbox: Sandbox) -> None:
    assert sandbox.lock().code == 0
    package = next(p for p in lock_format.read(sandbox.lock_path).packages if len(p.sources) > 1)
    parts = urlsplit(package.sources[0])
    sandbox.upstream.faults.add(Status(404), host=parts.hostname or "", path=parts.path)
    assert sandbox.bundle().code == 0
    one = shown(sandbox)[package.path]
    assert one["source"] == package.sources[1]
    assert len(one["passedOver"]) == 1
    assert "404" in one["passedOver"][0]
    ran = sandbox.run("inspect", "bundle.tar", "--provenance")
    assert re.search(
        rf"^{re.escape(package.path)} +{re.escape(package.sources[1])} +.*404",
        ran.out,
        re.MULTILINE,
    )


def test_a_killed_run_is_remembered(sandbox: Sandbox) -> None:
    """What an earlier run fetched has its source, though this one did not ask for it."""
    assert sandbox.lock().code == 0
    sandbox.upstream.faults.add(Drip(piece=1 << 14, pause=0.05), path="*/blobs/*")
    with sandbox.start("bundle", "cluster.lock") as process:
        journal = sandbox.folder / "bundle.tar.journal"
        while not journal.exists() or journal.read_text("utf-8").count('"done"') < 40:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (sandbox.folder / "bundle.tar.provenance.json").exists()
    sandbox.upstream.faults.clear()
    ran = sandbox.bundle()
    assert ran.code == 0
    found = shown(sandbox)
    unknown = [path for path, one in found.items() if one["source"] is None]
    # at most what was whole, but not yet called so, when the run was killed
    assert len(unknown) <= 8
    asked = " ".join(one.path for one in ran.requests)
    earlier = [p for p, one in found.items() if one["source"] and p.rpartition("/")[2] not in asked]
    assert len(earlier) > 30


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 1, "error: {path}: no such file or directory\n"),
        (b"{}", 3, "error: {path}: 1 mistake\n  this is not the provenance of a bundle\n"),
        (b"\xff", 3, "error: {path}: 1 mistake\n"),
    ],
)
def test_what_is_no_provenance(
    sandbox: Sandbox, content: bytes | None, code: int, message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert sandbox.lock().code == 0
    assert sandbox.bundle().code == 0
    path = sandbox.folder / "bundle.tar.provenance.json"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert run(["inspect", str(sandbox.bundle_path), "--provenance"]) == code
    assert capsys.readouterr().err.startswith(message.format(path=path))


def test_the_account_of_another_bundle(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sandbox.lock().code == 0
    assert sandbox.bundle().code == 0
    path = sandbox.folder / "bundle.tar.provenance.json"
    value = json.loads(path.read_text("utf-8"))
    value["subject"][0]["digest"]["sha256"] = "0" * 64
    path.write_text(json.dumps(value), "utf-8")
    assert run(["inspect", str(sandbox.bundle_path), "--provenance"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {path}: this belongs to another bundle\n")


def test_what_comes_from_an_earlier_bundle_keeps_its_source(sandbox: Sandbox) -> None:
    """For who reads it two years later, an earlier bundle's name is no origin."""
    assert sandbox.lock().code == 0
    assert sandbox.bundle().code == 0
    first = {path: one["source"] for path, one in shown(sandbox).items()}
    assert not [source for source in first.values() if "bundle.tar" in source]
    beside = sandbox.folder / "bundle.tar.provenance.json"
    for words in (("--base", "old.tar"), ("--base", "old.tar.sha256"), ("--base", "unpacked")):
        for path in [*sandbox.folder.glob("old.tar*"), *sandbox.folder.glob("unpacked.*")]:
            path.unlink()
        if words[1] == "old.tar.sha256":
            made = sandbox.bundle("--base", "bundle.tar", "-o", "old.tar", "--split", "4M")
            assert made.code == 0, made.err
        else:
            shutil.copy(sandbox.bundle_path, sandbox.folder / "old.tar")
            shutil.copy(beside, sandbox.folder / "old.tar.provenance.json")
            shutil.copy(beside, sandbox.folder / "unpacked.provenance.json")
            with tarfile.open(sandbox.bundle_path) as tar:
                tar.extractall(sandbox.folder / "unpacked", filter="data")
        sandbox.bundle_path.unlink()
        beside.unlink()
        ran = sandbox.bundle(*words)
        assert (ran.code, ran.requests) == (0, ()), ran.err
        assert {path: one["source"] for path, one in shown(sandbox).items()} == first


def test_of_an_earlier_account_only_what_the_lock_names_is_passed_on(sandbox: Sandbox) -> None:
    """Whoever brings a bundle may have written anything beside it."""
    assert sandbox.lock().code == 0
    assert sandbox.bundle().code == 0
    first = {path: one["source"] for path, one in shown(sandbox).items()}
    lock = lock_format.read(sandbox.lock_path)
    layer, other = [blob for blob in lock.blobs if blob.is_layer][:2]
    package = lock.packages[0]
    forged = {
        layer.path: "https://me:secret@evil.example.org/\x1b[2J",
        package.path: "x" * (1 << 20),
        other.path: f"cluster.lock.d/{layer.digest.hex}",
    }
    shutil.move(sandbox.bundle_path, sandbox.folder / "old.tar")
    beside = sandbox.folder / "old.tar.provenance.json"
    shutil.move(sandbox.folder / "bundle.tar.provenance.json", beside)
    value = json.loads(beside.read_text("utf-8"))
    for one in value["predicate"]["buildDefinition"]["resolvedDependencies"]:
        one["downloadLocation"] = forged.get(one["name"], one.get("downloadLocation", ""))
    beside.write_text(json.dumps(value), "utf-8")
    ran = sandbox.bundle("--base", "old.tar")
    assert (ran.code, ran.requests) == (0, ()), ran.err
    now = {path: one["source"] for path, one in shown(sandbox).items()}
    assert now == first | {path: f"old.tar: {path}" for path in forged}


@pytest.mark.parametrize("account", ["none", "of another bundle", "no account"])
def test_without_a_good_account_the_earlier_bundle_is_the_source(
    sandbox: Sandbox, account: str
) -> None:
    assert sandbox.lock().code == 0
    assert sandbox.bundle().code == 0
    shutil.move(sandbox.bundle_path, sandbox.folder / "old.tar")
    beside = sandbox.folder / "old.tar.provenance.json"
    shutil.move(sandbox.folder / "bundle.tar.provenance.json", beside)
    if account == "none":
        beside.unlink()
    elif account == "no account":
        beside.write_text("{}", "utf-8")
    else:
        value = json.loads(beside.read_text("utf-8"))
        value["subject"][0]["digest"]["sha256"] = "0" * 64
        beside.write_text(json.dumps(value), "utf-8")
    ran = sandbox.bundle("--base", str(sandbox.folder / "old.tar"))
    assert (ran.code, ran.requests) == (0, ()), ran.err
    text = (sandbox.folder / "bundle.tar.provenance.json").read_text("utf-8")
    assert str(sandbox.folder) not in text
    lock = lock_format.read(sandbox.lock_path)
    layer = next(blob for blob in lock.blobs if blob.is_layer)
    assert shown(sandbox)[layer.path]["source"] == f"old.tar: {layer.path}"


def test_a_lock_has_no_provenance(sandbox: Sandbox) -> None:
    assert sandbox.lock().code == 0
    ran = sandbox.run("inspect", "cluster.lock", "--provenance")
    assert (ran.code, ran.err) == (
        2,
        (
            "error: cluster.lock: a lock has no provenance, only a bundle has\n"
            "  hint: airseed inspect BUNDLE --provenance\n"
        ),
    )
