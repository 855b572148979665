"""Where a bundle goes, and what is made of earlier ones: deltas, parts, reused bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fault_lab.faults import Status

from builder.bundle.delta import may_be_left_out, without
from builder.bundle.layout import DELTA_PATH
from builder.model.artifact import Blob, Package
from builder.pipeline import paths
from builder.pipeline.lock_document import LockDocument

if TYPE_CHECKING:
    from sandboxes import Sample, Sandbox


def test_every_lock_has_a_bundle_of_its_own() -> None:
    assert paths.bundle(Path("site/cluster.lock")) == Path("site/bundle.tar")
    assert paths.bundle(Path("site/prod.lock")) == Path("site/prod.tar")
    assert paths.bundle(Path("site/dev.lock")) != paths.bundle(Path("site/prod.lock"))
    assert paths.delta(Path("site/cluster.lock")) == Path("site/delta.tar")
    assert paths.delta(Path("site/prod.lock")) == Path("site/prod.delta.tar")


def offline(sandbox: Sandbox, *words: str) -> None:
    ran = sandbox.run(*words)
    assert ran.code == 0, ran.err
    assert ran.requests == ()


@pytest.fixture
def old(sandbox: Sandbox, sample: Sample) -> Path:
    """Return the sample's bundle under another name."""
    path = sandbox.folder / "old.tar"
    shutil.copy(sample.bundle, path)
    return path


def test_a_base_is_used_instead_of_the_network(sandbox: Sandbox, sample: Sample, old: Path) -> None:
    offline(sandbox, "bundle", "--base", "old.tar")
    assert sample.is_right(sandbox)


def test_json_tells_what_was_done(sandbox: Sandbox, sample: Sample, old: Path) -> None:
    first = json.loads(sandbox.bundle("--base", "old.tar", "--json").out)
    assert first == {
        "bundle": "bundle.tar",
        "parts": [],
        "size": sample.layout.size,
        "alreadyThere": False,
        "fetched": 0,
        "reused": first["reused"],
        "leftOut": 0,
        "fallbacks": [],
        "signature": None,
    }
    assert first["reused"] > 10_000_000
    again = json.loads(sandbox.bundle("--json").out)
    assert again == first | {"alreadyThere": True, "reused": 0}


def test_for_a_bundle_that_is_there_nothing_is_loaded_that_makes_one(
    sandbox: Sandbox, sample: Sample
) -> None:
    shutil.copy(sample.bundle, sandbox.bundle_path)
    sandbox.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    ran = sandbox.bundle()
    assert "is there already" in ran.err
    assert "builder.bundle.existing" in ran.loaded
    needless = {"bundle.transfer", "bundle.writer", "http", "model.cluster", "oci.graph"}
    assert not ran.loaded & {f"builder.{name}" for name in needless}


def test_what_has_the_name_already_is_a_base(sandbox: Sandbox, sample: Sample) -> None:
    """After another lock: the bundle of the old one is where the new one goes."""
    lock = sandbox.lock_path.read_bytes()
    name = f'"name": "{sample.lock.subject.cluster}"'.encode()
    assert name in lock
    sandbox.lock_path.write_bytes(lock.replace(name, b'"name": "other"', 1))
    offline(sandbox, "bundle", "cluster.lock", "--base", str(sample.bundle))
    other = sandbox.bundle_path.read_bytes()
    sandbox.lock_path.write_bytes(lock)
    offline(sandbox, "bundle")
    assert sample.is_right(sandbox)
    assert other != sandbox.bundle_path.read_bytes()


def test_parts_are_verified_and_inspected_without_joining(
    sandbox: Sandbox, sample: Sample, old: Path
) -> None:
    offline(sandbox, "bundle", "--base", "old.tar", "--split", "3MB")
    old.unlink()
    parts = sorted(sandbox.folder.glob("bundle.tar.0*"))
    assert [part.stat().st_size for part in parts[:-1]] == [3_000_000] * (len(parts) - 1)
    assert b"".join(part.read_bytes() for part in parts) == sample.bundle.read_bytes()
    for name in ("bundle.tar", "bundle.tar.sha256", parts[1].name):
        ran = sandbox.run("verify", name)
        assert (ran.code, ran.err.splitlines()[-1]) == (
            0,
            f"bundle.tar in {len(parts)} parts is whole: 11.9 MB checked",
        )
    assert sandbox.run("inspect", "bundle.tar").out == sandbox.run("inspect", "cluster.lock").out
    again = sandbox.bundle("--split", "3MB")
    assert f"bundle.tar in {len(parts)} parts is there already" in again.err
    damaged = bytearray(parts[1].read_bytes())
    damaged[1_000_000] ^= 1
    parts[1].write_bytes(damaged)
    parts[-1].unlink()
    ran = sandbox.run("verify", "bundle.tar.sha256")
    assert ran.code == 1
    assert f"error: bundle.tar in {len(parts)} parts: 2 faults\n" in ran.err
    assert f"  {parts[-1].name}: is missing\n" in ran.err
    assert f"  {parts[1].name}: has the digest sha256:" in ran.err


@pytest.mark.parametrize("size", ["0", "1k", "4 GB", "x", "-1", "99999999999999999999"])
def test_a_size_that_is_none_is_refused(sandbox: Sandbox, size: str) -> None:
    ran = sandbox.bundle("--split", size)
    assert ran.code == 2
    assert "hint: " in ran.err


def inventory(sandbox: Sandbox, sample: Sample, *, share: int = 2) -> Path:
    """Say that the other side has every second thing that may be left out, and a stranger."""
    lines = [
        {"kind": "blob", "name": "x", "digest": str(content.digest), "size": content.size}
        for content in sample.lock.contents[::share]
    ]
    lines.append({"kind": "rpm", "name": "x-1-1.noarch", "digest": f"sha256:{'0' * 64}", "size": 1})
    path = sandbox.folder / "have.json"
    path.write_text(json.dumps({"format": 1, "has": lines}), "utf-8")
    return path


def test_a_delta_and_its_base_make_the_whole(sandbox: Sandbox, sample: Sample, old: Path) -> None:
    inventory(sandbox, sample)
    ran = sandbox.bundle("--have", "have.json")
    assert ran.code == 0, ran.err
    left = [
        c
        for c in sample.lock.contents[::2]
        if isinstance(c, Package) or (isinstance(c, Blob) and c.is_layer)
    ]
    assert f"it is a delta: {len(left)} artifacts of " in ran.err
    with tarfile.open(sandbox.folder / "delta.tar") as tar:
        names = tar.getnames()
    assert names[:4] == ["README.txt", "cluster.lock", DELTA_PATH, "SHA256SUMS"]
    assert not {content.path for content in left} & set(names)
    asked = {one.path for one in ran.requests}
    assert not [c for c in left if isinstance(c, Blob) and any(c.digest.hex in a for a in asked)]
    verified = sandbox.run("verify", "delta.tar", "--json")
    assert verified.code == 4
    value = json.loads(verified.out)
    assert {one["path"] for one in value["elsewhere"]} == {c.path for c in left}
    assert (value["whole"], value["right"]) == (False, True)
    assert f"it is a delta: {len(left)} artifacts of " in sandbox.run("inspect", "delta.tar").out
    inspected = json.loads(sandbox.run("inspect", "delta.tar", "--json").out)
    assert {*inspected["elsewhere"]} == {content.path for content in left}
    assert json.loads(sandbox.run("inspect", "old.tar", "--json").out)["elsewhere"] == []
    # the other side, without network: both together are the whole bundle, byte for byte
    offline(sandbox, "bundle", "delta.tar", "--base", "old.tar", "-o", "bundle.tar")
    assert sample.is_right(sandbox)


def test_a_delta_is_the_same_on_two_runs_and_on_two_ways(
    sandbox: Sandbox, sample: Sample, old: Path
) -> None:
    inventory(sandbox, sample)
    offline(sandbox, "bundle", "--have", "have.json", "--base", "old.tar", "-o", "one.tar")
    offline(sandbox, "inventory", "old.tar", "-o", "all.json")
    assert sandbox.bundle("--have", "have.json", "-o", "two.tar").code == 0
    one, two = ((sandbox.folder / name).read_bytes() for name in ("one.tar", "two.tar"))
    assert one == two
    words = ("--have", "have.json", "--have", "all.json", "--base", "old.tar", "-o", "least.tar")
    offline(sandbox, "bundle", *words)
    assert (sandbox.folder / "least.tar").stat().st_size < 1_500_000


def test_verify_asks_the_inventory(sandbox: Sandbox, sample: Sample, old: Path) -> None:
    inventory(sandbox, sample)
    offline(sandbox, "bundle", "--have", "have.json", "--base", "old.tar")
    left = json.loads(sandbox.run("verify", "delta.tar", "--json").out)["elsewhere"]
    size = sum(one["size"] for one in left)
    right = (
        r"what delta\.tar has is right: [0-9.]+ MB checked\n"
        rf"it is a delta: {len(left)} artifacts of"
    )
    nothing = "; nothing shows that the other side has them: --have INVENTORY or --base BUNDLE"
    for code, words, proof in (
        (4, (), nothing),
        (0, ("--have", "have.json"), ", all of them in have.json"),
        (0, ("--base", "old.tar"), ", all of them in old.tar"),
    ):
        ran = sandbox.run("verify", "delta.tar", *words)
        assert ran.code == code
        assert re.search(rf"{right} {size / 1e6:.1f} MB left out{re.escape(proof)}\n$", ran.err)
    inventory(sandbox, sample, share=4)
    ran = sandbox.run("verify", "delta.tar", "--have", "have.json")
    assert ran.code == 1
    assert "is left out, and not in have.json either" in ran.err
    assert "copy it again" not in ran.err


def test_an_earlier_bundle_must_have_the_very_bytes(
    sandbox: Sandbox, sample: Sample, old: Path
) -> None:
    """Its own SHA256SUMS does not prove them."""
    inventory(sandbox, sample)
    offline(sandbox, "bundle", "--have", "have.json", "--base", "old.tar")
    left = json.loads(sandbox.run("verify", "delta.tar", "--json").out)["elsewhere"]
    with tarfile.open(old) as tar:
        place = tar.getmember(left[0]["path"]).offset_data
    content = bytearray(old.read_bytes())
    content[place + 7] ^= 1
    old.unlink()
    old.write_bytes(content)
    ran = sandbox.run("verify", "delta.tar", "--base", "old.tar")
    assert ran.code == 1
    assert f"{left[0]['path']}: is left out, and not in old.tar either" in ran.err


def test_a_gutted_bundle_is_not_whole_whatever_it_says(sandbox: Sandbox, sample: Sample) -> None:
    """Neither DELTA.txt nor what lies beside it is signed."""
    assert sandbox.run("secrets").code == 0
    key = "secrets/signing-key.pub.asc"
    offline(
        sandbox,
        *("bundle", "--base", str(sample.bundle), "--sign", "secrets/signing-key.asc"),
    )
    place = sandbox.folder / "unpacked"
    with tarfile.open(sandbox.bundle_path) as tar:
        tar.extractall(place, filter="data")
    (sandbox.folder / "bundle.tar.asc").rename(sandbox.folder / "unpacked.asc")
    signed = ("verify", "unpacked", "--require-signature", "--key", key)
    assert sandbox.run(*signed).code == 0
    gone = tuple(content for content in sample.lock.contents if may_be_left_out(content))
    for content in gone:
        (place / content.path).unlink()
    assert sandbox.run(*signed).code == 1
    whole = LockDocument.read(sandbox.lock_path).layout
    (place / DELTA_PATH).write_bytes(without(whole, {c.digest for c in gone}).delta)
    ran = sandbox.run(*signed)
    assert ran.code == 4, ran.err
    assert "nothing shows that the other side has them" in ran.err
    assert sandbox.run(*signed, "--base", str(sample.bundle)).code == 0
    (place / "files").mkdir(exist_ok=True)
    (place / "files/stowaway").write_text("x", "utf-8")
    ran = sandbox.run(*signed, "--base", str(sample.bundle))
    assert ran.code == 1
    assert "files/stowaway: is not in the lock, so the signature does not cover it" in ran.err


def test_unpacked_over_the_earlier_bundle_it_verifies(
    sandbox: Sandbox, sample: Sample, old: Path, tmp_path: Path
) -> None:
    inventory(sandbox, sample)
    offline(sandbox, "bundle", "--have", "have.json", "--base", "old.tar")
    folder = tmp_path / "merged"
    for name in ("old.tar", "delta.tar"):
        folder.mkdir(exist_ok=True)
        subprocess.run(["tar", "-xf", sandbox.folder / name, "-C", folder], check=True)
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
    ran = sandbox.run("verify", str(folder))
    assert ran.code == 0, ran.err
    assert ran.err.endswith(f"{folder} is whole: 11.9 MB checked\n")
    # what the earlier bundle had and this one has not is no fault; anything else is
    (folder / "images/blobs/sha256" / ("0" * 64)).write_bytes(b"x")
    (folder / "yum/base/Packages").mkdir(parents=True, exist_ok=True)
    (folder / "yum/base/Packages/old-1-1.noarch.rpm").write_bytes(b"x")
    ran = sandbox.run("verify", str(folder))
    assert ran.code == 0, ran.err
    assert ran.err.endswith(
        f"{folder} is whole: 11.9 MB checked\n"
        "beside it: 2 files that its lock does not name, as an earlier bundle leaves them;"
        " they were not checked\n"
    )
    (folder / "install.sh").write_text("x")
    (folder / "files").mkdir(exist_ok=True)
    (folder / "files/link").symlink_to("/etc/passwd")
    ran = sandbox.run("verify", str(folder), "--json")
    assert ran.code == 1
    value = json.loads(ran.out)
    assert value["unread"] == [
        f"images/blobs/sha256/{'0' * 64}",
        "yum/base/Packages/old-1-1.noarch.rpm",
    ]
    assert {one["where"] for one in value["faults"]} == {"files/link", "install.sh"}


def test_where_a_bundle_of_a_bundle_goes_has_to_be_said(
    sandbox: Sandbox, sample: Sample, old: Path
) -> None:
    ran = sandbox.run("bundle", "old.tar")
    assert ran.code == 2
    assert ran.err == (
        "error: old.tar: a bundle that is made from this one needs a name of its own\n"
        "  hint: give one with -o FILE\n"
    )
    ran = sandbox.run("bundle", "old.tar", "-o", "old.tar")
    assert ran.code == 2
    assert "error: old.tar: the bundle would overwrite what it is made from\n" in ran.err
    inventory(sandbox, sample)
    offline(sandbox, "bundle", "old.tar", "--have", "have.json")  # it has one: not the bundle's
    assert "old.delta.tar" in sandbox.names


def test_what_is_no_bundle_is_not_replaced(sandbox: Sandbox, sample: Sample, old: Path) -> None:
    cluster = (sandbox.folder / "cluster.yaml").read_bytes()
    (sandbox.folder / "link.tar").symlink_to("cluster.yaml")
    offline(sandbox, "bundle", "--base", "old.tar", "-o", "p.tar", "--split", "3MB")
    part = (sandbox.folder / "p.tar.001").read_bytes()
    before = sandbox.names
    for name, what in (
        ("cluster.yaml", "there is another file already"),
        ("link.tar", "is not a regular file, so it can't be replaced"),
        ("p.tar.001", "is a part of another bundle"),
        ("p.tar.sha256", "is a part of another bundle"),
    ):
        ran = sandbox.run("bundle", "cluster.lock", "--base", "old.tar", "-o", name)
        assert (ran.code, ran.requests) == (2, ())
        assert ran.err.splitlines()[0] == f"error: {name}: {what}"
    assert sandbox.names == before
    assert (sandbox.folder / "cluster.yaml").read_bytes() == cluster
    assert (sandbox.folder / "p.tar.001").read_bytes() == part
    (sandbox.folder / "fresh.tar").touch()  # as mktemp makes it
    offline(sandbox, "bundle", "cluster.lock", "--base", "old.tar", "-o", "fresh.tar")
    assert (sandbox.folder / "fresh.tar").read_bytes() == sample.bundle.read_bytes()


@pytest.mark.parametrize("name", ["t.tar.part", "t.tar.journal", "t.tar.provenance.json"])
def test_what_lies_beside_has_its_place_before_anything_is_fetched(
    name: str, sandbox: Sandbox
) -> None:
    for make in (Path.mkdir, os.mkfifo):
        make(sandbox.folder / name)
        before = sandbox.names
        ran = sandbox.bundle("-o", "t.tar")
        assert (ran.code, ran.requests, sandbox.names) == (2, (), before)
        assert ran.err.startswith(f"error: {name}: is not a regular file, so it can't be replaced")
        (Path.rmdir if make is Path.mkdir else Path.unlink)(sandbox.folder / name)


def test_a_link_to_itself_is_no_place_for_anything(sandbox: Sandbox) -> None:
    (sandbox.folder / "loop").symlink_to("loop")
    for ran in (sandbox.bundle("-o", "loop"), sandbox.lock("-o", "loop")):
        assert ran.code in {1, 2}, ran.err
        assert "error: loop: " in ran.err
        assert "bug in airseed" not in ran.err


def test_a_delta_without_its_base_is_fetched_or_fails_by_name(
    sandbox: Sandbox, sample: Sample
) -> None:
    inventory(sandbox, sample)
    assert sandbox.bundle("--have", "have.json").code == 0
    ran = sandbox.run("bundle", "delta.tar", "-o", "again.tar")
    assert ran.code == 0
    [said] = [line for line in ran.err.splitlines() if "lacks" in line]
    assert said.endswith(" to be fetched; --base takes what an earlier bundle has")
    assert (sandbox.folder / "again.tar").read_bytes() == sample.bundle.read_bytes()


def test_a_fallback_is_told_once_for_a_host(sandbox: Sandbox, sample: Sample) -> None:
    """The repository of Kubernetes' packages has a second source."""
    sandbox.upstream.faults.add(Status(404), host="mirrors.aliyun.com", path="*.rpm")
    ran = sandbox.bundle("--json")
    assert ran.code == 0, ran.err
    fallen = json.loads(ran.out)["fallbacks"]
    assert len(fallen) > 1
    [warning] = [line for line in ran.err.splitlines() if line.startswith("warning: ")]
    assert warning.startswith(f"warning: {len(fallen)} artifacts, such as {fallen[0]}: taken from ")
    assert ", because packages.cloud.google.com: the server answered 404 Not Found; " in warning
    assert warning.endswith("; mirrors.aliyun.com: the server answered 404 Not Found")


def test_without_a_network_each_host_is_told_once(sandbox: Sandbox, sample: Sample) -> None:
    sandbox.upstream.faults.add(Status(404))
    ran = sandbox.bundle()
    assert ran.code == 1
    faults = [line for line in ran.err.splitlines() if "the server answered 404" in line]
    assert len(faults) < 20
    assert any(line.startswith("  vault.centos.org: ") for line in faults)
