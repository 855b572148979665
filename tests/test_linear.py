"""Twice as many images, packages, keys take twice the steps: no list is searched for each of them.

Steps are counted, not seconds.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import plans
import pytest
from steps import count, is_linear
from subjects import AMD64, SUBJECT

from builder import redact, strict_json
from builder.bundle import delta
from builder.cli.root import run
from builder.errors import AirseedError, DocumentError, Fault
from builder.formats import cluster as cluster_format
from builder.formats import lock as lock_format
from builder.formats import manifest_edits, sbom
from builder.formats.lock import rules
from builder.formats.reading import Reading
from builder.model.artifact import (
    CONFIG_TYPES,
    LAYER_TYPES,
    MANIFEST_TYPES,
    Blob,
    File,
    Image,
    ImageManifest,
    Package,
    Repository,
)
from builder.model.digest import Digest
from builder.model.image_names import ImageNames
from builder.model.lock import Lock
from builder.model.reference import Reference
from builder.model.rpm import Nevra
from builder.oci.graph import ImageGraphs
from builder.pipeline import verify
from builder.pipeline.lock_document import LockDocument
from builder.rpm import keys
from builder.rpm.installed import parse_installed
from builder.sources.package import check_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.bundle.reader import TarBundle

SIZE = 60


def digest(*parts: object) -> Digest:
    return Digest.of(repr(parts).encode())


def documents(number: int) -> dict[str, bytes]:
    """Return manifest and configuration of a made-up image of two layers."""
    layers = [
        {"mediaType": LAYER_TYPES[1], "digest": str(digest("layer", number, n)), "size": 9}
        for n in range(2)
    ]
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ["a", f"{number}"]}}
    ).encode()
    own = {"mediaType": CONFIG_TYPES[0], "digest": str(Digest.of(config)), "size": len(config)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "config": own, "layers": layers}
    return {MANIFEST_TYPES[0]: json.dumps(manifest).encode(), CONFIG_TYPES[0]: config}


def lock(size: int) -> Lock:
    """Make a lock of so many images, packages and files."""
    images, blobs = [], []
    for number in range(size):
        name = f"quay.io/some/app{number:05}:1"
        made = documents(number)
        own = {kind: Digest.of(content) for kind, content in made.items()}
        layers = tuple(digest("layer", number, n) for n in range(2))
        top = own[MANIFEST_TYPES[0]]
        images.append(
            Image(
                reference=Reference.parse(name),
                digest=top,
                size=len(made[MANIFEST_TYPES[0]]),
                media_type=MANIFEST_TYPES[0],
                sources=(name,),
                manifests=(
                    ImageManifest(
                        platform=AMD64, digest=top, config=own[CONFIG_TYPES[0]], layers=layers
                    ),
                ),
                roles=("control-plane", "worker"),
                needed_by=("extra",),
            )
        )
        sizes = {own[kind]: (kind, len(content)) for kind, content in made.items()}
        sizes |= dict.fromkeys(layers, (LAYER_TYPES[1], 9))
        blobs += [
            Blob(digest=one, size=length, media_type=kind, sources=("quay.io/some/app",))
            for one, (kind, length) in sizes.items()
        ]
    packages = [
        Package(
            nevra=Nevra.parse(f"tool{number:05}-1.0-1.noarch"),
            repository="base",
            digest=digest("package", number),
            size=9,
            sources=(),
            keys=("A" * 40,),
            requested=number == 0,
            needed_by=("extra",) if number == 0 else (f"tool{number - 1:05}",),
        )
        for number in range(size)
    ]
    files = [
        File(kind="file", path=f"files/{n:05}", digest=digest("file", n), size=9, sources=())
        for n in range(size)
    ]
    key = File(
        kind="key", path="keys/a", digest=digest("key"), size=9, sources=(), fingerprint="A" * 40
    )
    repository = Repository(
        name="base", sources=(), digest=digest("base"), size=9, keys=("A" * 40,), signed=True
    )
    return Lock(
        subject=SUBJECT,
        images=tuple(images),
        blobs=tuple(sorted(blobs, key=lambda blob: blob.name)),
        repositories=(repository,),
        packages=tuple(packages),
        files=(*files, key),
    )


def read(size: int) -> Callable[[], object]:
    text = lock_format.write(lock(size)).decode()
    return lambda: lock_format.parse(text, "lock")


def check_rules(size: int) -> Callable[[], object]:
    """Check what no artifact can tell by itself; reading would hide how long that takes."""
    made = lock(size)

    def work() -> None:
        reading = Reading("lock")
        rules.check(made, reading)
        assert reading.faults == []

    return work


def write(size: int) -> Callable[[], object]:
    made = lock(size)
    return lambda: lock_format.write(made)


def lay_out(size: int) -> Callable[[], object]:
    made = lock(size)
    content = lock_format.write(made)

    def work() -> object:
        document = LockDocument(path=Path("lock"), content=content)
        vars(document)["lock"] = made
        layout = document.layout
        return [layout.extent(extent.path) for extent in layout.extents]

    return work


def check_graphs(size: int) -> Callable[[], object]:
    made = lock(size)

    def work() -> None:
        graphs = ImageGraphs(made.images, made.blobs)
        for number in range(size):
            for content in documents(number).values():
                assert graphs.check(Digest.of(content), content) == []
        assert list(graphs.unproven()) == []

    return work


def explain_faults(size: int) -> Callable[[], object]:
    made = lock(size)
    faults = [Fault(where=blob.path, what="is missing") for blob in made.blobs]
    return lambda: list(verify._explained(faults, made))


def check_manifests(size: int) -> Callable[[], object]:
    """Hold as many manifests against as many images."""
    made = lock(size)
    names = [f"manifests/{number:05}.yaml" for number in range(size)]
    files = [
        File(kind="manifest", path=path, digest=digest(path), size=9, sources=()) for path in names
    ]
    made = replace(made, files=tuple(files), packages=(), repositories=())

    def work() -> None:
        checks = verify._Checks(cast("TarBundle", None))
        checks.read = lambda _: b"kind: Pod\n"  # type: ignore[method-assign]
        assert list(checks.consistency(made, set())) == []

    return work


def check_repositories(size: int) -> Callable[[], object]:
    """Look for the packages and metadata of as many repositories."""
    made = lock(size)
    names = [f"r{number:05}" for number in range(size)]
    repositories = tuple(replace(made.repositories[0], name=name) for name in names)
    made = replace(made, repositories=repositories)
    damaged = {f"yum/{name}/repodata/repomd.xml" for name in names}
    return lambda: check_metadata(made, lambda _: b"", {}, damaged)


def describe(size: int) -> Callable[[], object]:
    """Make the bill of materials; reading and writing would hide how long that takes."""
    made = lock(size)
    return lambda: sbom.bill(made, {})


def name_twice(size: int) -> Callable[[], object]:
    """Find the second spelling of images that only a registry has."""
    names = [f"k.io/a{n}/{name}:1" for n in range(size) for name in ("kube-apiserver", "coredns")]
    references = [Reference.parse(name) for name in names]

    def work() -> None:
        assert len(ImageNames("r.lan").also(references)) == size

    return work


def refuse(size: int) -> Callable[[], object]:
    """Read a lock in which everything is wrong that can be wrong with an image."""
    made = lock(size)
    images = [replace(image, size=1, signed_by="nobody") for image in made.images]
    wrong = replace(made, images=tuple(images), blobs=made.blobs[::2], repositories=())
    text = lock_format.write(wrong).decode()

    def work() -> None:
        with pytest.raises(DocumentError):
            lock_format.parse(text, "lock")

    return work


@pytest.mark.parametrize(
    "work",
    [
        read,
        check_rules,
        write,
        lay_out,
        check_graphs,
        check_repositories,
        explain_faults,
        describe,
        name_twice,
        refuse,
    ],
)
def test_locks(work: Callable[[int], Callable[[], object]]) -> None:
    assert is_linear(work, SIZE)


def test_nodes() -> None:
    def read_cluster(size: int) -> Callable[[], object]:
        text = "kubernetes: 1.18.5\nnetwork: {pods: 10.128.0.0/9}\nnodes:\n" + "".join(
            f"  - {{name: n{n}, role: {'worker' if n else 'control-plane'}, address: 10.0.{n}.9,"
            f" machine: {{files: [{{path: /opt/a, content: x}}]}}}}\n"
            for n in range(size)
        )
        return lambda: cluster_format.read(text, "cluster.yaml", catalog=catalog)

    catalog = plans.catalog()
    assert is_linear(read_cluster, 2 * SIZE)


def test_nodes_of_one_name() -> None:
    """What is wrong with each of them is told once, and the others are not looked through."""

    def read_cluster(size: int) -> Callable[[], object]:
        node = "  - {name: a, role: control-plane, address: 10.0.0.9}\n"
        text = f"kubernetes: 1.18.5\nnodes:\n{node * size}"

        def work() -> None:
            with pytest.raises(DocumentError):
                cluster_format.read(text, "cluster.yaml", catalog=catalog)

        return work

    catalog = plans.catalog()
    assert is_linear(read_cluster, 4 * SIZE)


def test_a_delta() -> None:
    """What it leaves out is not looked for in its text by each member."""

    class Text(bytes):
        searched = 0

        def __contains__(self, part: object) -> bool:
            Text.searched += 1
            return bytes.__contains__(self, part)  # type: ignore[operator]

    document = LockDocument(path=Path("lock"), content=b"")
    vars(document)["lock"] = lock(SIZE)
    layout = document.layout
    left = [extent for extent in layout.extents if isinstance(extent.content, Blob)][:SIZE]
    text = delta.describe([cast("Blob", extent.content) for extent in left])
    assert delta.recover(layout, Text(text)) == {extent.digest for extent in left}
    assert Text.searched == 0


@pytest.mark.parametrize(
    "work",
    [
        lambda: redact.hide("'" + "a@" * 300_000),
        lambda: redact.hide("a" * 300_000 + "!://a:b@c"),
        lambda: keys._signatures(b"-----BEGIN PGP SIGNATURE-----\n" * 8000, "x"),
        lambda: manifest_edits.edits(
            b"kind: A\ndata:\n  ? " + b"related_image_" * 60_000 + b"!\n  : a/b\n", "x", {}
        ),
        lambda: parse_installed(
            b"bash.x86_64   4-1   @x\na.b " + b"-" * 200_000 + b"\n", document="x"
        ),
    ],
)
def test_texts_without_end(work: Callable[[], object]) -> None:
    """A pattern that goes back takes minutes for these, and else a moment."""
    begun = time.process_time()
    with suppress(AirseedError):
        work()
    assert time.process_time() - begun < 10


def test_manifests() -> None:
    """Reading one takes so long that fewer would hide the rest."""
    assert is_linear(check_manifests, 4 * SIZE)


@pytest.mark.parametrize("words", [[], ["--json"], ["--why", "tool00000"], ["--sbom", "spdx"]])
def test_inspect(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def work(size: int) -> Callable[[], object]:
        path = tmp_path / f"{size}.lock"
        path.write_bytes(lock_format.write(lock(size)))
        return lambda: run(["inspect", str(path), *words])

    assert is_linear(work, SIZE)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("same", [True, False])
def test_repeated_keys(same: bool) -> None:
    """The last key of many is the one that stands there twice, or all are the same."""

    class Name(str):
        __slots__ = ()
        compared = 0

        def __eq__(self, other: object) -> bool:
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    def compare(size: int) -> int:
        names = ["a"] * size if same else [*map(str, range(size)), "0"]
        Name.compared = 0
        with pytest.raises(strict_json.JsonError):
            strict_json._object([(Name(name), 1) for name in names])
        return Name.compared

    assert compare(2000) <= 3 * 2000


def test_a_search_in_a_list_is_seen() -> None:
    """The measure itself: it must tell a loop in a loop."""
    assert not is_linear(lambda n: lambda: [[0 for _ in range(n)] for _ in range(n)], SIZE)
    assert is_linear(lambda n: lambda: [0 for _ in range(n)], SIZE)
    assert count(lambda: None) < 10
