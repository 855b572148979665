"""Arguments, feature gates and admission plugins in ``kubeadm:``: does the release know them?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builder.errors import DocumentError, Fault
from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.model.arguments import PLUGINS, Arguments
from builder.model.life import Life, release_in
from builder.model.version import Version

if TYPE_CHECKING:
    from builder.model.catalog import Catalog

WALKTHROUGH = """
kubeadm:
  ClusterConfiguration:
    apiServer:
      extraArgs:
        insecure-port: "0"
        logtostderr: "false"
        enable-admission-plugins: NodeRestriction,PodSecurityPolicy
    controllerManager:
      extraArgs:
        experimental-cluster-signing-duration: 87600h
        pod-eviction-timeout: 2m
  KubeletConfiguration:
    featureGates: {RotateKubeletServerCertificate: true, DynamicKubeletConfig: true}
"""
JWT = "jwt,sign-method=RS256,pub-key=/etc/kubernetes/pki/etcd/ca.crt"
ROTATES = "enable-log-rotation: 'true', log-outputs: /var/lib/etcd/log"
PLACES = {
    "insecure-port": "apiServer.extraArgs.insecure-port",
    "logtostderr": "apiServer.extraArgs.logtostderr",
    "signing": "controllerManager.extraArgs.experimental-cluster-signing-duration",
    "timeout": "controllerManager.extraArgs.pod-eviction-timeout",
    "plugins": "apiServer.extraArgs.enable-admission-plugins",
    "gate": "featureGates.DynamicKubeletConfig",
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return catalog_format.load(())


def faults(catalog: Catalog, version: str, more: str) -> list[Fault]:
    text = f"kubernetes: {version}\nruntime: containerd\n{more}\nnodes:\n"
    text += "  - {name: a, role: control-plane, address: 10.0.0.1}\n"
    try:
        cluster_format.read(text, "cluster.yaml", catalog=catalog)
    except DocumentError as error:
        return list(error.faults)
    return []


def places(found: list[Fault]) -> set[str]:
    return {
        name
        for name, place in PLACES.items()
        if any(fault.where.partition(" ")[0].endswith(place) for fault in found)
    }


@pytest.mark.parametrize(
    ("version", "gone"),
    [
        ("1.18.5", set()),
        ("1.23.17", set()),
        ("1.24.17", {"insecure-port"}),
        ("1.25.16", {"insecure-port", "signing", "plugins"}),
        ("1.26.15", {"insecure-port", "gate", "signing", "plugins", "logtostderr"}),
        ("1.27.16", {*PLACES}),
    ],
)
def test_the_walkthroughs_own_are_found_where_they_went(
    catalog: Catalog, version: str, gone: set[str]
) -> None:
    assert places(faults(catalog, version, WALKTHROUGH)) == gone


def test_a_fault_says_since_when_and_what_to_do(catalog: Catalog) -> None:
    found = {str(fault): fault.hint for fault in faults(catalog, "1.27.16", WALKTHROUGH)}
    start = "kubeadm.ClusterConfiguration."
    assert found == {
        f"{start}apiServer.extraArgs.insecure-port (line 8): kube-apiserver has no argument "
        "--insecure-port since 1.24": "leave it out: the API server answers over TLS alone",
        f"{start}apiServer.extraArgs.logtostderr (line 9): kube-apiserver has no argument "
        "--logtostderr since 1.26": "leave it out: programs write to standard error",
        f"{start}apiServer.extraArgs.enable-admission-plugins (line 10): kube-apiserver has no "
        "admission plugin PodSecurityPolicy since 1.25": "leave it out, and label namespaces "
        "for PodSecurity, which is on by default",
        f"{start}controllerManager.extraArgs.experimental-cluster-signing-duration (line 13): "
        "kube-controller-manager has no argument --experimental-cluster-signing-duration since "
        "1.25": "write cluster-signing-duration, which there is since 1.19",
        f"{start}controllerManager.extraArgs.pod-eviction-timeout (line 14): "
        "kube-controller-manager has no argument --pod-eviction-timeout since 1.27": "set "
        "default-not-ready-toleration-seconds and default-unreachable-toleration-seconds of the "
        "API server",
        "kubeadm.KubeletConfiguration.featureGates.DynamicKubeletConfig (line 16): Kubernetes has "
        "no feature gate DynamicKubeletConfig since 1.26": "leave it out",
    }


@pytest.mark.parametrize(
    ("version", "said", "what", "hint"),
    [
        (
            "1.18.5",
            "apiServer: {extraArgs: {audit-log-maxsice: '1'}}",
            "kube-apiserver knows no argument --audit-log-maxsice",
            "did you mean audit-log-maxsize?",
        ),
        (
            "1.18.5",
            "controllerManager: {extraArgs: {cluster-signing-duration: 1h}}",
            "kube-controller-manager has no argument --cluster-signing-duration before 1.19",
            None,
        ),
        (
            "1.18.5",
            "apiServer: {extraArgs: {audit_log_maxsize: '1'}}",
            None,
            None,
        ),
        (
            "1.22.17",
            "scheduler: {extraArgs: {feature-gates: 'NodeSwap=true,NodeSwop=true'}}",
            "Kubernetes knows no feature gate NodeSwop",
            "did you mean NodeSwap?",
        ),
        (
            "1.23.17",
            "apiServer: {extraArgs: {feature-gates: IPv6DualStack=false}}",
            "the feature gate IPv6DualStack is always true since 1.23",
            "leave it out",
        ),
        ("1.23.17", "apiServer: {extraArgs: {feature-gates: IPv6DualStack=true}}", None, None),
        (
            "1.23.17",
            "featureGates: {EtcdLearnerMode: true}",
            "kubeadm has no feature gate EtcdLearnerMode before 1.27",
            None,
        ),
    ],
)
def test_arguments_and_gates(
    catalog: Catalog, version: str, said: str, what: str | None, hint: str | None
) -> None:
    found = faults(catalog, version, f"kubeadm: {{ClusterConfiguration: {{{said}}}}}")
    assert [(fault.what, fault.hint) for fault in found] == ([(what, hint)] if what else [])


@pytest.mark.parametrize("name", ["{", "{0}", "{}", "a{b"])
def test_braces_are_letters_like_others(catalog: Catalog, name: str) -> None:
    said = f"enable-admission-plugins: '{name}', feature-gates: '{name}=true', '{name}': x"
    found = faults(
        catalog,
        "1.18.5",
        f"kubeadm: {{ClusterConfiguration: {{apiServer: {{extraArgs: {{{said}}}}}}}}}",
    )
    assert [fault.what for fault in found] == [
        f"kube-apiserver knows no admission plugin {name}",
        f"Kubernetes knows no feature gate {name}",
        f"kube-apiserver knows no argument --{name}",
    ]


def test_every_release_on_the_way_is_asked(catalog: Catalog) -> None:
    """1.19 to 1.21 know no such argument, and what is said holds for all that are gone through."""
    said = "apiServer: {extraArgs: {shutdown-send-retry-after: 'true'}}"
    way = f"changes: {{from: 1.20.15}}\nkubeadm: {{ClusterConfiguration: {{{said}}}}}"
    assert faults(catalog, "1.24.17", way.partition("\n")[2]) == []
    (fault,) = faults(catalog, "1.24.17", way)
    assert "has no argument --shutdown-send-retry-after before 1.23 (on the way, at 1.21.14)" in (
        fault.what
    )
    assert fault.hint == "leave it out; or say it once 1.21.14 is behind"


def test_of_releases_that_nobody_looked_at_nothing_is_said(catalog: Catalog) -> None:
    arguments = Arguments(
        release=Version.parse("1.99.0"), tables=catalog.arguments, instead=catalog.instead
    )
    assert [*arguments.misfits("kube-apiserver", "insecure-port", "0", "x")] == []
    assert [*arguments.misfits("etcd", "whatever", "0", "x")] == []
    newer = Arguments(
        release=Version.parse("1.31.0"), tables=catalog.arguments, others={"etcd": (3, 99, 0)}
    )
    assert [*newer.misfits("etcd", "whatever", "0", "x")] == []


@pytest.mark.parametrize(
    ("version", "said", "what", "hint"),
    [
        (
            "1.18.5",
            "quota-backend-byte: '1'",
            "etcd knows no argument --quota-backend-byte",
            "did you mean quota-backend-bytes?",
        ),
        (
            "1.18.5",
            "quota_backend_bytes: '1'",
            "etcd knows no argument --quota_backend_bytes",
            "did you mean quota-backend-bytes?",
        ),
        (
            "1.18.5",
            "no-such: '1'",
            "etcd knows no argument --no-such",
            "Kubernetes 1.18.5 has etcd 3.4.3",
        ),
        (
            "1.22.17",
            "tls-min-version: TLS1.2",
            "etcd has no argument --tls-min-version before 3.5.8",
            "Kubernetes 1.22.17 has etcd 3.5.6",
        ),
        (
            "1.22.17",
            "debug: 'true'",
            "etcd has no argument --debug since 3.5",
            "write log-level: debug",
        ),
        ("1.18.5", "debug: 'true'", None, None),
        ("1.30.0", "tls-min-version: TLS1.2", None, None),
        ("1.18.5", "logger: capnslog", None, None),
        ("1.22.17", "logger: capnslog", "etcd would not start with 'capnslog'", None),
        ("1.18.5", "backend-batch-interval: '5'", "etcd would not start with '5'", None),
        ("1.18.5", "max-wals: '-1'", "etcd would not start with '-1'", None),
        ("1.18.5", "max-wals: '0x10'", None, None),
        ("1.18.5", "quota-backend-bytes: '-1'", None, None),
        ("1.18.5", "version: 'true'", "etcd would not start with 'true'", None),
        ("1.18.5", "auto-compaction-retention: '8'", None, None),
        ("1.18.5", "auto-compaction-retention: 90m", None, None),
        (
            "1.18.5",
            "auto-compaction-retention: daily",
            "etcd would not start with 'daily'",
            None,
        ),
        ("1.18.5", "listen-metrics-urls: 'http://localhost:2381'", None, None),
        (
            "1.18.5",
            "listen-metrics-urls: 'http://etcd:2381'",
            "etcd would not start with 'http://etcd:2381'",
            None,
        ),
        (
            "1.18.5",
            "listen-metrics-urls: '0.0.0.0:2381'",
            "etcd would not start with '0.0.0.0:2381'",
            None,
        ),
        (
            "1.18.5",
            "cipher-suites: TLS_AES_128_GCM_SHA256",
            "etcd would not start with 'TLS_AES_128_GCM_SHA256'",
            "did you mean 'TLS_RSA_WITH_AES_128_GCM_SHA256'?",
        ),
        ("1.22.17", "cipher-suites: TLS_AES_128_GCM_SHA256", None, None),
        ("1.18.5", "election-timeout: '5000', heartbeat-interval: '1000'", None, None),
        (
            "1.18.5",
            "heartbeat-interval: '300'",
            "etcd would not start: 1000 is less than five heartbeats of 300 ms",
            None,
        ),
        ("1.18.5", "auth-token: simple", None, None),
        ("1.18.5", "auth-token: 'simple,ttl'", "etcd would not start with 'simple,ttl'", None),
        ("1.18.5", "auth-token: token", "etcd would not start with 'token'", None),
        ("1.18.5", f"auth-token: '{JWT}'", None, None),
        ("1.18.5", f"auth-token: '{JWT},ttl=10m'", None, None),
        (
            "1.18.5",
            f"auth-token: '{JWT},ttl=ten'",
            "etcd would not start: ttl=ten is not a duration",
            None,
        ),
        ("1.18.5", "auth-token: jwt", "etcd would not start: a jwt needs a sign-method", None),
        (
            "1.18.5",
            "auth-token: 'jwt,sign-method=none'",
            "etcd would not start: 'none' signs no token",
            None,
        ),
        (
            "1.18.5",
            "auth-token: 'jwt,sign-method=ES256'",
            "etcd would not start: a jwt needs pub-key or priv-key",
            None,
        ),
        (
            "1.18.5",
            "auth-token: 'jwt,sign-method=HS256,pub-key=/var/lib/etcd/key'",
            "etcd would not start: a jwt needs priv-key",
            None,
        ),
        (
            "1.18.5",
            "auth-token: 'jwt,sign-method=RS256,pub-key=/etc/ssl/key'",
            "etcd would not start: its pod has no /etc/ssl/key",
            None,
        ),
        ("1.18.5", "cors: '*'", None, None),
        ("1.18.5", "cors: 'https://a.example:443, http://[2001:db8::1]:80'", None, None),
        ("1.18.5", "cors: 'HTTP://a.example:80?x=/1#y%2f,https://u:p@a.example:'", None, None),
        (
            "1.18.5",
            "cors: 'http://a.example:80#%zz'",
            "etcd would not start with 'http://a.example:80#%zz'",
            None,
        ),
        ("1.18.5", "cors: ''", "etcd would not start with no origin", None),
        (
            "1.18.5",
            "cors: 'https://a.example'",
            "etcd would not start with 'https://a.example'",
            None,
        ),
        ("1.18.5", "cors: 'a.example:443'", "etcd would not start with 'a.example:443'", None),
        (
            "1.18.5",
            "cors: 'http://a.example:80/x'",
            "etcd would not start with 'http://a.example:80/x'",
            None,
        ),
        (
            "1.18.5",
            "cors: '*,http://a.example:80'",
            "etcd would not start with '*,http://a.example:80'",
            None,
        ),
        ("1.22.17", 'log-rotation-config-json: \'{"maxsize": 10, "Compress": true}\'', None, None),
        (
            "1.22.17",
            "log-rotation-config-json: '{\"maxsize\": 1.5}', " + ROTATES,
            "etcd would not start: maxsize is of another type",
            None,
        ),
        (
            "1.22.17",
            "log-rotation-config-json: '[1]', " + ROTATES,
            "etcd would not start: not an object of JSON",
            None,
        ),
        ("1.22.17", "log-rotation-config-json: '[1]'", None, None),
        ("1.22.17", "enable-log-rotation: 'F', log-rotation-config-json: no", None, None),
        ("1.22.17", "log-rotation-config-json: ''", None, None),
        ("1.22.17", ROTATES, None, None),
        (
            "1.22.17",
            "enable-log-rotation: 'true'",
            "etcd would not start: it rotates one file, and log-outputs has none",
            None,
        ),
        (
            "1.22.17",
            "enable-log-rotation: 'true', log-outputs: '/a,/b'",
            "etcd would not start: it rotates one file, and log-outputs has 2",
            None,
        ),
        (
            "1.22.17",
            "log-outputs: 'default,/var/lib/etcd/log'",
            "etcd would not start: 'default' is an output alone",
            None,
        ),
        (
            "1.18.5",
            "election-timeout: '2000', heartbeat-interval: '500'",
            "etcd would not start: 2000 is less than five heartbeats of 500 ms",
            None,
        ),
    ],
)
def test_etcds_arguments_go_by_its_own_release(
    catalog: Catalog, version: str, said: str, what: str | None, hint: str | None
) -> None:
    local = f"etcd: {{local: {{extraArgs: {{{said}}}}}}}"
    found = faults(catalog, version, f"kubeadm: {{ClusterConfiguration: {{{local}}}}}")
    assert [(one.what, one.hint) for one in found] == ([(what, hint)] if what else [])


def test_what_rotates_etcds_logs_is_json(catalog: Catalog) -> None:
    for wrong in ("{maxsize: 10}", ""):
        said = f"etcd: {{local: {{extraArgs: {{log-rotation-config-json: '{wrong}', {ROTATES}}}}}}}"
        (fault,) = faults(catalog, "1.22.17", f"kubeadm: {{ClusterConfiguration: {{{said}}}}}")
        assert fault.what.startswith("etcd would not start: not JSON: ")


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ({"AUTH_TOKEN": "jwt"}, 1),
        ({"CORS": "a"}, 1),
        ({"CORS": ""}, 0),
        ({"LOG_ROTATION_CONFIG_JSON": "[]"}, 0),
        ({"ENABLE_LOG_ROTATION": "true"}, 1),
        ({"ENABLE_LOG_ROTATION": "true", "LOG_OUTPUTS": "/var/lib/etcd/log"}, 0),
        (
            {
                "ENABLE_LOG_ROTATION": "true",
                "LOG_OUTPUTS": "/var/lib/etcd/log",
                "LOG_ROTATION_CONFIG_JSON": "[]",
            },
            1,
        ),
    ],
)
def test_etcds_variables_say_no_more_than_arguments(
    catalog: Catalog, said: dict[str, str], count: int
) -> None:
    pairs = [f"{{name: ETCD_{name}, value: '{value}'}}" for name, value in said.items()]
    local = f"etcd: {{local: {{extraEnvs: [{', '.join(pairs)}]}}}}"
    found = faults(catalog, "1.31.0", f"kubeadm: {{ClusterConfiguration: {{{local}}}}}")
    assert len(found) == count
    assert all(fault.what.startswith("etcd would not start") for fault in found)


def test_what_signs_etcds_tokens_goes_by_its_release(catalog: Catalog) -> None:
    said = f"{{name: ETCD_AUTH_TOKEN, value: '{JWT.replace('RS256', 'EdDSA')}'}}"
    local = f"kubeadm: {{ClusterConfiguration: {{etcd: {{local: {{extraEnvs: [{said}]}}}}}}}}"

    def found(catalog: Catalog) -> list[str]:
        return [fault.what for fault in faults(catalog, "1.31.0", local)]

    assert found(catalog) == ["etcd would not start: 'EdDSA' signs no token"]
    series = catalog.kubernetes_series["1.31"]
    tags = {patch: {**tags, "etcd": "3.6.0-0"} for patch, tags in series.tags.items()}
    newer = {**catalog.kubernetes_series, "1.31": replace(series, tags=tags)}
    assert found(replace(catalog, kubernetes_series=newer)) == []


def test_etcds_variables_are_its_arguments(catalog: Catalog) -> None:
    said = "{name: ETCD_QUOTA_BACKEND_BYTES, value: 8G}, {name: GOGC, value: many}"
    local = f"etcd: {{local: {{extraEnvs: [{said}]}}}}"
    (fault,) = faults(catalog, "1.31.0", f"kubeadm: {{ClusterConfiguration: {{{local}}}}}")
    assert fault.what == "etcd would not start with '8G'"


def test_the_catalog_knows_the_etcd_of_each_release(catalog: Catalog) -> None:
    """Of one that is not covered nothing would be checked, and nobody told."""
    table = catalog.arguments["etcd"]
    for series in catalog.kubernetes_series.values():
        for tags in series.tags.values():
            release = release_in(tags["etcd"])
            assert release
            assert table.covers(release)


@pytest.mark.parametrize("name", ["version", "help"])
@pytest.mark.parametrize("program", ["apiServer", "controllerManager", "scheduler"])
def test_a_program_that_only_says_something_is_none(
    catalog: Catalog, program: str, name: str
) -> None:
    said = f"kubeadm: {{ClusterConfiguration: {{{program}: {{extraArgs: {{{name}: 'true'}}}}}}}}"
    (fault,) = faults(catalog, "1.22.17", said)
    assert fault.what.endswith("would not start with 'true'")
    assert faults(catalog, "1.22.17", said.replace("true", "false")) == []


@pytest.mark.parametrize("text", ["", "since", "since 1.20 ", "before 1.20 since 1.19", "1.20"])
def test_what_is_no_life_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not say in which releases"):
        Life.parse(text)


def test_whoever_is_told_what_to_do_instead_had_the_name(catalog: Catalog) -> None:
    for table, names in catalog.instead.items():
        if table == "apis":
            known = {kind for kinds in catalog.apis.values() for kind in kinds}
            assert set(names) <= known
            continue
        for name in names:
            assert catalog.arguments[table].names[name].before is not None, (table, name)
    assert PLUGINS in catalog.arguments
