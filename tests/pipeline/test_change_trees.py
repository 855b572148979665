"""Golden trees: what every kind of change is written as, and who holds which secret.

The scripts that all machines get verbatim are named instead of shown, and so is what a stage reads
as it stands in the machine's seed; secrets are made up. The playbook is kept once for all kinds,
and the script of a role's second machine as a difference.
"""

from __future__ import annotations

import hashlib
import re
import stat
from dataclasses import replace
from difflib import unified_diff
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import plans
import pytest
from changes_site import laid, opened, result

from builder.assets import tree
from builder.errors import StorageError, UsageError
from builder.formats import cluster as cluster_format
from builder.pipeline import changes, fit, rendering
from builder.pipeline import running as record
from builder.pipeline.changes import restore
from builder.pipeline.changes.kind import Options
from builder.render import changes as scripts
from builder.render.cloudinit import values
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CLUSTER = """\
kubernetes: 1.18.5
endpoint: api.example.com
seed: {phone-home: "https://boots.example.com/"}
runtime: {name: docker, version: 19.03.9}
nodes:
  - {name: first, role: control-plane, address: 10.0.0.1}
  - {name: second, role: control-plane, address: 10.0.0.2}
  - {name: third, role: control-plane, address: 10.0.0.3}
  - {name: worker, role: worker, address: 10.0.0.4}
  - {name: other, role: worker, address: 10.0.0.5}
"""
SNAPSHOT = "20261130T010203Z-first.db"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "upgrade": (CLUSTER.replace("1.18.5", "1.19.5") + "changes: {at-once: 2}\n", {}),
    "configure": (
        CLUSTER + "kubeadm: {ClusterConfiguration: {apiServer: {certSANs: [api.example.org]}}}\n",
        {},
    ),
    "endpoint": (CLUSTER.replace("api.example.com", "{address: 10.0.0.60, by: keepalived}"), {}),
    "renew": (CLUSTER, {"renew": 30}),
    "runtime": (
        CLUSTER.replace("docker, version: 19.03.9", "containerd, version: 1.2.13"),
        {},
    ),
    "rename": (CLUSTER.replace("name: worker,", "name: better, was: worker,"), {}),
    "remove": (
        CLUSTER.replace("  - {name: third, role: control-plane, address: 10.0.0.3}\n", ""),
        {},
    ),
    "restore": (CLUSTER, {"restore": SNAPSHOT}),
}
"""A cluster.yaml over the one that runs, and options, by the kind of change that they are."""
LIKE = {"third": "second", "other": "worker"}
"""Machines of the same role: the script of one is kept as its difference from the other's."""
ID = "<id>"
"""What stands for the id of a change in the playbook, which all kinds have in common."""
_SCRIPTS = re.compile(
    r"(?:^lay(?:64)? [0-7]+ scripts \S+ <<'END_OF_FILE'\n(?:.*\n)*?END_OF_FILE\n)+", re.MULTILINE
)

_ENV = re.compile(
    r"^(lay 0600 change [0-9]+\.env <<'END_OF_FILE'\n)((?:AIRSEED_.*\n)+)", re.MULTILINE
)


class Site:
    """Hold a cluster that was seeded, and ask what another cluster.yaml means for it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = monkeypatch
        (folder / "seeds").mkdir(mode=0o700)

    def runs(self, text: str = CLUSTER) -> None:
        record.write(self.folder / "seeds", record.state(plans.plan(text)))

    def find(
        self, text: str, *, instead: bool = False, **options: Any
    ) -> tuple[Any, changes.Found]:
        spec = cluster_format.read(text, "cluster.yaml", catalog=plans.catalog())
        plan = plans.of(spec)
        workspace = cast(
            "Any",
            SimpleNamespace(
                path=self.folder / "cluster.yaml",
                seeds=self.folder / "seeds",
                cluster=spec.cluster,
                catalog=plans.catalog(),
                hops=spec.hops,
                locked=SimpleNamespace(lock=plan.lock),
                warn=lambda _: None,
            ),
        )
        self.patch.setattr(rendering, "prepare", lambda _, **_how: plan)
        self.patch.setattr(fit, "require", lambda _: None)
        if name := options.get("restore"):
            options["restore"] = self.snapshot(name)
        asked = Options(**options)
        found = changes.find(workspace, options=asked, instead=instead, reporter=Silent())
        return workspace, found

    def snapshot(self, name: str) -> Path:
        """Make a snapshot; its authority is as little a real one as the cluster's."""
        path = self.folder / name
        path.write_bytes(b"what etcd holds")
        path.with_suffix(".keys.tar").write_bytes(b"keys")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.patch.setattr(restore, "_examine", lambda *_: (digest, []))
        return path

    def write(self, text: str, **options: Any) -> Path:
        workspace, found = self.find(text, **options)
        folder = changes.write(workspace, found)
        assert folder is not None
        return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def shown(path: Path) -> str:
    """Show a script with what is verbatim by its name, and of each stage's values its own."""
    text = path.read_text("utf-8")
    body = (tree("cloudinit-templates") / "actions/change.sh").read_text("utf-8")
    assert body in text
    text = _SCRIPTS.sub("<all of node/>\n", text.replace(body, "<actions/change.sh>\n"))
    return _ENV.sub(lambda found: f"{found[1]}<node.env>\n{own(found[2], seeded(path.stem))}", text)


@cache
def seeded(name: str) -> tuple[str, ...]:
    """Return the lines of the node.env with which a machine of the cluster was seeded."""
    plan = plans.plan(CLUSTER)
    (node,) = (node for node in plan.cluster.nodes if node.name == name)
    return tuple(values.env(plan, node).splitlines(keepends=True))


def own(env: str, seeded: Sequence[str]) -> str:
    """Leave out the values that the seed has likewise; all that it has must be there."""
    lines = env.splitlines(keepends=True)
    assert {line.partition("=")[0] for line in lines} > {line.partition("=")[0] for line in seeded}
    return "".join(line for line in lines if line not in seeded)


def kept(kind: str, path: Path) -> tuple[str, str]:
    """Return the name and the text of what is kept of a file that was written."""
    content = path.read_text("utf-8")
    if path.name == "playbook.yaml":
        assert ID not in content
        return "changes/playbook.yaml", content.replace(path.parent.name, ID)
    name = f"changes/{kind}/{path.name}"
    if path.suffix != ".sh":
        return name, content
    like = path.with_stem(LIKE.get(path.stem, path.stem))
    if like == path or not like.exists():
        return name, shown(path)
    texts = (shown(one).splitlines(keepends=True) for one in (like, path))
    return f"{name}.diff", "".join(unified_diff(*texts, like.name, path.name, n=0))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_what_was_read_last(
    kind: str, site: Site, golden: Callable[[str, str], None]
) -> None:
    site.runs()
    text, options = KINDS[kind]
    folder = site.write(text, **options)
    for path in sorted(folder.iterdir()):
        if path.is_file():
            golden(*kept(kind, path))
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert site.write(text, **options) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


SECRET = {
    "token": plans.TOKEN,
    "certificate key": plans.CERTIFICATE_KEY,
    "phone-home token": plans.PHONE_HOME_TOKEN,
    "authority": "RSA PRIVATE KEY",
    "encryption": plans.ENCRYPTION,
}
PLANE, WORKER = {"token", "certificate key"}, {"token"}
"""What a machine has in a script at most: what its seed had, but never the authority."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_script_holds_no_more_than_its_machine_had(kind: str, site: Site) -> None:
    site.runs()
    text, options = KINDS[kind]
    folder = site.write(text, **options)
    for path in folder.iterdir():
        if path.is_file():
            content = opened(path.read_text("utf-8"))
            held = {name for name, secret in SECRET.items() if secret in content}
            most = WORKER if path.stem in {"worker", "other"} else PLANE
            assert held <= (most if path.suffix == ".sh" else set()), path.name
            if path.suffix == ".sh":
                others = {"first", "second", "third", "worker", "other"} - {path.stem}
                assert f"NODE='{path.stem}'" in content
                assert not [name for name in others if f"AIRSEED_NODE='{name}'" in content]
    known = (site.folder / "seeds" / record.NAME).read_text("utf-8")
    assert [name for name, secret in SECRET.items() if secret in known] == []


@pytest.mark.parametrize("before", range(3))
def test_a_secret_is_seen_wherever_it_stands_in_base64(before: int) -> None:
    """What has no newline at its end is laid down so; the looks for secrets see into it."""
    content = f"{before * 'x'}{plans.TOKEN}"
    plain = scripts._laid("change", "stages", "1 upgrade\n")
    coded = scripts._laid("change", "1.d/one", content)
    assert coded.startswith("lay64 ")
    assert plans.TOKEN not in coded
    assert opened(coded + plain + coded) == f"{content}\n{plain}{content}\n"
    assert laid(coded, "1.d/one") == content


def test_a_change_that_leaves_all_as_it_is_goes_on_without_being_asked_for(site: Site) -> None:
    site.runs()
    folder = site.write(CLUSTER, renew=30)
    result(folder / "results", "first", change=folder.name, stage="1")
    _, found = site.find(CLUSTER)
    assert found.change is None
    assert found.written is not None
    assert (found.written.id, found.written.done) == (folder.name, ("first",))
    with pytest.raises(UsageError) as caught:
        site.find(KINDS["upgrade"][0])
    assert "is half applied: 1 of 5 machines are through" in str(caught.value)


def test_the_way_leads_minor_by_minor_and_leaves_nothing_over(site: Site) -> None:
    site.runs()
    text = CLUSTER.replace("1.18.5", "{version: 1.23.17, packages: built}")
    text += "extra: {manifests: [own.yaml]}\n"
    _, found = site.find(text + "changes: {from: 1.18.5}\n")
    assert found.change is not None
    assert [stage.what for stage in found.change.stages] == [
        "Kubernetes 1.18.5 -> 1.19.16",
        "Kubernetes 1.19.16 -> 1.20.15",
        # what runs takes no release after 1.20, and what is wanted none before 1.21
        "Kubernetes 1.20.15 -> 1.21.14, calico 3.23.5 operator",
        "Kubernetes 1.21.14 -> 1.22.17",
        "Kubernetes 1.22.17 -> 1.23.17",
    ]
    calico = "manifests/001-tigera-operator.yaml manifests/002-custom-resources.yaml"
    assert [stage.values["ADDONS"] for stage in found.change.stages] == [
        "", "", calico, "", f"{calico} manifests/003-own.yaml",
    ]  # fmt: skip
    cnis = [stage.after.cni for stage in found.change.stages]
    assert cnis == ["calico 3.18.6 operator"] * 2 + ["calico 3.23.5 operator"] * 3
    assert found.change.id == "001-upgrade-1.23.17"
    assert [str(plan.choice.kubernetes.version) for plan in found.plans] == [
        "1.19.16", "1.20.15", "1.21.14", "1.22.17", "1.23.17",
    ]  # fmt: skip
    assert found.change.after == record.state(plans.plan(text + "changes: {from: 1.18.5}\n"))


@pytest.mark.parametrize(
    ("before", "after", "settings"),
    [
        ("1.19.16", "1.20.15", "kubeletExtraArgs.node-ip"),
        ("1.20.15", "1.21.14", "apiServer.extraArgs.feature-gates"),
    ],
)
def test_two_families_go_through_releases(
    site: Site, before: str, after: str, settings: str
) -> None:
    """Their gate is gone with 1.21, and kubelet is told both addresses from 1.20 on."""
    text = "".join(
        f"{line.replace('}', f', fd00::{number}]}}')}\n" if "address: " in line else f"{line}\n"
        for number, line in enumerate(CLUSTER.replace("address: ", "address: [").splitlines())
    )
    text = text.replace("1.18.5", "{version: VERSION, packages: built}")
    text += (
        "network: {pods: [10.8.0.0/16, 'fd00:1::/48'], services: [10.9.0.0/16, 'fd00:2::/112']}\n"
    )
    site.runs(text.replace("VERSION", before))
    _, found = site.find(text.replace("VERSION", after))
    assert found.change is not None
    upgrade, configure = found.change.stages
    assert upgrade.what.startswith(f"Kubernetes {before} -> {after}")
    assert settings in configure.what
    gated = [plan.choice.kubernetes.of.dual_stack.gate is not None for plan in found.plans]
    assert gated == [after == "1.20.15"] * 2


def test_a_release_that_no_calico_takes_is_no_way(site: Site) -> None:
    site.runs()
    text = CLUSTER.replace("1.18.5", "{version: 1.22.17, packages: built}")
    text += "changes: {from: 1.18.5}\n"
    with pytest.raises(UsageError) as caught:
        site.find(text + "cni: {name: calico, version: 3.24.5}\n")
    (fault,) = caught.value.faults
    assert fault.where == "cni"
    assert fault.what == (
        "neither Calico 3.18.6, which runs, nor Calico 3.24.5 supports Kubernetes 1.21, "
        "which is on the way"
    )
    assert (
        fault.expected == "Calico 3.19 or Calico 3.20 or Calico 3.21 or Calico 3.22 or Calico 3.23"
    )
    assert fault.hint == (
        "go in two changes, the first one to Kubernetes 1.21.14 with such a Calico"
    )


def test_containerd_comes_before_the_release_that_takes_no_docker(site: Site) -> None:
    """Both in one change: the release that runs takes both runtimes."""
    site.runs(CLUSTER.replace("1.18.5", "1.23.17").replace("19.03.9", "20.10.24"))
    text = CLUSTER.replace("1.18.5", "1.24.17")
    text = text.replace("docker, version: 19.03.9", "containerd, version: 1.6.33")
    with pytest.raises(UsageError) as caught:
        site.find(text)
    assert "the bundle has no images of 1.23.17" in str(caught.value.faults[0].what)
    text += "changes: {from: 1.23.17}\n"
    _, found = site.find(text)
    assert found.change is not None
    assert [(stage.plan, stage.what) for stage in found.change.stages] == [
        ("runtime", "docker 20.10.24 -> containerd 1.6.33"),
        ("upgrade", "Kubernetes 1.23.17 -> 1.24.17"),
    ]
    assert found.change.id == "001-runtime-containerd-1.6.33-upgrade-1.24.17"
    sockets = [
        (
            str(plan.choice.kubernetes.version),
            plan.choice.kubernetes.runtime(plan.choice.runtime.name).socket,
        )
        for plan in found.plans
    ]
    assert sockets == [
        ("1.23.17", "/run/containerd/containerd.sock"),
        ("1.24.17", "unix:///run/containerd/containerd.sock"),
    ]
    assert found.change.after == record.state(plans.plan(text))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("1.18.5", "1.20.15", "1.18.5 runs, and kubeadm goes from one minor to the next"),
        ("1.19.5", "1.18.5", "1.18.5 is older than 1.19.5, which runs"),
    ],
)
def test_what_kubeadm_does_not_do_is_refused(
    site: Site, before: str, after: str, said: str
) -> None:
    site.runs(CLUSTER.replace("1.18.5", before))
    with pytest.raises(UsageError) as caught:
        site.find(CLUSTER.replace("1.18.5", after))
    assert [fault.what for fault in caught.value.faults if said in fault.what]


def test_a_way_is_gone_from_where_the_cluster_is(site: Site) -> None:
    """Also where changes.from is what ran before."""
    site.runs(CLUSTER.replace("1.18.5", "1.19.16"))
    _, found = site.find(CLUSTER.replace("1.18.5", "1.20.15") + "changes: {from: 1.18.5}\n")
    assert found.change is not None
    assert [stage.what for stage in found.change.stages] == ["Kubernetes 1.19.16 -> 1.20.15"]


def test_other_settings_come_with_an_upgrade(site: Site) -> None:
    """What kubeadm does not take over while it upgrades is done after the last release."""
    site.runs()
    settings = """\
kubeadm:
  ClusterConfiguration:
    apiServer: {certSANs: [api.example.org], extraArgs: {audit-log-maxage: "30"}}
  KubeletConfiguration: {maxPods: 50}
"""
    text = CLUSTER.replace("1.18.5", "1.20.15") + "changes: {from: 1.18.5}\n" + settings
    _, found = site.find(text)
    assert found.change is not None
    assert [stage.plan for stage in found.change.stages] == ["upgrade", "upgrade", "configure"]
    folder = site.write(text)
    for name, parts in (("first", "certificate apiserver kubelet"), ("worker", "kubelet")):
        script = (folder / f"{name}.sh").read_text("utf-8")
        assert laid(script, "stages").splitlines() == ["1 upgrade", "2 upgrade", "3 configure"]
        assert f"AIRSEED_PARTS='{parts}'" in laid(script, "3.env")
        assert "maxPods: 50" in laid(script, "3.yaml")
        assert "AIRSEED_KUBERNETES='1.20.15'" in laid(script, "3.env")
    script = (folder / "first.sh").read_text("utf-8")
    for stage, release in ((1, "1.19.16"), (2, "1.20.15"), (3, "1.20.15")):
        document = laid(script, f"{stage}.yaml")
        assert f"kubernetesVersion: v{release}" in document.replace('"', "")
        assert "audit-log-maxage" in document
    for name in found.change.nodes:
        result(folder / "results", name, stage="3", change=folder.name)
    _, found = site.find(text)
    assert found.recorded == folder.name
    assert found.change is None


def test_an_option_that_does_nothing_is_said(site: Site) -> None:
    site.runs()
    _, found = site.find(CLUSTER, keep_docker=True)
    assert [remark.where for remark in found.remarks] == ["--keep-docker"]
    assert found.change is None
    text = CLUSTER.replace("19.03.9", "19.03.15")
    _, found = site.find(text, keep_docker=True)
    assert "--keep-docker" in [remark.where for remark in found.remarks]
    _, found = site.find(KINDS["runtime"][0], keep_docker=True)
    assert "--keep-docker" not in [remark.where for remark in found.remarks]
    with pytest.raises(UsageError) as caught:
        site.find(KINDS["upgrade"][0], instead=True)
    assert str(caught.value).startswith("--instead: ")


@pytest.mark.parametrize(
    ("kind", "options"),
    [("runtime", {"keep_docker": True}), ("upgrade", {"renew": 0}), ("upgrade", {"renew": 30})],
)
def test_a_change_goes_on_by_the_options_that_it_was_asked_for_by(
    site: Site, kind: str, options: dict[str, Any]
) -> None:
    """Who looks how it stands need not say them again; cluster.yaml asks for nothing else."""
    site.runs()
    text = KINDS[kind][0]
    folder = site.write(text, **options)
    result(folder / "results", "first", state="done", change=folder.name, stage="1")
    for said in ({}, options):
        _, found = site.find(text, **said)
        assert found.change is not None
        assert found.written is not None
        assert (found.change.id, found.change.digest) == (folder.name, found.written.digest)
    with pytest.raises(UsageError, match="half applied"):
        site.find(text, renew=60)
    with pytest.raises(UsageError, match="half applied"):
        site.find(text + "kubeadm: {KubeletConfiguration: {maxPods: 50}}\n")


def test_another_change_takes_the_place_of_one_that_cant_be_finished(site: Site) -> None:
    site.runs()
    text = KINDS["upgrade"][0]
    folder = site.write(text)
    for name, state in (("first", "done"), ("second", "failed")):
        result(folder / "results", name, state=state, change=folder.name, stage="1")
    other = text + "kubeadm: {ClusterConfiguration: {apiServer: {certSANs: [api.example.org]}}}\n"
    with pytest.raises(UsageError) as caught:
        site.find(other)
    assert "`--instead` makes another of it" in str(caught.value.hint)
    workspace, found = site.find(other, instead=True)
    again = changes.write(workspace, found)
    assert again is not None
    assert again.name.startswith("002-upgrade-1.19.5")
    assert (folder / "given-up").read_text("utf-8") == f"{again.name}\n"
    running = record.read(site.folder / "seeds")
    assert running is not None
    assert running.kubernetes == "1.18.5"
    assert {node.name: node.kubernetes for node in running.nodes} == {
        "first": "1.19.5",
        **dict.fromkeys(("second", "third", "worker", "other"), "1.18.5"),
    }
    assert found.change is not None
    assert found.change.stages[0].nodes == ("first", "second", "third", "worker", "other")
    _, found = site.find(other)
    assert found.written is not None
    assert found.written.id == again.name
    # a newer release than the one that was given up begins at each machine where that is
    _, found = site.find(text.replace("1.19.5", "1.19.16"), instead=True)
    assert found.change is not None
    (stage,) = found.change.stages
    assert (stage.values["FROM"], stage.own) == ("1.18.5", {"first": {"FROM": "1.19.5"}})


def test_names_are_not_forgotten_where_another_change_takes_the_place(site: Site) -> None:
    """Whoever is renamed is so, and who left is gone; others are as they were."""
    site.runs()
    text = CLUSTER.replace("name: worker,", "name: better, was: worker,")
    text = text.replace("name: other,", "name: best, was: other,")
    third = "  - {name: third, role: control-plane, address: 10.0.0.3}\n"
    folder = site.write(text.replace(third, ""))
    # renaming comes first, and who leaves says nothing: its helper has gone on
    for name, stage, state in (("better", "1", "done"), ("best", "2", "failed")):
        result(folder / "results", name, stage=stage, state=state, change=folder.name)
    result(folder / "results", "first", stage="3", change=folder.name)
    workspace, found = site.find(text, instead=True)
    assert [node.name for node in found.running.nodes] == ["first", "second", "better", "other"]
    result(folder / "results", "first", stage="3", state="failed", change=folder.name)
    workspace, found = site.find(text.replace(third, ""), instead=True)
    assert changes.write(workspace, found)
    running = record.read(site.folder / "seeds")
    assert running is not None
    names = ["first", "second", "third", "better", "other"]
    assert [node.name for node in running.nodes] == names
    assert found.change is not None
    assert [stage.what for stage in found.change.stages] == ["other becomes best", "third leaves"]


def test_scripts_are_not_written_where_somebody_else_may_read_them(
    site: Site, tmp_path: Path
) -> None:
    site.runs()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "changes").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError) as caught:
        site.write(KINDS["upgrade"][0])
    assert "scripts can't be written there" in str(caught.value)
    (tmp_path / "changes").unlink()
    (tmp_path / "changes").mkdir(mode=0o755)
    folder = site.write(KINDS["upgrade"][0])
    assert (
        stat.S_IMODE(folder.parent.stat().st_mode) == stat.S_IMODE(folder.stat().st_mode) == 0o700
    )


CARRIED = "endpoint: {address: 10.0.0.60, by: keepalived}"
PROXIED = "endpoint: {name: api.example.com, by: local-proxy}"
PLAIN = "endpoint: api.example.com"
FOURTH = "  - {name: fourth, role: control-plane, address: 10.0.0.6}\n"
PLANES, WORKERS = ("first", "second", "third"), ("worker", "other")


@pytest.mark.parametrize(
    ("before", "after", "stages"),
    [
        # what nobody asks at any more goes last
        (CARRIED, PLAIN, [("endpoint", 5), ("move", 5), ("endpoint", 3)]),
        (PLAIN, "endpoint: api.example.net", [("endpoint", 5), ("move", 5)]),
        # nobody has to move
        (PLAIN, PROXIED, [("endpoint", 5)]),
        (PROXIED, PLAIN, [("endpoint", 5)]),
        (CARRIED, CARRIED.replace("by:", "interface: eth1, by:"), [("endpoint", 3)]),
        (CARRIED, f"{CARRIED}\nkubernetes: 1.19.5", [("upgrade", 5)]),
        (PLAIN, f"{CARRIED}\nkubernetes: 1.19.5", [("endpoint", 5), ("move", 5), ("upgrade", 5)]),
    ],
)
def test_an_endpoint_comes_up_before_anybody_moves(
    site: Site, before: str, after: str, stages: list[tuple[str, int]]
) -> None:
    site.runs(CLUSTER.replace(PLAIN, before))
    text = CLUSTER.replace(PLAIN, after)
    if "\n" in after:
        text = text.replace("kubernetes: 1.18.5\n", "")
    _, found = site.find(text)
    assert found.change is not None
    assert [(stage.plan, len(stage.nodes)) for stage in found.change.stages] == stages
    assert found.change.after == record.state(plans.plan(text))
    moves = any(plan == "move" for plan, _ in stages)
    assert ["kubeconfigs"] * moves == [remark.where for remark in found.remarks]


def test_all_ask_at_the_old_endpoint_until_the_new_one_is_up(site: Site) -> None:
    site.runs()
    folder = site.write(CLUSTER.replace(PLAIN, CARRIED))
    script = (folder / "second.sh").read_text("utf-8")
    for stage, lines in {
        "1": ("ENDPOINT='api.example.com:6443'", "ENDPOINT_NEXT='10.0.0.60:6443'"),
        "2": ("ENDPOINT='10.0.0.60:6443'",),
    }.items():
        env = laid(script, f"{stage}.env")
        assert not [line for line in lines if f"AIRSEED_{line}\n" not in f"{env}\n"], stage
    # the certificate has both names as long as somebody asks by the old one
    assert "  certSANs:\n  - api.example.com\n" in laid(script, "1.yaml")
    assert "api.example.com" not in laid(script, "2.yaml")


@pytest.mark.parametrize(("by", "count"), [(CARRIED, 3), (PROXIED, 5)])
def test_machines_hear_of_a_control_plane_before_it_joins(site: Site, by: str, count: int) -> None:
    site.runs(CLUSTER.replace(PLAIN, by))
    text = CLUSTER.replace(PLAIN, by)
    _, found = site.find(text + FOURTH)
    assert found.change is not None
    (stage,) = found.change.stages
    assert (found.change.id, stage.plan, len(stage.nodes)) == ("001-endpoint", "endpoint", count)
    assert stage.reason == "other control planes are behind the endpoint in cluster.yaml"
    assert [remark.where for remark in found.remarks] == ["nodes.fourth"]
    # it is no member yet, and who has left is forgotten by a change of its own
    assert "fourth" not in found.change.after.by_name
    third = "  - {name: third, role: control-plane, address: 10.0.0.3}\n"
    _, found = site.find(text.replace(third, ""))
    assert found.change is not None
    assert found.change.id == "001-leave-third"
    assert [remark.where for remark in found.remarks] == ["endpoint.planes"]
    record.write(site.folder / "seeds", found.change.after)
    _, found = site.find(text.replace(third, ""))
    assert found.change is not None
    assert [(s.plan, len(s.nodes)) for s in found.change.stages] == [("endpoint", count - 1)]


def test_a_control_plane_that_is_seeded_already_is_not_waited_for(site: Site) -> None:
    """It knows the others by its seed, and is not to start before they know it."""
    text = CLUSTER.replace(PLAIN, CARRIED)
    site.runs(text)
    plan = plans.plan(text + FOURTH)
    record.seeded(site.folder / "seeds", plan, ["fourth"], not_booted=False, reporter=Silent())
    _, found = site.find(text + FOURTH)
    assert found.change is not None
    assert found.change.nodes == ("first", "second", "third")
    assert found.change.after == record.state(plan)


def test_an_id_is_the_value_of_a_label(site: Site) -> None:
    """Which has 63 characters at most, and a letter or a digit at both ends."""
    site.runs()
    text = CLUSTER.replace(PLAIN, CARRIED).replace("1.18.5", "1.19.5") + "changes: {from: 1.18.5}\n"
    text = text.replace("docker, version: 19.03.9", "containerd, version: 1.2.13")
    _, found = site.find(text, renew=90)
    assert found.change is not None
    assert found.change.id == "001-endpoint-keepalived-move-renew-90-days-runtime-containerd-1"
    workers = "  - {name: worker, role: worker, address: 10.0.0.4}\n"
    third = "  - {name: third, role: control-plane, address: 10.0.0.3}\n"
    _, found = site.find(CLUSTER.replace(workers, "").replace(third, ""))
    assert found.change is not None
    assert found.change.id == "001-leave-third-leave-worker"


class Warnings(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, text: str, *, hint: str | None = None) -> None:
        self.said.append(f"{text}; {hint}")


def test_a_seed_by_which_no_machine_can_join_is_said(site: Site) -> None:
    site.runs()
    running = record.read(site.folder / "seeds")
    assert running is not None
    other = "sha256:" + "0" * 64
    record.write(site.folder / "seeds", replace(running, authority=other))
    warnings, plan = Warnings(), plans.plan(CLUSTER + FOURTH)
    record.seeded(site.folder / "seeds", plan, ["fourth"], not_booted=False, reporter=warnings)
    (said,) = warnings.said
    assert said.startswith("the authority in secrets/ is not that of the cluster that runs: ")
    record.seeded(site.folder / "seeds", plan, ["fourth"], not_booted=True, reporter=warnings)
    assert warnings.said == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CLUSTER, 0),
        (CLUSTER.replace("1.18.5", "1.19.5"), 1),
        (CLUSTER + "registry: registry.example.com\n", 1),
        (CLUSTER + "network: {services: 10.99.0.0/16}\n", 1),
    ],
)
def test_what_seeds_say_and_the_record_does_not_is_said(site: Site, text: str, said: int) -> None:
    """Else who edits cluster.yaml before any machine has booted learns of it when it is late."""
    site.runs()
    warnings, plan = Warnings(), plans.plan(text)
    names = [node.name for node in plan.cluster.nodes]
    record.seeded(site.folder / "seeds", plan, names, not_booted=False, reporter=warnings)
    warning = (
        "what is recorded to run stays as it was: a machine that has booted ignores another seed; "
        "`airseed changes` says what is to be done; if no machine has booted yet: "
        "`airseed seeds --not-booted`"
    )
    assert warnings.said == said * [warning]
    record.seeded(site.folder / "seeds", plan, names, not_booted=True, reporter=warnings)
    assert len(warnings.said) == said


def test_who_seeds_a_machine_anew_before_it_was_taken_out_is_told(site: Site) -> None:
    """Else `airseed changes` finds nothing to do, and etcd keeps a member that is gone."""
    site.runs()
    anew = CLUSTER.replace("name: third,", "name: third, generation: 2,")
    warnings, plan = Warnings(), plans.plan(anew)
    names = [node.name for node in plan.cluster.nodes]
    record.seeded(site.folder / "seeds", plan, names, not_booted=False, reporter=warnings)
    (said,) = warnings.said
    assert said.startswith("no change took the earlier third out of the cluster; ")
    record.seeded(site.folder / "seeds", plans.plan(CLUSTER), names, not_booted=False,
                  reporter=Silent())  # fmt: skip
    _, found = site.find(anew)  # its hint holds
    assert found.change is not None
    assert found.change.id == "001-leave-third"


def test_a_seed_of_a_control_plane_that_nobody_expects_is_said(site: Site) -> None:
    site.runs(CLUSTER.replace(PLAIN, CARRIED))
    plan = plans.plan(CLUSTER.replace(PLAIN, CARRIED) + FOURTH)
    warnings = Warnings()
    record.seeded(site.folder / "seeds", plan, ["fourth"], not_booted=False, reporter=warnings)
    (said,) = warnings.said
    assert said == (
        "the machines that run do not know fourth as control planes behind 10.0.0.60:6443, which "
        "they keep up; apply that change first (`airseed changes`), then start these"
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (CARRIED, CARRIED.replace("60", "61"), "keepalived keeps up 10.0.0.60:6443"),
        (CARRIED, PROXIED, "keepalived keeps up 10.0.0.60:6443"),
        (CARRIED, CARRIED.replace("keepalived", "kube-vip"), "no machine has two that do so"),
    ],
)
def test_two_endpoints_that_are_kept_up_are_refused(
    site: Site, before: str, after: str, said: str
) -> None:
    site.runs(CLUSTER.replace(PLAIN, before))
    with pytest.raises(UsageError) as caught:
        site.find(CLUSTER.replace(PLAIN, after))
    assert [fault.where for fault in caught.value.faults] == ["endpoint"]
    assert said in caught.value.faults[0].what


FIRST = "  - {name: first, role: control-plane, address: 10.0.0.1}\n"
LED = "machine: {hosts: {10.0.0.1: [api.example.com]}}\n"


@pytest.mark.parametrize(
    ("text", "goes", "said"),
    [
        (CLUSTER.replace(PLAIN, "endpoint: first"), "", "first has the cluster's endpoint"),
        (CLUSTER + LED, "", "first has the cluster's endpoint"),
        (
            CLUSTER.replace(PLAIN, "endpoint: first"),
            FIRST.replace("first,", "one, was: first,"),
            "first is the cluster's endpoint, too: every kubelet asks by that name",
        ),
    ],
)
def test_whose_name_is_asked_at_stays(site: Site, text: str, goes: str, said: str) -> None:
    """Not only by whose address."""
    site.runs(text)
    with pytest.raises(UsageError) as caught:
        site.find(text.replace(FIRST, goes))
    (fault,) = caught.value.faults
    assert fault.what.startswith(said)
    _, found = site.find(CLUSTER.replace(PLAIN, "endpoint: 10.0.0.2") if goes else text)
    assert (found.change is not None) == bool(goes)


def test_a_name_is_free_before_another_machine_gets_it(site: Site) -> None:
    site.runs()
    other = "  - {name: other, role: worker, address: 10.0.0.5}\n"
    text = CLUSTER.replace("name: worker,", "name: other, was: worker,").replace(other, "")
    with pytest.raises(UsageError) as caught:
        site.find(text)
    said = "was: worker, and another machine that runs is called other"
    assert said in [fault.what for fault in caught.value.faults]
    # a machine may be called as another one was
    renamed = CLUSTER.replace("name: worker,", "name: better, was: worker,")
    site.runs(renamed)
    _, found = site.find(renamed + "  - {name: worker, role: worker, address: 10.0.0.7}\n")
    assert [remark.where for remark in found.remarks] == ["nodes.worker"]
