"""Paths on a machine that are not the user's: each is refused where cluster.yaml is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from builder import assets
from builder.errors import DocumentError
from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format

if TYPE_CHECKING:
    from builder.model.catalog import Catalog

HEAD = "nodes: [{name: a, role: control-plane, address: 10.0.0.5}]\n"
CONTENT = {"/etc/docker/daemon.json": """'{"exec-opts": ["native.cgroupdriver=systemd"]}'"""}
"""What does not go with first boot is another test's."""
NODE = assets.tree("cloudinit-templates") / "node"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return catalog_format.load()


def faults(
    catalog: Catalog, *paths: str, machine: str = "", more: str = "", kubernetes: str = "1.18.5"
) -> list[str]:
    files = ", ".join(f"{{path: '{path}', content: {CONTENT.get(path, 'x')}}}" for path in paths)
    text = f"kubernetes: {kubernetes}\n{HEAD}machine: {{files: [{files}]{machine}}}\n{more}"
    try:
        cluster_format.read(text, "cluster.yaml", catalog=catalog)
    except DocumentError as error:
        return [f"{fault} ({fault.hint})" for fault in error.faults]
    return []


@pytest.mark.parametrize(
    "path",
    ["/etc/cni/net.d/10-calico.conflist", "/opt/cni/bin/calico-ipam", "/var/lib/calico/nodename"],
)
def test_what_calico_writes_is_its_own_where_there_is_calico(catalog: Catalog, path: str) -> None:
    [fault] = faults(catalog, path)
    assert f"'{path}' is calico's: " in fault
    assert faults(catalog, path, more="cni: none\n") == []
    assert faults(catalog, "/etc/cni/net.d/00-multus.conf") == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/kubernetes/vsphere.conf",
        "/etc/kubernetes/manifests/kube-vip.yaml",
        "/etc/kubernetes/pki/oidc/ca.crt",
        "/etc/containerd/config.toml",
        "/etc/docker/daemon.json",
        "/etc/docker/certs.d/mirror.lan/ca.crt",
        "/etc/sysctl.d/99-site.conf",
        "/etc/modules-load.d/site.conf",
        "/etc/systemd/system/kubelet.service.d/20-site.conf",
        "/etc/systemd/system/docker.service",
        "/etc/yum.repos.d/site.repo",
        "/etc/chrony.conf",
        "/etc/crictl.yaml",
        "/etc/hosts",
        "/var/lib/kubelet/credential-provider.yaml",
        "/var/lib/kubelet/config.json",
        "/opt/cni/bin/own",
    ],
)
def test_what_is_nobodys_is_the_users(catalog: Catalog, path: str) -> None:
    assert faults(catalog, path) == []


def test_every_refusal_says_whose_why_and_what_instead(catalog: Catalog) -> None:
    said = {
        "/etc/kubernetes/manifests/kube-apiserver.yaml": "is kubeadm's: its manifest of the API "
        "server is called so (say it with kubeadm.ClusterConfiguration.apiServer)",
        "/lib/systemd/system/kubelet.service": "is yum's: a package brings it, and the step "
        "packages would replace yours (put a drop-in, or a unit of that name, below "
        "/etc/systemd/system)",
        "/var/run/cloud-init/x": "is cloud-init's: seeds and what became of them are kept there, "
        "until the step finish removes them (take another folder)",
        "/etc/sysconfig/selinux": "is airseed's: the step host sets SELinux there (say it with "
        "machine.selinux)",
        "/run/site.pid": "is linux's: it keeps them in memory, and a reboot takes them away "
        "(lay a file into /etc/tmpfiles.d that makes it at each boot)",
        "/etc/airseed/deep/node.env": "is airseed's: first boot keeps its scripts, values and "
        "state there (take another folder)",
        "/etc/kubernetes": "is a folder: /etc/kubernetes/admin.conf in it is kubeadm's (None)",
        "/var/lib/etcd": "is etcd's: whether a cluster lives is seen by what is there (mount a "
        "disk of its own there, by machine.commands.before)",
    }
    # a file beside it needs it as a folder
    alone = "/etc/kubernetes"
    assert faults(catalog, alone) == [
        f"machine.files[0].path (line 3): {alone!r} {said.pop(alone)}"
    ]
    assert faults(catalog, *said) == [
        f"machine.files[{number}].path (line 3): {path!r} {what}"
        for number, (path, what) in enumerate(said.items())
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("machine: {0}\n", "machine"),
        ("roles: {{worker: {{machine: {0}}}}}\n", "roles.worker.machine"),
        ("roles: {{control-plane: {{machine: {0}}}}}\n", None),
        ("", "nodes[1].machine"),
    ],
)
def test_no_worker_gets_the_api_servers_key(catalog: Catalog, text: str, place: str | None) -> None:
    key = "{files: [{path: /etc/kubernetes/encryption.yaml, secret: encryption-config}]}"
    own = "" if text else f", machine: {key}"
    nodes = (
        "nodes:\n- {name: a, role: control-plane, address: 10.0.0.5}\n"
        f"- {{name: b, role: worker, address: 10.0.0.6{own}}}\n"
    )
    text = f"kubernetes: 1.18.5\nendpoint: 10.0.0.5\n{nodes}{text.format(key)}"
    try:
        cluster_format.read(text, "cluster.yaml", catalog=catalog)
        found = []
    except DocumentError as error:
        found = [f"{fault.where.partition(' (')[0]}: {fault.what}" for fault in error.faults]
    what = "b is a worker, and this is the API server's key to all secrets in etcd"
    assert found == ([f"{place}.files[0].secret: {what}"] if place else [])


def test_no_file_needs_a_folder_where_another_one_is(catalog: Catalog) -> None:
    """On one node, wherever each of the two is said; what no node has both of is nothing."""
    file = "{{files: [{{path: {0}, content: x}}]}}"
    role = f"roles: {{control-plane: {{machine: {file.format('/srv/a/b/c')}}}}}\n"
    assert faults(catalog, "/srv/a", "/srv/ab", "/srv/a/b", "/srv/c/a", more=role) == [
        (
            "machine.files[2].path (line 3): '/srv/a/b' needs a folder where machine.files[0] has"
            " a file (None)"
        ),
        (
            "roles.control-plane.machine.files[0].path (line 4): '/srv/a/b/c' needs a folder where "
            "machine.files[2] has a file (None)"
        ),
    ]
    assert faults(catalog, "/srv/a", more=role.replace("control-plane", "worker")) == []
    own = HEAD.replace("}]", f", machine: {file.format('/srv/a')}}}]")
    text = f"kubernetes: 1.18.5\n{own}{role}"
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(text, "cluster.yaml", catalog=catalog)
    assert [str(fault) for fault in caught.value.faults] == [
        (
            "roles.control-plane.machine.files[0].path (line 3): '/srv/a/b/c' needs a folder where "
            "nodes[0].machine.files[0] has a file"
        )
    ]


@pytest.mark.parametrize("name", ["site/haproxy.yaml", ".haproxy.yaml"])
def test_what_kubelet_passes_by_is_said(catalog: Catalog, name: str) -> None:
    path = f"/etc/kubernetes/manifests/{name}"
    text = f"kubernetes: 1.18.5\n{HEAD}machine: {{files: [{{path: {path}, content: x}}]}}\n"
    remarks = cluster_format.read(text, "cluster.yaml", catalog=catalog).remarks
    assert [remark.what for remark in remarks if remark.where.startswith("machine.files")] == [
        "kubelet passes by hidden files and folders in its manifests"
    ]


def test_what_a_key_makes_airseed_write_is_the_users_without_it(catalog: Catalog) -> None:
    path = "/etc/chrony.conf"
    where = "machine.files[0].path (line 3)"
    what = "the time servers of machine.ntp are written there (leave machine.ntp out)"
    refused = [f"{where}: {path!r} is airseed's: {what}"]
    assert faults(catalog, path, machine=", ntp: [a.example]") == refused
    role = "roles: {control-plane: {machine: {ntp: [a.example]}}}\n"
    assert faults(catalog, path, more=role) == refused
    assert faults(catalog, path, more=role.replace("control-plane", "worker")) == []


def test_the_registrys_own_authorities_are_one_file(catalog: Catalog) -> None:
    paths = [f"/etc/docker/certs.d/{host}/ca.crt" for host in ("reg.lan:5000", "other.lan")]
    registry = "registry: reg.lan:5000/k8s\n"
    assert faults(catalog, *paths, more=registry) == []
    found = faults(catalog, *paths, machine=", registry: {ca: ca.pem}", more=registry)
    assert [text.partition(":")[0] for text in found] == ["machine.files[0].path (line 3)"]


def test_a_name_counts_from_the_release_that_knows_it(catalog: Catalog) -> None:
    path = "/etc/kubernetes/super-admin.conf"
    assert faults(catalog, path) == []
    (found,) = faults(catalog, path, kubernetes="1.29.3")
    assert "is kubeadm's" in found


def test_it_is_found_at_a_role_and_a_node_too(catalog: Catalog) -> None:
    more = "roles: {worker: {machine: {files: [{path: /etc/hostname, content: x}]}}}\n"
    (found,) = faults(catalog, more=more)
    assert found.startswith("roles.worker.machine.files[0].path (line 4): '/etc/hostname' is")


def test_all_that_the_scripts_write_is_in_the_table(catalog: Catalog) -> None:
    """Or is looked at before it is written: the user's own file is kept."""
    kept = {
        *("/etc/fstab", "/etc/hosts", "/etc/resolv.conf", "/etc/docker/daemon.json"),
        *("/etc/containerd/config.toml", "/etc/crictl.yaml", "/etc/yum.conf"),
        *("/root/.docker/config.json", "/root/.kube/config"),
    }
    text = "\n".join(path.read_text("utf-8") for path in NODE.rglob("*.sh"))
    written = set(re.findall(r'\bput(?:_noting \w+)? "\$R"?(/[^" ]+)"', text))
    written |= set(re.findall(r"file=\$R(/etc/[^ $]+)(?: \w+)*$", text, re.MULTILINE))
    assert len(written) > 10
    for path in sorted(written - kept):
        name = path.replace("$(registry_host)", "$registry").replace("$unit.", "kubelet.")
        name = name.replace("$unit", "airseed-x")
        assert any(p.owns(name) or p.pattern == name for p in catalog.paths), path
