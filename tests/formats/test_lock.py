from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest
from subjects import AMD64, SUBJECT

from builder.errors import DocumentError
from builder.formats import lock as lock_format
from builder.formats.lock import table
from builder.model.artifact import (
    Blob,
    Build,
    File,
    Image,
    ImageManifest,
    Input,
    Package,
    Repository,
)
from builder.model.digest import Digest
from builder.model.lock import Fingerprint, Lock
from builder.model.reference import Reference
from builder.model.rpm import Nevra

TYPE = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(number: int) -> Digest:
    return Digest(f"{number:064x}")


def blob(number: int, media_type: str = LAYER) -> Blob:
    return Blob(
        digest=digest(number), size=number, media_type=media_type, sources=("k8s.gcr.io/pause",)
    )


LOCK = Lock(
    subject=replace(SUBJECT, demand=Fingerprint(1, digest(99))),
    images=(
        Image(
            reference=Reference.parse("k8s.gcr.io/pause:3.2"),
            digest=digest(1),
            size=1,
            media_type=TYPE,
            sources=("registry.k8s.io/pause:3.2",),
            manifests=(
                ImageManifest(
                    platform=AMD64,
                    digest=digest(1),
                    config=digest(2),
                    layers=(digest(3), digest(3)),
                ),
            ),
            roles=("control-plane", "worker"),
            needed_by=("kubelet",),
        ),
    ),
    blobs=(blob(1, TYPE), blob(2), blob(3)),
    repositories=(
        Repository(
            name="kubernetes",
            sources=("https://example.invalid/el7/",),
            digest=digest(9),
            size=900,
            keys=("A" * 40,),
            signed=True,
        ),
    ),
    packages=(
        Package(
            nevra=Nevra.parse("kubeadm-1.18.5-0.x86_64"),
            repository="kubernetes",
            digest=digest(4),
            size=4,
            sources=("https://example.invalid/pool/kubeadm.rpm",),
            keys=("A" * 40,),
            requested=True,
            needed_by=("kubernetes",),
        ),
    ),
    files=(
        File(
            kind="key",
            path="keys/kubernetes.asc",
            digest=digest(5),
            size=5,
            sources=("https://example.invalid/key",),
            needed_by=("kubernetes",),
            fingerprint="A" * 40,
            trust="pinned",
        ),
        File(
            kind="repodata",
            path="yum/kubernetes/repodata/repomd.xml",
            digest=digest(6),
            size=6,
            sources=(),
            needed_by=("kubernetes",),
        ),
    ),
)


def test_what_is_written_is_read_back() -> None:
    text = lock_format.write(LOCK)
    assert lock_format.parse(text.decode(), "cluster.lock") == LOCK
    assert lock_format.write(lock_format.parse(text.decode(), "cluster.lock")) == text


@pytest.mark.parametrize("text", ["", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n", "[]", "{}", "a: b"])
def test_what_is_no_lock_is_told_what_one_is(text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        lock_format.parse(text, "site.asc")
    assert list(map(str, caught.value.faults)) == [
        "this is not a lock (expected a file that airseed lock wrote)"
    ]


def test_every_artifact_has_a_line_of_its_own() -> None:
    lines = lock_format.write(LOCK).decode().splitlines()
    kinds = [line.split('"')[3] for line in lines if line.startswith('{"kind"')]
    assert kinds == ["repository", "key", "repodata", "rpm", "image", "blob", "blob", "blob"]


def test_order_of_the_values_does_not_matter() -> None:
    turned = replace(LOCK, blobs=LOCK.blobs[::-1], files=LOCK.files[::-1])
    assert lock_format.write(turned) == lock_format.write(LOCK)


def test_every_mistake_is_reported_at_once() -> None:
    text = (
        lock_format.write(LOCK)
        .decode()
        .replace('"size": 5', '"size": -5')
        .replace('"kind": "rpm"', '"kind": "deb"')
        .replace("keys/kubernetes.asc", "keys/../../etc/passwd")
    )
    with pytest.raises(DocumentError) as caught:
        lock_format.parse(text, "cluster.lock")
    assert "\n".join(str(fault) for fault in caught.value.faults) == (
        "artifacts[1].name: 'keys/../../etc/passwd' is not a plain relative path "
        "(expected a plain relative path)\n"
        "artifacts[1].size: -5 is out of range "
        "(expected a whole number from 0 to 1125899906842624)\n"
        "artifacts[3].kind: this kind of artifact is unknown "
        "(expected repository or rpm or image or blob or key or manifest or file or repodata"
        " or signer)"
    )


def test_artifacts_must_point_at_each_other() -> None:
    broken = replace(LOCK, blobs=(blob(1, TYPE), blob(2), blob(7)), repositories=())
    with pytest.raises(DocumentError) as caught:
        lock_format.parse(lock_format.write(broken).decode(), "cluster.lock")
    assert [str(fault) for fault in caught.value.faults] == [
        f"k8s.gcr.io/pause:3.2: its blob {digest(3)} is not in the lock",
        f"{digest(7)}: the blob does not belong to any image",
        "kubeadm-1.18.5-0.x86_64: the repository 'kubernetes' is not in the lock",
        "yum/kubernetes/repodata/repomd.xml: no repository of the lock has this repodata",
    ]


@pytest.mark.parametrize("source", ["A B/!", "http://[/x"])
def test_sources_that_nobody_could_ask_are_mistakes(source: str) -> None:
    broken = replace(
        LOCK,
        images=tuple(replace(one, sources=(source,)) for one in LOCK.images),
        files=tuple(replace(one, sources=(source,)) for one in LOCK.files),
    )
    with pytest.raises(DocumentError) as caught:
        lock_format.parse(lock_format.write(broken).decode(), "cluster.lock")
    assert any("source" in fault.what for fault in caught.value.faults)


def test_a_newer_format_is_refused() -> None:
    text = lock_format.write(LOCK).decode().replace('"format": 1', '"format": 2')
    with pytest.raises(DocumentError) as caught:
        lock_format.parse(text, "cluster.lock")
    assert str(caught.value.faults[0]) == "format: the lock has format 2 (expected format 1)"


def test_a_path_that_appears_twice_is_refused() -> None:
    text = lock_format.write(LOCK).decode()
    line = next(line for line in text.splitlines() if '"kind": "rpm"' in line)
    with pytest.raises(DocumentError) as caught:
        lock_format.parse(text.replace(line, f"{line}\n{line}"), "cluster.lock")
    assert "yum/kubernetes/Packages/kubeadm-1.18.5-0.x86_64.rpm: the path appears twice" in {
        str(fault) for fault in caught.value.faults
    }


BUILT = replace(
    LOCK,
    packages=(
        replace(
            LOCK.packages[0],
            sources=(),
            trust="pinned",
            built=Build(
                by="rpm-rs 0.30.2",
                order=digest(90),
                inputs=(
                    Input(
                        name="kubeadm",
                        digest=digest(91),
                        sources=("https://example.invalid/kubeadm",),
                        trust="pinned",
                    ),
                ),
            ),
        ),
    ),
)


def test_what_was_built_is_read_back() -> None:
    text = lock_format.write(BUILT).decode()
    assert lock_format.parse(text, "lock") == BUILT
    assert "built" not in lock_format.write(LOCK).decode()


def test_what_lies_beside_it_is_named() -> None:
    kept = {content.digest for content in BUILT.contents if content.kept}
    assert BUILT.beside == kept | {digest(90)}
    assert digest(90) not in LOCK.beside


def test_mistakes_in_what_was_built_are_reported() -> None:
    value = json.loads(lock_format.write(BUILT))
    (rpm,) = [one for one in value["artifacts"] if one["kind"] == "rpm"]
    rpm["built"]["order"] = "sha256:0"
    rpm["built"]["inputs"][0]["trust"] = "hope"
    rpm["built"]["inputs"].append({"name": "../x", "digest": str(digest(1)), "sources": []})
    with pytest.raises(DocumentError) as caught:
        lock_format.parse(json.dumps(value), "lock")
    found = {(fault.where.partition(".built.")[2], fault.what) for fault in caught.value.faults}
    assert found == {
        ("order", "'sha256:0' is not a digest (sha256: and 64 lower-case hex digits)"),
        ("inputs[0].trust", "'hope' is not one of the choices"),
        ("inputs[1].name", "'../x' is not a name"),
        ("inputs[1].trust", "is missing"),
    }


def test_what_is_written_fits_the_schema() -> None:
    schema = table.LOCK.schema()
    written = json.loads(lock_format.write(LOCK))
    jsonschema.validate(written, schema)
    written["artifacts"][0]["kind"] = "blob"  # it is a repository
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, schema)
