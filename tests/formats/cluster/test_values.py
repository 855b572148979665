"""With what values in ``kubeadm:`` a program would not start, or would not be reached."""

from __future__ import annotations

import plans
import pytest

from builder.errors import DocumentError, Fault
from builder.formats import cluster as cluster_format
from builder.model.allowed import Allowed

NODES = (
    "  - {name: cp1, role: control-plane, address: 192.0.2.11}\n"
    "  - {name: w1, role: worker, address: 192.0.2.12}\n"
)
KUBELET = "KubeletConfiguration: {%s}"
PROXY = "KubeProxyConfiguration: {%s}"
JOIN = "JoinConfiguration: {nodeRegistration: {kubeletExtraArgs: {%s}}}"
API = "ClusterConfiguration: {apiServer: {extraArgs: {%s}}}"
MANAGER = "ClusterConfiguration: {controllerManager: {extraArgs: {%s}}}"
SCHEDULER = "ClusterConfiguration: {scheduler: {extraArgs: {%s}}}"
ETCD = "ClusterConfiguration: {etcd: {local: {extraArgs: {%s}}}}"


def found(said: str, version: str = "1.18.5", more: str = "") -> list[Fault]:
    text = f"kubernetes: {version}\n{more}nodes:\n{NODES}kubeadm: {{{said}}}\n"
    if version != "1.18.5":
        text += "cni: none\nruntime: containerd\nos: {name: centos, version: 7.9}\n"
    try:
        cluster_format.read(text, "cluster.yaml", catalog=plans.catalog())
    except DocumentError as error:
        return list(error.faults)
    return []


def remarked(said: str, more: str = "") -> list[str]:
    text = f"kubernetes: 1.18.5\n{more}nodes:\n{NODES}kubeadm: {{{said}}}\n"
    read = cluster_format.read(text, "cluster.yaml", catalog=plans.catalog())
    return [str(one) for one in read.remarks]


@pytest.mark.parametrize(
    ("program", "form", "wrong", "right"),
    [
        ("kube-apiserver", API, "v: high", "v: '4'"),
        ("kube-apiserver", API, "profiling: 'off'", "profiling: F"),
        ("kube-apiserver", API, "event-ttl: 1day", "event-ttl: 1h30m"),
        ("kube-apiserver", API, "goaway-chance: often", "goaway-chance: '0.01'"),
        ("kube-apiserver", API, "insecure-bind-address: lo", "insecure-bind-address: '::1'"),
        ("kube-controller-manager", MANAGER, "bind-address: any", "bind-address: 0.0.0.0"),
        ("kube-controller-manager", MANAGER, "kube-api-burst: 1.5k", "kube-api-burst: '0x40'"),
        ("kube-scheduler", SCHEDULER, "leader-elect: ''", "leader-elect: 'true'"),
        ("kubelet", JOIN, "max-open-files: 1M", "max-open-files: '1000000'"),
        ("kubelet", JOIN, "runtime-request-timeout: '90'", "runtime-request-timeout: 90s"),
    ],
)
def test_arguments_hold_what_their_programs_read(
    program: str, form: str, wrong: str, right: str
) -> None:
    [fault] = found(form % wrong)
    value = wrong.partition(": ")[2].strip("'")
    assert (fault.what, bool(fault.expected)) == (f"{program} would not start with {value!r}", True)
    assert found(form % right) == []


@pytest.mark.parametrize(
    "said",
    [
        KUBELET % "readOnlyPort: 70000",
        KUBELET % "enforceNodeAllocatable: [pods, cpu]",
        KUBELET % "oomScoreAdj: -2000",
        KUBELET % "tlsMinVersion: '1.2'",
        KUBELET % "reservedSystemCPUs: all",
        PROXY % "bindAddress: eth0",
        PROXY % "metricsBindAddress: localhost:10249",
        PROXY % "metricsBindAddress: ':10249'",
        PROXY % "healthzBindAddress: 0.0.0.0:0",
        PROXY % "ipvs: {excludeCIDRs: [192.0.2.1]}",
        PROXY % "nodePortAddresses: [192.0.2.1]",
        PROXY % "iptables: {masqueradeBit: 32}",
        JOIN % "oom-score-adj: '5000'",
        JOIN % "enforce-node-allocatable: 'pods,all'",
        API % "audit-log-mode: async",
        API % "service-node-port-range: 40000-30000",
        # from 1.19 on it is known
        API % "tls-cipher-suites: 'TLS_RSA_WITH_AES_128_CBC_SHA,TLS_AES_128_GCM_SHA256'",
    ],
)
def test_values_of_the_right_type_that_end_a_program(said: str) -> None:
    [fault] = found(said)
    assert "would not start with" in fault.what


@pytest.mark.parametrize(
    "said",
    [
        KUBELET % "readOnlyPort: 10255, oomScoreAdj: -1000, tlsMinVersion: VersionTLS12",
        KUBELET % "reservedSystemCPUs: '0,2-3', podPidsLimit: -1",
        PROXY % "nodePortAddresses: [192.0.2.0/24, primary]",
        PROXY % "bindAddress: '::', metricsBindAddress: 0.0.0.0, healthzBindAddress: '[::1]:10256'",
        API % "service-node-port-range: 11000-32767, audit-log-mode: batch",
        API % "tls-cipher-suites: 'TLS_RSA_WITH_AES_128_CBC_SHA, '",
    ],
)
def test_values_that_are_right(said: str) -> None:
    assert found(said) == []


def test_alternatives_are_those_of_the_release() -> None:
    said = KUBELET % "tlsCipherSuites: [TLS_AES_128_GCM_SHA256]"
    assert [fault.where for fault in found(said)] == [
        "kubeadm.KubeletConfiguration.tlsCipherSuites[0] (line 5)"
    ]
    assert found(said, "1.23.17") == []
    misspelt = KUBELET % "tlsCipherSuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265]"
    assert [fault.hint for fault in found(misspelt)] == [
        "did you mean 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'?"
    ]


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (KUBELET % "readOnlyPort: 10250", "10250 is where kubelet listens on cp1"),
        (KUBELET % "readOnlyPort: 6443", "6443 is where kube-apiserver listens on cp1"),
        (JOIN % "read-only-port: '10256'", "10256 is where kube-proxy listens on cp1"),
        (JOIN % "read-only-port: '9099'", "9099 is where calico-node listens on cp1"),
        (PROXY % "metricsBindAddress: 0.0.0.0:10250", "10250 is where kubelet listens on cp1"),
        (PROXY % "healthzBindAddress: 127.0.0.1:10249", "10249 is where kube-proxy listens on cp1"),
        (MANAGER % "port: '10259'", "10259 is where kube-scheduler listens on cp1"),
        (API % "insecure-port: '2379'", "2379 is where etcd listens on cp1"),
        (ETCD % "listen-metrics-urls: 'http://[::]:2380'", "2380 is where etcd listens on cp1"),
        (
            ETCD % "listen-metrics-urls: 'http://localhost:10248'",
            "10248 is where kubelet listens on cp1",
        ),
    ],
)
def test_no_two_programs_of_a_node_have_one_port(said: str, what: str) -> None:
    assert [fault.what for fault in found(said)] == [what]


@pytest.mark.parametrize(
    ("said", "more", "whose"),
    [
        ("6000-7000", "", "6443 of kube-apiserver"),
        ("10250", "", "10250 of kubelet"),
        ("10240+9", "", "10248 of kubelet, 10249 of kube-proxy"),
        ("80-2379", "", "179 of calico, 2379 of etcd"),
        ("5000-5400", "registry: 192.0.2.11:5000", "5000 of the registry"),
        ("5000-5400", "registry: 'CP1:5000/k8s'", "5000 of the registry"),
        ("400-500", "registry: 192.0.2.11/k8s", "443 of the registry"),
        ("70-90", "seed: {url: 'http://192.0.2.11/bundle/'}", "80 of seed.url"),
        ("8000-9000", "seed: {url: 'http://192.0.2.11:8080/'}", "8080 of seed.url"),
        ("8000-9000", "seed: {url: 'http://192.0.2.99:8080/'}", ""),
        ("5000-5400", "registry: 192.0.2.99:5000", ""),
        ("30000-32767", "", ""),
        ("10260-32767", "", ""),
        ("5400-5500", "", "5473 of calico"),
        ("150-200", "", "179 of calico"),
        ("4500-5999", "", "4789 of calico, 5473 of calico"),
        ("5400-5500", "cni: none", ""),
        ("30000-32000", "registry: 192.0.2.11:30500", "30500 of the registry"),
        ("no range", "", None),
    ],
)
def test_services_take_no_port_that_a_node_needs(said: str, more: str, whose: str | None) -> None:
    faults = [
        fault.what for fault in found(API % f"service-node-port-range: {said!r}", more=f"{more}\n")
    ]
    if whose is None:
        assert faults == [f"kube-apiserver would not start with {said!r}"]
    else:
        wanted = f"Services could take ports that cp1 needs itself: {whose}"
        assert faults == ([wanted] if whose else [])


POD = (
    "machine: {files: [{path: /etc/kubernetes/manifests/lb.yaml, content: '{apiVersion: v1, "
    "kind: Pod, metadata: {name: lb}, spec: {containers: [{ports: [{hostPort: %s}]}]}}'}]}"
)


@pytest.mark.parametrize(
    ("more", "where", "whose"),
    [
        (POD % 30443, "machine.files[0].content", "30443 of the static pod lb on cp1"),
        ("registry: 192.0.2.12:32000", "registry", "32000 of the registry on w1"),
        ("seed: {url: 'http://192.0.2.11:30080/'}", "seed.url", "30080 of seed.url on cp1"),
        (POD % 29999, "", ""),
        (f"registry: 192.0.2.12:32768\n{POD % 32768}", "", ""),
        ("registry: 192.0.2.99:32000", "", ""),
    ],
)
@pytest.mark.parametrize("said", ["", API % "service-node-port-range: 30000-32767"])
def test_a_port_of_the_users_among_the_usual_ones_of_services(
    said: str, more: str, where: str, whose: str
) -> None:
    assert [fault.what for fault in found(said, more=f"{more}\n")] == []
    remarks = [one for one in remarked(said, f"{more}\n") if "Service" in one]
    what = f"a Service could get {whose}, and take it over (expected a port outside 30000-32767)"
    assert remarks == ([f"{where} (line 2): {what}"] if where else [])


@pytest.mark.parametrize(
    "said",
    [
        PROXY % "metricsBindAddress: 0.0.0.0:10249, healthzBindAddress: '[::]:10256'",
        PROXY % "metricsBindAddress: 127.0.0.2:10248",
        ETCD % "listen-metrics-urls: 'http://0.0.0.0:2381'",
        MANAGER % "port: '0'",
        # they change places
        PROXY % "metricsBindAddress: 127.0.0.1:10256, healthzBindAddress: 127.0.0.1:10249",
    ],
)
def test_ports_of_their_own(said: str) -> None:
    assert found(said) == []


def test_a_port_counts_on_the_nodes_that_have_both() -> None:
    taken = "roles: {worker: {kubeadm: {%s}}}\n"
    read = JOIN % "read-only-port: '6443'"
    assert found(KUBELET % "", more=taken % read) == []
    read = JOIN % "read-only-port: '10249'"
    [fault] = found(KUBELET % "", more=taken % read)
    assert fault.what == "10249 is where kube-proxy listens on w1"


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("resolvConf: /run/systemd/resolve/stub-resolv.conf", "resolvConf"),
        ("enforceNodeAllocatable: [pods, kube-reserved]", "enforceNodeAllocatable[1]"),
        (
            "enforceNodeAllocatable: [system-reserved], systemReservedCgroup: /system.slice",
            "systemReservedCgroup",
        ),
        ("cgroupRoot: /kube", "cgroupRoot"),
        ("cgroupsPerQOS: false", "cgroupsPerQOS"),
        ("reservedSystemCPUs: 0-1, kubeReservedCgroup: /kube", "reservedSystemCPUs"),
        ("systemCgroups: /system", "systemCgroups"),
        ("resolvConf: /run/systemd/resolve/resolv.conf", "resolvConf"),
    ],
)
def test_what_kubelet_needs_on_its_machine(said: str, place: str) -> None:
    assert [fault.where for fault in found(KUBELET % said)] == [
        f"kubeadm.KubeletConfiguration.{place} (line 5)"
    ]


def test_what_the_user_makes_there() -> None:
    made = (
        (
            "machine:\n  before: ['mkdir -p /sys/fs/cgroup/cpuset/kube.slice']\n"
            "  files: [{path: /etc/pods.conf, content: 'nameserver 192.0.2.53'}]\n"
        )
        .replace("before:", "commands: {before:")
        .replace("']\n  files", "']}\n  files")
    )
    said = (
        "cgroupRoot: /, resolvConf: /etc/pods.conf, kubeReservedCgroup: /kube.slice, "
        "enforceNodeAllocatable: [pods, kube-reserved]"
    )
    assert found(KUBELET % said, more=made) == []
    assert len(found(KUBELET % said)) == 1
    enforced = KUBELET % "enforceNodeAllocatable: [kube-reserved]"
    elsewhere = ", InitConfiguration: {nodeRegistration: {kubeletExtraArgs: {%s}}}"
    named = elsewhere % "kube-reserved-cgroup: /kube"
    assert found(enforced + named, more=made) == []


@pytest.mark.parametrize(
    ("said", "version", "refused"),
    [
        ("api/all=false", "1.18.5", True),
        ("api/all=false,v1=true", "1.23.17", True),
        ("apps/v1=false", "1.18.5", True),
        ("v1=off", "1.18.5", True),
        ("certificates.k8s.io/v1beta1=false", "1.18.5", True),
        ("api/beta=false", "1.18.5", True),
        ("certificates.k8s.io/v1beta1=false", "1.23.17", False),
        ("batch/v1beta1=false,batch/v2alpha1=true,api/alpha=false", "1.18.5", False),
        ("api/all=true", "1.18.5", False),
        ("batch/v1beta1=0,api/alpha=False,extensions/v1beta1/daemonsets=false", "1.18.5", False),
        ("apps/v1=F", "1.18.5", True),
    ],
)
def test_what_the_cluster_itself_asks_for_is_served(said: str, version: str, refused: bool) -> None:
    assert bool(found(API % f"runtime-config: '{said}'", version)) == refused


@pytest.mark.parametrize(
    "said",
    [
        KUBELET % "resolvConf: /etc/pods.conf",
        KUBELET % "tlsCertFile: /etc/pods.conf",
        JOIN % "resolv-conf: /etc/pods.conf",
    ],
)
def test_a_file_that_nobody_lays_is_the_images(said: str) -> None:
    [remark] = remarked(said)
    assert "nothing here lays /etc/pods.conf on cp1: the machine's image must have it" in remark
    laid = "machine: {files: [{path: /etc/pods.conf, content: x}]}\n"
    assert remarked(said, laid) == []


def test_a_control_planes_program_reads_what_its_pod_has() -> None:
    [fault] = found(API % "audit-policy-file: /etc/kubernetes/audit.yaml")
    assert fault.what == "kube-apiserver would not start: its pod has no /etc/kubernetes/audit.yaml"
    assert found(SCHEDULER % "config: /etc/kubernetes/pki/s.yaml") != []
    assert found(API % "oidc-ca-file: /etc/kubernetes/pki/oidc.crt") == []
    [remark] = remarked(API % "oidc-ca-file: /etc/kubernetes/pki/oidc.crt")
    assert "nothing here lays /etc/kubernetes/pki/oidc.crt on cp1" in remark
    assert remarked(API % "kubelet-certificate-authority: /etc/kubernetes/pki/ca.crt") == []
    mounted = (
        "ClusterConfiguration: {apiServer: {extraArgs: {audit-policy-file: /k/audit.yaml}, "
        "extraVolumes: [{name: a, hostPath: /etc/k8s/, mountPath: /k}]}}"
    )
    [remark] = remarked(mounted)
    assert "nothing here lays /etc/k8s/audit.yaml on cp1" in remark
    laid = "machine: {files: [{path: /etc/k8s/audit.yaml, content: x}]}\n"
    assert remarked(mounted, laid) == []


@pytest.mark.parametrize(
    "said",
    [
        API % "etcd-servers-overrides: '/events#https://192.0.2.9:2379'",
        API % "etcd-prefix: /other",
        API % "allow-privileged: 'false'",
        API % "disable-admission-plugins: 'PodNodeSelector, ServiceAccount'",
        API % "enable-admission-plugins: AlwaysDeny",
        API % "endpoint-reconciler-type: none",
        ETCD % "quota-backend-bytes: 8G",
        ETCD % "log-level: verbose",
        PROXY % "clientConnection: {kubeconfig: /etc/proxy.conf}",
        KUBELET % "protectKernelDefaults: true",
        KUBELET % "containerLogMaxSize: ten",
        JOIN % "protect-kernel-defaults: 'true'",
        JOIN % "runonce: 'true'",
        JOIN % "enable-server: 'false'",
        JOIN % "manifest-url: http://192.0.2.9/pods",
        JOIN % "authorization-mode: RBAC",
        JOIN % "network-plugin: kubenet",
        JOIN % "cni-conf-dir: /etc/cni/other",
    ],
)
def test_with_what_a_node_would_not_work(said: str) -> None:
    assert len(found(said)) == 1


def test_what_else_makes_it_right() -> None:
    kernel = "vm.overcommit_memory = 1, kernel.panic = 10"
    laid = f"machine: {{files: [{{path: /etc/sysctl.d/50-cis.conf, content: '{kernel}'}}]}}\n"
    assert found(KUBELET % "protectKernelDefaults: true", more=laid) == []
    assert found(JOIN % "network-plugin: kubenet", more="cni: none\n") == []
    assert found(JOIN % "cni-bin-dir: '/opt/cni/bin,/usr/libexec/cni'") == []
    assert found(MANAGER % "leader-elect: 'false'") == []
    second = NODES.replace("w1, role: worker", "cp2, role: control-plane")
    said = MANAGER % "leader-elect: 'false'"
    text = f"kubernetes: 1.18.5\nendpoint: api.lan\nnodes:\n{second}kubeadm: {{{said}}}\n"
    with pytest.raises(DocumentError, match="1 mistake"):
        cluster_format.read(text, "cluster.yaml", catalog=plans.catalog())


@pytest.mark.parametrize(
    ("version", "policy", "refused"),
    [("1.23.17", "Always", True), ("1.23.17", "Sometimes", True), ("1.23.17", "Never", False)],
)
def test_kubeadm_pulls_nothing_where_nothing_serves(
    version: str, policy: str, refused: bool
) -> None:
    said = f"JoinConfiguration: {{nodeRegistration: {{imagePullPolicy: {policy}}}}}"
    assert bool(found(said, version)) == refused


@pytest.mark.parametrize(
    ("said", "node"),
    [
        (PROXY % "metricsBindAddress: 192.0.2.11:10249", "w1"),
        (PROXY % "bindAddress: 192.0.2.12", "cp1"),
        (KUBELET % "readOnlyPort: 0" + ", " + PROXY % "healthzBindAddress: 192.0.2.99", "cp1"),
    ],
)
def test_an_address_to_listen_on_is_each_nodes_own(said: str, node: str) -> None:
    [fault] = found(said)
    assert f"could not listen on {node}: it has no 192.0.2." in fault.what
    # of one machine not every address is known
    assert found(SCHEDULER % "bind-address: 192.0.2.99") == []


@pytest.mark.parametrize("text", ["", "0 to", "list of", "a b", "x since", "since 1.19"])
def test_what_does_not_say_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="does not say"):
        Allowed.parse(text)
