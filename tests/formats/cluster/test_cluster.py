from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from mutate import mutants

from builder.assets import tree
from builder.errors import DocumentError, Fault
from builder.formats import cluster as cluster_format
from builder.formats.text import decode, yaml_document
from builder.model.cluster import (
    Base,
    Cni,
    Endpoint,
    Extra,
    ExtraFile,
    ExtraManifest,
    Network,
    Node,
    NodeAddress,
    Runtime,
    System,
    Taint,
)
from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.model.reference import Reference
from builder.model.registry import Registry
from builder.model.version import Version

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = ["single", "ha"]
SMALL = """\
kubernetes: 1.18.5
nodes:
  - {name: a, role: control-plane}
"""
FULL = """\
version: 1
name: prod
kubernetes: v1.19.5
os:
  name: centos
  version: 7.6
  base: {packages: image.txt}
platforms: [linux/amd64, linux/arm64]
runtime: containerd
cni: {name: calico, version: 3.18, install: manifest}
network:
  pods: [10.244.0.0/16, fd00:10:244::/56]
  services: [10.96.0.0/16, "fd00:10:96::/112"]
  domain: example.internal
endpoint: api.example.com
registry: registry.example.com:5000/k8s
nodes:
  - name: k8s01
    role: control-plane
    address: [10.0.0.1/24, fd00::1]
    mac: 52-54-00-AB-CD-EF
    interface: eth0
    labels: {disk: ssd, example.com/zone: 1, empty: ""}
    taints: [dedicated=db:NoSchedule, {key: gpu, effect: NoExecute}]
  - {name: k8s02, role: worker, address: [10.0.0.2, fd00::2], taints: []}
extra:
  images: [nginx:1.25, "quay.io/a/b@sha256:%s"]
  packages: [chrony, htop-2.2.0]
  files:
    - https://files.example.com/a/tool.tgz?x=1
    - {source: local/motd, path: etc/motd, sha256: %s}
  manifests:
    - https://files.example.com/one.yaml
    - {source: two.yaml, sha256: "sha256:%s"}
""" % (("0123456789abcdef" * 4,) * 3)
SERIES = "write its patch, too: airseed versions lists the releases of "


def example(name: str) -> str:
    return (tree("mirrors") / "examples" / f"{name}.yaml").read_text(encoding="utf-8")


def faults(text: str) -> list[Fault]:
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(text, "cluster.yaml")
    return list(caught.value.faults)


def only(text: str) -> Fault:
    found = faults(text)
    assert len(found) == 1, found
    return found[0]


def without_line(fault: Fault) -> tuple[str, str, str | None, str | None]:
    return fault.where.partition(" (line")[0], fault.what, fault.expected, fault.hint


def test_two_keys_are_enough() -> None:
    read = cluster_format.read(SMALL, "cluster.yaml")
    cluster = read.cluster
    assert read.remarks == ()
    assert cluster.name == "kubernetes"
    assert cluster.kubernetes == Version(1, 18, 5)
    assert (cluster.os, cluster.runtime, cluster.cni) == (System(), Runtime(), Cni())
    assert cluster.platforms == (Platform("linux", "amd64"),)
    assert cluster.network == Network(
        pods=(ip_network("192.168.0.0/16"),), services=(ip_network("10.96.0.0/12"),)
    )
    assert (cluster.endpoint, cluster.registry, cluster.extra) == (None, None, Extra())
    assert cluster.nodes == (Node(name="a", role="control-plane"),)


def test_every_key_is_read() -> None:
    read = cluster_format.read(FULL, "cluster.yaml")
    cluster = read.cluster
    digest = Digest("0123456789abcdef" * 4)
    assert read.remarks == ()
    assert cluster.name == "prod"
    assert cluster.kubernetes == Version(1, 19, 5)
    assert cluster.os == System(
        name="centos", version="7.6", base=Base(kind="packages", file="image.txt")
    )
    assert cluster.platforms == (Platform("linux", "amd64"), Platform("linux", "arm64"))
    assert cluster.runtime == Runtime(name="containerd")
    assert cluster.cni == Cni(name="calico", version="3.18", install="manifest")
    assert cluster.network == Network(
        pods=(ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56")),
        services=(ip_network("10.96.0.0/16"), ip_network("fd00:10:96::/112")),
        domain="example.internal",
    )
    assert cluster.endpoint == Endpoint(host="api.example.com", port=6443)
    assert cluster.registry == Registry(host="registry.example.com:5000", prefix="k8s")
    assert cluster.nodes == (
        Node(
            name="k8s01",
            role="control-plane",
            addresses=(
                NodeAddress(ip=ip_address("10.0.0.1"), prefix=24),
                NodeAddress(ip=ip_address("fd00::1")),
            ),
            mac="52:54:00:ab:cd:ef",
            interface="eth0",
            labels={"disk": "ssd", "example.com/zone": "1", "empty": ""},
            taints=(
                Taint(key="dedicated", value="db", effect="NoSchedule"),
                Taint(key="gpu", effect="NoExecute"),
            ),
        ),
        Node(
            name="k8s02",
            role="worker",
            addresses=(
                NodeAddress(ip=ip_address("10.0.0.2")),
                NodeAddress(ip=ip_address("fd00::2")),
            ),
            taints=(),
        ),
    )
    assert cluster.extra == Extra(
        images=(
            Reference("docker.io", "library/nginx", "1.25"),
            Reference("quay.io", "a/b", None, digest),
        ),
        packages=("chrony", "htop-2.2.0"),
        files=(
            ExtraFile(path="tool.tgz", source="https://files.example.com/a/tool.tgz?x=1"),
            ExtraFile(path="etc/motd", source="local/motd", digest=digest),
        ),
        manifests=(
            ExtraManifest(source="https://files.example.com/one.yaml"),
            ExtraManifest(source="two.yaml", digest=digest),
        ),
    )


def test_all_mistakes_come_at_once_with_place_expectation_and_hint() -> None:
    found = faults("""\
kubernetes: 1.18
network:
  pods: 10.233.0.1/18
  services: 10.233.0.0/18
endpoint: https://10.211.55.48:6443
regsitry: x
nodes:
  - {name: K8s_01, role: control-plane, address: 10.211.55.48}
  - {name: k8s02, role: contrl-plane, address: 10.211.55.48, labels: {gpu: true}}
  - {name: k8s02, role: worker, address: 10.211.55.49, taints: [gpu:never]}
  - 7
extra:
  images: [https://quay.io/a]
  files: [{source: motd, path: ../motd}]
""")
    assert [(f.where, f.what, f.expected, f.hint) for f in found] == [
        (
            "regsitry (line 6)",
            "unknown key",
            f"one of {', '.join(cluster_format.schema()['properties'])}",
            "did you mean 'registry'?",
        ),
        (
            "kubernetes (line 1)",
            "'1.18' names a series, not a release",
            "a Kubernetes version, like 1.18.5",
            f"{SERIES}1.18, if there are any",
        ),
        (
            "network.pods (line 3)",
            "'10.233.0.1/18' has host bits set",
            "a subnet, like 10.244.0.0/16",
            "write 10.233.0.0/18",
        ),
        (
            "endpoint (line 5)",
            "an endpoint has no scheme",
            "HOST[:PORT] of a load balancer or virtual address, like k8s.example.com:6443",
            "write 10.211.55.48:6443",
        ),
        (
            "nodes[0].name (line 8)",
            "'K8s_01' is not a node name",
            "lower-case letters, digits, dashes and dots, 63 at most, like k8s01",
            "write k8s-01",
        ),
        (
            "nodes[1].role (line 9)",
            "'contrl-plane' is not one of the choices",
            "control-plane or worker",
            "did you mean 'control-plane'?",
        ),
        (
            "nodes[1].labels.gpu (line 9)",
            "true or false is not allowed here",
            "a label value: letters, digits and ._- in between, 63 at most, like ssd",
            'write "true", in quotes',
        ),
        (
            "nodes[2].taints[0] (line 10)",
            "'gpu:never' has no effect",
            "KEY[=VALUE]:EFFECT, like dedicated=database:NoSchedule",
            "end it in :NoSchedule or :PreferNoSchedule or :NoExecute",
        ),
        (
            "nodes[3] (line 11)",
            "a number is not a mapping",
            (
                "a node with name, role, address, mac, interface, labels, taints, generation, was, "
                "machine, kubeadm"
            ),
            None,
        ),
        (
            "extra.images[0] (line 13)",
            "an image reference has no scheme",
            "an image reference, like docker.io/library/nginx:1.25",
            "leave https:// out",
        ),
        (
            "extra.files[0].path (line 14)",
            "'../motd' has a part that is not a name",
            "a relative path, like tools/helm.tar.gz",
            None,
        ),
        (
            "nodes[2].name (line 10)",
            "'k8s02' is already used by nodes[1].name",
            None,
            None,
        ),
        (
            "nodes[1].address (line 9)",
            "'10.211.55.48' is already used by nodes[0].address",
            None,
            None,
        ),
    ]


@pytest.mark.parametrize(
    ("old", "new", "where", "what", "hint"),
    [
        ("version: 1\n", "version: 2\n", "version", "2 is out of range",
        "a newer airseed may read it"),
        ("v1.19.5", "1.19", "kubernetes", "'1.19' names a series, not a release",
        f"{SERIES}1.19, if there are any"),
        ("v1.19.5", "latest", "kubernetes", "'latest' is not a version",
         "airseed versions lists the releases"),
        ("v1.19.5", "1.19.5-0", "kubernetes", "'1.19.5-0' is not a version", "write 1.19.5"),
        ("v1.19.5", "kubeadm-1.19.5-0.x86_64", "kubernetes",
         "'kubeadm-1.19.5-0.x86_64' is not a version", "write 1.19.5"),
        ("v1.19.5", "1.19.5+k3s1", "kubernetes", "'1.19.5+k3s1' is not a version", "write 1.19.5"),
        ("name: prod", "name: Prod", "name", "'Prod' is not a DNS name in lower case", None),
        ("base: {packages: image.txt}", "base: all", "os.base",
         "'all' is not core, empty or packages: FILE", None),
        ("packages: image.txt", "packages: https://x/y", "os.base.packages",
         "a URL is not allowed here", "download it and name the file"),
        ("linux/arm64]", "windows/amd64]", "platforms", "windows/amd64 is not Linux",
         "write linux/amd64"),
        ("linux/arm64]", "linux/amd64]", "platforms", "linux/amd64 appears 2 times", None),
        ("runtime: containerd", "runtime: [docker]", "runtime", "a list is not allowed here", None),
        ("install: manifest", "install: operater", "cni.install",
         "'operater' is not one of the choices", "did you mean 'operator'?"),
        ("domain: example.internal", "domain: example_internal", "network.domain",
         "'example_internal' is not a DNS name in lower case", None),
        ("10.244.0.0/16,", "10.244.0.0,", "network.pods[0]",
         "'10.244.0.0' has no prefix length", "write 10.244.0.0/16, for example"),
        ("10.244.0.0/16,", "10.244.0.0/255.255.0.0,", "network.pods[0]",
         "'10.244.0.0/255.255.0.0' is not a subnet", None),
        ("10.244.0.0/16,", "10.244.0.0/33,", "network.pods[0]", "'10.244.0.0/33' is not a subnet",
         None),
        ("10.244.0.0/16,", "224.0.0.0/16,", "network.pods[0]",
         "'224.0.0.0/16' cannot be used for a cluster", "take a private range"),
        ("endpoint: api.example.com", "endpoint: API.example.com", "endpoint",
         "'API.example.com' is not an endpoint", "write api.example.com"),
        ("endpoint: api.example.com", "endpoint: api.example.com:0", "endpoint",
         "'api.example.com:0' has no valid port", "a number from 1 to 65535"),
        ("endpoint: api.example.com", "endpoint: 127.0.0.1", "endpoint",
         "'127.0.0.1' is not an endpoint that nodes can reach", None),
        ("endpoint: api.example.com", "endpoint: 10.0.0.300", "endpoint",
         "'10.0.0.300' is not an endpoint that nodes can reach", None),
        ("endpoint: api.example.com", "endpoint: '[fd00::1'", "endpoint",
         "'[fd00::1' is not an endpoint", None),
        ("registry: registry.", "registry: https://registry.", "registry",
         "'https://registry.example.com:5000/k8s' has a scheme",
         "write registry.example.com:5000/k8s"),
        ("5000/k8s", "5000/k8s/", "registry", "'registry.example.com:5000/k8s/' ends in a slash",
         "write registry.example.com:5000/k8s"),
        ("5000/k8s", "5000/K8s", "registry", "'registry.example.com:5000/K8s' is not a registry",
         "write registry.example.com:5000/k8s"),
        ("registry.example.com:5000/k8s", "registry/k8s", "registry",
         "'registry' would be taken for a folder of Docker Hub", "registry:443"),
        ("name: k8s02", f"name: {'a' * 64}", "nodes[1].name", f"{'a' * 64!r} is not a node name",
        None),
        ("name: k8s02", "name: localhost", "nodes[1].name",
         "'localhost' is a name that every machine has", None),
        ("name: k8s02", "name: 10.0.0.2", "nodes[1].name", "'10.0.0.2' looks like an address",
         "begin it with a letter"),
        ("10.0.0.1/24,", "10.0.0.0/24,", "nodes[0].address[0]",
         "'10.0.0.0/24' is the network, not a machine in it", None),
        ("10.0.0.1/24,", "10.0.0.255/24,", "nodes[0].address[0]",
         "'10.0.0.255/24' is the broadcast address of 10.0.0.0/24", None),
        ("10.0.0.1/24,", "169.254.0.1,", "nodes[0].address[0]",
         "'169.254.0.1' cannot be the address of a node", None),
        ("10.0.0.1/24,", "255.255.255.255,", "nodes[0].address[0]",
         "'255.255.255.255' cannot be the address of a node", None),
        ("10.0.0.1/24,", "k8s01,", "nodes[0].address[0]", "'k8s01' is not an IP address", None),
        ("10.0.0.1/24,", "10.0.0.1/33,", "nodes[0].address[0]",
         "'10.0.0.1/33' has a wrong prefix length", None),
        ("fd00::1]", "fd00::1%eth0]", "nodes[0].address[1]", "'fd00::1%eth0' has a zone",
         "link-local addresses cannot be used"),
        ("fd00::1]", "10.0.0.3]", "nodes[0].address", "two IPv4 addresses", None),
        ("52-54-00-AB-CD-EF", "52:54:00:ab:cd", "nodes[0].mac",
         "'52:54:00:ab:cd' is not a MAC address", None),
        ("52-54-00-AB-CD-EF", "01:00:5e:00:00:01", "nodes[0].mac",
         "'01:00:5e:00:00:01' is a group address, not one card's", None),
        ("interface: eth0", "interface: eth0:1", "nodes[0].interface",
         "'eth0:1' is not a network interface, 15 characters at most", None),
        ("disk: ssd", "kubernetes.io/hostname: x", "nodes[0].labels.kubernetes.io/hostname",
         "kubelet sets kubernetes.io/hostname itself", "leave it out"),
        ("disk: ssd", "node-role.kubernetes.io/master: ''",
         "nodes[0].labels.node-role.kubernetes.io/master", "kubelet may not give itself a role",
         "use role: control-plane, or a label with a prefix of your own"),
        ("disk: ssd", "x.k8s.io/y: z", "nodes[0].labels.x.k8s.io/y",
         "x.k8s.io is Kubernetes' own: kubelet would not start",
         "take a prefix of your own, like example.com/"),
        ("disk: ssd", "-disk: ssd", "nodes[0].labels.-disk",
         "the key '-disk' is not allowed here", None),
        ("disk: ssd", "disk: -ssd", "nodes[0].labels.disk",
         "'-ssd' is not a label value: letters, digits and ._- in between, 63 at most", None),
        ("dedicated=db:NoSchedule", "dedicated=:NoSchedule", "nodes[0].taints[0]",
         "'dedicated=:NoSchedule' has no value", "write dedicated:NoSchedule"),
        ("dedicated=db:NoSchedule", "a/b/c:NoSchedule", "nodes[0].taints[0]",
         "'a/b/c:NoSchedule' is not a taint", None),
        ("dedicated=db:NoSchedule", "gpu:NoExecute", "nodes[0].taints[1]",
         "'gpu:NoExecute' is already used by nodes[0].taints[0]", None),
        ("effect: NoExecute", "effect: noexecute", "nodes[0].taints[1].effect",
         "'noexecute' is not one of the choices", "did you mean 'NoExecute'?"),
        ("nginx:1.25", "Nginx:1.25", "extra.images[0]",
         "'Nginx:1.25' is not an image reference (like registry.example.com/team/app:1.0)",
         "write nginx:1.25"),
        ("[nginx:1.25,", "[nginx:1.25, docker.io/library/nginx:1.25,", "extra.images[1]",
         "'docker.io/library/nginx:1.25' is already used by extra.images[0]", None),
        ("htop-2.2.0", "htop.rpm", "extra.packages[1]", "'htop.rpm' is a file",
         "name the package, not its file"),
        ("htop-2.2.0", "chrony", "extra.packages[1]",
         "'chrony' is already used by extra.packages[0]", None),
        ("htop-2.2.0", "-y", "extra.packages[1]", "'-y' is not a package name", None),
        ("path: etc/motd", "path: /etc/motd", "extra.files[1].path", "'/etc/motd' is absolute",
         "write etc/motd"),
        ("path: etc/motd", "path: tool.tgz", "extra.files[1]",
         "'tool.tgz' is already used by extra.files[0]", None),
        ("path: etc/motd", "path: tool.tgz/x", "extra.files[1]",
         "'tool.tgz/x' needs a folder where extra.files[0] has a file", None),
        ("path: etc/motd", "path: .motd", "extra.files[1].path",
         "'.motd' is not a path that every tar and web server takes", None),
        ("/a/tool.tgz?x=1", "/", "extra.files[0]", "'' cannot be its file name: add a path",
        None),
        ("source: two.yaml", "source: file:///two.yaml", "extra.manifests[1].source",
         "file:// is not supported", "write the path alone"),
        ("source: two.yaml", "source: HTTPS://e.org/two.yaml", "extra.manifests[1].source",
         "HTTPS:// is not supported", "write it in lower case"),
        ("source: two.yaml", "source: manifests/", "extra.manifests[1].source",
         "'manifests/' is a folder", "name one file"),
        ("source: two.yaml", "source: https://files.example.com/one.yaml", "extra.manifests[1]",
         "'https://files.example.com/one.yaml' is already used by extra.manifests[0]", None),
        ("source: two.yaml", "source: 'https://[::1'", "extra.manifests[1].source",
         "this is not a URL", None),
    ],
)  # fmt: skip
def test_one_mistake(old: str, new: str, where: str, what: str, hint: str | None) -> None:
    assert FULL.count(old) >= 1
    fault = only(FULL.replace(old, new, 1))
    assert without_line(fault)[:2] == (where, what)
    assert fault.hint == hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://files.example.com/one.yaml", "https://me:s3cret@files.example.com/one.yaml"),
        ("https://files.example.com/one.yaml", "ftp://me:s3cret@files.example.com/one.yaml"),
        ("https://files.example.com/one.yaml", "https://files.example.com/one.yaml?token=s3cret"),
        ("https://files.example.com/one.yaml", "https://h/one.yaml?a=1&X-Amz-Signature=s3cret"),
        ("registry: registry", "registry: me:s3cret@registry"),
        ("registry: registry", "registry: https://me:s3cret@registry"),
        ("endpoint: api", "endpoint: https://me:s3cret@api"),
        ("endpoint: api", "endpoint: me:s3cret@api"),
    ],
)
def test_no_message_repeats_credentials(old: str, new: str) -> None:
    fault = only(FULL.replace(old, new, 1))
    assert "s3cret" not in f"{fault} {fault.hint}"


@pytest.mark.parametrize("text", ["", "# nothing\n", "a: 1\n---\nb: 1\n", "a: [", "- 1\n", "7\n"])
def test_what_is_no_cluster_at_all(text: str) -> None:
    assert len(faults(text)) == 1


def test_required_keys_say_what_they_are_for() -> None:
    assert [without_line(f) for f in faults("name: x\n")] == [
        ("kubernetes", "is missing", None, "The exact Kubernetes version."),
        ("nodes", "is missing", None, "The machines of the cluster."),
    ]


def test_a_misspelt_key_is_one_mistake_not_a_missing_one_too() -> None:
    three = "\n".join(
        f"- {{name: k{i}, role: control-plane, address: 10.0.0.{i}}}" for i in (1, 2, 3)
    )
    text = f"kubernets: 1.18.5\nendpiont: {{address: 10.0.0.9, by: keepalived}}\nnodes:\n{three}\n"
    assert [without_line(fault)[:2] for fault in faults(text)] == [
        ("kubernets", "unknown key"),
        ("endpiont", "unknown key"),
    ]


def test_local_paths_are_looked_up_when_asked() -> None:
    assert cluster_format.read(FULL, "c", exists=lambda _: True).cluster.name == "prod"
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(FULL, "c", exists=lambda path: path == "image.txt")
    hint = "a path is relative to cluster.yaml, and leads to a file, not to a folder"
    assert [without_line(f) for f in caught.value.faults] == [
        ("extra.files[1]", "there is no file 'local/motd'", None, hint),
        ("extra.manifests[1]", "there is no file 'two.yaml'", None, hint),
    ]


def read_file(path: Path) -> cluster_format.ReadCluster:
    exists = cluster_format.exists_in(path.parent)
    return cluster_format.read(path.read_text("utf-8"), "cluster.yaml", exists=exists)


def test_a_file_is_read_with_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(SMALL + "extra: {files: [motd, 'a/b', '" + "n" * 300 + "']}\n")
    (tmp_path / "motd").write_text("hello")
    (tmp_path / "a").write_text("no folder")
    with pytest.raises(DocumentError) as caught:
        read_file(path)
    assert [f.where for f in caught.value.faults] == [
        "extra.files[1] (line 4)",
        "extra.files[2] (line 4)",
    ]
    path.write_text(SMALL + "extra: {files: [motd]}\n")
    assert read_file(path).cluster.extra.files == (ExtraFile(path="motd", source="motd"),)


def test_packages_may_be_built() -> None:
    assert cluster_format.read(SMALL, "c").cluster.packages == "repository"
    text = SMALL.replace("kubernetes: 1.18.5", "kubernetes: {version: 1.18.5, packages: built}")
    assert text != SMALL
    cluster = cluster_format.read(text, "c").cluster
    assert (str(cluster.kubernetes), cluster.packages) == ("1.18.5", "built")
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(text.replace("1.18.5", "latest").replace("built", "bilt"), "c")
    faults = [(fault.where.partition(" ")[0], fault.hint) for fault in caught.value.faults]
    assert faults == [
        ("kubernetes.version", "airseed versions lists the releases"),
        ("kubernetes.packages", "did you mean 'built'?"),
    ]


def test_the_schema_explains_every_key() -> None:
    schema = cluster_format.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "urn:airseed:cluster:1"
    keys = [*properties(schema, "")]
    assert len(keys) > 30
    for path, key in keys:
        assert key.get("title"), path
        assert key.get("description"), path
        assert key.get("examples"), path


def properties(schema: dict[str, Any], path: str) -> Any:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}", inner
        yield from properties(inner, f"{path}.{name}")
    for inner in schema.get("anyOf", []):
        yield from properties(inner, path)
    if "items" in schema:
        yield from properties(schema["items"], f"{path}[]")


def test_the_examples_in_the_schema_are_right() -> None:
    """Each stands in a small document at its key, which the reader then takes."""
    for path, key in properties(cluster_format.schema(), ""):
        for value in key["examples"]:
            schema = {k: v for k, v in key.items() if k != "examples"}
            jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)
            if path.count(".") == 1 and path != ".nodes":
                document = yaml_document(SMALL, "x").value
                document["nodes"][0]["address"] = "10.211.55.48"  # an endpoint may want to know it
                text = json.dumps({**document, path[1:]: value})
                cluster_format.read(text, f"the example of {path}")


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(cluster_format.schema())


@pytest.mark.parametrize("text", [SMALL, FULL, *map(example, EXAMPLES)])
def test_the_schema_takes_good_documents(
    text: str, validator: jsonschema.Draft202012Validator
) -> None:
    assert [*validator.iter_errors(yaml_document(text, "x").value)] == []


def test_the_schema_takes_what_an_editor_makes_of_numbers(
    validator: jsonschema.Draft202012Validator,
) -> None:
    value = yaml_document(FULL, "x").value
    value["os"]["version"] = 7.6  # where airseed's own loader leaves text
    value["cni"]["version"] = 3.18
    assert [*validator.iter_errors(value)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: prod", "nmae: prod"),
        ("name: prod", "name: [prod]"),
        ("version: 1\n", "version: 2\n"),
        ("kubernetes: v1.19.5", "kubernetes:"),
        ("kubernetes: v1.19.5", "kubernetes: {release: v1.19.5}"),
        ("base: {packages: image.txt}", "base: all"),
        ("base: {packages: image.txt}", "base: {package: image.txt}"),
        ("platforms: [linux/amd64, linux/arm64]", "platforms: []"),
        ("install: manifest", "install: operater"),
        ("pods: [", "pods: [10.1.0.0/16, "),
        ("role: worker", "role: master"),
        ("role: worker, ", ""),
        ("disk: ssd", "disk: true"),
        ("effect: NoExecute", "effect: never"),
        ("packages: [chrony", "packages: [-y, chrony"),
        ("interface: eth0", "interface: a-name-that-is-too-long"),
        ("{source: two.yaml, ", "{"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses_for_its_shape(
    old: str, new: str, validator: jsonschema.Draft202012Validator
) -> None:
    text = FULL.replace(old, new, 1)
    assert text != FULL
    assert faults(text)
    assert not validator.is_valid(yaml_document(text, "x").value)


def test_a_lock_is_told_from_a_cluster() -> None:
    text = '{\n"format": 1,\n"cluster": {"name": "k8s"},\n"artifacts": [\n]\n}\n'
    assert only(text).what == "this is a lock, not a cluster.yaml"


@pytest.mark.parametrize("text", ['{\n "format": 1,\n "nodes": []}', '{"_type": "https://x/v1"}'])
def test_what_airseed_wrote_is_told_from_a_cluster(text: str) -> None:
    assert only(text).what == "this is something that airseed wrote, not a cluster.yaml"


@pytest.mark.parametrize("base", ["small", "full", *EXAMPLES])
def test_hostile_documents_end_in_a_cluster_or_a_document_error(
    base: str, validator: jsonschema.Draft202012Validator
) -> None:
    """Also holds that the schema takes every mutant that the reader takes."""
    document = {"small": SMALL, "full": FULL}.get(base) or example(base)
    parsed = taken = 0
    unfit: list[Fault] = []
    for mutant in mutants(document, "yaml", seed=20, count=400):
        try:
            text = decode(mutant, "cluster.yaml")
            value = yaml_document(text, "cluster.yaml").value
        except DocumentError:
            continue
        parsed += 1
        try:
            cluster_format.read(text, "cluster.yaml")
        except DocumentError as error:
            unfit += [f for f in error.faults if not str(f).isprintable() or len(str(f)) > 1500]
            continue
        taken += 1
        assert [*validator.iter_errors(value)] == [], text
    assert unfit == []
    assert parsed > 120
    assert taken > 10
