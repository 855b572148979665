"""``airseed seeds``: folders, images, what changes and what does not."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from builder import disk
from builder.assets import tree
from builder.bundle.layout import README_PATH
from builder.cli.root import run
from builder.errors import DocumentError, StorageError, UsageError
from builder.formats import lock as lock_format
from builder.model.digest import Digest
from builder.pipeline import secrets, seeds
from builder.pipeline.workspace import Workspace
from builder.render import iso
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandboxes import Sample, Sandbox

NAMES = ("k8s01", "k8s02", "k8s03", "k8s04", "k8s05")
WORKER = "  - {name: k8s06, role: worker, address: 10.211.55.53}\n"
PLANE = "  - {name: k8s06, role: control-plane, address: 10.211.55.53}\n"


class Site:
    """Hold a locked cluster with its secrets, and write its seeds."""

    def __init__(self, folder: Path, catalog: Path) -> None:
        self.cluster = folder / "cluster.yaml"
        self.catalog = catalog
        self.seeds = folder / "seeds"

    def open(self, **how: Path) -> Workspace:
        return Workspace(self.cluster, catalogs=[self.catalog], **how)  # type: ignore[arg-type]

    def write(self, **how: object) -> seeds.WrittenSeeds:
        return seeds.write(self.open(), reporter=Silent(), **how)  # type: ignore[arg-type]

    def compare(self) -> list[str]:
        return [
            line
            for change in seeds.compare(self.open(), reporter=Silent())
            for line in change.diff()
        ]

    def add(self, text: str) -> None:
        before = self.cluster.read_text("utf-8")
        mark = "\n# The container runtime."
        assert mark in before
        self.cluster.write_text(before.replace(mark, f"{text}{mark}", 1), "utf-8")

    def contents(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.seeds)): path.read_bytes()
            for path in sorted(self.seeds.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def site(sample: Sample, shared: Sandbox, tmp_path: Path) -> Site:
    for name in ("cluster.yaml", "cluster.lock"):
        shutil.copy(sample.folder / name, tmp_path / name)
    shutil.copytree(sample.folder / "cluster.lock.d", tmp_path / "cluster.lock.d")
    secrets.make(Workspace(tmp_path / "cluster.yaml"))
    return Site(tmp_path, shared.catalog)


def test_every_node_gets_a_folder_and_an_image(site: Site) -> None:
    written = site.write()
    assert written == seeds.WrittenSeeds(
        folder=site.seeds,
        nodes=NAMES,
        changed=NAMES,
        new=NAMES,
        locked_out=NAMES,
        digest=Digest.of((site.seeds / "SHA256SUMS").read_bytes()),
    )
    files = {f"{name}/{file}" for name in NAMES for file in ("user-data", "meta-data")}
    files |= {f"{name}/admit.sh" for name in NAMES[1:]}
    files |= {f"{name}.iso" for name in NAMES} | {"inventory.yaml", "running.json", "SHA256SUMS"}
    assert set(site.contents()) == files
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in site.seeds.rglob("*")
        if path.is_file()
    }
    assert modes.pop("SHA256SUMS") == 0o644
    assert {*modes.values()} == {0o600}
    assert stat.S_IMODE(site.seeds.stat().st_mode) == 0o700


def test_a_second_run_changes_nothing(site: Site) -> None:
    site.write()
    before = {path: path.stat().st_mtime_ns for path in site.seeds.rglob("*")}
    assert site.write().changed == ()
    assert {path: path.stat().st_mtime_ns for path in site.seeds.rglob("*")} == before
    assert site.compare() == []


def test_two_runs_are_byte_for_byte_the_same(site: Site) -> None:
    site.write()
    before = site.contents()
    shutil.rmtree(site.seeds)
    site.write()
    assert site.contents() == before


def test_a_new_worker_changes_no_other_seed(site: Site) -> None:
    site.write()
    before = site.contents()
    site.add(WORKER)
    written = site.write()
    assert (written.changed, written.new, written.late) == (("k8s06",),) * 3
    assert site.write().late == ()
    after = site.contents()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"inventory.yaml", "running.json", "SHA256SUMS"}


def test_a_new_control_plane_changes_the_first_nodes_seed_alone(site: Site) -> None:
    """It must know whom to ask before init, and for whom to keep the certificates."""
    site.write()
    site.add(PLANE)
    assert site.write().changed == ("k8s01", "k8s06")


def test_names_in_the_internal_registry_lie_beside(site: Site) -> None:
    assert site.write().registry == ""
    assert seeds.IMAGES_MAP not in site.contents()
    path = site.cluster
    path.write_text(f"{path.read_text('utf-8')}registry: reg.example.com:5000/k8s\n", "utf-8")
    assert site.write().registry == "reg.example.com:5000/k8s"
    lines = site.contents()[seeds.IMAGES_MAP].decode().splitlines()
    assert "k8s.gcr.io/pause:3.2 reg.example.com:5000/k8s/pause:3.2" in lines
    assert len(lines) == len(lock_format.read(path.with_name("cluster.lock")).images)


def test_the_node_that_applies_manifests_gets_their_edits(site: Site) -> None:
    path = b'/etc/airseed/manifests.edits"'
    site.write()
    assert not any(path in content for content in site.contents().values())
    site.add("registry: reg.example.com:5000/k8s\n")
    site.write()
    seeds = site.contents()
    assert [name for name in NAMES if path in seeds[f"{name}/user-data"]] == [NAMES[0]]
    lock = lock_format.read(site.cluster.with_name("cluster.lock"))
    for file in lock.files:
        if file.kind == "manifest":
            assert f"manifest {file.digest.hex} ".encode() in seeds[f"{NAMES[0]}/user-data"]


def test_static_pods_name_images_as_nodes_have_them(site: Site) -> None:
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
        "spec: {containers: [{image: 'k8s.gcr.io/pause:3.2'}]}\n"
    )
    site.cluster.with_name("pod.yaml").write_text(pod, "utf-8")
    site.add(
        "registry: reg.example.com:5000/k8s\n"
        "machine: {files: [{path: /etc/kubernetes/manifests/p.yaml, source: pod.yaml}]}\n"
    )
    site.write()
    for name in NAMES:
        user_data = site.contents()[f"{name}/user-data"].decode()
        assert "[{image: 'reg.example.com:5000/k8s/pause:3.2'}]" in user_data
        assert "[{image: 'k8s.gcr.io/pause:3.2'}]" not in user_data


def test_edits_want_the_manifests_beside_the_lock(site: Site) -> None:
    shutil.rmtree(site.cluster.with_name("cluster.lock.d"))
    site.write()
    site.add("registry: reg.example.com:5000/k8s\n")
    with pytest.raises(StorageError) as caught:
        site.write()
    assert (caught.value.fault.hint or "").startswith(f"{site.cluster.with_name('cluster.lock.d')}")


def test_an_image_that_a_power_cut_emptied_is_written_again(site: Site) -> None:
    site.write()
    whole = site.contents()["k8s01.iso"]
    (site.seeds / "k8s01.iso").write_bytes(whole[:100])
    site.write()
    assert site.contents()["k8s01.iso"] == whole


def test_one_node_can_be_had_alone(site: Site) -> None:
    written = site.write(nodes=["k8s04"])
    assert (written.nodes, written.changed) == (("k8s04",), ("k8s04",))
    assert written.late == ("k8s04",)
    assert site.write(nodes=["k8s01"]).late == ()
    shutil.rmtree(site.seeds / "k8s01")
    (site.seeds / "k8s01.iso").unlink()
    assert sorted(entry.name for entry in site.seeds.iterdir()) == [
        "SHA256SUMS",
        "inventory.yaml",
        "k8s04",
        "k8s04.iso",
        "running.json",
    ]
    with pytest.raises(UsageError) as caught:
        site.write(nodes=["k8s4"])
    assert str(caught.value) == "cluster.yaml has no node 'k8s4'"
    assert caught.value.hint == "did you mean 'k8s04'?"


def test_what_will_surprise_somebody_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can log in, and a first node that is made anew starts a cluster of its own."""
    monkeypatch.chdir(site.seeds.parent)
    text = site.cluster.read_text("utf-8")
    assert "  - name: k8s01\n" in text
    site.cluster.write_text(
        text.replace("  - name: k8s01\n", "  - name: k8s01\n    generation: 2\n", 1), "utf-8"
    )
    words = ["seeds", "--catalog", str(site.catalog), "--node", "k8s01"]
    assert run(words) == 0
    errors = capsys.readouterr().err
    assert "k8s01 is the first control plane of cluster.yaml and is made anew" in errors
    assert "hint: if the cluster is up, list another control plane before it" in errors
    assert "nobody can log in, unless the image has an account" in errors
    assert "wrote seeds: 1 node, 1 new (k8s01), 0 changed" in errors
    site.add("\nmachine: {ssh-keys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEE= me']}\n")
    assert run(words) == 0
    assert "nobody can log in" not in capsys.readouterr().err


def test_images_can_be_left_out_and_an_old_one_does_not_mislead(site: Site) -> None:
    site.write()
    assert site.write(images=False).changed == ()
    assert (site.seeds / "k8s01.iso").exists()
    secrets.make(Workspace(site.cluster), rotate=["token"])
    assert site.write(images=False).changed == NAMES
    assert not (site.seeds / "k8s01.iso").exists()
    site.write()
    assert (site.seeds / "k8s01.iso").exists()


@pytest.mark.parametrize("moment", range(7))
def test_no_image_is_older_than_its_folder_after_an_interrupt(
    site: Site, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    site.write(nodes=["k8s01"])
    secrets.make(Workspace(site.cluster), rotate=["token"])
    left = [moment]

    def until(call: Callable[..., None]) -> Callable[..., None]:
        def counted(*args: object, **how: object) -> None:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            call(*args, **how)

        return counted

    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(seeds.disk, "put", until(disk.put))
        patched.setattr(seeds, "_remove", until(seeds._remove))
        site.write(nodes=["k8s01"])
    site.write(nodes=["k8s01"])
    found = site.contents()
    files = {name: found[f"k8s01/{name}"] for name in seeds.FILES if f"k8s01/{name}" in found}
    assert found["k8s01.iso"] == iso.render(files)
    token = (site.cluster.parent / "secrets" / "token").read_bytes().strip()
    assert token in found["k8s01.iso"]


def test_a_folder_that_is_there_keeps_its_permissions(site: Site, tmp_path: Path) -> None:
    """It may be anybody's: what is in it is closed anyhow."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    seeds.write(site.open(seeds=folder), nodes=["k8s04"], reporter=Silent())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert modes.pop("k8s04") == 0o700
    assert modes.pop("SHA256SUMS") == 0o644
    assert {*modes.values()} == {0o600}
    assert stat.S_IMODE(site.write(nodes=["k8s04"]).folder.stat().st_mode) == 0o700


def test_what_a_killed_run_left_is_removed(site: Site) -> None:
    """Seeds have the token in them; nothing else is touched, nor another node's run at once."""
    site.write()
    before = site.contents()
    left = [
        *(f"k8s02/.{name}.0a1b2c3d.part" for name in ("user-data", "meta-data", "admit.sh")),
        ".k8s02.iso.89abcdef.part",
    ]
    others = ["k8s02/.user-data.mine", "k8s02/.swap.0a1b2c3d.part", ".k8s05.iso.00000000.part"]
    for name in (*left, *others):
        (site.seeds / name).write_text("token", "utf-8")
    site.write(nodes=["k8s02"])
    assert site.contents() == before | dict.fromkeys(others, b"token")


def test_what_is_open_is_closed_and_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a copy that kept no modes leaves them: what is the same as before is closed, too."""
    monkeypatch.chdir(site.cluster.parent)
    site.write()
    (site.seeds / "notes").write_text("mine", "utf-8")
    ours = {site.seeds, *site.seeds.rglob("*")} - {site.seeds / "SHA256SUMS"}
    before = site.contents()
    for path in ours:
        path.chmod(0o755 if path.is_dir() else 0o644)
    words = ["seeds", "--catalog", str(site.catalog)]
    assert run(words) == 0
    ours.remove(site.seeds / "notes")
    assert (
        "warning: other users had access to the seeds in seeds; it is closed now\n"
        "  hint: whoever has read a seed can join the cluster: airseed secrets --rotate token"
        " --rotate certificate-key makes new ones\n"
    ) in capsys.readouterr().err
    assert {
        stat.S_IMODE(path.stat().st_mode) & (0o077 if path.is_dir() else 0o777) for path in ours
    } == {0, 0o600}
    assert stat.S_IMODE((site.seeds / "notes").stat().st_mode) == 0o644
    assert site.contents() == before
    assert run(words) == 0
    assert "others could" not in capsys.readouterr().err


def test_seeds_of_nodes_that_went_are_named_and_left(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.add(WORKER)
    site.write()
    text = site.cluster.read_text("utf-8")
    site.cluster.write_text(text.replace(WORKER, ""), "utf-8")
    site.write()
    assert run(["seeds", str(site.cluster), "--diff", "--catalog", str(site.catalog)]) == 0
    assert capsys.readouterr().err.endswith(
        f"warning: {site.seeds / 'k8s06'} belongs to no node in {site.cluster}\n"
        "  hint: delete it when that machine is gone\n"
        "nothing would change\n"
    )
    assert site.write().stale == ("k8s06",)
    assert (site.seeds / "k8s06" / "user-data").exists()


def test_differences_hide_secrets_and_write_nothing(site: Site) -> None:
    site.write()
    before = site.contents()
    token = (site.cluster.parent / "secrets" / "token").read_text("utf-8").strip()
    secrets.make(Workspace(site.cluster), rotate=["token"])
    fresh = (site.cluster.parent / "secrets" / "token").read_text("utf-8").strip()
    found = site.compare()
    assert found
    assert [word for word in (token, fresh) if word.partition(".")[2] in "\n".join(found)] == []
    assert site.contents() == before


def plan(site: Site, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what ``--diff`` prints, sizes left out."""
    capsys.readouterr()
    asked = ["seeds", str(site.cluster), "--diff", "--catalog", str(site.catalog), *words]
    assert run(asked) == 1
    return re.sub(r" \([0-9.]+ k?B\)", " (SIZE)", capsys.readouterr().out)


def test_a_plan_says_what_comes_and_what_changes(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write()
    site.add(WORKER)
    document = site.cluster.read_text("utf-8")
    site.cluster.write_text(f"{document}\nmachine: {{ntp: [ntp.example.com]}}\n", "utf-8")
    before = site.contents()
    out = plan(site, capsys)
    assert "+ k8s06\n  + user-data (SIZE)\n  + meta-data (SIZE)\n  + admit.sh (SIZE)\n" in out
    assert "~ k8s05\n  ~ user-data\n" in out
    assert "    ~ /etc/airseed/node.env\n      - " in out
    assert "~ inventory.yaml\n" in out
    assert out.splitlines()[-1] == (
        "nodes: 1 to add, 5 to change, 0 to remove; files: 3 to add, 6 to change, 0 to remove"
    )
    assert len(out.splitlines()) < 80  # a user-data alone has thousands
    assert site.contents() == before
    assert "\x1b[32m+ k8s06\x1b[0m" in plan(site, capsys, "--color", "always")


def test_a_plan_names_scripts_by_digest_and_once(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after another airseed has made them; the digests are those of the files on the node."""
    site.write()
    for name in NAMES:
        seed = site.seeds / name / "user-data"
        text = seed.read_text("utf-8")
        seed.write_text(text.replace("      set -", "      # an earlier one\n      set -", 9))
    out = plan(site, capsys)
    lines = [line for line in out.splitlines() if "/usr/libexec" in line]
    assert lines
    assert all(re.fullmatch(r"    ~ /usr/\S+  [0-9a-f]{12} -> [0-9a-f]{12}", x) for x in lines)
    path, after = lines[0].split()[1], lines[0].split()[-1]
    script = tree("cloudinit-templates") / "node" / path.removeprefix("/usr/libexec/airseed/")
    assert Digest.of(script.read_bytes()).short == after
    assert out.count(f"scripts, as on {NAMES[0]}") == len(NAMES) - 1
    assert "an earlier one" not in out


def test_a_plan_hides_secrets(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.write()
    secrets.make(Workspace(site.cluster), rotate=["token", "certificate-key"])
    fresh = (site.cluster.parent / "secrets" / "token").read_text("utf-8").strip()
    out = plan(site, capsys)
    assert fresh.partition(".")[2] not in out
    assert "nodes: 0 to add, 5 to change, 0 to remove; files: 0 to add" in out


def test_all_mistakes_come_before_the_first_file(site: Site) -> None:
    site.add(
        "  - name: k8s06\n    role: worker\n    address: 10.211.55.53/24\n    machine:\n"
        "      network: {bond: {interfaces: [eth0, eth1], mode: 802.3ad,"
        " options: {lacp_rate: fast}}}\n"
    )
    with pytest.raises(DocumentError) as caught:
        site.write()
    assert [fault.where for fault in caught.value.faults] == [
        "nodes[5].machine.network.bond.options.lacp_rate (line 67)"
    ]
    assert not site.seeds.exists()


def test_without_a_lock_or_with_another_ones(site: Site) -> None:
    text = site.cluster.read_text("utf-8")
    site.cluster.write_text(text.replace("kubernetes: 1.18.5", "kubernetes: 1.18.20"), "utf-8")
    with pytest.raises(UsageError) as caught:
        site.write()
    lock = site.cluster.with_suffix(".lock")
    assert str(caught.value) == f"{lock}: the lock is not for what {site.cluster} asks for now"
    assert caught.value.hint == (
        f"airseed lock {site.cluster} makes it fit; what was locked with --catalog DIR needs "
        "the same here"
    )
    lock.unlink()
    with pytest.raises(UsageError) as caught:
        site.write()
    assert str(caught.value) == f"{lock}: there is no lock"


def test_the_command_line(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(site.cluster.parent)
    words = ["seeds", "--catalog", str(site.catalog)]
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "seeds": "seeds",
        "nodes": list(NAMES),
        "changed": list(NAMES),
        "stale": [],
        "digest": str(Digest.of((site.seeds / "SHA256SUMS").read_bytes())),
        "signature": None,
    }
    assert run([*words, "--diff"]) == 0
    capsys.readouterr()
    assert run([*words, "--diff", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"nodes": {}, "files": [], "diff": []}
    site.add(WORKER)
    assert run([*words, "--diff", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert "+++ after/k8s06/meta-data" in shown["diff"]
    assert shown["nodes"] == {"k8s06": "add"}
    assert run([*words, "--diff", "--full"]) == 1
    assert "+++ after/k8s06/meta-data" in capsys.readouterr().out
    assert run(words) == 0
    assert "wrote seeds: 6 nodes, 1 new (k8s06), 0 changed" in capsys.readouterr().err
    assert run([*words, "--node", "k8s06"]) == 0
    assert (
        "to let k8s06 into a cluster that is up: "
        "ssh CONTROL-PLANE sudo bash -s < seeds/k8s06/admit.sh"
    ) in capsys.readouterr().err


def test_a_bundle_in_place_of_the_lock_is_told(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    path = site.cluster.parent / "bundle.tar"
    path.write_bytes(README_PATH.encode() + b"\0" * 600)
    words = ["seeds", str(site.cluster), "--catalog", str(site.catalog), "--lock", str(path)]
    assert run(words) == 3
    assert f"{path}: 1 mistake\n  a bundle, not a lock\n" in capsys.readouterr().err
