"""User-data: what stands in it, who may read it, and that nothing in cluster.yaml can bend it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plans
import pytest
import yaml

from builder.assets import tree
from builder.errors import AirseedError, DocumentError
from builder.model.machine import Machine, MachineFile, Proxy, User
from builder.render.cloudinit import keys
from builder.render.cloudinit.values import env
from builder.render.seed import seed

if TYPE_CHECKING:
    from builder.model.cluster import Node
    from builder.render.plan import Plan

HOSTILE = "a'b\"c\\d {{ x }} {% y %} $(touch /tmp/z) `id` # & : - ü 😀 \x85 \u2028\n\tend\n\n"
HASH = "$6$salt$hash"
WRITTEN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJYyZ2hvc3Q ops"
SCHEMA = Path(__file__).parents[4] / "shared/upstream/cloud-init/26.2-schema-cloud-config-v1.json"


def document(plan: Plan, node: Node | None = None) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(seed(plan, node or plan.first)["user-data"])
    return loaded


def laid(plan: Plan, node: Node | None = None) -> dict[str, tuple[bytes, str, str | None]]:
    """Return content, permissions and owner of every file by its path, as cloud-init decodes it."""
    found = {}
    for entry in document(plan, node)["write_files"]:
        raw = entry["content"].encode()
        content = base64.b64decode(raw, validate=True) if entry.get("encoding") == "b64" else raw
        assert entry["path"] not in found
        assert isinstance(entry["permissions"], str)
        found[entry["path"]] = (content, entry["permissions"], entry.get("owner"))
    return found


def with_machine(plan: Plan, **values: Any) -> Plan:
    return replace(plan, cluster=replace(plan.cluster, machine=Machine(**values)))


def sourced(text: bytes, folder: Path) -> dict[str, str]:
    """Read an env file by bash and return what it says."""
    (folder / "node.env").write_bytes(text)
    each = 'for name in "${!AIRSEED_@}"; do printf "%s=%s\\0" "$name" "${!name}"; done'
    script = f"set -eu; . ./node.env; {each}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert done.stderr == b""
    return dict(one.split("=", 1) for one in done.stdout.decode().split("\0") if one)


@pytest.fixture
def ha() -> Plan:
    return plans.plan(plans.example("ha"))


@pytest.fixture(params=range(5))
def any_node(request: pytest.FixtureRequest, ha: Plan) -> Node:
    return ha.cluster.nodes[request.param]


def test_it_is_a_cloud_config_with_nothing_that_an_old_one_stumbles_over(
    ha: Plan, any_node: Node
) -> None:
    text = seed(ha, any_node)["user-data"].decode("ascii")
    assert text.splitlines()[0] == "#cloud-config"
    assert "template: jinja" not in text
    assert {*document(ha, any_node)} == {
        "hostname",
        "fqdn",
        "preserve_hostname",
        "manage_etc_hosts",
        "write_files",
        "bootcmd",
        "runcmd",
    }
    assert document(ha, any_node)["hostname"] == any_node.name
    assert document(ha, any_node)["fqdn"] == any_node.name


def test_the_keys_that_are_checked_are_those_that_yaml_finds(ha: Plan) -> None:
    plan = with_machine(
        ha,
        users=(User(name="ops", password=HASH, sudo=True, groups=("wheel",)),),
        files=(MachineFile(path="/a", content="  key: value\n- b: c\nd: e\n", owner="daemon"),),
        ssh_keys=(WRITTEN,),
    )
    text = seed(plan, plan.first)["user-data"].decode()
    loaded = yaml.safe_load(text)
    expected: set[tuple[str, str | None]] = {(key, None) for key in loaded}
    for key in ("write_files", "users"):
        entries = (entry for entry in loaded[key] if isinstance(entry, dict))
        expected |= {(key, inner) for entry in entries for inner in entry}
    assert {*keys.keys_of(text)} == expected


def test_a_key_that_the_system_does_not_know_or_run_is_refused(ha: Plan) -> None:
    known = ha.choice.cloud_init
    text = (
        "#cloud-config\nntp:\n  servers: []\nwireguard: {}\nwrite_files:\n"
        '  - path: "/a"\n    append: true\n    encoding: zstd\n    content: |2\n      defer: x\n'
    )
    with pytest.raises(AirseedError) as caught:
        keys.check(text, known, where="user-data of a")
    assert str(caught.value) == ("user-data of a: cloud-init 18.2 does not understand all of it")
    assert [str(fault) for fault in caught.value.faults] == [
        "ntp: the module ntp does not run",
        "wireguard: unknown key",
        (
            "write_files[].append: unknown key (expected one of content, encoding, owner, path,"
            " permissions)"
        ),
        "write_files[].encoding: zstd is not decoded",
    ]


def test_the_scripts_are_there_verbatim(ha: Plan, any_node: Node) -> None:
    folder = tree("cloudinit-templates") / "node"
    files = laid(ha, any_node)
    for path in folder.rglob("*"):
        if (
            path.is_file()
            and path.suffix != ".md"
            # nothing keeps up this cluster's endpoint
            and not re.search(rb"^# seed: (none|by) ", path.read_bytes(), re.MULTILINE)
        ):
            name = path.relative_to(folder).as_posix()
            unit = path.parent == folder and path.suffix == ".service"
            place = f"/etc/systemd/system/{name}" if unit else f"/usr/libexec/airseed/{name}"
            content, permissions, owner = files[place]
            assert content == path.read_bytes()
            assert permissions == ("0755" if path.read_bytes().startswith(b"#!") else "0644")
            assert owner is None
    assert "/etc/systemd/system/airseed-bootstrap.service" in files
    laid_down = "/var/lib/cloud/instance/airseed-laid"
    wanted = "/etc/systemd/system/multi-user.target.wants/airseed-bootstrap.service"
    assert document(ha, any_node)["bootcmd"] == [
        [
            "sh",
            "-c",
            f"test -e {laid_down} && test -e {wanted} || rm -rf /var/lib/cloud/instance/sem",
        ]
    ]
    assert document(ha, any_node)["runcmd"] == [
        ["sh", "-c", f"sync && touch {laid_down} && sync"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "airseed-bootstrap.service"],
        ["systemctl", "start", "--no-block", "airseed-bootstrap.service"],
    ]


def test_who_gets_which_file(ha: Plan) -> None:
    own = {
        "/etc/airseed/node.env": "0644",
        "/etc/airseed/hosts": "0644",
        "/etc/airseed/images.map": "0644",
        "/etc/airseed/kubeadm.yaml": "0600",
        "/etc/airseed/pki/ca.crt": "0644",
    }
    for node in ha.cluster.nodes:
        files = {p: m for p, (_, m, _) in laid(ha, node).items() if p.startswith("/etc/airseed")}
        key = {"/etc/airseed/pki/ca.key": "0600"} if node.name == "k8s01" else {}
        assert files == {**own, **key}


def test_shared_keys_go_to_the_first_node_alone() -> None:
    text = plans.example("ha") + "pki: {files: pki}\n"
    plan = plans.plan(text, shared={"sa.pub": "P\n", "sa.key": "S\n", "etcd/ca.key": "E\n"})
    files = laid(plan)
    pki = {path.removeprefix("/etc/airseed/pki/"): mode for path, (_, mode, _) in files.items()
           if "/pki/" in path}  # fmt: skip
    assert pki == {
        "ca.crt": "0644",
        "ca.key": "0600",
        "etcd/ca.key": "0600",
        "sa.key": "0600",
        "sa.pub": "0644",
    }
    for node in plan.cluster.nodes[1:]:
        assert [p for p in laid(plan, node) if "/pki/" in p] == ["/etc/airseed/pki/ca.crt"]


def test_the_env_file_says_what_the_plan_says(ha: Plan, tmp_path: Path) -> None:
    values = sourced(laid(ha)["/etc/airseed/node.env"][0], tmp_path)
    assert {
        name: values[f"AIRSEED_{name}"] for name in ("CLUSTER", "NODE", "ROLE", "GENERATION")
    } == {
        "CLUSTER": "cluster.local",
        "NODE": "k8s01",
        "ROLE": "init",
        "GENERATION": "1",
    }
    assert values["AIRSEED_PEERS"] == "10.211.55.49 10.211.55.50"
    assert values["AIRSEED_CONTROL_PLANES"] == "k8s01 k8s02 k8s03"
    assert values["AIRSEED_WINDOW"] == "86400"
    assert values["AIRSEED_ENDPOINT"] == "10.211.55.48:6443"
    assert values["AIRSEED_SUMS"] == plans.SUMS.hex
    assert values["AIRSEED_SANDBOX_IMAGE"] == "k8s.gcr.io/pause:3.2"
    assert "kubeadm-1.18.5-0.x86_64" in values["AIRSEED_PACKAGES"].split()
    worker = sourced(laid(ha, ha.cluster.nodes[4])["/etc/airseed/node.env"][0], tmp_path)
    assert {*worker} == {*values}
    assert worker["AIRSEED_ROLE"] == "worker"
    assert [worker[f"AIRSEED_{name}"] for name in ("PEERS", "CONTROL_PLANES", "WINDOW")] == [""] * 3


@pytest.mark.parametrize(
    ("node", "more", "untaint"),
    [
        ("", "", "1"),
        (", taints: []", "", "1"),
        (", taints: ['x:NoSchedule']", "", ""),
        ("", "[{key: node-role.kubernetes.io/master, effect: NoSchedule}]", ""),
        ("", "[]", "1"),
    ],
)
def test_a_lone_node_keeps_the_taints_that_its_user_says(
    node: str, more: str, untaint: str
) -> None:
    text = f"kubernetes: 1.18.5\nnodes: [{{name: a, role: control-plane{node}}}]\n"
    if more:
        text += f"kubeadm: {{InitConfiguration: {{nodeRegistration: {{taints: {more}}}}}}}\n"
    plan = plans.plan(text)
    assert f"AIRSEED_UNTAINT='{untaint}'\n" in env(plan, plan.first)


def test_no_secret_stands_in_the_env_file(ha: Plan, any_node: Node) -> None:
    env = laid(ha, any_node)["/etc/airseed/node.env"][0].decode()
    assert plans.TOKEN not in env
    assert plans.CERTIFICATE_KEY not in env


def test_whatever_a_cluster_says_survives(ha: Plan, tmp_path: Path) -> None:
    plan = with_machine(
        ha,
        files=(
            MachineFile(path=f"/x/{HOSTILE}", content=HOSTILE),
            MachineFile(path="/plain", content="\n  two {{ braces }}\n\ttab $(id)\n\n\n"),
            MachineFile(path="/binary", source="b"),
            MachineFile(path="/empty", content=""),
        ),
        before=(HOSTILE,),
        users=(User(name=HOSTILE, ssh_keys=(HOSTILE,), groups=(HOSTILE,), shell=HOSTILE),),
        ssh_keys=(HOSTILE,),
        ntp=(HOSTILE,),
        proxy=Proxy(http=HOSTILE, no=(HOSTILE,)),
        hosts={"10.0.0.9": ("name",)},
    )
    nodes = (replace(plan.first, name=HOSTILE), *plan.cluster.nodes[1:])
    cluster = replace(plan.cluster, name=HOSTILE, nodes=nodes)
    plan = replace(plan, cluster=cluster, files={"b": bytes(range(256))})
    loaded = document(plan)
    assert loaded["hostname"] == HOSTILE
    assert loaded["ssh_authorized_keys"] == [HOSTILE]
    user = loaded["users"][1]
    assert (user["name"], user["shell"], user["groups"]) == (HOSTILE, HOSTILE, [HOSTILE])
    files = laid(plan)
    assert files[f"/x/{HOSTILE}"][0].decode() == HOSTILE
    assert files["/plain"][0] == b"\n  two {{ braces }}\n\ttab $(id)\n\n\n"
    assert files["/binary"][0] == bytes(range(256))
    assert files["/empty"][0] == b""
    assert HOSTILE.removesuffix("\n") in files["/etc/airseed/before.sh"][0].decode()
    assert files["/etc/airseed/before.sh"][1] == "0700"
    values = sourced(files["/etc/airseed/node.env"][0], tmp_path)
    assert values["AIRSEED_CLUSTER"] == HOSTILE
    assert values["AIRSEED_NODE"] == HOSTILE
    assert values["AIRSEED_NTP"] == HOSTILE
    assert values["AIRSEED_HTTP_PROXY"] == HOSTILE
    meta = yaml.safe_load(seed(plan, plan.first)["meta-data"])
    assert meta == {"instance-id": f"{HOSTILE}-{HOSTILE}-1", "local-hostname": HOSTILE}


def test_accounts_are_made_without_their_hash_in_an_argument_list(ha: Plan) -> None:
    user = User(name="ops", password=HASH, ssh_keys=(WRITTEN,), sudo=True)
    loaded = document(with_machine(ha, users=(user, User(name="eve"))))
    assert loaded["users"] == [
        "default",
        {
            "name": "ops",
            "shell": "/bin/bash",
            "lock_passwd": False,
            "hashed_passwd": HASH,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": [WRITTEN],
        },
        {"name": "eve", "shell": "/bin/bash", "lock_passwd": True},
    ]


def test_files_of_accounts_that_are_made_later_are_installed_when_they_are_there(ha: Plan) -> None:
    plan = with_machine(
        ha,
        users=(User(name="ops"),),
        files=(
            MachineFile(path="/srv/x", content="x\n", owner="ops:wheel", permissions="0640"),
            MachineFile(path="/home/ops/.profile", content="y\n"),
            MachineFile(path="/srv/z", content="z\n", owner="root:centos"),
            MachineFile(path="/srv/root", content="r\n", owner="root:root"),
        ),
    )
    files = laid(plan)
    assert files["/etc/airseed/files/0"] == (b"x\n", "0600", None)
    assert files["/etc/airseed/files/1"] == (b"y\n", "0600", None)
    assert files["/etc/airseed/files/2"] == (b"z\n", "0600", None)
    assert files["/srv/root"] == (b"r\n", "0644", None)
    assert document(plan)["runcmd"][2][1:6] == ["-D", "-o", "root", "-g", "centos"]
    assert document(plan)["runcmd"][:2] == [  # before what says that all is on disk
        [
            "install",
            "-D",
            "-o",
            "ops",
            "-g",
            "wheel",
            "-m",
            "0640",
            "/etc/airseed/files/0",
            "/srv/x",
        ],
        [
            "install",
            "-D",
            "-o",
            "root",
            "-g",
            "root",
            "-m",
            "0644",
            "/etc/airseed/files/1",
            "/home/ops/.profile",
        ],
    ]


def test_packages_of_other_machines_stay_away(tmp_path: Path) -> None:
    text = plans.example("ha").replace(
        "  - name: k8s05\n", "  - name: k8s05\n    machine: {packages: [tcpdump]}\n"
    )
    plan = plans.plan(text)
    locked = tuple(
        replace(one, needed_by=("extra",)) if one.nevra.name == "tcpdump" else one
        for one in plan.lock.packages
    )
    assert len({one.needed_by for one in locked}) == 2
    plan = replace(plan, lock=replace(plan.lock, packages=locked))

    def asked(node: Node) -> list[str]:
        values = sourced(laid(plan, node)["/etc/airseed/node.env"][0], tmp_path)
        return values["AIRSEED_PACKAGES"].split()

    assert "tcpdump-1.0-1.el7.x86_64" in asked(plan.cluster.nodes[4])
    assert [one for one in asked(plan.cluster.nodes[4]) if "tcpdump" not in one] == asked(
        plan.first
    )


REGISTRY = (
    "registry: r.example.com:5000/k8s\nmachine: {registry: {ca: ca.pem, credentials: c.json}}\n"
)


def test_a_registry_brings_its_authority_one_entry_and_the_names_of_images(tmp_path: Path) -> None:
    config = {
        "auths": {
            "https://r.example.com:5000/v1/": {"auth": "b25lOnR3bw=="},
            "other.example.com": {"auth": "c2VjcmV0"},
        }
    }
    files = {"ca.pem": b"PEM\n", "c.json": json.dumps(config).encode()}
    plan = plans.plan(plans.example("ha") + REGISTRY, files=files)
    found = laid(plan)
    assert found["/etc/airseed/registry-ca.pem"][:2] == (b"PEM\n", "0644")
    content, mode, _ = found["/etc/airseed/registry.json"]
    assert json.loads(content) == {"auths": {"r.example.com:5000": {"auth": "b25lOnR3bw=="}}}
    assert mode == "0600"
    lines = found["/etc/airseed/images.map"][0].decode().splitlines()
    assert "k8s.gcr.io/pause:3.2 r.example.com:5000/k8s/pause:3.2" in lines
    assert len(lines) == len(plan.lock.images)
    values = sourced(found["/etc/airseed/node.env"][0], tmp_path)
    assert values["AIRSEED_SANDBOX_IMAGE"] == "r.example.com:5000/k8s/pause:3.2"


@pytest.mark.parametrize(
    ("registry", "host"), [("r.example.com:5000/k8s", "r.example.com"), ("'[fd00::5]'", "fd00::5")]
)
def test_no_proxy_stands_before_the_registry(tmp_path: Path, registry: str, host: str) -> None:
    more = f"registry: {registry}\nmachine: {{proxy: {{https: 'http://proxy:3128'}}}}\n"
    plan = plans.plan(plans.example("ha") + more)
    values = sourced(laid(plan)["/etc/airseed/node.env"][0], tmp_path)
    assert host in values["AIRSEED_NO_PROXY"].split(",")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "this is not JSON (expected a docker config.json)"),
        (b"[]", "this is not a docker config.json (expected auths by registry)"),
        (b'{"auths": {"x": {"auth": "c2VjcmV0"}}}',
         ("there are no credentials for r.example.com:5000"
         " (expected auths with r.example.com:5000)")),
    ],
)  # fmt: skip
def test_credentials_that_do_not_help_are_named_and_not_repeated(
    content: bytes, message: str
) -> None:
    files = {"ca.pem": b"", "c.json": content}
    plan = plans.plan(plans.example("ha") + REGISTRY, files=files)
    with pytest.raises(DocumentError) as caught:
        seed(plan, plan.first)
    assert [str(fault) for fault in caught.value.faults] == [message]
    assert "c2VjcmV0" not in str(caught.value)


def test_the_node_knows_which_files_are_the_users(ha: Plan) -> None:
    files = (MachineFile(path="/etc/a b", content=""), MachineFile(path="/etc/c", content=""))
    plan = with_machine(ha, files=files)
    laid = {file["path"]: file for file in document(plan, plan.first)["write_files"]}
    assert laid["/etc/airseed/user-files"]["content"] == "/etc/a b\n/etc/c\n"
    assert "/etc/airseed/user-files" not in str(document(ha, ha.first)["write_files"])


def test_a_further_worker_changes_no_other_nodes_files(ha: Plan) -> None:
    more = replace(ha.cluster.nodes[4], name="k8s06")
    larger = replace(ha, cluster=replace(ha.cluster, nodes=(*ha.cluster.nodes, more)))
    for node in ha.cluster.nodes:
        assert seed(ha, node) == seed(larger, node)


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the newest schema is not here")
@pytest.mark.parametrize("name", ["ha", "single"])
def test_the_newest_schema_takes_it_too(name: str) -> None:
    import jsonschema

    plan = with_machine(
        plans.plan(plans.example(name)),
        users=(User(name="ops", password=HASH, sudo=True, groups=("wheel",)),),
        files=(
            MachineFile(path="/a", content="\x00"),
            MachineFile(path="/b", content="b\n", owner="x"),
        ),
        ssh_keys=(WRITTEN,),
    )
    schema = jsonschema.Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    for node in plan.cluster.nodes:
        assert [error.message for error in schema.iter_errors(document(plan, node))] == []
    assert [*schema.iter_errors({"users_": []})]


@pytest.mark.parametrize(
    ("said", "role", "values"),
    [
        ("{}", "{}", ("permissive", "off")),
        ("{selinux: enforcing, firewall: ports}", "{}", ("enforcing", "ports")),
        ("{selinux: enforcing, firewall: ports}", "{firewall: off}", ("enforcing", "off")),
        ("{firewall: ports}", "{selinux: disabled}", ("disabled", "ports")),
    ],
)
def test_selinux_and_firewall_reach_the_node(said: str, role: str, values: tuple[str, str]) -> None:
    one = plans.plan(
        f"kubernetes: 1.18.5\nmachine: {said}\nroles: {{control-plane: {{machine: {role}}}}}\n"
        "nodes: [{name: a, role: control-plane, address: 10.0.0.5}]\n"
    )
    text = env(one, one.first)
    assert f"AIRSEED_SELINUX='{values[0]}'\nAIRSEED_FIREWALL='{values[1]}'\n" in text


def test_a_secret_goes_where_it_is_asked_for_and_is_closed() -> None:
    one = plans.plan(plans.example("hardened"))
    for node in one.cluster.nodes:
        written = yaml.safe_load(seed(one, node)["user-data"])["write_files"]
        found = [file for file in written if file["path"] == "/etc/kubernetes/encryption.yaml"]
        if node.role == "worker":
            assert found == []
            assert plans.ENCRYPTION not in str(written)
        else:
            (file,) = found
            assert (file["permissions"], file["content"]) == ("0600", plans.ENCRYPTION)


@pytest.mark.parametrize(
    ("said", "ports"),
    [
        ("20000-22767", ["20000-22767/tcp", "20000-22767/udp"]),
        ("20000+100", ["20000-20100/tcp", "20000-20100/udp"]),
    ],
)
def test_the_firewall_opens_the_ports_of_services_that_there_are(
    said: str, ports: list[str]
) -> None:
    one = plans.plan(
        "kubernetes: 1.18.5\nmachine: {firewall: ports}\ncni: none\n"
        "kubeadm: {ClusterConfiguration: {apiServer: {extraArgs: "
        f"{{service-node-port-range: {said}}}}}}}}}\n"
        "nodes: [{name: a, role: control-plane, address: 10.0.0.5},"
        " {name: b, role: worker, address: 10.0.0.6}]\n"
    )
    for node in one.cluster.nodes:
        (line,) = (line for line in env(one, node).splitlines() if "FIREWALL_PORTS" in line)
        words = line.partition("=")[2].strip("'").split()
        assert [word for word in words if word.startswith(("2000", "3000"))] == ports


@pytest.mark.parametrize(
    ("cni", "role", "ports"),
    [
        ("{name: calico, install: manifest}", "control-plane", ["2379-2380/tcp", "179/tcp"]),
        ("none", "worker", ["10250/tcp", "30000-32767/tcp"]),
    ],
)
def test_the_firewall_gets_the_ports_of_role_and_plugin(
    cni: str, role: str, ports: list[str]
) -> None:
    one = plans.plan(
        f"kubernetes: 1.18.5\nmachine: {{firewall: ports}}\ncni: {cni}\n"
        "nodes: [{name: a, role: control-plane, address: 10.0.0.5},"
        " {name: b, role: worker, address: 10.0.0.6}]\n"
    )
    node = next(node for node in one.cluster.nodes if node.role == role)
    (line,) = (line for line in env(one, node).splitlines() if "FIREWALL_PORTS" in line)
    words = line.partition("=")[2].strip("'").split()
    assert {*ports} <= {*words}
    assert ("6443/tcp" in words) == (role == "control-plane")
    assert ("179/tcp" in words) == (cni != "none")
