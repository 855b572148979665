"""SHA256SUMS of seeds: one digest to review, checked by airseed and by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from builder.cli.root import run
from builder.errors import StorageError, VerificationError
from builder.model.digest import Digest
from builder.pipeline import secrets, seed_sums, seeds
from builder.pipeline.workspace import Workspace
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandboxes import Sample, Sandbox


class Site:
    def __init__(self, folder: Path, catalog: Path) -> None:
        self.cluster = folder / "cluster.yaml"
        self.catalog = str(catalog)
        self.seeds = folder / "seeds"

    def write(self, **how: object) -> seeds.WrittenSeeds:
        workspace = Workspace(self.cluster, catalogs=[*map(self.cluster.joinpath, [self.catalog])])
        return seeds.write(workspace, reporter=Silent(), **how)  # type: ignore[arg-type]

    def run(self, *words: str) -> int:
        return run(["seeds", str(self.cluster), "--catalog", self.catalog, *words])


@pytest.fixture
def site(sample: Sample, shared: Sandbox, tmp_path: Path) -> Site:
    for name in ("cluster.yaml", "cluster.lock"):
        shutil.copy(sample.folder / name, tmp_path / name)
    shutil.copytree(sample.folder / "cluster.lock.d", tmp_path / "cluster.lock.d")
    secrets.make(Workspace(tmp_path / "cluster.yaml"))
    site = Site(tmp_path, shared.catalog)
    site.write()
    return site


def test_the_list_has_every_file_and_one_digest(site: Site) -> None:
    sums = site.seeds / "SHA256SUMS"
    listed = seed_sums.read(site.seeds)
    there = {str(path.relative_to(site.seeds)) for path in site.seeds.rglob("*") if path.is_file()}
    assert listed.keys() == there - {"SHA256SUMS", "running.json"}  # what is kept here alone
    assert {"k8s01/user-data", "k8s02/admit.sh", "k8s05.iso", "inventory.yaml"} < listed.keys()
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", sums], cwd=site.seeds, check=True)
    before = Digest.of(sums.read_bytes())
    assert site.write().digest == before
    secrets.make(Workspace(site.cluster), rotate=["token"])
    assert site.write().digest != before


def test_one_node_alone_keeps_the_lines_of_the_others(site: Site) -> None:
    """What somebody changed meanwhile does not become right by the way."""
    before = seed_sums.read(site.seeds)
    (site.seeds / "k8s01/user-data").write_text("#cloud-config\n", "utf-8")
    assert site.write(nodes=["k8s02"]).digest == Digest.of(seed_sums.render(before))
    assert [fault.where for fault in seed_sums.check(site.seeds).faults] == ["k8s01/user-data"]
    (site.seeds / "SHA256SUMS").write_text("x\n", "utf-8")
    with pytest.raises(VerificationError) as caught:
        site.write(nodes=["k8s02"])
    assert str(caught.value) == f"{site.seeds}/SHA256SUMS: line 1 is not a digest and a name"


def plant(path: Path) -> None:
    path.write_text("#cloud-config\n", "utf-8")


def link(path: Path) -> None:
    shutil.move(path, path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "name", "what"),
    [
        (plant, "k8s01/meta-data", "has the digest sha256:"),
        (plant, "k8s03.iso", "has the digest sha256:"),
        (plant, "inventory.yaml", "has the digest sha256:"),
        (plant, "k8s01/network-config", "is not in SHA256SUMS"),
        (plant, "k8s01/vendor-data", "is not in SHA256SUMS"),
        (plant, "k8s9.iso", "is not in SHA256SUMS"),
        (lambda path: path.unlink(), "k8s04/admit.sh", "is missing"),
        (link, "k8s04/admit.sh", "is not a regular file"),
        (link, "k8s04", "is not a regular file"),
    ],
)
def test_what_differs_is_named(
    site: Site, change: Callable[[Path], None], name: str, what: str
) -> None:
    change(site.seeds / name)
    faults = seed_sums.check(site.seeds).faults
    assert {fault.where.partition("/")[0] for fault in faults} == {name.partition("/")[0]}
    assert all(fault.what.startswith(what) for fault in faults)


def test_the_list_can_be_signed(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    signing = site.cluster.parent / "secrets/signing-key.asc"
    public = str(site.cluster.parent / "secrets/signing-key.pub.asc")
    digest = str(site.write().digest)
    assert site.run("--check") == 0
    assert capsys.readouterr().out == f"{digest}\n"
    assert site.run("--check", "--key", public) == 1
    assert "there is no signature" in capsys.readouterr().err
    assert site.run("--sign", str(signing)) == 0
    assert f"SHA256SUMS lists them: {digest}\n" in capsys.readouterr().err
    assert site.run("--check", "--key", public, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["right"], told["digest"], told["faults"]) == (True, digest, [])
    assert len(told["signedBy"]) == 40
    site.write()
    assert (site.seeds / "SHA256SUMS.asc").exists()
    secrets.make(Workspace(site.cluster), rotate=["token"])
    assert site.write().signature is None
    assert not (site.seeds / "SHA256SUMS.asc").exists()


def test_options_that_do_not_go_together(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    key = str(site.cluster.parent / "secrets/signing-key.pub.asc")
    for words in (["--check", "--diff"], ["--check", "--node", "k8s01"], ["--key", key]):
        assert site.run(*words) == 2
    capsys.readouterr()
    (site.seeds / "SHA256SUMS").unlink()
    assert site.run("--check") == 1
    assert capsys.readouterr().err == (
        f"error: {site.seeds}/SHA256SUMS: there is no such file\n"
        "  hint: `airseed seeds` writes all of them again\n"
    )


@pytest.mark.parametrize(
    "name", ["k8s01", "k8s02/user-data", "k8s02/network-config", "k8s03.iso", "inventory.yaml"]
)
def test_no_link_below_the_folder_is_followed(site: Site, name: str) -> None:
    path = site.seeds / name
    theirs = site.cluster.parent / "theirs"
    if path.exists():
        shutil.move(path, theirs)
    else:
        theirs.write_text("x", "utf-8")
    path.symlink_to(theirs)
    with pytest.raises(StorageError) as caught:
        site.write()
    assert str(caught.value) == f"{site.seeds}: seeds can't be written there"
    assert {str(fault) for fault in caught.value.faults} == {
        f"{path}: is a symbolic link, which is not followed here"
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give links away")
def test_a_link_of_another_user_to_a_folder_of_ours_is_refused(site: Site) -> None:
    """In a folder that others may write, somebody else chose where the secrets go."""
    theirs = site.seeds.rename(site.cluster.parent / "elsewhere")
    site.seeds.symlink_to(theirs)
    site.write()
    os.chown(site.seeds, 12345, 12345, follow_symlinks=False)
    with pytest.raises(StorageError) as caught:
        site.write()
    assert {str(fault) for fault in caught.value.faults} == {
        f"{site.seeds}: the link belongs to uid 12345, who can change it at any time"
    }
    site.seeds.unlink()
    site.seeds.symlink_to(site.seeds.name)
    with pytest.raises(StorageError):
        site.write()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", "k8s01", "k8s02/user-data", "k8s03.iso", "images.map"])
def test_what_belongs_to_another_user_is_refused(site: Site, name: str) -> None:
    path = site.seeds / name
    if not path.exists():
        path.touch()
    os.chown(path, 12345, 12345)
    with pytest.raises(StorageError) as caught:
        site.write()
    assert {str(fault) for fault in caught.value.faults} == {
        f"{path}: belongs to uid 12345, who can change it at any time"
    }


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_credentials_that_others_may_read_are_refused(site: Site, mode: int) -> None:
    """They go onto the nodes at 0600, and the schema asks for the same here."""
    text = site.cluster.read_text("utf-8")
    path = site.cluster.parent / "registry.json"
    path.write_text('{"auths": {"reg.example.com": {"auth": "bWU6cGFzcw=="}}}', "utf-8")
    path.chmod(0o600)
    more = "\nregistry: reg.example.com\nmachine: {registry: {credentials: registry.json}}\n"
    site.cluster.write_text(text + more, "utf-8")
    site.write()
    path.chmod(mode)
    with pytest.raises(StorageError) as caught:
        site.write()
    assert str(caught.value) == (
        f"{path}: others may read this file (mode {mode:04o}) (expected mode 0600)"
    )
    assert (caught.value.hint or "").startswith(f"chmod 0600 {path}")
