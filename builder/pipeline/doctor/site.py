"""``doctor --site``: ask registry and URL of a cluster for all that its machines will want.

They are asked as the machines will ask: by the names in the seeds, with the authority and the
login that ``machine.registry`` gives them and no other. Digests of small things are taken from
their bytes; of large ones the size is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from builder.backoff import Backoff
from builder.bundle.layout import LOCK_PATH, SUMS_PATH
from builder.errors import Fault, UsageError, VerificationError, few
from builder.http import Client
from builder.model.artifact import INDEX_TYPES
from builder.model.digest import Digest
from builder.model.image_names import ImageNames
from builder.oci.auth import Credentials
from builder.oci.connection import RegistryConnection
from builder.oci.pull import Puller
from builder.oci.scope import Scope
from builder.pipeline import fit, signature
from builder.pipeline.doctor import SLOW, TIMEOUT, Health, asking, finding_of, key_of, last_seen
from builder.pipeline.doctor.asking import ASKED_NO_MORE, WELL
from builder.pipeline.doctor.sources import CheckedSource, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from builder.bundle.layout import Extent, Layout
    from builder.model.artifact import Image
    from builder.model.cluster import Cluster
    from builder.model.lock import Lock
    from builder.model.machine import RegistryAccess
    from builder.model.reference import Reference
    from builder.model.registry import Registry
    from builder.pipeline.doctor import Finding
    from builder.pipeline.doctor.asking import Answer
    from builder.pipeline.doctor.sources import Kind
    from builder.pipeline.workspace import Workspace
    from builder.report import Reporter

_SMALL = 1 << 20
"""Bytes of what is fetched whole, so that its digest is known."""
_FEW = 3
_ANOTHER = "publish the bundle of this very cluster.lock, or serve it"
_KINDS: dict[str, Kind] = {"keys": "key", "manifests": "manifests", "yum": "repository"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """One way in: machines that say the same of the registry are asked for once."""

    client: Client
    connection: RegistryConnection
    machines: str = ""
    """For people, where not all machines go this way."""


def check(
    workspace: Workspace,
    *,
    reporter: Reporter,
    plain_http: bool = False,
    timeout: float | None = None,
) -> Health:
    """Ask for everything; whatever servers do is a finding.

    Raise UsageError for a cluster that asks nobody or has no lock, DocumentError or StorageError
    for what is wrong with its documents.
    """
    workspace.warn(reporter)
    locked = fit.require(workspace)
    locked.check_images()
    cluster, lock, layout = workspace.cluster, locked.lock, locked.layout
    registry, url = cluster.registry, (cluster.seed.url or "").rstrip("/")
    if registry is None and not url:
        raise UsageError(
            "its machines ask neither a registry nor a web server",
            where=str(workspace.path),
            hint="they find all in the bundle that is attached to them; registry: and seed.url "
            "in cluster.yaml name others",
        )
    sources: list[CheckedSource] = []
    asks: dict[Question, Callable[[], object]] = {}
    ways = [
        _way(workspace, access, names, plain_http=plain_http, timeout=timeout or TIMEOUT)
        for access, names in _accesses(cluster).items()
    ]
    try:
        for way in ways:
            if registry is not None:
                sources += _images(way, registry, cluster, lock, asks)
            if url:
                sources += _members(way, url, layout, asks, images=registry is None)
        with reporter.progress("asking", len(asks), unit="questions") as progress:
            answers = asking.ask(
                asks,
                lambda question: asks[question](),
                progress,
                slow=SLOW,
                cancel=lambda: _cancel(ways),
            )
    finally:
        for way in ways:
            way.client.close()
    hosts = _hosts(cluster)
    given = {answer.question: _advised(answer, hosts) for answer in answers}
    found = [
        finding_of(source, [given[question] for question in source.questions]) for source in sources
    ]
    days = last_seen.note(key_of(finding) for finding in found if finding.state in WELL)
    findings = tuple(replace(one, last_seen=days.get(key_of(one))) for one in found)
    return Health(findings=findings, lost=tuple(_lost(findings)), limits=(), offline=None, pulls={})


def _hosts(cluster: Cluster) -> dict[str, str]:
    """Return by name the addresses that machines have in /etc/hosts."""
    machines = map(cluster.machine_of, cluster.nodes)
    return {
        name: address
        for machine in machines
        for address, names in machine.hosts.items()
        for name in names
    }


def _advised(answer: Answer, hosts: dict[str, str]) -> Answer:
    """Say what is to be done here, where servers are the site's own."""
    name = urlsplit(answer.question.url).hostname or ""
    if answer.lacks == "DNS" and name in hosts:
        hint = f"machines know it by machine.hosts: put {hosts[name]} {name} into /etc/hosts here"
        return replace(answer, hint=hint)
    return replace(answer, hint=_ANOTHER) if answer.state == "missing" else answer


def _cancel(ways: Iterable[_Way]) -> None:
    for way in ways:
        way.client.cancel()


def _accesses(cluster: Cluster) -> dict[RegistryAccess, str]:
    """Return what machines say of the registry, with the names of those that say it."""
    found: dict[RegistryAccess, list[str]] = {}
    for node in cluster.nodes:
        found.setdefault(cluster.machine_of(node).registry, []).append(node.name)
    if len(found) == 1:
        return dict.fromkeys(found, "")
    return {
        access: ", ".join(names[:_FEW]) + (", ..." if len(names) > _FEW else "")
        for access, names in found.items()
    }


def _way(
    workspace: Workspace, access: RegistryAccess, names: str, *, plain_http: bool, timeout: float
) -> _Way:
    folder, registry = workspace.folder, workspace.cluster.registry
    if access.credentials:
        signature.private(folder / access.credentials)
    client = Client(
        ca_bundle=folder / access.ca if access.ca else None,
        read_timeout=timeout,
        backoff=Backoff(attempts=1),
    )
    hosts = [registry.host] if registry else []
    connection = RegistryConnection(
        client,
        Credentials([folder / access.credentials] if access.credentials else []),
        plain_http_hosts=hosts if plain_http else (),
        tls_hosts=() if plain_http else hosts,
    )
    return _Way(client=client, connection=connection, machines=names)


def _images(
    way: _Way,
    registry: Registry,
    cluster: Cluster,
    lock: Lock,
    asks: dict[Question, Callable[[], object]],
) -> Iterator[CheckedSource]:
    """Ask for each image by each name that kubeadm, kubelet and the manifests have for it."""
    names = ImageNames(registry)
    also = names.also(image.reference for image in lock.images)
    sizes = {blob.digest: blob.size for blob in lock.blobs}
    for image in lock.images:
        for reference in (image.reference, *also.get(image.reference, ())):
            name = names.name(reference)
            questions = _of_image(way, reference, names, image, cluster, sizes)
            asks.update(questions)
            yield _source(way, "images", name, str(registry), questions)


def _of_image(
    way: _Way,
    reference: Reference,
    names: ImageNames,
    image: Image,
    cluster: Cluster,
    sizes: dict[Digest, int],
) -> dict[Question, Callable[[], object]]:
    repository, tag = names.repository(reference), names.name(reference).rpartition(":")[2]
    parts = [part for part in image.manifests if part.platform in cluster.platforms]
    manifests = {part.digest for part in parts}
    puller = Puller(way.connection)

    def tagged() -> None:
        digest = puller.manifest(repository, tag).digest
        if digest not in {image.digest, *manifests}:
            raise VerificationError(
                f"this name means another image there: {digest}",
                expected=str(image.digest),
                hint="airseed publish moves the tag; a registry with immutable tags needs it "
                "deleted first",
            )

    def manifest(digest: Digest) -> None:
        puller.manifest(repository, str(digest))

    def blob(digest: Digest) -> None:
        _compare(
            way.connection.size(Scope.of(repository), f"blobs/{digest}"), sizes[digest], str(digest)
        )

    host, _, path = repository.partition("/")
    base = f"//{host}/v2/{path}"

    def question(target: str) -> Question:
        return Question(artifact=f"{way.machines} {repository}", url=f"{base}/{target}")

    asked: dict[Question, Callable[[], object]] = {question(f"manifests/{tag}"): tagged}
    if image.media_type in INDEX_TYPES:
        for digest in manifests:
            asked[question(f"manifests/{digest}")] = partial(manifest, digest)
    for digest in {digest for part in parts for digest in (part.config, *part.layers)}:
        asked[question(f"blobs/{digest}")] = partial(blob, digest)
    return asked


def _members(
    way: _Way,
    url: str,
    layout: Layout,
    asks: dict[Question, Callable[[], object]],
    *,
    images: bool,
) -> Iterator[CheckedSource]:
    """Ask for what a machine takes out of the bundle: lists, keys, packages, manifests, images."""
    wanted: dict[tuple[Kind, str], dict[Question, Callable[[], object]]] = {}
    for extent in layout.extents:
        folder, _, rest = extent.path.partition("/")
        if extent.path in {SUMS_PATH, LOCK_PATH}:
            row: tuple[Kind, str] = ("files", extent.path)
        elif folder in _KINDS:
            row = (_KINDS[folder], f"yum/{rest.partition('/')[0]}" if folder == "yum" else folder)
        elif folder == "images" and images:
            row = ("images", folder)
        else:
            continue
        question = Question(artifact=way.machines, url=f"{url}/{quote(extent.path)}")
        wanted.setdefault(row, {})[question] = partial(_member, way.client, question.url, extent)
    for (kind, name), questions in wanted.items():
        asks.update(questions)
        yield _source(way, kind, name, url, questions)


def _member(client: Client, url: str, extent: Extent) -> None:
    """Raise AirseedError unless a member is there, as far as a short answer can tell."""
    if extent.size > _SMALL and extent.path not in {SUMS_PATH, LOCK_PATH}:
        _compare(client.size(url), extent.size, extent.path)
        return
    content = client.get(url, limit=max(_SMALL, 2 * extent.size)).content
    digest = Digest.of(content)
    if digest != extent.digest:
        raise VerificationError(
            f"{extent.path} has the digest {digest}", expected=str(extent.digest), hint=_ANOTHER
        )


def _compare(size: int | None, wanted: int, name: str) -> None:
    if size is not None and size != wanted:
        raise VerificationError(
            f"the server has {size:,} bytes of {name}, not {wanted:,}", hint=_ANOTHER
        )


def _source(
    way: _Way, kind: Kind, name: str, address: str, questions: Iterable[Question]
) -> CheckedSource:
    name = f"{name} (for {way.machines})" if way.machines else name
    return CheckedSource(kind=kind, name=name, address=address, questions=tuple(questions))


def _lost(findings: Iterable[Finding]) -> Iterator[Fault]:
    """Say once what is wrong with many; what was asked no more says nothing."""
    alike: dict[tuple[str, str, str | None], list[Finding]] = {}
    for finding in findings:
        if finding.state not in WELL and finding.what != ASKED_NO_MORE:
            key = (finding.address, finding.what, finding.hint)
            alike.setdefault(key, []).append(finding)
    for (address, what, hint), those in alike.items():
        names = few([finding.name for finding in those], _FEW)
        yield Fault(where=address, what=f"{names}: {what}", hint=hint)
