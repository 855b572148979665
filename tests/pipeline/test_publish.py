"""``airseed publish`` into registries that are as they are."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from push_registry import PushRegistry, Quirks

from builder.cli.root import run
from builder.errors import Fault, FetchError, UnavailableError
from builder.model.registry import Registry
from builder.pipeline.publish import publish
from builder.pipeline.serve import serve
from builder.report import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample

    from builder.pipeline.publish import Published


def fill(bundle: Path, registry: PushRegistry) -> Published:
    return publish([bundle], Registry(host=registry.host, prefix="k8s"), reporter=Silent())


def expect_all(sample: Sample, registry: PushRegistry) -> None:
    for image in sample.lock.images:
        tags = registry.tags[f"k8s/{image.reference.path}"]
        wanted = image.digest if registry.quirks.sparse else image.manifests[0].digest
        assert tags[image.reference.tagged.tag or ""] == str(wanted)
        if image.reference.path == "coredns":
            assert registry.tags["k8s/coredns/coredns"] == tags
    assert registry.incomplete() == []


@pytest.mark.parametrize("kind", ["tar", "folder"])
def test_a_second_run_moves_nothing(kind: str, sample: Sample, unpacked: Path) -> None:
    bundle = sample.bundle if kind == "tar" else unpacked
    with PushRegistry() as registry:
        first = fill(bundle, registry)
        assert {pushed.state for pushed in first.pushed} == {"pushed"}
        expect_all(sample, registry)
        registry.requests.clear()
        second = fill(bundle, registry)
        assert {pushed.state for pushed in second.pushed} == {"there"}
        asked = [path for method, path in registry.requests if method == "HEAD"]
        names = len(sample.lock.images) + 1  # coredns has two
        parts = sum("/manifests/sha256:" in path for path in asked)
        assert (len(asked), parts) == (2 * names, names)  # each tag, and its one platform
        others = [(method, path) for method, path in registry.requests if method != "HEAD"]
        assert {method for method, _ in others} == {"GET"}  # what was published before
        assert all(path.startswith("/v2/k8s/airseed-published/") for _, path in others)


def test_a_run_that_moves_nothing_does_not_load_what_would(sample: Sample, tmp_path: Path) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry() as registry:
        words = ("publish", str(sample.bundle), "--registry", f"{registry.host}/k8s")
        assert sandbox.run(*words).code == 0
        sandbox.environment["PYTHONPROFILEIMPORTTIME"] = "1"
        loaded = sandbox.run(*words).loaded
    assert "builder.destinations.registry" in loaded
    needless = {"bundle.transfer", "bundle.writer", "model.cluster", "oci.graph", "pipeline.yum"}
    assert not loaded & {f"builder.{name}" for name in needless}


def test_each_blob_goes_up_once_and_is_mounted_elsewhere(sample: Sample) -> None:
    with PushRegistry() as registry:
        fill(sample.bundle, registry)
        sent = [path.partition("digest=")[2] for method, path in registry.requests
                if method == "PUT" and "digest=" in path]  # fmt: skip
        assert len(sent) == len(set(sent))


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(sparse=False),
        Quirks(mount=202),
        Quirks(mount=403),
        Quirks(whole=405),
        Quirks(largest=1 << 20),
        Quirks(head_digest=False),
        Quirks(breaks={"PUT": 3}),
        Quirks(whole=405, breaks={"PATCH": 3}),
        Quirks(mount=401),
        Quirks(mount=400),
        Quirks(mount=500),
        Quirks(chunks=405),
        Quirks(chunks=405, breaks={"PUT": 4}),
        Quirks(largest=1 << 20, least=512 << 10),
        Quirks(head=500),
        Quirks(head=405),
        Quirks(shared=True),
        Quirks(forgets=3),
        Quirks(busy={"PUT": [429, 500, 503, 502], "POST": [503, 500], "HEAD": [503]}),
        Quirks(busy={"PATCH": [416]}, whole=415),
        Quirks(scheme="http://127.0.0.1:1"),
    ],
    ids=lambda quirks: " ".join(
        f"{key}={value}" for key, value in vars(quirks).items() if value != vars(Quirks())[key]
    ),
)
def test_a_registry_with_ways_of_its_own_is_filled(sample: Sample, quirks: Quirks) -> None:
    with PushRegistry(quirks) as registry:
        fill(sample.bundle, registry)
        expect_all(sample, registry)


@pytest.mark.parametrize("uses", [0, 3])
def test_a_login_of_a_robot_and_tokens_that_end_early_do(
    uses: int, sample: Sample, tmp_path: Path
) -> None:
    quirks = Quirks(login="robot$site+push:s3cret", token_uses=uses, whole=405, largest=1 << 20)
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry(quirks) as registry:
        words = ("publish", str(sample.bundle), "--registry", f"{registry.host}/k8s")
        refused = sandbox.run(*words)
        assert (refused.code, registry.tags) == (1, {})
        assert "docker login" in refused.err or "project 'k8s'" in refused.err
        authfile = tmp_path / "auth.json"
        secret = base64.b64encode(quirks.login.encode()).decode()
        authfile.write_text(json.dumps({"auths": {registry.host: {"auth": secret}}}))
        done = sandbox.run(*words, "--authfile", str(authfile))
        assert done.code == 0, done.err
        expect_all(sample, registry)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_missing_project_is_named_once(status: int, sample: Sample) -> None:
    with PushRegistry(Quirks(missing=status)) as registry:
        with pytest.raises(UnavailableError) as caught:
            fill(sample.bundle, registry)
        faults = caught.value.faults
        assert len(faults) == 1
        assert "project 'k8s'" in str(faults[0].hint)
        assert registry.count("POST") <= 5
        assert registry.count("PUT") == 0


def test_types_that_are_refused_are_named(sample: Sample) -> None:
    with PushRegistry(Quirks(docker_types=False)) as registry:
        with pytest.raises(UnavailableError) as caught:
            fill(sample.bundle, registry)
        assert all("docker2s2" in str(fault.hint) for fault in caught.value.faults)
        assert registry.incomplete() == []


def test_an_immutable_tag_is_told_and_the_rest_is_there(sample: Sample) -> None:
    with PushRegistry(Quirks(immutable=True)) as registry:
        fill(sample.bundle, registry)
        image = sample.lock.images[0]
        repository = f"k8s/{image.reference.path}"
        other = registry.other_image(repository, image.reference.tag or "")
        with pytest.raises(UnavailableError) as caught:
            fill(sample.bundle, registry)
        (fault,) = caught.value.faults
        assert other in fault.what
        assert "immutable" in str(fault.hint)


def test_a_dry_run_changes_nothing(sample: Sample) -> None:
    with PushRegistry() as registry:
        target = Registry(host=registry.host)
        done = publish([sample.bundle], target, reporter=Silent(), dry_run=True)
        assert {method for method, _ in registry.requests} == {"HEAD"}
        blobs = {blob.digest: blob.size for blob in sample.lock.blobs if not blob.kept}
        assert done.plans[0].size == sum(blobs.values())


@pytest.mark.parametrize("deletes", ["tag", "digest"])
def test_prune_removes_what_was_published_before_and_nothing_else(
    deletes: str, sample: Sample
) -> None:
    with PushRegistry(Quirks(deletes=deletes)) as registry:
        fill(sample.bundle, registry)
        known = {path: dict(tags) for path, tags in registry.tags.items()}
        pusher_record = registry.record("k8s/airseed-published", "cluster.local")
        first = next(iter(pusher_record))
        path, _, tag = first.rpartition(":")
        digest = known[path][tag]
        registry.tags[path] |= {
            "old": digest,
            "mine": digest,
            "lone": registry.other_image(path, "lone"),
        }
        lone = registry.tags[path]["lone"]
        registry.note(
            "k8s/airseed-published",
            "cluster.local",
            {
                f"{path}:old": [digest],
                f"{path}:lone": [lone],
                f"{path}:gone": [digest],
                f"{path}:mine": [lone],
            },
        )
        shown: list[str] = []

        def agree(stale: object) -> bool:
            shown.extend(one.name for one in stale)  # type: ignore[attr-defined]
            return True

        target = Registry(host=registry.host, prefix="k8s")
        done = publish([sample.bundle], target, reporter=Silent(), prune=agree)
        assert shown == [f"{path}:lone", f"{path}:old"]
        left = {"old"} if deletes == "digest" else set()
        assert {one.name for one in done.pruned if one.kept} == {f"{path}:{one}" for one in left}
        assert set(registry.tags[path]) == {*known[path], "mine", *left}
        assert registry.incomplete() == []


def test_prune_leaves_what_another_cluster_found_there_already(
    sample: Sample, unpacked: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(unpacked, folder)
    lock = folder / "cluster.lock"
    lock.write_text(lock.read_text("utf-8").replace('"cluster.local"', '"other.local"'), "utf-8")
    with PushRegistry(Quirks(deletes="tag")) as registry:
        fill(sample.bundle, registry)
        assert {one.state for one in fill(folder, registry).pushed} == {"there"}
        names = registry.record("k8s/airseed-published", "other.local")
        assert names == registry.record("k8s/airseed-published", "cluster.local")


def test_several_bundles_move_what_a_dry_run_says_and_the_first_one_counts(
    sample: Sample, unpacked: Path, tmp_path: Path
) -> None:
    """The other one has two of the first one's images by new names, and one tag of its own."""
    other = tmp_path / "other"
    shutil.copytree(unpacked, other)
    lock = other / "cluster.lock"
    text = lock.read_text("utf-8").replace("k8s.gcr.io/etcd:3.4.3-0", "site.example.com/etcd:9")
    text = text.replace("k8s.gcr.io/kube-proxy:", "k8s.gcr.io/airy:")
    text = text.replace("k8s.gcr.io/kube-scheduler:", "k8s.gcr.io/kube-proxy:")
    lock.write_text(text, "utf-8")
    wanted = {image.reference.path: str(image.digest) for image in sample.lock.images}
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry() as registry:
        words = ["publish", str(sample.bundle), str(other), "--registry", f"{registry.host}/k8s"]
        planned = json.loads(sandbox.run(*words, "--json", "--dry-run").out)
        done = sandbox.run(*words, "--json", "--mapping", "mapping.json")
        told = json.loads(done.out)
        assert [told[key] for key in ("blobs", "size", "mounts", "missing")] == [
            planned[key] for key in ("blobs", "size", "mounts", "missing")
        ]
        assert told["mounts"] > 0
        proxy = f"{registry.host}/k8s/kube-proxy:v1.18.5"
        warned = f"warning: {proxy} is another image in each of the bundles: the first one counts"
        assert done.err.count(warned) == 1
        assert set(registry.tags["k8s/kube-proxy"].values()) == {wanted["kube-proxy"]}
        assert set(registry.tags["k8s/airy"].values()) == {wanted["kube-proxy"]}
        assert registry.tags["k8s/etcd"]["9"] == wanted["etcd"]
        names = [name for image in json.loads((sandbox.folder / "mapping.json").read_text("utf-8"))
                 ["images"] for name in image["names"]]  # fmt: skip
        assert len(names) == len(set(names)) == len(wanted) + 3
        for name, code in (("cluster.yaml", 2), ("mapping.json", 0)):
            before = (sandbox.folder / name).read_bytes()
            asked = sandbox.run(*words, "--mapping", name)
            assert asked.code == code, asked.err
            assert (sandbox.folder / name).read_bytes() == before
        again = json.loads(sandbox.run(*words, "--json").out)
        assert (again["blobs"], again["missing"]) == (0, [])
        assert registry.incomplete() == []


def test_a_record_of_a_newer_airseed_is_not_taken_for_a_broken_one(sample: Sample) -> None:
    with PushRegistry(Quirks(deletes="tag")) as registry:
        fill(sample.bundle, registry)
        path, tag = "k8s/airseed-published", "cluster.local"
        digest = registry.tags[path][tag]
        newer = registry.content[digest].replace(b"published.v1", b"published.v2")
        registry.content[digest] = newer
        target = Registry(host=registry.host, prefix="k8s")
        with pytest.raises(FetchError) as caught:
            publish([sample.bundle], target, reporter=Silent(), prune=lambda _: True)
        assert caught.value.fault == Fault(
            where=f"{registry.host}/{path}:{tag}",
            what="another release of airseed wrote this",
            hint="use the airseed that wrote it, or a newer one",
        )


@pytest.mark.parametrize("target", ["--registry", "--yum"])
def test_what_a_bundle_lacks_is_called_a_delta_only_where_it_is_one(
    target: str, sample: Sample, unpacked: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "unpacked here"
    shutil.copytree(unpacked, folder)
    blob = sample.lock.images[0].manifests[0].config
    package = sample.lock.packages[0].path
    lost = f"images/blobs/sha256/{blob.hex}" if target == "--registry" else package
    (folder / lost).unlink()
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry() as registry:
        place = f"{registry.host}/k8s" if target == "--registry" else str(tmp_path / "www")
        refused = sandbox.run("publish", str(folder), target, place)
        assert refused.code == 1
        assert refused.err == f"error: {folder}: this is not a whole bundle\n  {lost}: is missing\n"
        assert registry.tags == {}


def test_parts_are_read_by_the_name_that_they_make(sample: Sample, tmp_path: Path) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry() as registry:
        made = sandbox.run("bundle", str(sample.bundle), "--split", "5M", "-o", "b ü%.tar")
        assert made.code == 0, made.err
        part = sandbox.folder / "b ü%.tar.002"
        content = part.read_bytes()
        part.write_bytes(content[:-1000])
        words = ("publish", "b ü%.tar", "--registry", registry.host)
        refused = sandbox.run(*words)
        assert refused.code == 1
        assert refused.err == (
            "error: b ü%.tar: a part is not as large as it was\n"
            f"  b ü%.tar.002: has {len(content) - 1000:,} bytes\n    expected {len(content):,}\n"
            "  hint: copy it again\n"
        )
        part.write_bytes(content)
        assert sandbox.run(*words).code == 0
        with serve([sandbox.folder / "b ü%.tar"], address=("127.0.0.1", 0)) as serving:
            assert serving.content.bundles[0].modified == part.stat().st_mtime


def test_a_registry_that_removes_nothing_is_told_once(sample: Sample, tmp_path: Path) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry() as registry:
        words = ["publish", str(sample.bundle), "--registry", f"{registry.host}/k8s"]
        assert sandbox.run(*words).code == 0
        others = {f"k8s/pause:{number}": registry.other_image("k8s/pause", number)
                  for number in "1245"}  # fmt: skip
        names = {name: [digest] for name, digest in others.items()}
        registry.note("k8s/airseed-published", "cluster.local", names)
        done = sandbox.run(*words, "--prune", "--yes")
        assert done.code == 0
        (told,) = (line for line in done.err.splitlines() if "still there" in line)
        assert told == (
            "warning: k8s/pause:1, k8s/pause:2, k8s/pause:4 and 1 more are still there: the"
            " registry removes nothing (docker's: storage.delete.enabled: true)"
        )


def test_a_tag_that_was_moved_before_the_yes_stays(sample: Sample) -> None:
    with PushRegistry(Quirks(deletes="tag")) as registry:
        fill(sample.bundle, registry)
        lone = registry.other_image("k8s/pause", "lone")
        names = {"k8s/pause:lone": [lone]}
        registry.note("k8s/airseed-published", "cluster.local", names)
        moved = registry.tags["k8s/pause"]["3.2"]

        def agree(_: object) -> bool:
            registry.tags["k8s/pause"]["lone"] = moved
            return True

        target = Registry(host=registry.host, prefix="k8s")
        done = publish([sample.bundle], target, reporter=Silent(), prune=agree)
        assert [one.kept for one in done.pruned] == ["it means something else by now"]
        assert registry.tags["k8s/pause"]["lone"] == moved


def test_the_mapping_names_what_kubeadm_asks_for(sample: Sample) -> None:
    with PushRegistry(Quirks(sparse=False)) as registry:
        done = fill(sample.bundle, registry)
        document = json.loads(done.mapping)
        folder = f"{registry.host}/k8s"
        assert document["imageRepository"] == folder
        names = {name for image in document["images"] for name in image["names"]}
        assert {f"{folder}/coredns:1.6.7", f"{folder}/coredns/coredns:1.6.7"} <= names
        for image in document["images"]:
            for name in image["names"]:
                path, _, tag = name.removeprefix(f"{registry.host}/").rpartition(":")
                assert registry.tags[path][tag] == image["digest"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--key", "cluster.lock"), "--key needs --cert"),
        (("--password-stdin",), "--password-stdin needs --login"),
        (("--login", "ci"), "no terminal"),
        (("--login", "ci", "--password-stdin"), "no password on standard input"),
        (("--cert", "cluster.lock"), "not a certificate and its key"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_cannot_be_meant_are_refused(
    words: tuple[str, ...], said: str, sample: Sample, tmp_path: Path
) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry() as registry:
        done = sandbox.run("publish", str(sample.bundle), "--registry", registry.host, *words)
        assert done.code == 2, done.err
        assert said in done.err
        assert registry.requests == []


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        ("http://", "'' is not a registry"),
        ("ci:secret@registry.example.com", "a registry's name holds no credentials"),
        ("registry.example.com/K8s", "hint: write registry.example.com/k8s"),
        ("registry.example.com:99999", "'registry.example.com:99999' has no valid port"),
        ("file:///srv", "'file:///srv' has a scheme"),
        ("registry.example.com/a b", "'registry.example.com/a b' is not a registry"),
        ("harbor", "hint: harbor:443"),
        ("::1", "'::1' is not a registry"),
    ],
)
def test_a_registry_is_named_as_in_cluster_yaml(
    registry: str, said: str, sample: Sample, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["publish", str(sample.bundle), "--registry", registry, "--dry-run"]) == 2
    told = capfd.readouterr().err
    assert told.startswith("error: --registry: ")
    assert said in told
    assert "secret" not in told


REFUSALS = {
    "a body that a proxy takes not": (
        Quirks(largest=1),
        "the server answered 413 Request Entity Too Large, for ",
        "the server or a proxy before it limits bodies (nginx: client_max_body_size 0)",
    ),
    "a quota that is used up": (
        Quirks(busy={"PUT": [507] * 99}),
        "the server answered 507 Insufficient Storage",
        "its disk is full, or a quota is used up: make room there",
    ),
    "a replica": (
        Quirks(busy={"POST": [405] * 99}),
        "the server answered 405 Method Not Allowed",
        "it can only be read: a replica or a cache, or it is in maintenance",
    ),
    "a page to log in to": (
        Quirks(busy={"HEAD": [302] * 99}),
        "the server answered 302 Found, ",
        "what answers there is not a registry: a page to log in to, perhaps",
    ),
    "such a page, which has all that is asked for": (
        Quirks(busy={"PUT": [0] * 29 + [302] * 99}),
        "the server answered 302 Found",
        "what answers there is not a registry: a page to log in to, perhaps",
    ),
    "a registry in a path of a web server": (
        Quirks(busy={"POST": [404] * 99}),
        "the server answered 404 Not Found",
        "/v2/, and in no path below another",
    ),
}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("page", ["text/html; charset=utf-8", "application/json"])
def test_what_says_yes_to_everything_is_no_registry(
    page: str, dry_run: bool, sample: Sample
) -> None:
    if dry_run and "html" not in page:
        return  # nothing is put, so nothing can be missed
    with PushRegistry(Quirks(page=page)) as registry:
        target = Registry(host=registry.host, prefix="k8s")
        with pytest.raises(UnavailableError) as caught:
            publish([sample.bundle], target, reporter=Silent(), dry_run=dry_run)
        hint = "what answers there is not a registry: a page to log in to, perhaps"
        assert {fault.hint for fault in caught.value.faults} == {hint}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_refuses_all_alike_is_told_once_with_its_way_out(case: str, sample: Sample) -> None:
    quirks, what, hint = REFUSALS[case]
    quirks = replace(quirks, busy={method: [*them] for method, them in quirks.busy.items()})
    with PushRegistry(quirks) as registry:
        with pytest.raises(UnavailableError) as caught:
            fill(sample.bundle, registry)
        (fault,) = caught.value.faults
        assert fault.what.startswith(what)
        assert (fault.hint or "").endswith(hint)
        tried = [path for method, path in registry.requests if method == "PUT"]
        assert len(tried) == len(set(tried))  # none twice: it won't change by itself
        assert registry.tags == {}
