"""``airseed inventory``: what a registry, a folder of RPMs and a bundle really have."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fault_lab.faults import Status

from builder.formats import inventory as inventory_format
from builder.model.artifact import INDEX_TYPES
from builder.model.inventory import Holding, Inventory

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Site
    from sandboxes import Sample, Sandbox

    from builder.model.digest import Digest


def taken(sandbox: Sandbox, *words: str) -> list[Holding]:
    ran = sandbox.run("inventory", *words, "--force")
    assert ran.code == 0, ran.err
    return list(inventory_format.read(sandbox.folder / "inventory.json").holdings)


def digests(holdings: list[Holding], kind: str) -> set[Digest]:
    return {one.digest for one in holdings if one.kind == kind}


def test_a_registry_is_asked_for_every_blob(sandbox: Sandbox, sample: Sample) -> None:
    found = taken(sandbox, "quay.io")
    there = sandbox.upstream.image_store.repositories
    repositories = {name for name in there if name.startswith("quay.io/")}
    assert len(repositories) > 3  # more than a page of the lab
    assert digests(found, "blob") == {
        digest for name in repositories for digest in {*there[name].blobs, *there[name].manifests}
    }
    images = {one.name: one for one in found if one.kind == "image"}
    [operator] = [i for i in sample.lock.images if i.reference.path == "tigera/operator"]
    assert images[operator.name].digest == operator.digest
    for one in found:
        assert one.size == sandbox.upstream.image_store.path(one.digest).stat().st_size
    assert all(
        request.method == "HEAD"
        for request in sandbox.upstream.requests
        if "/blobs/" in request.path
    )


def test_a_prefix_and_names_narrow_it(sandbox: Sandbox) -> None:
    below = taken(sandbox, "quay.io/tigera")
    assert {one.name.rpartition(":")[0] or one.name for one in below} >= {"quay.io/tigera/operator"}
    assert all(one.name.startswith("quay.io/tigera/") for one in below)
    assert taken(sandbox, "quay.io", "--repository", "tigera/operator") == [
        one for one in below if one.name.startswith("quay.io/tigera/operator")
    ]
    sandbox.upstream.faults.add(Status(404), path="/v2/_catalog")
    ran = sandbox.run("inventory", "quay.io", "--force")
    assert ran.code == 2
    assert ran.err == (
        "error: quay.io: the registry does not list its repositories (status 404)\n"
        "  hint: name them with --repository, once for each\n"
    )


def test_what_was_lost_is_not_listed(sandbox: Sandbox) -> None:
    """A registry that lost a layer, and a platform that was never pushed."""
    whole = taken(sandbox, "quay.io/tigera")
    images = sandbox.upstream.image_store.repositories["quay.io/tigera/operator"]
    lost = max(images.blobs, key=lambda one: sandbox.upstream.image_store.path(one).stat().st_size)
    child = next(d for d, kind in images.manifests.items() if kind not in INDEX_TYPES)
    before = replace(images, blobs=set(images.blobs), manifests=dict(images.manifests))
    try:
        images.blobs.discard(lost)
        del images.manifests[child]
        found = taken(sandbox, "quay.io/tigera")
    finally:
        images.blobs, images.manifests = before.blobs, before.manifests
    gone = digests(whole, "blob") - digests(found, "blob")
    assert {lost, child} <= gone
    assert len(gone) < len(whole) / 2


def test_rpms_are_hashed_and_damaged_ones_left_out(
    sandbox: Sandbox, sample: Sample, tmp_path: Path
) -> None:
    yum = tmp_path / "yum"
    with tarfile.open(sample.bundle) as tar:
        tar.extractall(yum, [m for m in tar.getmembers() if m.name.endswith(".rpm")], filter="data")
    packages = {package.digest: package for package in sample.lock.packages}
    found = taken(sandbox, str(yum))
    assert {one.digest: (one.name, one.size) for one in found} == {
        digest: (package.name, package.size) for digest, package in packages.items()
    }
    (yum / "README.txt").write_text("our packages\n", "utf-8")
    assert taken(sandbox, str(yum)) == found
    broken = next(yum.rglob("*.rpm"))
    broken.write_bytes(b"no rpm at all")
    ran = sandbox.run("inventory", str(yum), "--force")
    assert ran.code == 0
    assert f"{broken}: " in ran.err
    assert "it is treated as missing" in ran.err
    left = inventory_format.read(sandbox.folder / "inventory.json").holdings
    assert len(left) == len(found) - 1


@pytest.mark.parametrize("shape", ["tar", "folder", "parts"])
def test_a_bundle_is_taken_as_far_as_it_is_right(
    sandbox: Sandbox, sample: Sample, tmp_path: Path, shape: str
) -> None:
    place = tmp_path / "old"
    place.mkdir()
    victim = max(sample.layout.fetched, key=lambda extent: extent.size)
    content = bytearray(sample.bundle.read_bytes())
    content[victim.offset + 100] ^= 1
    if shape == "tar":
        place = place / "x.tar"
        place.write_bytes(content)
    elif shape == "folder":
        with tarfile.open(sample.bundle) as tar:
            tar.extractall(place, filter="data")
        file = place / victim.path
        file.write_bytes(bytes(victim.size))
    else:
        sandbox.bundle_path.write_bytes(sample.bundle.read_bytes())
        ran = sandbox.run(
            "bundle", "-o", str(place / "x.tar"), "--base", "bundle.tar", "--split", "2M"
        )
        assert ran.code == 0, ran.err
        number, rest = divmod(victim.offset + 100, 2 << 20)
        part = place / f"x.tar.{number + 1:03}"
        damaged = bytearray(part.read_bytes())
        damaged[rest] ^= 1
        part.write_bytes(damaged)
        place = place / "x.tar.sha256"
    ran = sandbox.run("inventory", str(place), "--json")
    assert ran.code == 0, ran.err
    found = inventory_format.read(sandbox.folder / "inventory.json").digests
    wanted = {e.digest for e in sample.layout.extents if e.path != "SHA256SUMS"}
    assert found == wanted - {victim.digest}
    assert "it is treated as missing" in ran.err
    value: dict[str, Any] = json.loads(ran.out)
    assert value["inventory"] == "inventory.json"
    assert value["counts"]["rpm"] == len(sample.lock.packages)


def test_the_file_is_canonical(site: Site, tmp_path: Path, sample: Sample) -> None:
    sandbox = site.open()
    assert sandbox.run("inventory", str(sample.bundle), "quay.io/tigera").code == 0
    one = (sandbox.folder / "inventory.json").read_bytes()
    again = ("inventory", "quay.io/tigera", str(sample.bundle))
    ran = sandbox.run(*again)
    assert (ran.code, ran.requests) == (2, ())  # before anything is asked
    assert ran.err == "error: inventory.json: the file exists\n  hint: --force replaces it\n"
    assert sandbox.run(*again, "--force").code == 0
    assert (sandbox.folder / "inventory.json").read_bytes() == one
    read = inventory_format.read(sandbox.folder / "inventory.json")
    assert inventory_format.write(Inventory(holdings=read.holdings[::-1])) == one


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{}", "this is not an inventory"),
        ('{"format": 2, "has": []}', "the inventory has format 2"),
        ('{"format": 1, "has": [{"kind": "rpm"}]}', "3 mistakes"),
        ("[", "not JSON"),
    ],
)
def test_what_is_no_inventory_is_refused(sandbox: Sandbox, content: str, error: str) -> None:
    (sandbox.folder / "x.json").write_text(content, "utf-8")
    ran = sandbox.run("bundle", "--have", "x.json")
    assert ran.code == 3
    assert error in ran.err
    assert "Traceback" not in ran.err


def test_a_bundle_is_no_inventory_and_is_refused_before_locking(
    sandbox: Sandbox, sample: Sample, tmp_path: Path
) -> None:
    """The natural mistake; nothing is asked for and no lock is touched."""
    old = tmp_path / "old.tar"
    old.write_bytes(sample.bundle.read_bytes())
    made = sandbox.run("bundle", "-o", str(old), "--base", str(sample.bundle), "--split", "4M")
    assert made.code == 0, made.err
    (sandbox.folder / "cluster.lock").unlink()
    for place in (sample.bundle, f"{old}.001", f"{old}.sha256"):
        ran = sandbox.run("bundle", "cluster.yaml", "--have", str(place))
        assert (ran.code, ran.requests) == (3, ())
        assert ran.err == (
            f"error: {place}: 1 mistake\n"
            "  this is a bundle, not an inventory\n"
            "    expected what airseed inventory wrote\n"
            f"    hint: airseed inventory {place} -o inventory.json writes it; give that\n"
        )
    assert not (sandbox.folder / "cluster.lock").exists()


def test_a_place_that_is_nothing_is_refused(sandbox: Sandbox) -> None:
    ran = sandbox.run("inventory", "./no/such folder")
    assert ran.code == 2
    assert "this is neither a file or folder nor a registry" in ran.err
    for name in ("", "bundel.tar"):
        assert "there is no such file or folder" in sandbox.run("inventory", name).err


def test_a_file_that_cannot_be_written_is_known_before_anything_is_asked(
    sandbox: Sandbox,
) -> None:
    ran = sandbox.run("inventory", "ghost.example.com", "-o", "cluster.yaml/in.json")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "error: cluster.yaml: not a directory")


def test_what_is_no_inventory_is_not_replaced(sandbox: Sandbox, sample: Sample) -> None:
    """Neither the bundle that is read, nor another document; an earlier inventory is."""
    sandbox.bundle_path.write_bytes(sample.bundle.read_bytes())
    lock = sandbox.lock_path.read_bytes()
    for name in ("bundle.tar", "cluster.lock"):
        ran = sandbox.run("inventory", "bundle.tar", "-o", name)
        assert ran.code == 2
        assert ran.err == (
            f"error: {name}: there is another file already\n"
            "  expected a name that is free, or that of an earlier inventory\n"
            "  hint: choose another name with -o, or remove this file\n"
        )
    assert sandbox.bundle_path.read_bytes() == sample.bundle.read_bytes()
    assert sandbox.lock_path.read_bytes() == lock
    assert taken(sandbox, "bundle.tar") == taken(sandbox, "bundle.tar")
