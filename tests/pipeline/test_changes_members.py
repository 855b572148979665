"""``airseed changes``: machines that get another name or leave, and a cluster from a snapshot."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from changes_site import NODES, Site, laid, result, seeded

from builder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandboxes import Sample, Sandbox


@pytest.fixture
def site(sample: Sample, shared: Sandbox, tmp_path: Path) -> Site:
    return seeded(Site(tmp_path, shared.catalog), sample)


WORKER = "- name: k8s04\n"
NEW_FIRST = "- name: cp0\n    role: control-plane\n    address: 10.211.55.47\n  "
TWIN = "- name: db1\n    was: k8s04\n    role: worker\n    address: 10.211.55.99\n  "


def test_a_machine_gets_another_name(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.edit(WORKER, "- name: db1\n    was: k8s04\n")
    assert site.changes("--json", "--write") == 5
    value = json.loads(capsys.readouterr().out)
    assert value["change"] == "001-rename-k8s04"
    assert [(row["node"], row["what"]) for row in value["nodes"]] == [
        ("k8s01", "k8s04 becomes db1"),
        ("k8s04", "k8s04 becomes db1"),
    ]
    folder = site.folder / "changes" / "001-rename-k8s04"
    assert {path.name for path in folder.glob("*.sh")} == {"k8s01.sh", "k8s04.sh"}
    script = site.script("001-rename-k8s04", "k8s04")
    assert "\nNODE='k8s04'\nRENAMED='db1'\n" in script
    assert laid(script, "stages") == "1 rename"
    assert "AIRSEED_NODE='db1'\n" in laid(script, "1.env")
    assert laid(script, "1.d/hosts").endswith(" db1")
    token = laid(script, "1.yaml").partition("token: ")[2].split()[0].strip('"')
    assert token != (site.folder / "secrets" / "token").read_text("utf-8").strip()
    helper = site.script("001-rename-k8s04", "k8s01")
    assert laid(helper, "stages") == "1 dismiss"
    assert f"TOKEN='{token}'\n" in laid(helper, "admit-db1.sh")
    inventory = (folder / "inventory.yaml").read_text("utf-8")
    assert "k8s04:" in inventory
    assert "db1:" not in inventory


def test_the_first_control_plane_joins_under_its_new_name(site: Site) -> None:
    site.edit("- name: k8s01\n", "- name: cp1\n    was: k8s01\n")
    assert site.changes("--write") == 5
    script = site.script("001-rename-k8s01", "k8s01")
    assert "AIRSEED_ROLE='control-plane'\n" in laid(script, "1.env")
    assert "kind: JoinConfiguration" in laid(script, "1.yaml")
    assert "AIRSEED_HELPER='k8s02'\n" in laid(script, "1.env")
    helper = site.script("001-rename-k8s01", "k8s02")
    assert "AIRSEED_ROLE='control-plane'\n" in laid(helper, "1.env")
    assert "ROLE='control-plane'\n" in laid(helper, "admit-cp1.sh")
    key = laid(script, "1.yaml").partition("certificateKey: ")[2].split()[0].strip('"')
    assert key != (site.folder / "secrets" / "certificate-key").read_text("utf-8").strip()


def test_a_node_that_is_gone_leaves(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    text = site.cluster.read_text("utf-8")
    head, _, tail = text.partition(f"  {WORKER}")
    site.cluster.write_text(f"{head}  - name: k8s05{tail.partition('- name: k8s05')[2]}", "utf-8")
    assert site.changes("--json", "--write") == 5
    value = json.loads(capsys.readouterr().out)
    assert value["change"] == "001-leave-k8s04"
    felt = [(row["node"], row["disturbance"]) for row in value["nodes"]]
    assert felt == [("k8s01", "nothing"), ("k8s04", "its pods move away")]
    readme = (site.folder / "changes" / "001-leave-k8s04" / "README.md").read_text("utf-8")
    assert "If k8s04 is dead, the others take it out: its script is not needed then.\n" in readme
    script = site.script("001-leave-k8s04", "k8s04")
    assert laid(script, "stages") == "1 leave"
    env = laid(script, "1.env")
    for line in ("AIRSEED_LEAVER='k8s04'", "AIRSEED_SUCCESSOR=''", "AIRSEED_HELPER='k8s01'"):
        assert line in env
    assert " change admit-" not in site.script("001-leave-k8s04", "k8s01")


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (
            [(WORKER, "- name: db1\n    was: k8s05\n")],
            "was: k8s05, and a node k8s05 is in cluster.yaml, too",
        ),
        (
            [(WORKER, "- name: db1\n    was: k8s40\n")],
            "nodes.db1: was: k8s40, and no machine of that name runs\n    expected k8s04\n",
        ),
        (
            [(f"- name: k8s0{n}\n", f"- name: cp{n}\n    was: k8s0{n}\n") for n in (1, 2, 3)],
            "no control plane would be left that takes k8s01, k8s02, k8s03 out of etcd",
        ),
        (
            [("- name: k8s01\n", "- name: k8s01\n    generation: 2\n")],
            "k8s01 has the cluster's endpoint: every kubelet asks the API server there",
        ),
        (
            [(WORKER, f"{TWIN}- name: db2\n    was: k8s04\n")],
            "nodes.db1: was: k8s04, and so was db2\n",
        ),
        (
            [("- name: k8s01\n", f"{NEW_FIRST}- name: k8s01\n")],
            "nodes.cp0: the first control plane in cluster.yaml begins a cluster, and never joins",
        ),
    ],
)
def test_members_that_can_not_go(
    site: Site, edits: list[tuple[str, str]], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for old, new in edits:
        site.edit(old, new)
    assert site.changes() == 2
    assert said in capsys.readouterr().err
    assert not (site.folder / "changes").exists()


def test_no_second_cluster_is_seeded(site: Site) -> None:
    site.edit("- name: k8s01\n", f"{NEW_FIRST}- name: k8s01\n")
    with pytest.raises(UsageError, match=r"cp0 would begin a new cluster: "):
        site.seeds(nodes=["cp0"])
    assert not (site.folder / "seeds/cp0").exists()
    assert "cp0" not in (site.folder / "seeds/running.json").read_text("utf-8")
    assert site.seeds(not_booted=True).new == ("cp0",)


def test_names_change_apart_from_all_else(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.edit(WORKER, "- name: db1\n    was: k8s04\n")
    assert site.changes("--renew", "3000") == 2
    assert "names and members change apart from everything else" in capsys.readouterr().err


def test_no_kind_stumbles_over_who_is_gone_or_renamed(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    def edit(document: dict[str, Any]) -> None:
        del document["nodes"][-1]
        document["nodes"][-1].update(name="db1", was="k8s04")
        document["kubeadm"]["KubeletConfiguration"] = {"maxPods": 50}
        document["runtime"] = "containerd"

    site.edit_document(edit)
    assert site.changes() == 2
    said = capsys.readouterr().err
    assert "names and members change apart from everything else" in said
    assert "can't be changed on a cluster that runs" not in said  # they can, apart


def _snapshot(site: Site, authority: Path) -> Path:
    path = site.folder / "20261130T010203Z-k8s01.db"
    data = b"x" * 1024
    path.write_bytes(data + hashlib.sha256(data).digest())
    with tarfile.open(path.with_suffix(".keys.tar"), "w") as tar:
        tar.add(authority, "ca.crt")
    return path


def test_the_cluster_begins_again_from_a_snapshot(site: Site) -> None:
    snapshot = _snapshot(site, site.folder / "secrets" / "ca.crt")
    assert site.changes("--restore", str(snapshot), "--write") == 5
    scripts = {name: site.script("001-restore", name) for name in NODES}
    plans = {name: laid(script, "stages") for name, script in scripts.items()}
    assert set(plans.values()) == {"1 restore", "1 refresh"}
    assert [name for name, plan in plans.items() if plan == "1 restore"] == [*NODES[:3]]
    assert "\nLOST='1'\n" in scripts["k8s01"]
    env = laid(scripts["k8s01"], "1.env")
    assert f"AIRSEED_SNAPSHOT='{snapshot.name}'\n" in env
    assert f"AIRSEED_SNAPSHOT_SUM='{hashlib.sha256(snapshot.read_bytes()).hexdigest()}'\n" in env
    assert "AIRSEED_ROLE='init'\n" in env
    assert "kind: JoinConfiguration" in laid(scripts["k8s02"], "1.yaml")


def test_a_cluster_begins_again_as_it_was(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = _snapshot(site, site.folder / "secrets" / "ca.crt")
    site.edit("request-timeout: 1m0s", "request-timeout: 2m0s")
    assert site.changes("--restore", str(snapshot), "--renew") == 2
    said = capsys.readouterr().err
    assert f"error: {snapshot}: this can't be done to the cluster that runs\n" in said
    where = "kubeadm.ClusterConfiguration.apiServer.extraArgs.request-timeout"
    assert f"{where}: cluster.yaml does not have what runs\n" in said
    assert "--renew: a cluster begins again from a snapshot separately from everything else" in said


def _pack(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is not whole"),
        (lambda path: path.with_suffix(".keys.tar").unlink(), "is not a snapshot with its keys"),
        (lambda path: _pack(path.with_suffix(".keys.tar"), gzip.compress), "has no ca.crt in it"),
        (
            lambda path: _pack(path.with_suffix(".keys.tar"), lambda tar: b"x" + tar),
            "has no ca.crt",
        ),
    ],
)
def test_a_snapshot_that_is_none(
    site: Site, spoil: Callable[[Path], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = _snapshot(site, site.folder / "secrets" / "ca.crt")
    spoil(snapshot)
    assert site.changes("--restore", str(snapshot)) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("where", ["changes", "changes/001-rename-k8s04/results"])
def test_what_can_not_be_looked_into_may_be_under_way(
    site: Site, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Passed by without a word, it would be taken for no change, or for no result."""
    site.edit(WORKER, "- name: db1\n    was: k8s04\n")
    if where != "changes":
        assert site.changes("--write") == 5
        (site.folder / where).rmdir()
    (site.folder / where).write_text("a disk that lost its folders")
    assert site.changes() == 1
    assert f"{where}: not a directory\n" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["db1", "k8s04"])
def test_a_machine_says_under_its_new_name_that_it_is_through(
    site: Site, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit(WORKER, "- name: db1\n    was: k8s04\n")
    assert site.changes("--write") == 5
    folder = site.folder / "changes" / "001-rename-k8s04" / "results"
    said = {"cluster": "cluster.local", "change": "001-rename-k8s04", "stage": "1"}
    stopped = {"state": "failed", "message": "a budget keeps a pod"}
    result(folder, "k8s04", node="k8s04", kubernetes="1.18.5", **said | stopped)
    assert site.changes() == 5
    shown = capsys.readouterr()
    assert "is under way: 0 of 2 machines are through" in shown.err
    assert "its pods move away  stage 1: failed, a budget keeps a pod\n" in shown.out
    result(folder, file, node="db1", kubernetes="1.18.5", **said)
    assert site.changes() == 5
    assert "its pods move away  done\n" in capsys.readouterr().out
    for name, node in (("k8s01", "k8s01"), (file, "db1")):
        result(folder, name, node=node, kubernetes="1.18.5", **said)
    assert site.changes() == 0
    running = (site.folder / "seeds" / "running.json").read_text("utf-8")
    assert '"001-rename-k8s04"' in running
    assert '"name": "db1"' in running
    assert '"name": "k8s04"' not in running
