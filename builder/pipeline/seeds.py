"""``seeds``: write what each node boots from, or compare it with what was written before.

Everything is rendered from cluster.yaml, its lock and its secrets; see :mod:`builder.render`. A
node's files depend on itself and its cluster alone, so that adding a worker changes no other seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder import disk, owners
from builder.errors import StorageError, UsageError, did_you_mean
from builder.model.digest import Digest
from builder.model.image_names import ImageNames
from builder.pipeline import paths, rendering, running, seed_sums, signature
from builder.pipeline.seed_diff import FileDifference
from builder.render import admit, inventory, iso
from builder.render.seed import FILES, USER_DATA, seed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from builder.model.cluster import Cluster, Node
    from builder.pipeline.workspace import Workspace
    from builder.render.plan import Plan
    from builder.report import Reporter
    from builder.rpm.signing import OpenPgpSigner

INVENTORY = "inventory.yaml"
IMAGES_MAP = "images.map"
_OF_NODE = (*FILES, admit.NAME)
_LARGEST_SEED = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSeeds:
    folder: Path
    nodes: tuple[str, ...]
    changed: tuple[str, ...]
    """Of the nodes, those whose files are not what they were."""
    new: tuple[str, ...] = ()
    """Of the changed ones, those that had no seed."""
    late: tuple[str, ...] = ()
    """Nodes that join and are new here, or were asked for by name: a cluster that is up may have to
    be told."""
    stale: tuple[str, ...] = ()
    """Folders with seeds of nodes that cluster.yaml does not name; they are left alone."""
    again: str | None = None
    """The first node, where it is made anew: it starts a cluster, and never joins one."""
    locked_out: tuple[str, ...] = ()
    """Nodes whose seeds open no account to anybody."""
    registry: str = ""
    """Where the machines pull their images from, if not from the bundle."""
    digest: Digest
    """Of SHA256SUMS, which has all files of all nodes."""
    signature: Path | None = None


def write(
    workspace: Workspace,
    *,
    reporter: Reporter,
    nodes: Sequence[str] = (),
    images: bool = True,
    signer: OpenPgpSigner | None = None,
    not_booted: bool = False,
) -> WrittenSeeds:
    """Render seeds and write what changed; ``images`` adds NODE.iso for each node.

    SHA256SUMS lists them all, signed where there is a ``signer``. What was seeded is kept for
    ``changes``, as it was for nodes that have a seed, but for ``not_booted`` ones.

    Raises:
        DocumentError: cluster.yaml, a catalog or the lock is wrong, or a seed is too large.
        UsageError: there is no lock, it is for something else, or ``nodes`` names no node.
        StorageError: secrets are missing, or the disk does not take it.
        VerificationError: secrets are damaged.
    """
    workspace.warn(reporter)
    plan = rendering.prepare(workspace)
    folder = workspace.seeds
    chosen = _chosen(plan.cluster, nodes)
    disk.folder(folder)
    _secure(folder, chosen, reporter, own=folder == paths.seeds(workspace.path))
    disk.sweep(folder, [f"{node.name}.iso" for node in chosen])
    names = {node.name for node in chosen}
    sums = seed_sums.kept(folder, {node.name for node in plan.cluster.nodes} - names)
    old = {node.name for node in plan.cluster.nodes if (folder / node.name).is_dir()}
    running.seeded(folder, plan, names, not_booted=not_booted, reporter=reporter)
    changed = []
    with reporter.progress("seeds", len(chosen), unit="nodes") as progress:
        for node in chosen:
            files = _files(plan, node)
            if _write_node(folder, node.name, files, images=images):
                changed.append(node.name)
            sums |= _sums_of(folder, node.name, files)
            progress.advance(1)
    shared = _shared(plan)
    for name, text in shared.items():
        _write_or_remove(folder / name, text)
    sums |= {name: Digest.of(text) for name, text in shared.items() if text}
    digest = seed_sums.write(folder, sums)
    signed = signature.beside(folder / seed_sums.NAME)
    if signer is not None:
        signature.sign(folder / seed_sums.NAME, (folder / seed_sums.NAME).read_bytes(), signer)
    return WrittenSeeds(
        folder=folder,
        nodes=tuple(node.name for node in chosen),
        changed=tuple(changed),
        new=tuple(name for name in changed if name not in old),
        late=_late(plan, chosen, old, named=bool(nodes)),
        again=plan.first.name if plan.first in chosen and plan.first.generation > 1 else None,
        locked_out=_locked_out(plan.cluster, chosen),
        registry=str(plan.cluster.registry or ""),
        stale=_stale(workspace, plan.cluster, reporter),
        digest=digest,
        signature=signed if signed.exists() else None,
    )


def _late(
    plan: Plan, nodes: Iterable[Node], seeded: Collection[str], *, named: bool
) -> tuple[str, ...]:
    joining = [node.name for node in nodes if plan.part(node) != "init"]
    return tuple(name for name in joining if named or (seeded and name not in seeded))


def _locked_out(cluster: Cluster, nodes: Iterable[Node]) -> tuple[str, ...]:
    machines = {node.name: cluster.machine_of(node) for node in nodes}
    return tuple(name for name, one in machines.items() if not one.ssh_keys and not one.users)


def _secure(folder: Path, nodes: Iterable[Node], reporter: Reporter, *, own: bool) -> None:
    """Close to others what an earlier run left, before anything new is written into it.

    The folder itself is closed where it is the seeds' ``own``; any other may be meant for others.
    Raise StorageError for links and for what is another user's, who would get the secrets.
    """
    folders = [folder / node.name for node in nodes]
    private = [inside / name for inside in folders for name in _OF_NODE]
    private += [folder / f"{node.name}.iso" for node in nodes]
    private += [folder / name for name in (INVENTORY, running.NAME)]
    looked = [owners.untrusted_folder(folder)]
    looked += [owners.untrusted(path, folder=True) for path in folders]
    public = [folder / name for name in (IMAGES_MAP, seed_sums.NAME)]
    looked += [owners.untrusted(path) for path in (*private, *public)]
    if faults := [fault for fault in looked if fault]:
        raise StorageError("seeds can't be written there", where=str(folder), faults=faults)
    if [path for path in ([folder] if own else []) + folders + private if disk.tighten(path)]:
        reporter.warn(
            f"other users had access to the seeds in {folder}; it is closed now",
            hint="whoever has read a seed can join the cluster: "
            "airseed secrets --rotate token --rotate certificate-key makes new ones",
        )


def compare(
    workspace: Workspace,
    *,
    reporter: Reporter,
    nodes: Sequence[str] = (),
) -> tuple[FileDifference, ...]:
    """Return the files of which :func:`write` would make others than were written before.

    Nothing is written; of seeds that belong to no node any more ``reporter`` is warned. Raises what
    :func:`write` raises.
    """
    workspace.warn(reporter)
    plan = rendering.prepare(workspace)
    folder = workspace.seeds
    _stale(workspace, plan.cluster, reporter)
    changes = []
    for node in _chosen(plan.cluster, nodes):
        files = _files(plan, node)
        changes += [
            FileDifference(
                node=node.name,
                name=name,
                before=_content(folder / node.name / name),
                after=files.get(name),
            )
            for name in _OF_NODE
        ]
    changes += [
        FileDifference(node="", name=name, before=_content(folder / name), after=text or None)
        for name, text in _shared(plan).items()
    ]
    return tuple(change for change in changes if change.before != change.after)


def _files(plan: Plan, node: Node) -> dict[str, bytes]:
    """Render the files in a node's folder."""
    files = dict(seed(plan, node))
    # the script is for the operator's side; the machine never gets it
    if script := admit.script(plan, node):
        files[admit.NAME] = script.encode()
    return files


def _shared(plan: Plan) -> dict[str, bytes]:
    return {
        INVENTORY: inventory.render(plan.cluster).encode(),
        IMAGES_MAP: ImageNames(plan.cluster.registry).images_map(plan.lock.images).encode(),
    }


def _chosen(cluster: Cluster, names: Sequence[str]) -> tuple[Node, ...]:
    known = {node.name: node for node in cluster.nodes}
    for name in names:
        if name not in known:
            raise UsageError(
                f"cluster.yaml has no node {name!r}",
                hint=did_you_mean(name, known) or f"it has {', '.join(list(known)[:10])}",
            )
    return tuple(known[name] for name in dict.fromkeys(names)) if names else cluster.nodes


def _write_node(folder: Path, name: str, files: Mapping[str, bytes], *, images: bool) -> bool:
    """Write one node's seed where it differs; tell whether it did."""
    own = folder / name
    disk.folder(own)
    disk.sweep(own, _OF_NODE)
    image = folder / f"{name}.iso"
    differing = [file for file in FILES if _content(own / file) != files.get(file)]
    if differing:  # first of all: an image that no longer says what its folder says would mislead
        _remove(image)
    for file in differing:
        if file in files:
            disk.put(own / file, files[file], mode=disk.PRIVATE, sync=False)
        else:
            _remove(own / file)
    if images or image.exists():
        _write_changed(image, iso.render({file: files[file] for file in FILES if file in files}))
    _write_or_remove(own / admit.NAME, files.get(admit.NAME))
    return bool(differing)


def _sums_of(folder: Path, name: str, files: Mapping[str, bytes]) -> dict[str, Digest]:
    sums = {f"{name}/{file}": Digest.of(text) for file, text in files.items()}
    image = folder / f"{name}.iso"
    if (content := _content(image)) is not None:
        sums[image.name] = Digest.of(content)
    return sums


def _write_or_remove(path: Path, content: bytes | None) -> None:
    if content:
        _write_changed(path, content)
    else:
        _remove(path)


def _write_changed(path: Path, content: bytes) -> None:
    owners.put_changed(path, content, largest=_LARGEST_SEED, sync=False)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise disk.failure(error, path) from error


def _content(path: Path) -> bytes | None:
    return owners.read_own(path, _LARGEST_SEED)


def _stale(workspace: Workspace, cluster: Cluster, reporter: Reporter) -> tuple[str, ...]:
    """Return the folders of seeds that belong to no node; warn of them."""
    folder, known = workspace.seeds, {node.name for node in cluster.nodes}
    stale = sorted(
        entry.name
        for entry in (folder.iterdir() if folder.is_dir() else ())
        if entry.name not in known and (entry / USER_DATA).is_file()
    )
    for name in stale:
        reporter.warn(
            f"{folder / name} belongs to no node in {workspace.path}",
            hint="delete it when that machine is gone",
        )
    return tuple(stale)
