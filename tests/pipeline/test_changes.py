"""``airseed changes``: what cluster.yaml means for the cluster that runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import changes_site
import pytest
from changes_site import NODES, locked, result, seeded, values

from builder import assets
from builder.pipeline import running as record
from builder.pipeline.boots import Watch
from builder.pipeline.serve import serve

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample, Sandbox

OLD, NEW = "kubernetes: 1.18.5\n", "kubernetes: 1.19.5\n"
DOCKER = "  name: docker\n  version: 19.03.9\n"
CONTAINERD = "  name: containerd\n  version: 1.2.13\n"
UPGRADED = {
    "cluster": "cluster.local",
    "plan": "upgrade",
    "change": "001-upgrade-1.19.5",
    "stage": "1",
    "kubernetes": "1.19.5",
}
"""What a machine says after the upgrade."""


@dataclass(frozen=True)
class Site(changes_site.Site):
    """Hold a cluster of 1.18.5 that was seeded, and the lock of the next minor of Kubernetes."""

    next_lock: Path

    def upgrade(self) -> None:
        """Ask for 1.19.5, as somebody who has locked it."""
        self.edit(OLD, NEW)
        self.take(self.next_lock)

    def result(self, *names: str, **said: str) -> None:
        """Put what machines say of themselves where the playbook does."""
        value = UPGRADED | said
        for name in names:
            result(self.folder / "changes" / value["change"] / "results", name, **value)


@pytest.fixture(scope="module")
def next_lock(shared: Sandbox, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return locked(shared, sample, tmp_path_factory.mktemp("next"), OLD, NEW)


@pytest.fixture(scope="module")
def containerd_lock(
    shared: Sandbox, sample: Sample, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return locked(shared, sample, tmp_path_factory.mktemp("containerd"), DOCKER, CONTAINERD)


@pytest.fixture
def site(sample: Sample, shared: Sandbox, next_lock: Path, tmp_path: Path) -> Site:
    return seeded(Site(tmp_path, shared.catalog, next_lock), sample)


def test_what_is_seeded_is_recorded(site: Site) -> None:
    path = site.folder / "seeds" / record.NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    running = record.read(path.parent)
    assert running is not None
    assert running.kubernetes == "1.18.5"
    assert tuple(node.name for node in running.nodes) == NODES
    assert {node.runtime for node in running.nodes} == {"docker 19.03.9"}
    text = path.read_text("utf-8")
    for name in ("token", "certificate-key", "phone-home-token"):
        assert (site.folder / "secrets" / name).read_text("utf-8").strip() not in text


def test_nothing_is_to_be_done_where_nothing_changed(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.changes() == 0
    assert "nothing to do: what cluster.yaml says is what runs" in capsys.readouterr().err


def test_another_version_is_an_upgrade(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.upgrade()
    assert site.changes("--json") == 5
    value = json.loads(capsys.readouterr().out)
    assert value["change"] == "001-upgrade-1.19.5"
    assert [(row["turn"], row["node"]) for row in value["nodes"]] == [
        (1, "k8s01"),
        (2, "k8s02"),
        (3, "k8s03"),
        (4, "k8s04"),
        (5, "k8s05"),
    ]
    assert {row["what"] for row in value["nodes"]} == {"Kubernetes 1.18.5 -> 1.19.5"}
    assert value["folder"] is None
    assert not (site.folder / "changes").exists()


def test_seeds_that_are_written_again_do_not_say_what_runs(site: Site) -> None:
    site.upgrade()
    site.seeds()
    running = record.read(site.folder / "seeds")
    assert running is not None
    assert {node.kubernetes for node in running.nodes} == {running.kubernetes} == {"1.18.5"}
    assert site.changes() == 5
    site.seeds(not_booted=True)
    assert site.changes() == 0


def test_every_machine_gets_a_script(site: Site) -> None:
    site.upgrade()
    assert site.changes("--write") == 5
    folder = site.folder / "changes" / "001-upgrade-1.19.5"
    names = {f"{node}.sh" for node in NODES} | {"change.json", "README.md", "results"}
    assert {path.name for path in folder.iterdir()} == names | {"inventory.yaml", "playbook.yaml"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()} == {
        0o600
    }


def test_a_script_lays_down_what_its_machine_needs_and_nothing_of_others(site: Site) -> None:
    site.upgrade()
    assert site.changes("--write") == 5
    laid = site.folder / "laid"
    program = (
        'main() { files; }; lay() { mkdir -p "$LAID/$2/$(dirname "$3")"; cat >"$LAID/$2/$3"; '
        'chmod "$1" "$LAID/$2/$3"; }; lay64() { base64 -d | lay "$@"; }'
    )
    text = site.script("001-upgrade-1.19.5", "k8s04")
    head, body, files = text.partition("\nfiles() {\n")
    assert body
    (site.folder / "stand-in").write_text(f"{head}\n{program}\n{body}{files}")
    subprocess.run(
        ["bash", "-eu", site.folder / "stand-in"],
        env={"PATH": os.environ["PATH"], "LAID": str(laid)},
        check=True,
    )
    scripts = assets.tree("cloudinit-templates") / "node"
    for path in scripts.rglob("*"):
        if path.is_file() and path.name != "airseed-bootstrap.service":
            copy = laid / "scripts" / path.relative_to(scripts)
            assert copy.read_bytes() == path.read_bytes()
            assert bool(copy.stat().st_mode & 0o100) == path.read_bytes().startswith(b"#!")
    change = laid / "change"
    names = {str(path.relative_to(change)) for path in change.rglob("*") if path.is_file()}
    assert names == {"stages", "1.env", "1.yaml", "1.d/images.map"}
    assert (change / "stages").read_text("utf-8") == "1 upgrade\n"
    env = (change / "1.env").read_text("utf-8").splitlines()
    for line in (
        "AIRSEED_NODE='k8s04'",
        "AIRSEED_KUBERNETES='1.19.5'",
        "AIRSEED_CHANGE='001-upgrade-1.19.5'",
        "AIRSEED_PLANES='k8s01 k8s02 k8s03'",
        "AIRSEED_COUNT='5'",
        "AIRSEED_COUNT_BEFORE='0'",
        "AIRSEED_AT_ONCE='1'",
        "AIRSEED_FROM='1.18.5'",
        "AIRSEED_KUBEADM_PACKAGES='cri-tools-1.13.0-0.x86_64 kubeadm-1.19.5-0.x86_64'",
    ):
        assert line in env
    packages = ("kubectl-1.19.5-0", "kubelet-1.19.5-0", "kubernetes-cni-0.8.7-0")
    assert f"AIRSEED_KUBELET_PACKAGES='{' '.join(f'{one}.x86_64' for one in packages)}'" in env
    assert "k8s05" not in text


def test_nothing_known_of_what_runs(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.folder / "seeds" / record.NAME).unlink()
    assert site.changes() == 2
    assert "nothing is known of what runs: there is no such file" in capsys.readouterr().err
    (site.folder / "seeds" / record.NAME).write_text("{", "utf-8")
    assert site.changes() == 3
    assert "hint: airseed writes this file: put a backup of it back" in capsys.readouterr().err


def test_a_downgrade_is_refused(
    site: Site, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    site.upgrade()
    site.seeds(not_booted=True)
    site.edit(NEW, OLD)
    site.take(sample.folder / "cluster.lock")
    assert site.changes() == 2
    assert "1.18.5 is older than 1.19.5, which runs" in capsys.readouterr().err


@pytest.mark.parametrize("options", [(), ("--keep-docker",)])
def test_another_runtime(
    site: Site, containerd_lock: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit(DOCKER, CONTAINERD)
    site.take(containerd_lock)
    assert site.changes("--write", "--json", *options) == 5
    value = json.loads(capsys.readouterr().out)
    assert value["change"] == "001-runtime-containerd-1.2.13"
    assert [row["node"] for row in value["nodes"]] == [*NODES]
    assert {row["what"] for row in value["nodes"]} == {"docker 19.03.9 -> containerd 1.2.13"}
    found = values(site.script(value["change"], "k8s04"))
    assert found["RUNTIME"] == "containerd"
    assert found["RUNTIME_BEFORE"] == "docker"
    assert found["CRI_SOCKET"] == "/run/containerd/containerd.sock"
    assert found["LEAVE"] == ("" if options else "docker-ce docker-ce-cli")
    assert "containerd.io-1.2.13" in found["PACKAGES"]
    assert "docker-ce" not in found["PACKAGES"]


def test_back_to_docker_while_the_release_takes_it(
    site: Site, sample: Sample, containerd_lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit(DOCKER, CONTAINERD)
    site.take(containerd_lock)
    site.seeds(not_booted=True)
    site.edit(CONTAINERD, DOCKER)
    site.take(sample.folder / "cluster.lock")
    assert site.changes("--write", "--json") == 5
    value = json.loads(capsys.readouterr().out)
    found = values(site.script(value["change"], "k8s01"))
    assert (found["RUNTIME_BEFORE"], found["RUNTIME"]) == ("containerd", "docker")
    assert (found["LEAVE"], found["CRI_SOCKET"]) == ("", "/var/run/dockershim.sock")


def test_an_older_containerd_than_is_installed_is_refused(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    file = site.folder / "seeds" / record.NAME
    file.write_text(file.read_text("utf-8").replace("docker 19.03.9", "containerd 1.6.33"))
    assert site.changes() == 2
    said = capsys.readouterr().err
    assert (
        "containerd 1.6.33 came with containerd.io 1.6.33, and docker 19.03.9 comes with 1.2.13: "
        "yum goes no way back" in said
    )
    assert "choose a docker that comes with containerd.io 1.6.33 or a newer one" in said


def test_a_runtime_is_changed_before_kubernetes_and_with_its_images(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lock of the next release alone has nothing for the one that runs."""
    file = site.folder / "seeds" / record.NAME
    site.upgrade()
    file.write_text(file.read_text("utf-8").replace("docker 19.03.9", "containerd 1.2.13"))
    assert site.changes() == 2
    said = capsys.readouterr().err
    assert "the runtime is changed first, and the bundle has no images of 1.18.5" in said
    assert "set changes: {from: 1.18.5}, then airseed lock and airseed bundle" in said


def test_a_change_that_all_machines_are_through_is_recorded(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.upgrade()
    assert site.changes("--write") == 5
    site.result(*NODES)
    assert site.changes() == 0
    said = capsys.readouterr().err
    assert "001-upgrade-1.19.5 is through: recorded" in said
    running = record.read(site.folder / "seeds")
    assert running is not None
    assert running.applied == ("001-upgrade-1.19.5",)
    assert {node.kubernetes for node in running.nodes} == {"1.19.5"}
    # what is seeded now is what runs
    site.seeds()
    assert record.read(site.folder / "seeds") == running
    assert site.changes() == 0


def test_a_change_that_is_half_applied_is_seen_and_kept(
    site: Site, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    site.upgrade()
    assert site.changes("--write") == 5
    site.result("k8s01")
    site.result("k8s02", state="failed", message="there is no room", hint="make some")
    site.result("k8s03", state="waiting", waiting_for="its turn")
    capsys.readouterr()
    assert site.changes("--json") == 5
    value = json.loads(capsys.readouterr().out)
    assert value["change"] == "001-upgrade-1.19.5"
    states = {n: (s["through"], s["state"], s["message"]) for n, s in value["states"].items()}
    assert states == {
        "k8s01": (True, "done", ""),
        "k8s02": (False, "failed", "there is no room"),
        "k8s03": (False, "waiting", ""),
    }
    assert site.changes() == 5
    said = capsys.readouterr()
    assert "001-upgrade-1.19.5 is under way: 1 of 5 machines are through" in said.err
    assert "k8s02: hint: make some" in said.err
    assert "stage 1: failed, there is no room" in said.out
    assert "stage 1: waiting for its turn" in said.out
    assert "not begun" in said.out
    site.edit(NEW, OLD)
    site.take(sample.folder / "cluster.lock")
    assert site.changes() == 2
    assert "001-upgrade-1.19.5 is half applied: 1 of 5 machines are through" in (
        capsys.readouterr().err
    )


def test_a_change_that_nobody_has_begun_is_not_forgotten(
    site: Site, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = site.folder / "changes" / "001-renew-90-days"
    assert site.changes("--renew") == 5
    assert "001-renew-90-days: 5 machines; --write writes" in capsys.readouterr().err
    assert site.changes("--renew", "--write") == 5
    said = capsys.readouterr().err
    assert f"wrote {folder}" in said
    assert "is written" not in said
    assert site.changes() == 5
    said = capsys.readouterr().err
    assert f"{folder} is written, for something else; no machine has said anything of it" in said
    assert "if it was started nowhere, delete this folder\n" in said
    assert "nothing to do" not in said
    assert site.changes("--renew") == 5
    assert f"{folder} is written; no machine has" in capsys.readouterr().err


def test_what_is_recorded_is_said_whatever_else_is_wrong(
    site: Site, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    site.upgrade()
    assert site.changes("--write") == 5
    site.edit(NEW, OLD)
    site.take(sample.folder / "cluster.lock")
    assert site.changes("--applied", "001") == 2
    said = capsys.readouterr().err
    assert "001-upgrade-1.19.5 is through: recorded" in said
    assert "1.18.5 is older than 1.19.5, which runs" in said


def test_what_is_felt_is_said_of_each_machine(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit("request-timeout: 1m0s", "request-timeout: 2m0s")
    site.edit("- k8s01\n        - k8s02", "- api.example.org\n        - k8s01\n        - k8s02")
    site.edit("    mode: iptables\n", "    mode: ipvs\n")
    site.edit(
        "  KubeProxyConfiguration:\n",
        "  KubeletConfiguration: {maxPods: 50}\n  KubeProxyConfiguration:\n",
    )
    assert site.changes("--json") == 5
    value = json.loads(capsys.readouterr().out)
    kubelet = "kubelet restarts, pods go on"
    second = f"its API server restarts; {kubelet}"
    assert [row["disturbance"] for row in value["nodes"]] == [
        f"{second}; kube-proxy restarts everywhere, connections stay",
        second,
        second,
        kubelet,
        kubelet,
    ]
    (stage,) = value["stages"]
    assert "cluster.yaml says otherwise of kubeadm.ClusterConfiguration" in stage["reason"]


def test_no_change_is_written_beside_one_of_which_nothing_is_known(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.upgrade()
    assert site.changes("--write") == 5
    assert site.changes("--write") == 5
    site.edit("nodes:\n", "changes: {at-once: 2}\nnodes:\n")
    path = site.folder / "changes/001-upgrade-1.19.5/change.json"
    text = path.read_text("utf-8")
    (digest,) = re.findall('"digest": "([0-9a-f]{64})"', text)
    path.write_text(text.replace(digest, "0" * 64))
    assert site.changes("--write") == 2
    said = capsys.readouterr().err
    assert "001-upgrade-1.19.5 was written before, and nothing is known of its machines" in said
    assert "if it was started nowhere, delete this folder" in said
    assert site.changes("--applied", "002") == 2
    assert (
        "002: there is no such change\n  expected 001-upgrade-1.19.5\n" in capsys.readouterr().err
    )
    assert site.changes("--applied", "001") == 0
    assert site.changes("--applied", "001-upgrade-1.19.5") == 0, "it is recorded already"
    assert site.changes("--applied", "002") == 2
    assert "hint: no change is written that is not recorded yet" in capsys.readouterr().err


def test_no_number_is_given_twice(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Machines know a change by its id: another one of the same would pass for done."""
    site.upgrade()
    assert site.changes("--write") == 5
    shutil.rmtree(site.folder / "changes")
    assert site.changes("--write") == 5
    assert [path.name for path in (site.folder / "changes").iterdir()] == ["002-upgrade-1.19.5"]
    text = (site.folder / "changes/002-upgrade-1.19.5/change.json").read_text("utf-8")
    assert site.changes("--write") == 5
    assert (site.folder / "changes/002-upgrade-1.19.5/change.json").read_text("utf-8") == text
    # what is known of a cluster may be older than what its machines have heard of
    shutil.rmtree(site.folder / "changes")
    result = {"format": 1, "node": "k8s04", "state": "running", "change": "006-renew-90-days"}
    results = site.folder / "results"
    results.mkdir()
    (results / "k8s04.json").write_text(json.dumps(result), "utf-8")
    assert site.changes("--results", str(results), "--write") == 5
    assert [path.name for path in (site.folder / "changes").iterdir()] == ["007-upgrade-1.19.5"]


@pytest.mark.parametrize(("heard", "code"), [("²²²-x", 5), ("99", 5), ("999-x", 2)])
def test_no_machine_gives_a_number_that_is_none(
    site: Site, capsys: pytest.CaptureFixture[str], heard: str, code: int
) -> None:
    """A change of more digits could be written, and never be read again."""
    site.upgrade()
    results = site.folder / "results"
    results.mkdir()
    result(results, "k8s04", change=heard)
    assert site.changes("--results", str(results), "--write") == code
    if code == 2:
        assert "there is no number left for a change: 999 is taken" in capsys.readouterr().err
        assert not (site.folder / "changes").exists()
    else:
        assert (site.folder / "changes/001-upgrade-1.19.5").is_dir()


def test_a_machine_that_is_not_what_is_recorded_of_it(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = site.folder / "said"
    folder.mkdir()
    for name, said in (
        ("k8s01", {"cluster": "other", "kubernetes": "1.18.5"}),
        ("k8s02", {"cluster": "cluster.local", "kubernetes": "1.19.5"}),
        ("k8s03", {"cluster": "cluster.local", "kubernetes": "1.18.5"}),
    ):
        result(folder, name, **said)
    assert site.changes("--results", str(folder)) == 2
    said = capsys.readouterr().err
    assert "k8s01: this is a machine of the cluster other\n    expected cluster.local\n" in said
    assert "k8s02: the machine says that it runs Kubernetes 1.19.5\n" in said
    assert "k8s03" not in said
    (folder / "k8s04.json").write_text("{}")
    assert site.changes("--results", str(folder)) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (OLD, "kubernetes: 1.20.15\n", "kubernetes: 1.18.5 runs, and kubeadm goes from one minor"),
        ("name: cluster.local", "name: other", "name: the name of a cluster that runs can't be"),
        ("pods: 10.222.0.0/18", "pods: 10.223.0.0/18", "network.pods: the pod subnets can't be"),
        ("services: 10.233.0.0/18", "services: 10.234.0.0/18", "network.services: the service"),
        ("domain: cluster.local", "domain: other.local", "network.domain: the DNS domain can't"),
        (
            "address: 10.211.55.52",
            "address: 10.211.55.62",
            "nodes.k8s05: a machine that runs can't get another address",
        ),
    ],
)
def test_what_cant_be_changed_is_refused_with_the_reason(
    site: Site, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    """Also where the lock does not fit: nobody is to lock in vain."""
    site.edit(old, new, times=1)
    assert site.changes() == 2
    assert said in capsys.readouterr().err
    assert not (site.folder / "changes").exists()


def test_a_target_that_arguments_do_not_fit_is_refused(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is locked or written; without the argument it goes on."""
    said = '        basic-auth-file: "/etc/users"\n'
    site.upgrade()
    text = site.cluster.read_text("utf-8")
    before, head, after = text.partition("      extraArgs:\n")
    site.cluster.write_text(f"{before}{head}{said}{after}", "utf-8")
    assert site.changes("--write") == 3
    error = capsys.readouterr().err
    assert "kube-apiserver has no argument --basic-auth-file since 1.19" in error
    assert "hint: " in error
    assert not (site.folder / "changes").exists()
    site.edit(said, "")
    assert site.changes("--write") == 5


def test_what_concerns_new_machines_alone_is_said(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit("nodes:\n", "machine: {ntp: [10.0.0.9]}\nnodes:\n")
    assert site.changes() == 0
    assert (
        "k8s01, k8s02, k8s03, k8s04, k8s05: what is said of a machine is laid down at its first "
        "boot, not later" in capsys.readouterr().err
    )


def test_a_thousand_machines_take_seconds(site: Site) -> None:
    """By the time of this process alone: others may be busy."""
    more = "".join(
        f"  - {{name: w{number:04}, role: worker, address: 10.211.{64 + number // 200}."
        f"{1 + number % 200}}}\n"
        for number in range(995)
    )
    site.edit("\n# The container runtime.", f"{more}\n# The container runtime.")
    site.edit("pods: 10.222.0.0/18", "pods: 10.128.0.0/14")
    site.seeds(images=False, not_booted=True)
    site.upgrade()
    begun = time.process_time()
    assert site.changes() == 5
    assert time.process_time() - begun < 5


def test_another_release_of_the_runtime_comes_before_kubernetes(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its images stay where they are, so that the bundle need not have them."""
    file = site.folder / "seeds" / record.NAME
    site.upgrade()
    file.write_text(file.read_text("utf-8").replace("docker 19.03.9", "docker 19.03.8"))
    assert site.changes("--write", "--json") == 5
    value = json.loads(capsys.readouterr().out)
    assert [stage["what"] for stage in value["stages"]] == [
        "docker 19.03.8 -> docker 19.03.9",
        "Kubernetes 1.18.5 -> 1.19.5",
    ]
    found = values(site.script(value["change"], "k8s04"))
    assert found["KUBERNETES"] == "1.18.5"
    assert found["LEAVE"] == ""
    assert "docker-ce-3:19.03.9-3.el7.x86_64" in found["PACKAGES"].split()
    assert "kubelet" not in found["PACKAGES"]


def test_a_second_family_is_for_new_clusters(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit("  pods: 10.222.0.0/18\n", "  pods: [10.222.0.0/18, 'fd00:222::/56']\n")
    site.edit("  services: 10.233.0.0/18\n", "  services: [10.233.0.0/18, 'fd00:233::/112']\n")
    assert site.changes() == 2
    said = capsys.readouterr().err
    reason = "a cluster that runs gets no second family: a node has its pod ranges for life"
    assert said.count(reason) == 1
    # a machine's second address is the same wish
    site.edit("address: 10.211.55.52\n", "address: [10.211.55.52, 'fd00:55::52']\n")
    assert site.changes() == 2
    said = capsys.readouterr().err
    assert said.count(reason) == 1
    assert "another address" not in said
    assert "seed a new cluster with both families, and move the workloads" in said


def test_machines_are_asked_about_where_they_post(
    site: Site, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    site.upgrade()
    assert site.changes("--write") == 5
    watch = Watch(cluster=site.cluster)
    token = (site.folder / "secrets/phone-home-token").read_text("utf-8").strip()
    with serve([sample.bundle], address=("127.0.0.1", 0), watch=watch) as serving:
        url = f"http://{serving.address}"
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        for name in NODES:
            site.result(name)
            path = site.folder / "changes/001-upgrade-1.19.5/results" / f"{name}.json"
            with closing(HTTPConnection(serving.address)) as connection:
                connection.request("POST", "/boots", path.read_bytes(), headers)
                assert connection.getresponse().status == 204
            path.unlink()
        assert site.changes() == 5
        assert site.changes("--from", url) == 0
    assert "001-upgrade-1.19.5 is through: recorded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"name": "k8s05"', '"name": "../../gone"', "nodes[4].name"),
        ('"name": "k8s05"', '"name": "go\'ne; rm"', "nodes[4].name"),
        ('"name": "k8s05"', '"name": "k8s04"', "a node is there twice"),
        ('"kubernetes": "1.18.5"', '"kubernetes": "x"', "kubernetes"),
        ('"runtime": "docker 19.03.9"', '"runtime": "docker"', "runtime"),
        ('"KubeletConfiguration"', '"Kubelet"', "documents"),
        (
            ' "documents"',
            ' "keeper": {"planes": []},\n "documents"',
            "keeper.by: it is not said by what",
        ),
    ],
)
def test_a_record_of_what_runs_that_is_none_is_refused(
    site: Site, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names become names of files, and words of scripts."""
    path = site.folder / "seeds" / record.NAME
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    assert site.changes("--write") == 3
    assert said in capsys.readouterr().err
    assert not (site.folder / "changes").exists()


def test_a_change_of_no_machines_is_not_through(site: Site) -> None:
    site.upgrade()
    assert site.changes("--write") == 5
    path = site.folder / "changes/001-upgrade-1.19.5/change.json"
    value = json.loads(path.read_text("utf-8"))
    value["stages"][0]["nodes"] = []
    path.write_text(json.dumps(value), "utf-8")
    assert site.changes() == 3
    running = record.read(site.folder / "seeds")
    assert running is not None
    assert running.applied == ()


def test_a_record_whose_documents_name_no_endpoint_can_be_compared(site: Site) -> None:
    path = site.folder / "seeds" / record.NAME
    text = path.read_text("utf-8")
    without = re.sub('"controlPlaneEndpoint": "[^"]*", ', "", text)
    assert without != text
    path.write_text(without, "utf-8")
    assert site.changes() == 5


def test_numbers_that_are_not_whole_can_be_read_again(site: Site) -> None:
    path = site.folder / "seeds" / record.NAME
    text = path.read_text("utf-8")
    path.write_text(
        text.replace('"KubeProxyConfiguration": {', '"KubeProxyConfiguration": {"qps": 5.5, '),
        "utf-8",
    )
    running = record.read(path.parent)
    assert running is not None
    assert running.documents["KubeProxyConfiguration"]["qps"] == 5.5


def test_what_says_nothing_stops_nothing(site: Site) -> None:
    """A shell leaves an empty file where it did not reach the machine."""
    site.upgrade()
    assert site.changes("--write") == 5
    site.result(*NODES[:4])
    results = site.folder / "changes/001-upgrade-1.19.5/results"
    (results / "k8s05.json").touch()
    assert site.changes() == 5
    site.result("k8s05", cluster="another")
    assert site.changes() != 0, "a word of another cluster's machine counts for nothing"


@pytest.mark.parametrize("upgraded", [False, True])
@pytest.mark.parametrize("wanted", ["none", {"name": "calico", "install": "manifest"}])
def test_the_network_plugin_stays(
    site: Site, wanted: object, upgraded: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing takes it away, and its images would be let go of."""
    if upgraded:
        site.upgrade()
    site.edit_document(lambda document: document.update(cni=wanted))
    assert site.changes() == 2
    said = capsys.readouterr().err
    assert "cni: a cluster that runs keeps its network plugin, and how that was installed" in said
    assert "    expected calico 3.18.6 operator\n" in said


def test_nobody_goes_back_from_a_change_that_was_given_up(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    path = site.folder / "seeds" / record.NAME
    lines = path.read_text("utf-8").splitlines(keepends=True)
    text = "".join(
        line.replace('"1.18.5"', '"1.19.16"') if '"k8s02"' in line else line for line in lines
    )
    path.write_text(text, "utf-8")
    said = "kubernetes: k8s02, by a change that was given up, went as far as 1.19.16: Kubernetes"
    assert site.changes() == 2
    assert said in capsys.readouterr().err
    site.upgrade()
    assert site.changes() == 2
    assert said in capsys.readouterr().err
