"""What first boot stands on, and what ``kubeadm:`` says like a key of cluster.yaml."""

from __future__ import annotations

from pathlib import Path

import plans
import pytest

from builder.errors import DocumentError
from builder.formats import cluster as cluster_format
from builder.render.cloudinit.values import env
from builder.render.kubeadm import documents

CASES = Path(__file__).parents[4] / "shared/cases"
NODES = (
    "  - {name: cp1, role: control-plane, address: 192.0.2.11}\n"
    "  - {name: w1, role: worker, address: 192.0.2.12}\n"
    "  - {name: w2, role: worker, address: 192.0.2.13}\n"
)


def found(kubeadm: str, version: str = "1.18.5", more: str = "") -> list[str]:
    text = f"kubernetes: {version}\n{more}nodes:\n{NODES}kubeadm: {kubeadm}\n"
    if version != "1.18.5":
        text += "cni: none\nruntime: containerd\nos: {name: centos, version: 7.9}\n"
    return faults(text)


def faults(text: str) -> list[str]:
    try:
        cluster_format.read(text, "cluster.yaml", catalog=plans.catalog())
    except DocumentError as error:
        return [f"{fault.where}: {fault.what}" for fault in error.faults]
    return []


def arguments(component: str, name: str, value: str, *, listed: bool) -> str:
    one = f"[{{name: {name}, value: '{value}'}}]" if listed else f"{{{name}: '{value}'}}"
    if component == "kubelet":
        return f"{{JoinConfiguration: {{nodeRegistration: {{kubeletExtraArgs: {one}}}}}}}"
    inner = f"{{extraArgs: {one}}}"
    if component == "etcd":
        inner = f"{{local: {inner}}}"
    return f"{{ClusterConfiguration: {{{component}: {inner}}}}}"


def test_an_external_etcd_is_refused_with_the_reason() -> None:
    said = "{ClusterConfiguration: {etcd: {external: {endpoints: ['https://192.0.2.31:2379']}}}}"
    assert found(said) == [
        (
            "kubeadm.ClusterConfiguration.etcd.external (line 6): first boot does not know a"
            " cluster with it: first boot's guard against a second cluster, and what it does after"
            " a power cut, rely on a member of etcd on each control plane"
        )
    ]


@pytest.mark.parametrize(
    "said",
    [
        "{KubeletConfiguration: {staticPodPath: /etc/pods}}",
        "{KubeletConfiguration: {port: 10251}}",
        "{KubeletConfiguration: {healthzPort: 1}}",
        "{KubeletConfiguration: {clusterDomain: other.local}}",
        "{KubeletConfiguration: {authentication: {x509: {clientCAFile: /etc/ca.crt}}}}",
        "{KubeProxyConfiguration: {clusterCIDR: 10.0.0.0/8}}",
        "{ClusterConfiguration: {etcd: {local: {dataDir: /data}}}}",
        "{ClusterConfiguration: {certificatesDir: /pki}}",
        "{InitConfiguration: {localAPIEndpoint: {bindPort: 8443}}}",
        "{JoinConfiguration: {discovery: {file: {kubeConfigPath: /x}}}}",
    ],
)
def test_another_shape_of_a_cluster_is_refused(said: str) -> None:
    (fault,) = found(said)
    assert "airseed sets" in fault or "first boot does not know" in fault


@pytest.mark.parametrize(
    "said",
    [
        "{KubeletConfiguration: {containerRuntimeEndpoint: unix:///x.sock}}",
        "{KubeletConfiguration: {registerWithTaints: [{key: a, effect: NoSchedule}]}}",
        "{InitConfiguration: {dryRun: true}}",
        "{ClusterConfiguration: {featureGates: {ControlPlaneKubeletLocalMode: true}}}",
    ],
)
def test_what_newer_releases_have_is_refused_there(said: str) -> None:
    (fault,) = found(said, "1.31.1")
    assert "airseed sets" in fault or "first boot" in fault


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("component", "name", "value"),
    [
        ("etcd", "listen-client-urls", "https://0.0.0.0:2379"),
        ("etcd", "data-dir", "/data"),
        ("apiServer", "etcd-servers", "https://192.0.2.31:2379"),
        ("apiServer", "bind-address", "127.0.0.1"),
        ("apiServer", "anonymous-auth", "false"),
        ("apiServer", "authorization-mode", "AlwaysAllow"),
        ("apiServer", "tls-cert-file", "/x.crt"),
        ("apiServer", "secure-port", "8443"),
        ("controllerManager", "secure-port", "1"),
        ("kubelet", "pod-manifest-path", "/etc/pods"),
        ("kubelet", "register-node", "false"),
        ("kubelet", "node-labels", "node-role.kubernetes.io/worker="),
        ("kubelet", "node-labels", "a=b,kubernetes.io/x=y"),
        ("kubelet", "node-labels", "-=x"),
        ("kubelet", "cluster-dns", "10.0.0.10"),
        ("kubelet", "max-pods", "100000"),
        ("kubelet", "node-ip", "192.0.2.99"),
        ("controllerManager", "node-cidr-mask-size", "16"),
        ("controllerManager", "node-cidr-mask-size", "x"),
        ("controllerManager", "node-cidr-mask-size-ipv4", "17"),
        ("controllerManager", "node-cidr-mask-size", "33"),
        ("controllerManager", "node-cidr-mask-size-ipv6", "64"),
    ],
)
def test_an_argument_in_either_form(component: str, name: str, value: str, listed: bool) -> None:
    version = "1.31.1" if listed else "1.18.5"
    said = arguments(component, name, value, listed=listed)
    told = found(said, version, "network: {pods: 10.240.0.0/16, services: 10.96.0.0/16}\n")
    assert len(told) == 1, told
    assert "(line 7)" in told[0]
    assert name in told[0] or "[0]" in told[0]


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("component", "name", "value"),
    [
        ("apiServer", "anonymous-auth", "True"),
        ("apiServer", "bind-address", "::"),
        ("apiServer", "authorization-mode", "Node,RBAC,Webhook"),
        ("kubelet", "node-labels", "example.com/a=b,c=d"),
        ("kubelet", "cluster-dns", "169.254.20.10"),
        ("kubelet", "cluster-dns", "10.96.0.10"),
        ("kubelet", "max-pods", "250"),
        ("controllerManager", "node-cidr-mask-size", "18"),
        ("controllerManager", "node-cidr-mask-size", "26"),
    ],
)
def test_an_argument_that_goes(component: str, name: str, value: str, listed: bool) -> None:
    version = "1.31.1" if listed else "1.18.5"
    said = arguments(component, name, value, listed=listed)
    more = "network: {pods: 10.240.0.0/16, services: 10.96.0.0/16}\n"
    assert found(said, version, more) == []


def dual(four: str, six: str, pods: str = "fd00:10:244::/108") -> list[str]:
    return faults(
        "kubernetes: 1.21.14\n"
        f"network: {{pods: ['{pods}', 10.244.0.0/16],"
        " services: ['fd00:10:96::/112', 10.96.0.0/12]}\nnodes:\n"
        "  - {name: a, role: control-plane, address: ['fd00:26::1', 192.0.2.11]}\n"
        "  - {name: b, role: worker, address: ['fd00:26::2', 192.0.2.12]}\n"
        "kubeadm: {ClusterConfiguration: {controllerManager: {extraArgs:"
        f" {{node-cidr-mask-size-ipv4: '{four}', node-cidr-mask-size-ipv6: '{six}'}}}}}}}}\n"
    )


@pytest.mark.parametrize(
    ("said", "version", "what"),
    [
        (arguments("etcd", "data_dir", "/x", listed=False), "1.18.5", "does not know a cluster"),
        (arguments("etcd", "wal-dir", "/x", listed=False), "1.18.5", "does not know a cluster"),
        (arguments("etcd", "--data-dir", "/x", listed=True), "1.31.0", "'--data-dir' is not the"),
        (arguments("apiServer", "secure_port", "1", listed=True), "1.31.0", "sets this itself"),
        (
            arguments("apiServer", "enable-admission-plugins", "AlwaysPullImages", listed=False),
            "1.18.5",
            "AlwaysPullImages has each image pulled, and without registry nothing serves any",
        ),
        (
            arguments("controllerManager", "controllers", "*,-nodeipam", listed=False),
            "1.18.5",
            "without the bootstrap signer",
        ),
        ("{KubeletConfiguration: {address: 192.0.2.11}}", "1.18.5", "all nodes read the same"),
        (
            (
                "{ClusterConfiguration: {etcd: {local: {extraEnvs: "
                "[{name: ETCD_FORCE_NEW_CLUSTER, value: x}]}}}}"
            ),
            "1.31.0",
            "does not know a cluster",
        ),
    ],
)
def test_the_same_said_another_way(said: str, version: str, what: str) -> None:
    (fault,) = found(said, version)
    assert what in fault


def test_an_argument_that_has_each_image_pulled_goes_with_a_registry() -> None:
    said = arguments("apiServer", "enable-admission-plugins", "AlwaysPullImages", listed=False)
    assert found(said, more="registry: reg.lan:5000\n") == []


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("node-cidr-mask-size-ipv4: '24'", "is not allowed beside node-cidr-mask-size"),
        ("allocate-node-cidrs: 'false'", ""),
    ],
)
def test_the_size_of_a_range_said_twice_or_for_nothing(more: str, what: str) -> None:
    said = f"{{controllerManager: {{extraArgs: {{node-cidr-mask-size: '33', {more}}}}}}}"
    told = found(f"{{ClusterConfiguration: {said}}}")
    assert [what in fault for fault in told] == ([True] if what else [])


@pytest.mark.parametrize(
    ("said", "whats"),
    [
        (
            "{ClusterConfiguration: {apiServer: {certSANs: ['::1', '*.a', 'a://x', 10.0.0.999]}}}",
            ["apiServer.certSANs[2]", "apiServer.certSANs[3]"],
        ),
        (
            "{InitConfiguration: {nodeRegistration: {taints: [{key: a, effect: N}, {key: b}]}}}",
            ["nodeRegistration.taints[0]", "nodeRegistration.taints[1]"],
        ),
        ("{KubeProxyConfiguration: {mode: ipsv}}", ["mode"]),
        ("{KubeProxyConfiguration: {mode: ipvs}}", []),
    ],
)
def test_what_kubeadm_and_kubelet_would_refuse_on_the_machine(said: str, whats: list[str]) -> None:
    where = [fault.partition(" ")[0].partition("Configuration.")[2] for fault in found(said)]
    assert where == whats


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ("{topologyManagerPolicy: numa, hairpinMode: veth}", ["topologyManagerPolicy", "hairpin"]),
        ("{cpuManagerPolicy: fast, authorization: {mode: RBAC}}", ["cpuManagerPolicy", "author"]),
        ("{evictionHard: {disk.available: 1Gi, nodefs.available: 1Gi}}", ["evictionHard.disk."]),
        ("{evictionSoft: {memory.available: 1Gi}}", ["evictionSoft.memory.available"]),
        (
            "{evictionSoft: {pid.available: '9'}, evictionSoftGracePeriod: {pid.available: 1m}}",
            [],
        ),
        ("{imageGCHighThresholdPercent: 70}", ["imageGCHighThresholdPercent"]),
        ("{imageGCLowThresholdPercent: 85}", ["imageGCLowThresholdPercent"]),
        ("{imageGCHighThresholdPercent: 70, imageGCLowThresholdPercent: 60}", []),
        ("{cpuManagerPolicy: static}", ["cpuManagerPolicy"]),
        ("{cpuManagerPolicy: static, systemReserved: {cpu: 500m}}", []),
        ("{cpuManagerPolicy: static, reservedSystemCPUs: '0'}", []),
        ("{evictionHard: {memory.available: lots}}", ["evictionHard.memory.available"]),
        ("{evictionHard: {memory.available: 10.5%, nodefs.available: 1.5Gi}}", []),
        ("{kubeReserved: {memory: 10%}, systemReserved: {cpu: 100m}}", ["kubeReserved.memory"]),
    ],
)
def test_with_what_kubelet_would_not_start(said: str, places: list[str]) -> None:
    faults = found(f"{{KubeletConfiguration: {said}}}")
    assert len(faults) == len(places), faults
    for fault, place in zip(sorted(faults), sorted(places), strict=True):
        assert place in fault
        assert "kubelet would not start with" in fault


@pytest.mark.parametrize("listed", [False, True])
def test_the_same_as_an_argument(listed: bool) -> None:
    version = "1.31.5" if listed else "1.18.5"
    said = arguments("kubelet", "topology-manager-policy", "numa", listed=listed)
    [fault] = found(said, version)
    assert "kubelet would not start with" in fault


@pytest.mark.parametrize(("address", "good"), [("192.0.2.12", True), ("192.0.2.13", False)])
def test_the_address_of_a_node_is_its_own(address: str, good: bool) -> None:
    """Another node's would have two kubelets say that they are at one address."""
    said = f"{{nodeRegistration: {{kubeletExtraArgs: {{node-ip: {address}}}}}}}"
    own = f"name: w1, kubeadm: {{JoinConfiguration: {said}}},"
    told = faults(f"kubernetes: 1.18.5\nnodes:\n{NODES.replace('name: w1,', own)}")
    assert [f"{address!r}" not in fault for fault in told] == ([] if good else [False])


@pytest.mark.parametrize(
    ("mode", "version", "goes"),
    [
        ("userspace", "1.25.16", True),
        ("userspace", "1.26.15", False),
        ("nftables", "1.31.5", False),
        ("iptables", "1.31.5", True),
    ],
)
def test_modes_of_kube_proxy_by_release(mode: str, version: str, goes: bool) -> None:
    assert (found(f"{{KubeProxyConfiguration: {{mode: {mode}}}}}", version) == []) == goes


def test_controllers_with_those_that_joining_needs() -> None:
    some = "*,bootstrapsigner,tokencleaner,-nodeipam"
    assert found(arguments("controllerManager", "controllers", some, listed=False)) == []


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("ResetConfiguration", "kubeadm reset alone reads it"),
        (
            "KubeSchedulerConfiguration",
            (
                "lay it down with machine.files, and name it in "
                "ClusterConfiguration.scheduler.extraArgs and extraVolumes"
            ),
        ),
    ],
)
def test_a_kind_that_something_else_reads(kind: str, hint: str) -> None:
    text = f"kubernetes: 1.18.5\nnodes:\n{NODES}kubeadm: {{{kind}: {{}}}}\n"
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(text, "cluster.yaml", catalog=plans.catalog())
    assert [fault.hint for fault in caught.value.faults] == [hint]


def test_the_size_of_a_nodes_range_is_what_is_said() -> None:
    assert dual("24", "120") == []
    assert dual("24", "120", "fd00:10:244::/112") == []
    assert [fault.partition(" (line")[0] for fault in dual("16", "108")] == [
        "kubeadm.ClusterConfiguration.controllerManager.extraArgs.node-cidr-mask-size-ipv6",
        "kubeadm.ClusterConfiguration.controllerManager.extraArgs.node-cidr-mask-size-ipv4",
    ]
    # more than 16 bits between
    assert len(dual("24", "125", "fd00:10:244::/108")) == 1


def test_phases_to_skip_go_with_airseeds_own() -> None:
    text = (
        "kubernetes: {}\nnodes:\n" + NODES + "kubeadm:\n"
        "  InitConfiguration: {skipPhases: [addon/kube-proxy]}\n"
        "  JoinConfiguration: {skipPhases: [preflight]}\n"
    )
    for version in ("1.18.5", "1.28.2"):
        rest = "cni: none\nruntime: containerd\nos: {name: centos, version: 7.9}\n"
        plan = plans.plan(text.replace("{}", version, 1) + (rest if version != "1.18.5" else ""))
        first, worker, _ = plan.cluster.nodes
        assert "AIRSEED_SKIP_PHASES='addon/kube-proxy'\n" in env(plan, first)
        assert "AIRSEED_SKIP_PHASES='preflight'\n" in env(plan, worker)
        for node in (first, worker):
            assert all("skipPhases" not in one for one in documents(plan, node))


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("InitConfiguration: {skipPhases: [etcd]}", "first boot cannot leave out 'etcd'"),
        ("InitConfiguration: {skipPhases: [addons]}", "first boot cannot leave out 'addons'"),
        ("JoinConfiguration: {skipPhases: [kubelet-start]}", "cannot leave out 'kubelet-start'"),
        ("JoinConfiguration: {skipPhases: preflight}", "text is not allowed here"),
        ("InitConfiguration: {skipPhases: [[x]]}", "first boot cannot leave out a list"),
    ],
)
def test_a_phase_that_first_boot_needs(said: str, fault: str) -> None:
    (told,) = found(f"{{{said}}}")
    assert fault in told


@pytest.mark.parametrize(
    ("argument", "good"),
    [
        ("eviction-hard: 'memory.available<plenty'", False),
        ("eviction-hard: 'memory.available=1Gi'", False),
        ("eviction-hard: 'memory.available<5%,nodefs.available<1Gi'", True),
        ("system-reserved: 'cpu=100m,memory=10%'", False),
        ("kube-reserved: 'cpu=100m,memory=1Gi'", True),
    ],
)
def test_amounts_as_arguments(argument: str, good: bool) -> None:
    said = found(
        f"{{JoinConfiguration: {{nodeRegistration: {{kubeletExtraArgs: {{{argument}}}}}}}}}"
    )
    assert ["has no amount" in one for one in said] == [True] * (not good)


@pytest.mark.parametrize(
    ("volumes", "whats"),
    [
        ("{name: a, hostPath: /a, mountPath: /etc/kubernetes/pki/}", ["'/etc/kubernetes/pki' is"]),
        ("{name: k8s-certs, hostPath: /a, mountPath: /a}", ["'k8s-certs' is kubeadm's already"]),
        ("{name: a, mountPath: /a}, {name: a, mountPath: /a}", ["'a' is", "'/a' is"]),
        ("{name: A_a, hostPath: a}", ["'A_a' is not a name", "'a' is not an absolute path"]),
        (
            "{name: a, hostPath: /a/../b, pathType: file}",
            ["'/a/../b' is", "there is no 'file'"],
        ),
        ("{name: a, hostPath: /a, mountPath: /a, pathType: FileOrCreate}", []),
    ],
)
def test_volumes_with_which_no_pod_starts(volumes: str, whats: list[str]) -> None:
    said = found(f"{{ClusterConfiguration: {{apiServer: {{extraVolumes: [{volumes}]}}}}}}")
    assert len(said) == len(whats)
    for fault, what in zip(said, whats, strict=True):
        assert f": {what}" in fault or f"): {what}" in fault


@pytest.mark.skipif(not CASES.is_dir(), reason="no cases beside this checkout")
def test_what_people_have_tried() -> None:
    def told(case: str) -> list[str]:
        return [fault.partition(" (line")[0] for fault in faults((CASES / case).read_text())]

    assert "kubeadm.ClusterConfiguration.etcd.external" in told("02-external-etcd/cluster.yaml")
    assert told("09-overlay-checks/b.yaml") == []
    assert told("09-overlay-checks/d.yaml") == [
        "kubeadm.ClusterConfiguration.controllerManager.extraArgs.node-cidr-mask-size",
        "kubeadm.JoinConfiguration.nodeRegistration.kubeletExtraArgs.node-labels",
    ]


@pytest.mark.parametrize("role", ["master", "Master", "controlplane", "server"])
def test_a_role_by_another_name_gets_ours(role: str) -> None:
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(f"kubernetes: 1.18.5\nnodes: [{{name: a, role: {role}}}]\n", "c")
    assert [fault.hint for fault in caught.value.faults] == ["write control-plane"]


@pytest.mark.parametrize("version", ["1.32", "v1.18", "1.18.x", "{version: 1.20}"])
def test_a_series_is_no_release(version: str) -> None:
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(f"kubernetes: {version}\nnodes: [{{name: a, role: worker}}]\n", "c")
    fault = caught.value.faults[0]
    assert fault.what.endswith("names a series, not a release")
    assert fault.hint is not None
    assert "airseed versions lists the releases of 1." in fault.hint
