"""``airseed lock`` where upstream does not change: what is in, why, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import IncompleteError
from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.formats import lock as lock_format
from builder.model.artifact import Blob
from builder.model.demand import demand
from builder.pipeline.lock import proof

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Ran, Sample, Sandbox

    from builder.model.demand import Demand
    from builder.model.lock import Lock

Site = Any
KUBE = {"kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"}


def locked(sandbox: Sandbox, *words: str) -> Lock:
    ran = sandbox.lock("-q", *words)
    assert ran.code == 0, ran.err
    return lock_format.read(sandbox.lock_path)


def names(lock: Lock) -> set[str]:
    return {package.nevra.name for package in lock.packages}


def expect(ran: Ran, code: int, *words: str) -> None:
    """Check exit code and that each of these stands in the error."""
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err, f"{word!r} is not in:\n{ran.err}"


# what is in ---------------------------------------------------------------------------------


def test_the_same_question_gives_the_same_bytes(sample: Sample, site: Site) -> None:
    """Another folder, another run of the upstream, a filled cache: nothing of it shows."""
    sandbox = site.open()
    shutil.copy(sample.folder / "cluster.yaml", sandbox.folder)
    locked(sandbox)
    assert sandbox.lock_path.read_bytes() == (sample.folder / "cluster.lock").read_bytes()
    beside = {path.name for path in (sandbox.folder / "cluster.lock.d").iterdir()}
    assert beside == {path.name for path in (sample.folder / "cluster.lock.d").iterdir()}
    again = sandbox.lock()
    assert (again.code, again.out) == (0, "")
    assert again.err.splitlines()[-1].startswith("nothing changed in cluster.lock: 13 images, ")
    assert sandbox.lock_path.read_bytes() == (sample.folder / "cluster.lock").read_bytes()
    assert sandbox.names == {"cluster.yaml", "cluster.lock", "cluster.lock.d"}


def test_one_artifact_a_line_and_no_time(sample: Sample) -> None:
    text = (sample.folder / "cluster.lock").read_text("ascii")
    lines = [line.rstrip(",") for line in text.splitlines() if line.startswith('{"kind"')]
    lock = sample.lock
    count = sum(map(len, (lock.images, lock.blobs, lock.repositories, lock.packages, lock.files)))
    assert len(lines) == count > 100
    for line in lines:
        fields = json.loads(line)
        assert not {"time", "date", "created", "timestamp"} & fields.keys()
    assert lock_format.write(lock).decode() == text


def test_what_was_kept_beside_the_lock_is_all_small_documents(sample: Sample) -> None:
    folder = sample.folder / "cluster.lock.d"
    kept = {content.digest.hex for content in sample.lock.contents if content.kept}
    assert {path.name for path in folder.iterdir()} == kept
    for path in folder.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert any(isinstance(content, Blob) and content.kept for content in sample.lock.contents)


def test_only_metadata_is_asked_for(site: Site) -> None:
    sandbox = site.open()
    sandbox.environment["XDG_CACHE_HOME"] = str(sandbox.folder / "cache")
    ran = sandbox.lock("-q")
    assert ran.code == 0, ran.err
    paths = [one.path for one in ran.requests]
    assert paths
    assert not [path for path in paths if "/blobs/" in path]
    heads = [one for one in ran.requests if one.path.endswith(".rpm")]
    assert max(one.sent for one in heads) <= 65536, "of what the base has, the header alone"
    ours = {package.nevra.filename for package in lock_format.read(sandbox.lock_path).packages}
    assert not ours & {path.rpartition("/")[2] for path in paths}
    assert ran.received - sum(one.sent for one in heads) < 1_000_000
    sandbox.lock_path.unlink()
    again = sandbox.lock("-q")
    assert again.code == 0, again.err
    assert not [one for one in again.requests if one.path.endswith(".rpm")]


def test_the_walkthrough_is_locked_whole(sample: Sample) -> None:
    lock = sample.lock
    assert {image.name for image in lock.images} == {
        "k8s.gcr.io/kube-apiserver:v1.18.5",
        "k8s.gcr.io/kube-controller-manager:v1.18.5",
        "k8s.gcr.io/kube-scheduler:v1.18.5",
        "k8s.gcr.io/kube-proxy:v1.18.5",
        "k8s.gcr.io/pause:3.2",
        "k8s.gcr.io/etcd:3.4.3-0",
        "k8s.gcr.io/coredns:1.6.7",
        "quay.io/tigera/operator:v1.15.7",
        *(
            f"docker.io/calico/{name}:v3.18.6"
            for name in ("cni", "kube-controllers", "node", "typha", "pod2daemon-flexvol")
        ),
    }
    builds = {package.nevra.name: package.nevra.evr for package in lock.packages}
    assert {name: builds[name] for name in (*KUBE, "docker-ce", "docker-ce-cli")} == {
        "kubeadm": "1.18.5-0",
        "kubelet": "1.18.5-0",
        "kubectl": "1.18.5-0",
        "kubernetes-cni": "0.8.6-0",
        "cri-tools": "1.13.0-0",
        "docker-ce": "3:19.03.9-3.el7",
        "docker-ce-cli": "1:19.03.9-3.el7",
    }
    assert builds["containerd.io"] == "1.2.13-3.2.el7"
    assert builds["container-selinux"] == "2:2.107-1.el7_6"
    assert {"libseccomp", "libcgroup", "policycoreutils-python"} <= builds.keys()


def test_roles_say_who_starts_an_image(sample: Sample) -> None:
    roles = {image.reference.path: image.roles for image in sample.lock.images}
    assert roles["kube-apiserver"] == roles["etcd"] == ("control-plane",)
    assert roles["pause"] == roles["kube-proxy"] == ("control-plane", "worker")
    assert roles["calico/node"] == ("control-plane", "worker")


def test_trust_says_why_each_digest_is_believed(sample: Sample) -> None:
    packages = {package.nevra.name: package.trust for package in sample.lock.packages}
    assert packages["cri-tools"] == packages["kubernetes-cni"] == "pinned"  # by the catalog
    assert packages["kubeadm"] == packages["docker-ce"] == "signed"
    assert {file.trust for file in sample.lock.files if file.kind == "key"} == {"pinned"}
    assert {file.trust for file in sample.lock.files if file.kind == "manifest"} == {"first-use"}
    signed = {one.name: one.signed for one in sample.lock.repositories}
    assert [name for name, is_signed in signed.items() if is_signed] == ["kubernetes-el7"]


def test_a_fallback_is_reported(site: Site) -> None:
    ran = site.open().lock()
    expect(
        ran,
        0,
        "warning: kubernetes-el7 comes from https://mirrors.aliyun.com/kubernetes/yum/repos/"
        "kubernetes-el7-x86_64/: https://packages.cloud.google.com/yum/repos/kubernetes-el7-x86_64/"
        "repodata/repomd.xml: the server answered 404 Not Found",
    )


def test_calico_by_its_plain_manifest(site: Site) -> None:
    lock = locked(site.open("cni: {name: calico, install: manifest}\n"))
    calico = {image.name for image in lock.images if "calico" in image.needed_by}
    assert calico == {
        f"docker.io/calico/{name}:v3.18.6"
        for name in ("cni", "kube-controllers", "node", "pod2daemon-flexvol")
    }
    assert [file.path for file in lock.files if file.kind == "manifest"] == [
        "manifests/001-calico.yaml"
    ]


def test_no_network_plugin_and_kubernetes_1_19(site: Site) -> None:
    sandbox = site.open("cni: none\n")
    text = (sandbox.folder / "cluster.yaml").read_text().replace("1.18.5", "1.19.5")
    (sandbox.folder / "cluster.yaml").write_text(text)
    lock = locked(sandbox)
    assert len(lock.images) == 7
    assert "k8s.gcr.io/etcd:3.4.13-0" in {image.name for image in lock.images}
    assert not [file for file in lock.files if file.kind == "manifest"]
    assert {p.nevra.evr for p in lock.packages if p.nevra.name == "kubernetes-cni"} == {"0.8.7-0"}


def test_json(site: Site) -> None:
    sandbox = site.open()
    ran = sandbox.lock("-q", "--json")
    value = json.loads(ran.out)
    assert value["lock"] == "cluster.lock"
    (kubeadm,) = (one for one in value["changes"] if one["name"] == "kubeadm")
    assert (kubeadm["kind"], kubeadm["before"]) == ("rpm", None)
    assert kubeadm["after"].startswith("1.18.5-0.x86_64 (")
    assert json.loads(sandbox.lock("-q", "--json").out)["changes"] == []
    same = sandbox.lock("-q", "--check", "--json")
    assert (same.code, json.loads(same.out)) == (0, {"changes": []})


# the base -----------------------------------------------------------------------------------


def test_less_base_means_more_packages(site: Site) -> None:
    core = locked(site.open(name="core"))
    empty = locked(site.open("os: {base: empty}\n", name="empty"))
    assert core.subject.base == "core"
    assert empty.subject.base == "empty"
    assert names(core) < names(empty)
    assert {"glibc", "bash", "systemd", "iptables"} <= names(empty) - names(core)


def test_the_users_own_image_as_rpm_qa_prints_it(site: Site) -> None:
    sandbox = site.open("os: {base: {packages: image.txt}}\n")
    have = "".join(
        f"{package.nevra.name}-{package.nevra.version}-{package.nevra.release}"
        f".{package.nevra.arch}\n"
        for package in locked(site.open("os: {base: empty}\n", name="empty")).packages
        if package.nevra.name not in {*KUBE, "socat"}
    )
    listed = f"{have}homemade-1.0-1.x86_64\ngpg-pubkey-f4a80eb5-53a7ff4b\n"
    (sandbox.folder / "image.txt").write_text(listed)
    ran = sandbox.lock()
    expect(
        ran, 0, "warning: no repository describes 1 packages of the base, such as homemade-1.0-1"
    )
    lock = lock_format.read(sandbox.lock_path)
    assert names(lock) == {*KUBE, "socat"}
    assert lock.subject.base == f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"


def test_an_image_whose_list_is_wrong(site: Site) -> None:
    sandbox = site.open("os: {base: {packages: image.txt}}\n")
    expect(sandbox.lock(), 3, "os.base.packages", "there is no file 'image.txt'")
    (sandbox.folder / "image.txt").write_text("glibc-2.17-260.el7.x86_64\n<html>\nNot a package\n")
    ran = sandbox.lock()
    expect(ran, 3, "image.txt", "line 2", "line 3")
    assert sandbox.names == {"cluster.yaml", "image.txt", "cluster.lock.d"}


# extra --------------------------------------------------------------------------------------

EXTRA = """\
extra:
  images: ['k8s.gcr.io/coredns:1.7.0']
  packages: [net-tools, kernel]
  files: [banner.txt, {source: banner.txt, path: site/again.txt}]
  manifests: [app.yaml]
"""
APP = """\
apiVersion: v1
kind: List
items:
- apiVersion: batch/v1beta1
  kind: CronJob
  metadata: {name: nightly}
  spec:
    jobTemplate:
      spec:
        template:
          spec:
            initContainers: [{name: i, image: 'k8s.gcr.io/etcd:3.4.13-0'}]
            containers: [{name: c, image: 'k8s.gcr.io/pause:3.2'}]
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: thing}
spec:
  podTemplate:
    spec:
      containers: [{name: c, image: 'k8s.gcr.io/kube-proxy:v1.19.5'}]
"""


def test_extras_are_locked_with_what_they_start(site: Site) -> None:
    sandbox = site.open(EXTRA)
    (sandbox.folder / "banner.txt").write_text("hello\n")
    (sandbox.folder / "app.yaml").write_text(APP)
    lock = locked(sandbox)
    mine = {image.name for image in lock.images if "extra" in image.needed_by}
    assert mine == {
        "k8s.gcr.io/coredns:1.7.0",
        "k8s.gcr.io/etcd:3.4.13-0",
        "k8s.gcr.io/pause:3.2",
        "k8s.gcr.io/kube-proxy:v1.19.5",
    }
    pause = next(image for image in lock.images if image.reference.path == "pause")
    assert pause.needed_by == ("kubeadm", "runtime", "extra")
    assert {p.nevra.name for p in lock.packages if "extra" in p.needed_by} == {"net-tools"}
    files = {file.path: file for file in lock.files if "extra" in file.needed_by}
    assert [*files] == ["files/banner.txt", "files/site/again.txt", "manifests/003-app.yaml"]
    assert files["files/banner.txt"].size == 6
    assert files["files/banner.txt"].digest == files["files/site/again.txt"].digest


def test_a_secret_among_the_manifests_is_told_of_and_not_shown(site: Site) -> None:
    sandbox = site.open("extra: {manifests: [app.yaml]}\n")
    secrets = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: empty}\n"
        "---\napiVersion: v1\nkind: Secret\nmetadata: {namespace: db, name: login}\n"
        "stringData: {password: correct-horse}\n"
    )
    (sandbox.folder / "app.yaml").write_text(secrets)
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    assert (
        "warning: app.yaml: Secret db/login goes into lock.d and bundle with its value\n"
        "  hint: whoever has the bundle can read it: apply it once the cluster is up\n"
    ) in ran.err
    assert "empty" not in ran.err
    assert "correct-horse" not in ran.err


def test_what_a_node_without_a_registry_can_not_pull_is_told(site: Site) -> None:
    """Of static pods, too; where the API server would fill in the policy, by what it fills in."""
    image = "one.example.com/team/app"
    for number, tag in enumerate(("1", "latest")):
        site.sandbox.upstream.add_image(f"{image}:{tag}", size=10_000 + number)
    policies = [("1", "Always"), ("1", "IfNotPresent"), ("1", ""), ("latest", ""), ("", "Never")]
    containers = "".join(
        f"  - {{name: c, image: '{image}{tag and f':{tag}'}', imagePullPolicy: {policy}}}\n"
        for tag, policy in policies
    )
    pod = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n{containers}"
    expect = (
        "extra: {manifests: [app.yaml]}\n"
        "machine: {files: [{path: /etc/kubernetes/manifests/edge.yaml, source: app.yaml}]}\n"
    )
    sandbox = site.open(expect)
    (sandbox.folder / "app.yaml").write_text(pod)
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    for number, why in ((0, "imagePullPolicy: Always"), (3, "the tag latest without imagePull")):
        warning = (
            f"app.yaml:{6 + number}: Pod p: spec.containers[{number}].image: kubelet pulls it "
        )
        assert ran.err.count(f"warning: {warning}at each start ({why}") == 2
    assert ran.err.count("kubelet pulls it") == 4
    assert "  hint: write imagePullPolicy: IfNotPresent, or set registry\n" in ran.err
    other = site.open(f"registry: reg.example.com/k8s\n{expect}", name="registry")
    (other.folder / "app.yaml").write_text(pod)
    ran = other.lock()
    assert ran.code == 0, ran.err
    assert "kubelet pulls it" not in ran.err


def test_two_images_may_not_have_one_name_in_the_internal_registry(site: Site) -> None:
    for size, host in enumerate(("one.example.com", "two.example.com"), start=10_000):
        site.sandbox.upstream.add_image(f"{host}/team/app:1", size=size)
    expect = "extra: {images: ['one.example.com/team/app:1', 'two.example.com/team/app:1']}\n"
    assert site.open(expect, name="without").lock("-q").code == 0
    sandbox = site.open(f"registry: reg.example.com/k8s\n{expect}")
    ran = sandbox.lock("-q")
    assert ran.code == 3, ran.err
    assert (
        "registry: one.example.com/team/app:1 and two.example.com/team/app:1 "
        "would both be reg.example.com/k8s/team/app:1\n"
    ) in ran.err
    assert not sandbox.lock_path.exists()


def test_a_lock_says_when_it_was_made_for_something_else(sandbox: Sandbox) -> None:
    """Also where no artifact differs."""
    document = sandbox.folder / "cluster.yaml"
    document.write_text(
        document.read_text("utf-8").replace("name: cluster.local\n", "name: other\n")
    )
    ran = sandbox.lock()
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.splitlines()[-1].startswith("wrote cluster.lock: ")


def test_a_bundle_of_a_cluster_yaml_is_never_stale(site: Site) -> None:
    """What a person changes is locked anew, be it a name without a version or a file's content."""
    sandbox = site.open("extra: {packages: [kernel], files: [banner.txt]}\n")
    banner, document = sandbox.folder / "banner.txt", sandbox.folder / "cluster.yaml"
    words = ("bundle", "cluster.yaml", "--catalog", str(sandbox.catalog))
    banner.write_text("hello\n")
    expect(sandbox.run(*words), 0, "cluster.lock does not exist yet: locking")
    expect(sandbox.run(*words), 0, "cluster.lock fits cluster.yaml", "is there already, made from")
    banner.write_text("Hello\n")
    expect(sandbox.run(*words), 0, "cluster.lock does not fit cluster.yaml (or --catalog ")
    document.write_text(document.read_text().replace("[kernel]", "[kernel, yum-utils]"))
    expect(sandbox.run(*words), 0, "cluster.lock does not fit cluster.yaml (or --catalog ")
    assert "yum-utils" in names(lock_format.read(sandbox.lock_path))
    expect(sandbox.run(*words), 0, "cluster.lock fits cluster.yaml")


@pytest.mark.parametrize(
    ("extra", "code", "words"),
    [
        (
            "packages: [nosuch, kubeadm-1.18.99]",
            1,
            ["nosuch: no package matches in centos-7.6-os", "kubeadm is there as"],
        ),
        (
            "images: ['k8s.gcr.io/pause:9.9']",
            1,
            ["k8s.gcr.io/pause:9.9: no source has this image", "404 Not Found"],
        ),
        (
            f"files: [{{source: app.yaml, sha256: {'ab' * 32}}}]",
            1,
            [
                "app.yaml: the file has sha256:",
                f"expected sha256:{'ab' * 32}, as cluster.yaml says",
            ],
        ),
        (
            f"manifests: [{{source: app.yaml, sha256: {'ab' * 32}}}]",
            1,
            [
                "app.yaml: the file has sha256:",
                f"expected sha256:{'ab' * 32}, as cluster.yaml says",
            ],
        ),
        (
            "manifests: [broken.yaml]",
            3,
            [
                "broken.yaml: 1 mistake",
                "Deployment x: spec.containers[0].image",
                "{{image}}",
            ],
        ),
        (
            "manifests: [flow.yaml]",
            3,
            ["line 1, column 2: kubectl and kubelet read what begins with { as JSON"],
        ),
    ],
)
def test_what_cannot_be_had_is_named(site: Site, extra: str, code: int, words: list[str]) -> None:
    sandbox = site.open(f"extra:\n  {extra}\n")
    (sandbox.folder / "app.yaml").write_text(APP)
    (sandbox.folder / "broken.yaml").write_text(
        "kind: Deployment\nmetadata: {name: x}\nspec: {containers: [{image: '{{image}}'}]}\n"
    )
    (sandbox.folder / "flow.yaml").write_text("{apiVersion: v1, kind: Namespace}\n")
    ran = sandbox.lock("-q")
    expect(ran, code, *words)
    assert "hint: " in ran.err
    assert "cluster.lock" not in sandbox.names


# catalogs -----------------------------------------------------------------------------------


def test_a_catalog_of_the_users_own_comes_first(site: Site) -> None:
    sandbox = site.open()
    own = sandbox.folder / "own"
    (own / "registries").mkdir(parents=True)
    text = "prefix: quay.io/tigera\nsources: [docker.io/tigera]\n"
    (own / "registries/tigera.yaml").write_text(text)
    ran = sandbox.lock("-q", "--catalog", "own")
    assert ran.code == 0, ran.err
    (image,) = (i for i in lock_format.read(sandbox.lock_path).images if "tigera" in i.name)
    assert (image.name, image.sources) == (
        "quay.io/tigera/operator:v1.15.7",
        ("docker.io/tigera/operator:v1.15.7",),
    )
    assert not [one for one in ran.requests if one.host == "quay.io"]


def test_a_pinned_digest_that_is_not_upstreams_is_an_error(site: Site) -> None:
    sandbox = site.open()
    own = sandbox.folder / "own/kubernetes"
    own.mkdir(parents=True)
    text = (sandbox.catalog / "kubernetes/1.18.yaml").read_text()
    pinned = next(line for line in text.splitlines() if "cri-tools-1.13.0-0.x86_64:" in line)
    own.joinpath("1.18.yaml").write_text(
        text.replace(pinned, f"    cri-tools-1.13.0-0.x86_64: {'cd' * 32}")
    )
    expect(
        sandbox.lock("-q", "--catalog", "own"),
        1,
        "packages are not the ones that the catalog pins",
        "cri-tools-1.13.0-0.x86_64: the repository has sha256:",
        f"expected sha256:{'cd' * 32}, as the catalog says",
    )


def test_a_key_that_the_catalog_pins_no_more_is_fetched_anew(sample: Sample, site: Site) -> None:
    """What an earlier lock kept must not stand in the way of the fingerprint that counts now."""
    sandbox = site.open()
    shutil.copy(sample.folder / "cluster.yaml", sandbox.folder)
    shutil.copytree(sample.folder / "cluster.lock.d", sandbox.folder / "cluster.lock.d")
    text = (sample.folder / "cluster.lock").read_text()
    files = {one.path: one for one in sample.lock.files}
    right, wrong = files["keys/centos-7.asc"], files["keys/docker-ce.asc"]
    changed = text.replace(f'"size": {right.size}, "sources"', f'"size": {wrong.size}, "sources"')
    for one, other in (
        (str(right.digest), str(wrong.digest)),
        (right.fingerprint or "", wrong.fingerprint or ""),
    ):
        assert one in changed
        changed = changed.replace(one, other)
    sandbox.lock_path.write_text(changed)
    ran = sandbox.lock("-q")
    assert ran.code == 0, ran.err
    assert [one.path for one in ran.requests if one.path.endswith("RPM-GPG-KEY-CentOS-7")]
    assert sandbox.lock_path.read_text() == text


def test_every_mistake_of_a_catalog_is_told_with_its_file(site: Site) -> None:
    sandbox = site.open()
    for name, text in {
        "registries/x.yaml": "prefix: quay.io/x\nsource: [a]\n",
        "os/centos-7.7.yaml": "family: el7\n",
        "kernel.yaml": "1.18: 3.10\n",
    }.items():
        path = sandbox.folder / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ran = sandbox.lock("--catalog", "own")
    expect(ran, 3, "own/registries/x.yaml: source (line 2): unknown key", "did you mean 'sources'?")
    expect(
        ran, 3, "own/os/centos-7.7.yaml: platforms", "own/kernel.yaml: a catalog has no such file"
    )


# proof --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wanted(sample: Sample, shared: Sandbox) -> Demand:
    catalog = catalog_format.load([shared.catalog])
    read = cluster_format.load(sample.folder / "cluster.yaml", catalog=catalog)
    return demand(read.cluster, read.choice, catalog)


def missing(wanted: Demand, lock: Lock) -> list[str]:
    with pytest.raises(IncompleteError) as caught:
        proof.check(wanted, (), lock)
    return [fault.where for fault in caught.value.faults]


def test_without_any_one_artifact_the_proof_names_it(sample: Sample, wanted: Demand) -> None:
    lock = sample.lock
    proof.check(wanted, (), lock)
    asked = 0
    for image in lock.images:
        less = replace(lock, images=tuple(one for one in lock.images if one != image))
        if image.reference in {one.reference for one in wanted.images}:
            assert missing(wanted, less) == [image.name]
            asked += 1
    assert asked == 7
    named = [p for p in lock.packages if {"kubeadm", "runtime"} & {*p.needed_by} and p.requested]
    assert len(named) == 8
    for package in named:
        less = replace(lock, packages=tuple(one for one in lock.packages if one != package))
        request = f"{package.nevra.name}-{package.nevra.evr}"
        assert missing(wanted, less) == [request]
        proof.check(wanted, (), less, present=[request])  # where the base has it already
    for file in lock.files:
        less = replace(lock, files=tuple(one for one in lock.files if one != file))
        if file.kind == "manifest":
            assert missing(wanted, less) == [file.path]
        elif file.kind == "key":
            assert missing(wanted, less) == [file.path.removeprefix("keys/").removesuffix(".asc")]


def test_the_sandbox_image_says_who_will_miss_it(sample: Sample, wanted: Demand) -> None:
    lock = sample.lock
    images = tuple(one for one in lock.images if one.reference.path != "pause")
    (fault,) = proof.missing_images(wanted.images, replace(lock, images=images))
    assert str(fault) == (
        "k8s.gcr.io/pause:3.2: kubeadm and runtime will ask for it; not in the lock"
    )


def test_an_image_for_the_wrong_role_or_processor_counts_as_missing(
    sample: Sample, wanted: Demand
) -> None:
    lock = sample.lock
    pause = next(one for one in lock.images if one.reference.path == "pause")
    for changed, what in (
        (replace(pause, roles=("control-plane",)), "the lock does not have it for a worker"),
        (replace(pause, manifests=()), "the lock does not have it for linux/amd64"),
    ):
        images = tuple(changed if one == pause else one for one in lock.images)
        (fault,) = proof.missing_images(wanted.images, replace(lock, images=images))
        assert (fault.where, fault.what) == ("k8s.gcr.io/pause:3.2", what)


# wrong use ----------------------------------------------------------------------------------


def test_wrong_use_is_told_and_nothing_is_written(site: Site) -> None:
    sandbox = site.open()
    expect(sandbox.lock("--check"), 2, "cluster.lock: there is no lock to check", "airseed lock")
    expect(sandbox.lock("--check", "--update", "x"), 2, "--check writes nothing")
    expect(sandbox.lock("-o", "cluster.yaml"), 2, "the lock would overwrite its cluster.yaml")
    expect(sandbox.run("lock", "none.yaml"), 2, "none.yaml: there is no such file")
    assert sandbox.names == {"cluster.yaml"}
    locked(sandbox)
    before = sandbox.lock_path.read_bytes()
    expect(sandbox.lock("--update", "kubeadmin"), 2, "'kubeadmin'", "did you mean 'kubeadm'?")
    sandbox.lock_path.write_bytes(before[:-20])
    expect(sandbox.lock(), 3, "cluster.lock: 1 mistake", "delete the file to lock from scratch")
    assert sandbox.lock_path.read_bytes() == before[:-20]


def test_a_place_that_cannot_be_written(site: Site) -> None:
    sandbox = site.open()
    (sandbox.folder / "none").write_text("a file")
    expect(sandbox.lock("-q", "-o", "none/x.lock"), 1, "none", "not a directory")
    assert sandbox.names == {"cluster.yaml", "none"}


def test_another_place_for_the_lock(site: Site, tmp_path: Path) -> None:
    sandbox = site.open()
    (tmp_path / "out").mkdir()
    assert sandbox.lock("-q", "-o", "../out/x.lock").code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"x.lock", "x.lock.d"}
    assert sandbox.names == {"cluster.yaml"}
    far = site.open("extra: {files: [banner.txt]}\n", name="far")
    (far.folder / "banner.txt").write_text("hello\n")
    ran = far.lock("-q", "-o", "../out/y.lock")
    assert ran.code == 2
    assert ran.err == (
        "error: ../out/y.lock: banner.txt lies beside cluster.yaml and would be looked for beside "
        "the lock\n  hint: write the lock there, too; the bundle may go anywhere\n"
    )
    assert far.lock("-q", "-o", "other.lock").code == 0
    assert far.run("bundle", "-q", "other.lock", "-o", "../out/y.tar").code == 0


# examples -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["single", "ha"])
def test_an_example_can_be_locked_as_it_is(site: Site, name: str) -> None:
    sandbox = site.open()
    assert sandbox.run("init", "--example", name, "--force").code == 0
    lock = locked(sandbox)
    assert lock.subject.kubernetes == "1.18.5"
    assert (len(lock.images), len(lock.packages)) == (13, 44)
