"""``airseed doctor`` against an upstream whose servers die, refuse, limit and lie."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from fault_lab import faults
from fault_lab.registry import PullLimit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Site
    from sandboxes import Ran, Sample, Sandbox

GOOGLE = "https://packages.cloud.google.com/yum/repos/kubernetes-el7-x86_64/"


@pytest.fixture(scope="module")
def shared(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Run an upstream of our own: these tests change it, and put it right again."""
    with sample.sandbox(tmp_path_factory.mktemp("doctor") / "work") as opened:
        yield opened


@pytest.fixture
def ward(site: Site) -> Iterator[Sandbox]:
    opened = site.open()
    yield opened
    opened.upstream.faults.clear()
    opened.upstream.registry("docker.io").allowance = None


def doctor(ward: Sandbox, *words: str) -> Ran:
    return ward.run("doctor", *words, "--catalog", str(ward.catalog))


def findings(ran: Ran) -> dict[str, Any]:
    """Read the JSON; return findings by address, beside limits and what is lost."""
    shown: dict[str, Any] = json.loads(ran.out)
    shown["sources"] = {(one["name"], one["source"]): one for one in shown["sources"]}
    return shown


def states(ran: Ran) -> dict[str, str]:
    """Return the states by address, of those that are not well."""
    return {
        address: one["state"]
        for (_, address), one in findings(ran)["sources"].items()
        if one["state"] != "healthy"
    }


def test_a_cluster_whose_sources_live_is_well(ward: Sandbox) -> None:
    """What Google took down is shown, and copies have it; so it is 0, and 1 with --strict."""
    ran = doctor(ward, "cluster.yaml", "--json")
    assert ran.code == 0, ran.err
    assert states(ran) == {GOOGLE: "missing"}
    shown = findings(ran)
    assert shown["lost"] == []
    kinds = {one["kind"] for one in shown["sources"].values()}
    assert kinds == {"repository", "key", "images", "manifests"}
    # all images of the cluster were asked for at each of their sources
    assert shown["sources"]["k8s.gcr.io", "registry.k8s.io"]["asked"] == 7
    assert shown["sources"]["docker.io/calico", "quay.io/calico"]["asked"] == 5
    assert doctor(ward, "cluster.yaml", "--json", "--strict").code == 1


def test_nothing_is_pulled(ward: Sandbox) -> None:
    """Registries are asked by HEAD alone, and no source twice for the same."""
    ran = doctor(ward, "cluster.yaml")
    asked = [one for one in ran.requests if "/manifests/" in one.path and one.method != "CONNECT"]
    assert asked
    assert {one.method for one in asked if one.path.startswith("/v2/")} == {"HEAD"}
    assert ran.received < 300_000
    assert not [one for one in ran.requests if "/blobs/" in one.path]


def test_each_way_of_being_ill_has_its_name(ward: Sandbox) -> None:
    """A dead, a slow, a limiting, a refusing, a broken and a lying source beside well ones."""
    add = ward.upstream.faults.add
    add(faults.BadTLS("closed"), host="archive.kernel.org")
    add(faults.Hang(seconds=5.5), host="download.docker.com", path="*/repomd.xml")
    add(faults.Status(429, retry_after="3600"), host="registry.k8s.io")
    add(faults.Status(403), host="docs.tigera.io")
    add(faults.Status(503), host="mirrors.tuna.tsinghua.edu.cn", path="/kubernetes/*")
    add(faults.LoginPage(), host="vault.centos.org", path="/7.6.1810/extras/*")
    ran = doctor(ward, "cluster.yaml", "--json", "--timeout", "30")
    assert ran.code == 0, ran.err
    found = states(ran)
    vault = "https://archive.kernel.org/centos-vault"
    assert found == {
        GOOGLE: "missing",
        **{f"{vault}/7.6.1810/{part}/x86_64/": "dead" for part in ("os", "updates", "extras")},
        f"{vault}/7.9.2009/os/x86_64/RPM-GPG-KEY-CentOS-7": "dead",
        "https://download.docker.com/linux/centos/7/x86_64/stable/": "slow",
        "registry.k8s.io": "limited",
        "k8s.gcr.io": "limited",  # it sends everybody to the other
        "https://docs.tigera.io/archive/v3.18/manifests/": "refuses",
        "https://mirrors.tuna.tsinghua.edu.cn/kubernetes/yum/repos/kubernetes-el7-x86_64/": "fails",
        "https://vault.centos.org/7.6.1810/extras/x86_64/": "wrong",
    }
    shown = findings(ran)["sources"]
    slow = shown[
        "docker-ce-stable-el7", "https://download.docker.com/linux/centos/7/x86_64/stable/"
    ]
    assert 5.5 <= slow["seconds"] < 30
    limited = shown["k8s.gcr.io", "registry.k8s.io"]
    assert (limited["asked"], limited["failed"]) == (7, 7)
    assert limited["what"].endswith("429 Too Many Requests and asks to wait 3,600 s")
    lying = shown["centos-7.6-extras", "https://vault.centos.org/7.6.1810/extras/x86_64/"]
    assert lying["what"] == "the server sent an HTML page"


def test_a_silent_source_is_dead_after_the_timeout(ward: Sandbox) -> None:
    ward.upstream.faults.add(faults.Hang(), host="download.docker.com")
    ran = doctor(ward, "cluster.yaml", "--json", "--timeout", "2")
    assert ran.code == 0, ran.err
    base = "https://download.docker.com/linux/centos"
    assert states(ran) == {
        GOOGLE: "missing",
        f"{base}/7/x86_64/stable/": "dead",
        f"{base}/gpg": "dead",
    }
    assert findings(ran)["sources"]["docker-ce", f"{base}/gpg"]["what"] == (
        "download.docker.com stopped sending"
    )


def test_a_dead_host_is_not_asked_for_everything(ward: Sandbox, sample: Sample) -> None:
    """Some are on their way when the first two have had no answer; the rest need not wait."""
    rule = ward.upstream.faults.add(faults.Hang(), host="mirrors.aliyun.com")
    ran = ward.run("doctor", str(sample.folder / "cluster.lock"), "--json", "--timeout", "1")
    assert ran.code == 0, ran.err
    ill = [o for o in findings(ran)["sources"].values() if "mirrors.aliyun.com" in o["source"]]
    assert {one["state"] for one in ill} == {"dead"}
    assert sum(one["failed"] for one in ill) > 40
    assert 2 <= rule.hits <= 18
    assert any(one["what"] == "mirrors.aliyun.com stopped sending" for one in ill)


def test_what_can_be_had_nowhere_is_named_and_is_1(ward: Sandbox) -> None:
    """One image that no registry has; all the others are well."""
    ward.upstream.faults.add(faults.Status(404), path="*/pause/manifests/*")
    ran = doctor(ward, "cluster.yaml")
    assert ran.code == 1
    assert ran.err.splitlines()[-2:] == [
        "error: k8s.gcr.io/pause:3.2: none of its 3 sources has it",
        "35 sources, 4 of them unhealthy",
    ]
    line = next(line for line in ran.out.splitlines() if line.startswith("images"))
    assert line.split("  ")[0] == "images"
    assert "missing" in line
    assert "1 of 7: the server answered 404 Not Found" in line


def test_a_key_that_is_another_one_is_wrong(ward: Sandbox) -> None:
    """The shipped catalog pins the real keys, and the lab has its own."""
    ran = ward.run("doctor", "cluster.yaml", "--json")
    assert ran.code == 1
    keys = {one["source"]: one for one in findings(ran)["sources"].values() if one["kind"] == "key"}
    assert {one["state"] for one in keys.values()} == {"wrong"}
    assert keys["https://download.docker.com/linux/centos/gpg"]["what"].startswith(
        "this is the key "
    )
    # without the key that signs metadata alone a lock can be made
    lost = {one["artifact"] for one in findings(ran)["lost"]}
    assert lost == {"centos-7", "docker-ce", "google-rpm"}


def test_docker_hub_tells_what_is_left(ward: Sandbox) -> None:
    registry = ward.upstream.registry("docker.io")
    registry.allowance = PullLimit(pulls=100, left=98)
    ran = doctor(ward, "cluster.yaml")
    assert ran.code == 0, ran.err
    rows = ran.out.partition("\n\n")[2].splitlines()
    assert rows == [
        "REGISTRY   PULLS LEFT  OF   IN         COUNTED BY  IMAGES FROM THERE",
        "docker.io  98          100  6 h 0 min  address     5",
    ]
    assert registry.allowance.left == 98  # asking took none
    assert "warning" not in ran.err


def test_few_pulls_are_warned_of_and_an_account_is_told_from_an_address(ward: Sandbox) -> None:
    ward.upstream.registry("docker.io").allowance = PullLimit(200, 9, source="somebody")
    ran = doctor(ward, "cluster.yaml", "--json")
    assert ran.code == 0, ran.err
    assert findings(ran)["limits"] == [
        {
            "registry": "docker.io",
            "left": 9,
            "of": 200,
            "seconds": 21600,
            "account": True,
            "images": 5,
            "what": None,
        }
    ]
    assert "warning" not in ran.err  # scripts read the numbers
    ran = doctor(ward, "cluster.yaml")
    assert "docker.io has 9 pulls left, and 5 images may take 10" in ran.err


def test_a_registry_without_pulls_left_counts_as_limited(ward: Sandbox) -> None:
    """The other registry has the images, so the cluster can be had."""
    ward.upstream.registry("docker.io").allowance = PullLimit(100, 0)
    ran = doctor(ward, "cluster.yaml", "--json")
    assert ran.code == 0, ran.err
    assert states(ran) == {
        GOOGLE: "missing", "docker.io/calico": "limited", "docker.io/tigera": "limited",
    }  # fmt: skip
    ward.upstream.faults.add(faults.Status(500), host="quay.io")
    ran = doctor(ward, "cluster.yaml", "--json")
    assert ran.code == 1
    assert len(findings(ran)["lost"]) == 6


def test_a_registry_that_does_not_tell_is_said_so(ward: Sandbox) -> None:
    ran = doctor(ward, "cluster.yaml", "--json")
    (limit,) = findings(ran)["limits"]
    assert (limit["left"], limit["of"], limit["what"]) == (None, None, None)
    ward.upstream.faults.add(faults.Status(401), path="/v2/ratelimitpreview/*")
    ran = doctor(ward, "cluster.yaml")
    assert ran.code == 0, ran.err
    assert "docker.io does not say how many pulls are left: " in ran.err


def test_programs_that_rpms_are_built_of_are_asked_for(ward: Sandbox) -> None:
    """Each at all of its sources, from cluster.yaml and from its lock."""
    text = (ward.folder / "cluster.yaml").read_text("utf-8")
    text = text.replace("kubernetes: 1.18.5", "kubernetes: {version: 1.18.5, packages: built}")
    (ward.folder / "cluster.yaml").write_text(text, "utf-8")
    ward.upstream.faults.add(faults.Status(404), host="dl.k8s.io")
    ran = doctor(ward, "cluster.yaml", "--json")
    assert ran.code == 0, ran.err
    programs = {k: one for k, one in findings(ran)["sources"].items() if one["kind"] == "programs"}
    names = {"kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"}
    assert {name for name, _ in programs} == names
    assert {a for (_, a), one in programs.items() if one["failed"]} == {"https://dl.k8s.io/"}
    ward.upstream.faults.add(faults.Status(503), path="*/kubeadm", method="HEAD")
    ran = doctor(ward, "cluster.yaml")
    assert ran.code == 1
    what = "kubeadm of kubeadm-1.18.5-0.airseed1.x86_64: none of its 3 sources has it"
    assert f"error: {what}" in ran.err


def test_a_locks_sources_are_asked_for_every_artifact(ward: Sandbox, sample: Sample) -> None:
    """By digest, and files by their size; each source of each RPM."""
    ran = ward.run("doctor", str(sample.folder / "cluster.lock"), "--json")
    assert ran.code == 0, ran.err
    shown = findings(ran)["sources"]
    packages = [one for one in shown.values() if one["kind"] == "packages"]
    images = [one for one in shown.values() if one["kind"] == "images"]
    assert sum(one["asked"] for one in packages) == sum(
        len(p.sources) for p in sample.lock.packages
    )
    assert sum(one["asked"] for one in images) == sum(len(i.sources) for i in sample.lock.images)
    assert states(ran) == {GOOGLE: "missing"}
    digests = {image.digest.hex for image in sample.lock.images}
    asked = {
        one.path.rpartition(":")[2] for one in ran.requests if "/manifests/sha256:" in one.path
    }
    assert asked == digests


def test_an_rpm_of_another_size_is_wrong(ward: Sandbox, sample: Sample) -> None:
    """A mirror that has other bytes under the same name."""
    package = next(p for p in sample.lock.packages if p.nevra.name == "socat")
    upstream, url = ward.upstream, package.sources[-1]
    host = upstream.site(url.split("/")[2])
    path = "/" + url.split("/", 3)[3]
    before = host._files[path]
    upstream.add_file(url, b"another socat")
    try:
        ran = ward.run("doctor", str(sample.folder / "cluster.lock"), "--json")
    finally:
        host._files[path] = before
    assert ran.code == 0
    (ill,) = [o for o in findings(ran)["sources"].values() if o["state"] == "wrong"]
    assert (ill["kind"], ill["failed"]) == ("packages", 1)
    assert ill["what"] == "the server has 13 bytes of it"


def test_a_bundle_is_as_good_as_its_lock(ward: Sandbox, sample: Sample) -> None:
    ran = ward.run("doctor", str(sample.bundle), "--json")
    assert ran.code == 0, ran.err
    assert states(ran) == {GOOGLE: "missing"}


def test_without_a_document_each_address_of_the_catalog_is_asked_once(ward: Sandbox) -> None:
    """The lab plays a part of the world; the rest is missing or dead, and said to be."""
    ran = doctor(ward, "--json", "--timeout", "5")
    assert ran.code == 1
    shown = findings(ran)
    kinds = {one["kind"] for one in shown["sources"].values()}
    assert kinds == {"repository", "key", "images", "manifests", "media", "programs"}
    assert {one["asked"] for one in shown["sources"].values()} == {1}
    assert (
        shown["sources"]["centos-7.6-os", "https://vault.centos.org/7.6.1810/os/x86_64/"]["state"]
        == "healthy"
    )
    assert (
        shown["sources"]["kubernetes-1.31", "https://pkgs.k8s.io/core:/stable:/v1.31/rpm/"]["state"]
        == "dead"
    )
    assert (
        shown["sources"]["centos 7.6 minimal", "https://vault.centos.org/7.6.1810/isos/x86_64/"][
            "state"
        ]
        == "missing"
    )
    lost = {one["artifact"] for one in shown["lost"]}
    assert {"kubernetes-1.31", "CentOS-7-x86_64-DVD-2009.iso"} <= lost
    assert "centos-7.6-os" not in lost
    assert "Traceback" not in ran.err


def test_a_document_that_is_wrong_is_3(ward: Sandbox) -> None:
    (ward.folder / "bad.yaml").write_text("kubernetes: 1.40.0\n", "utf-8")
    assert doctor(ward, "bad.yaml").code == 3
    assert doctor(ward, "none.yaml").code == 2


def test_what_is_unhealthy_is_shown_with_the_day_of_its_last_health(ward: Sandbox) -> None:
    cache = ward.folder.parent / "a-cache"
    ward.environment["XDG_CACHE_HOME"] = str(cache)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    docker = ("docker.io/calico", "docker.io/calico")
    first = findings(doctor(ward, "cluster.yaml", "--json"))["sources"]
    assert first[docker]["lastSeen"] == today
    assert first["kubernetes-el7", GOOGLE]["lastSeen"] is None
    kept = cache / "airseed/doctor.json"
    kept.write_text(kept.read_text("utf-8").replace(today, "2026-01-02"), "utf-8")
    ward.upstream.faults.add(faults.Status(503), path="/v2/calico/*")
    shown = findings(doctor(ward, "cluster.yaml", "--json"))["sources"]
    assert shown[docker]["lastSeen"] == "2026-01-02"
    text = doctor(ward, "cluster.yaml").out
    assert "; last seen healthy 2026-01-02" in text
    assert "; never seen healthy from here" in text
    for damaged in ("[]", "{", '{"a": 1}'):
        kept.write_text(damaged, "utf-8")
        assert "Traceback" not in doctor(ward, "cluster.yaml").err
