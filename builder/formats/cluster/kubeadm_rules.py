"""What ``kubeadm:`` says, checked like the same thing in a key of cluster.yaml.

An argument is checked in either form: in a mapping, and in a list of names and values.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from builder.formats.cluster import etcd_rules, kubelet_rules
from builder.formats.cluster.terms import DNS_NAME, taint
from builder.formats.reading import MisfitError
from builder.model.arguments import FALSE, TRUE
from builder.model.catalog.lookup import either

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.formats.cluster.setting import Setting

_CLUSTER = "ClusterConfiguration"
_NODES = ("InitConfiguration", "JoinConfiguration")
_KUBELET = "KubeletConfiguration"
_BETA_ENDS = 22
"""From this minor on nothing of the cluster's own needs a beta API."""
_BETA = re.compile(r"api/beta|[a-z0-9.-]+/v[0-9]+beta[0-9]+")
_BETA_GROUPS = ("api", "certificates.k8s.io", "discovery.k8s.io", "policy", "storage.k8s.io")
_OTHERS = re.compile(r"api/alpha|[a-z0-9.-]+/v[0-9]+alpha[0-9]+|[^/]+/[^/]+/[^/]+")
"""Alpha APIs, and single resources of one."""
_ADDRESS = re.compile(r"[0-9.]+")
_VOLUME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FILE_TYPES = (
    "", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", "CharDevice",
    "BlockDevice",
)  # fmt: skip


def check(kind: str, way: tuple[str, ...], setting: Setting) -> None:
    """Check one value at its way through a document of a kind."""
    rule = _RULES.get((kind, way))
    if rule is not None:
        rule(setting)


def _sans(setting: Setting) -> None:
    """Addresses and names, of which the first part may be ``*``, are what kubeadm takes."""
    for at, name in setting.entries:
        if name is None:
            continue  # said elsewhere
        try:
            ip_address(str(name))
        except ValueError:
            if not re.fullmatch(rf"(?:\*\.)?{DNS_NAME}", str(name)) or _ADDRESS.fullmatch(
                str(name)
            ):
                setting.wrong(
                    f"{str(name)[:60]!r} is not a name for a certificate",
                    at=at,
                    expected="an address, or a name without scheme and port",
                )


def _volumes(setting: Setting) -> None:
    """Check what a pod is invalid with, or would lack."""
    own = setting.release.programs.volumes.get(setting.path.split(".")[-2], {})
    places, names = dict.fromkeys(own, "kubeadm"), dict.fromkeys(own.values(), "kubeadm")
    for at, volume in setting.entries:
        if not isinstance(volume, dict):
            continue
        name, host, place, kind = (
            str(volume.get(key) or "") for key in ("name", "hostPath", "mountPath", "pathType")
        )
        for key, value, seen in (("name", name, names), ("mountPath", place.rstrip("/"), places)):
            if value in seen:
                setting.wrong(f"{value[:80]!r} is {seen[value]}'s already", at=f"{at}.{key}")
            elif value:
                seen[value] = f"{setting.path}{at}"
        if name and not _VOLUME.fullmatch(name):
            expected = "lower-case letters, digits and dashes"
            what = f"{name[:80]!r} is not a name for a volume"
            setting.wrong(what, at=f"{at}.name", expected=expected)
        if host and (not host.startswith("/") or ".." in host.split("/")):
            setting.wrong(f"{host[:80]!r} is not an absolute path", at=f"{at}.hostPath")
        if kind not in _FILE_TYPES:
            expected = " or ".join(_FILE_TYPES[1:])
            setting.wrong(f"there is no {kind[:80]!r}", at=f"{at}.pathType", expected=expected)


def _taints(setting: Setting) -> None:
    for at, entry in setting.entries:
        if isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values()):
            value = f"={entry['value']}" if entry.get("value") else ""
            try:
                taint(f"{entry.get('key', '')}{value}:{entry.get('effect', '')}")
            except MisfitError as misfit:
                setting.wrong(str(misfit), at=at, hint=misfit.hint)


def _admission(setting: Setting) -> None:
    if "AlwaysDeny" in setting.words:
        setting.wrong("AlwaysDeny refuses whatever is asked for", hint="leave it out")
    if setting.cluster.registry is None and "AlwaysPullImages" in setting.words:
        setting.wrong(
            "AlwaysPullImages has each image pulled, and without registry nothing serves any",
            hint="leave it out, or set registry",
        )


def _admitted(setting: Setting) -> None:
    if "ServiceAccount" in setting.words:
        setting.wrong("without ServiceAccount no pod has a token, and the cluster's own need one")


def _leader(setting: Setting) -> None:
    if str(setting.value).lower() in FALSE and len(setting.cluster.control_planes) > 1:
        what = "the same would be done on each control plane at once"
        setting.wrong(what, expected="true, with more than one control plane")


def _pulls(setting: Setting) -> None:
    if setting.value == "Always" and setting.cluster.registry is None:
        what = "kubeadm would pull each image, and without registry nothing serves any"
        setting.wrong(what, expected="IfNotPresent or Never")


def _apis(setting: Setting) -> None:
    """Check what the API server is not to serve: whoever needs it would wait for ever."""
    old = setting.release.version.minor < _BETA_ENDS
    for pair in filter(None, setting.words):
        name, _, value = pair.partition("=")
        needed = not _BETA.fullmatch(name) or (old and name.partition("/")[0] in _BETA_GROUPS)
        if value and value.lower() not in {*FALSE, *TRUE}:
            setting.wrong(f"{pair[:80]!r} is not a setting", expected="NAME=true or false")
        elif value.lower() in FALSE and needed and not _OTHERS.fullmatch(name):
            setting.wrong(
                f"without {name[:80]} kubeadm, kubelets or the cluster's own pods do not get on",
                hint="turn off what nobody needs, by its name: batch/v1beta1=false",
            )


def _mode(setting: Setting) -> None:
    version = setting.release.version
    modes = setting.release.programs.proxy_modes
    known = [mode for mode, life in modes.items() if life.is_known((version.major, version.minor))]
    text = str(setting.value)
    if text and known and text not in known:
        what = f"{text[:40]!r} does not go with first boot: kube-proxy knows no such mode here"
        setting.wrong(what, expected=either(known))


_RULES: dict[tuple[str, tuple[str, ...]], Callable[[Setting], None]] = {
    **{
        (kind, ("nodeRegistration", "kubeletExtraArgs", name)): rule
        for kind in _NODES
        for name, rule in kubelet_rules.ARGUMENTS.items()
    },
    **{(kind, ("nodeRegistration", "taints")): _taints for kind in _NODES},
    **{(kind, ("nodeRegistration", "imagePullPolicy")): _pulls for kind in _NODES},
    **{(kind, ("patches", "directory")): kubelet_rules.on_machine for kind in _NODES},
    (_CLUSTER, ("apiServer", "certSANs")): _sans,
    (_CLUSTER, ("etcd", "local", "serverCertSANs")): _sans,
    (_CLUSTER, ("etcd", "local", "peerCertSANs")): _sans,
    **{(_CLUSTER, way): rule for way, rule in etcd_rules.WAYS.items()},
    (_CLUSTER, ("apiServer", "extraArgs", "runtime-config")): _apis,
    (_CLUSTER, ("apiServer", "extraArgs", "enable-admission-plugins")): _admission,
    (_CLUSTER, ("apiServer", "extraArgs", "admission-control")): _admission,
    (_CLUSTER, ("apiServer", "extraArgs", "disable-admission-plugins")): _admitted,
    (_CLUSTER, ("controllerManager", "extraArgs", "leader-elect")): _leader,
    (_CLUSTER, ("scheduler", "extraArgs", "leader-elect")): _leader,
    (_CLUSTER, ("apiServer", "extraVolumes")): _volumes,
    (_CLUSTER, ("controllerManager", "extraVolumes")): _volumes,
    (_CLUSTER, ("scheduler", "extraVolumes")): _volumes,
    (_KUBELET, ()): kubelet_rules.document,
    (_KUBELET, ("clusterDNS",)): kubelet_rules.dns_servers,
    (_KUBELET, ("cgroupRoot",)): kubelet_rules.cgroup,
    (_KUBELET, ("resolvConf",)): kubelet_rules.resolver,
    (_KUBELET, ("tlsCertFile",)): kubelet_rules.on_machine,
    (_KUBELET, ("tlsPrivateKeyFile",)): kubelet_rules.on_machine,
    (_KUBELET, ("protectKernelDefaults",)): kubelet_rules.kernel,
    (_KUBELET, ("maxPods",)): kubelet_rules.most_pods,
    ("KubeProxyConfiguration", ("mode",)): _mode,
}
