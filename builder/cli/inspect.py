"""``airseed inspect``: show what a lock or a bundle holds, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from builder.cli import complete
from builder.cli.amounts import quantity, size
from builder.cli.verb import as_json, existing_bundle, verb
from builder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.cli.console import Console
    from builder.model.artifact import Artifact, Build, Image, Package
    from builder.model.lock import Lock

    Table = tuple[Sequence[str], Sequence[Sequence[str]]]
    """A head and its rows."""


@verb(
    "inspect",
    examples="""
    airseed inspect cluster.lock
    airseed inspect bundle.tar --json
    airseed inspect bundle.tar --why libseccomp
    airseed inspect bundle.tar --sbom spdx
    airseed inspect bundle.tar --provenance
    """,
)
@click.argument("source", type=existing_bundle(), default="cluster.lock", metavar="[LOCK|BUNDLE]")
@click.option(
    "--why",
    metavar="NAME",
    shell_complete=complete.offering(complete.artifacts),
    help="Explain why this package, image or file is there, or what somebody under NEEDED BY "
    "asks for.",
)
@click.option(
    "--sbom",
    type=click.Choice(["spdx", "cyclonedx"]),
    help="Print a bill of materials (SPDX 2.3 or CycloneDX 1.6, JSON). The same lock "
    "gives the same bytes, so its date is 1970 unless SOURCE_DATE_EPOCH is set; suppliers are "
    "unknown to a lock.",
)
@click.option(
    "--provenance", is_flag=True, help="Show which source gave what (BUNDLE.provenance.json)."
)
@as_json
@click.pass_obj
def command(
    console: Console,
    source: Path,
    why: str | None,
    sbom: Literal["spdx", "cyclonedx"] | None,
    *,
    provenance: bool,
    as_json: bool,
) -> None:
    """Show what a lock or bundle holds.

    Reads cluster.lock unless you say otherwise. SIZE is what an artifact takes alone; what
    images share is counted once in the totals. TRUST says why a digest is believed: pinned by
    the catalog or by you, signed by upstream, or what the first lock got. METADATA says whether
    upstream signed a repository's; where it did not, the packages' own signatures count. What was
    built here is shown with what it was built from.
    SIGNED BY says who of the catalog's and cluster.yaml's signers signed an image, as was checked;
    "unchecked" signatures are carried along, but nobody was named to check them with.
    """
    from builder.pipeline import inspect
    from builder.pipeline.lock_document import open_lock

    asked = [("--why", why), ("--sbom", sbom), ("--provenance", provenance or None)]
    names = [name for name, value in asked if value is not None]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} cannot be combined", hint="give one of them")
    if provenance:
        _provenance(source, console, as_json=as_json)
        return
    if sbom is not None:
        from builder.pipeline.sbom import render

        console.result(render(source, sbom).rstrip())
        return
    with open_lock(source) as document:
        lock, missing = document.lock, inspect.elsewhere(document)
    if why is not None:
        chains = inspect.why(lock, why)
        if as_json:
            console.json(chains)
        else:
            console.prose("\n".join(map(" -> ".join, chains)))
        return
    if as_json:
        console.json(_value(lock) | {"elsewhere": [content.path for content in missing]})
        return
    _show(lock, console)
    if missing:
        console.prose(
            f"\nit is a delta: {quantity(len(missing), 'artifacts')} of "
            f"{size(sum(content.size for content in missing))} are on the other side already"
        )


def _provenance(bundle: Path, console: Console, *, as_json: bool) -> None:
    from builder.pipeline import provenance
    from builder.pipeline.lock_document import is_lock

    if is_lock(bundle):
        raise UsageError(
            "a lock has no provenance, only a bundle has",
            where=str(bundle),
            hint="airseed inspect BUNDLE --provenance",
        )
    account = provenance.load(bundle)
    if as_json:
        console.json(
            [
                {
                    "path": origin.path,
                    "digest": str(origin.digest),
                    "source": origin.source or None,
                    "passedOver": list(origin.passed_over),
                }
                for origin in account.origins
            ]
        )
        return
    console.prose(f"{bundle}: made from {account.started} to {account.finished}")
    _section(
        console,
        ("MEMBER", "SOURCE", "PASSED OVER"),
        [
            (origin.path, origin.source or "an earlier run", "; ".join(origin.passed_over))
            for origin in account.origins
        ],
    )


def _show(lock: Lock, console: Console) -> None:
    from builder.pipeline import inspect

    subject = lock.subject
    platforms = ", ".join(map(str, subject.platforms))
    releases = " -> ".join(subject.hops) or subject.kubernetes
    console.prose(
        f"{subject.cluster}: Kubernetes {releases} on {subject.os} (base: "
        f"{subject.base}), {subject.runtime}, {subject.cni}, {platforms}"
    )
    totals = [(total.kind, str(total.count), size(total.size)) for total in inspect.totals(lock)]
    _section(console, ("KIND", "COUNT", "SIZE"), [*totals, ("all", "", size(lock.size))])
    for head, rows in (
        _images(lock),
        _packages(lock),
        _built(lock),
        _repositories(lock),
        _files(lock),
    ):
        _section(console, head, rows)


def _images(lock: Lock) -> Table:
    from builder.pipeline import inspect

    sizes = inspect.image_sizes(lock)
    return ("IMAGE", "SIZE", "DIGEST", "TRUST", "SIGNED BY", "NEEDED BY"), [
        (
            image.name,
            size(sizes[image.name]),
            image.digest.short,
            image.trust,
            image.signed_by or ("unchecked" if image.signatures else "nobody"),
            _needed_by(image),
        )
        for image in lock.images
    ]


def _packages(lock: Lock) -> Table:
    return ("PACKAGE", "SIZE", "REPOSITORY", "TRUST", "NEEDED BY"), [
        (package.name, size(package.size), package.repository, package.trust, _needed_by(package))
        for package in lock.packages
    ]


def _built(lock: Lock) -> Table:
    return ("BUILT PACKAGE", "BY", "FROM", "DIGEST", "TRUST", "SOURCE"), [
        (
            package.name,
            package.built.by,
            program.name,
            program.digest.short,
            program.trust,
            program.sources[0] if program.sources else "-",
        )
        for package in lock.packages
        if package.built
        for program in package.built.inputs
    ]


def _repositories(lock: Lock) -> Table:
    return ("REPOSITORY", "METADATA", "KEYS", "DIGEST OF REPOMD.XML"), [
        (
            repository.name,
            "signed" if repository.signed else "unsigned",
            ", ".join(key[-8:] for key in repository.keys),
            repository.digest.short,
        )
        for repository in lock.repositories
    ]


def _files(lock: Lock) -> Table:
    return ("FILE", "SIZE", "DIGEST", "TRUST", "NEEDED BY"), [
        (file.path, size(file.size), file.digest.short, file.trust, ", ".join(file.needed_by))
        for file in lock.files
    ]


def _needed_by(artifact: Image | Package) -> str:
    """Say who needs it and, where not every release on the way does, for which."""
    needed = ", ".join(artifact.needed_by)
    return f"{needed} ({', '.join(artifact.hops)})" if artifact.hops else needed


def _section(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        console.result("")
        console.table(head, rows)


def _value(lock: Lock) -> dict[str, Any]:
    from builder.formats.lock.table import SUBJECT
    from builder.pipeline import inspect

    subject = SUBJECT.write(lock.subject)
    sizes = inspect.image_sizes(lock)
    asked = ("name", "kubernetes", "os", "base", "runtime", "cni", "platforms")
    return {
        "cluster": {key: subject[key] for key in (*asked, "hops") if key in subject},
        "size": lock.size,
        "totals": {
            total.kind: {"count": total.count, "size": total.size} for total in inspect.totals(lock)
        },
        "images": [
            _fields(image, "name digest size trust signedBy signatures roles neededBy")
            | {
                "size": sizes[image.name],
                "signatures": [str(signature.digest) for signature in image.signatures],
            }
            | _hops(image)
            for image in lock.images
        ],
        "packages": [
            _fields(package, "name repository digest size trust requested neededBy")
            | ({"built": _build(package.built)} if package.built else {})
            | _hops(package)
            for package in lock.packages
        ],
        "repositories": [
            _fields(repository, "name signed keys digest sources")
            for repository in lock.repositories
        ],
        "files": [
            {"kind": file.kind, "path": file.path} | _fields(file, "digest size trust neededBy")
            for file in lock.files
        ],
    }


def _fields(artifact: Artifact, keys: str) -> dict[str, Any]:
    """Return fields of an artifact as the lock has them."""
    from builder.formats.lock.table import ARTIFACT

    written = ARTIFACT.write(artifact)
    return {key: written.get(key) for key in keys.split()}


def _hops(artifact: Image | Package) -> dict[str, Any]:
    return {"hops": list(artifact.hops)} if artifact.hops else {}


def _build(build: Build) -> dict[str, Any]:
    return {
        "by": build.by,
        "inputs": [
            {
                "name": program.name,
                "digest": str(program.digest),
                "trust": program.trust,
                "sources": list(program.sources),
            }
            for program in build.inputs
        ],
    }
