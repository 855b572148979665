"""``secrets``: make and keep what lets nodes into their cluster, and tell what ends when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from builder import owners
from builder.errors import UsageError, VerificationError, did_you_mean
from builder.formats import result as result_format
from builder.pipeline import paths
from builder.pipeline.signature import private
from builder.rpm.keys import load_keys, public_half
from builder.secrets import authority, store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.model.cluster import Cluster
    from builder.model.secrets import Secrets
    from builder.pipeline.workspace import Workspace

State = Literal[
    "made", "rotated", "replaced", "kept", "yours", "on the first node", "on the machines"
]
_JOINING: tuple[store.Word, ...] = ("token", "certificate-key")
WORDS: tuple[store.Word, ...] = (*_JOINING, "phone-home-token")
"""What can be made anew."""
_AUTHORITIES = {
    "ca.crt": "cluster CA",
    "etcd/ca.crt": "etcd CA",
    "front-proxy-ca.crt": "front proxy CA",
}
_AUTHORITIES_ASKED = {"ca", "ca.crt", "ca.key", "cluster-ca", "etcd-ca", "front-proxy-ca"}
_SIGNING_KEY = "signing-key"
_SIGNING = "sa.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretState:
    name: str
    path: Path | None
    """None where it is not on this machine."""
    state: State
    end: datetime | None = None
    """Of a certificate authority, or of what ends first of a machine's."""
    window: int | None = None
    """Of what lives only for hours: so many, from kubeadm init on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretStates:
    folder: Path
    first: str
    """The node on which kubeadm init runs."""
    states: tuple[SecretState, ...]
    digest: str | None
    """What joiners pin of the cluster's authority; public."""


def make(workspace: Workspace, *, rotate: Sequence[str] = ()) -> SecretStates:
    """Make what is missing and what ``rotate`` names; tell what there is.

    Raises:
        DocumentError: cluster.yaml is wrong.
        UsageError: ``rotate`` names something that can't be made anew.
        StorageError: a folder or file is open to others, or the disk does not take it.
        VerificationError: something that is there is damaged, ended or does not fit.
    """
    rotated = tuple(_word(name) for name in rotate)
    cluster, folder = workspace.outline, workspace.secrets
    before = {str(name) for name in rotated if (folder / name).exists()}
    encrypted = cluster.is_encrypted
    made = store.prepare(folder, cluster.pki, rotate=rotated, encrypted=encrypted)
    secrets = store.load(folder, cluster.pki, encrypted=encrypted)
    signing = folder / store.SIGNING_KEY
    public = public_half(private(signing), where=str(signing))
    published = store.publish(folder, public, is_same=lambda other: _first(other) == _first(public))
    return SecretStates(
        folder=folder,
        first=cluster.control_planes[0].name,
        states=(
            *_words(cluster, folder, made, before),
            SecretState(
                name="signing key",
                path=signing,
                state="made" if store.SIGNING_KEY in made else "kept",
            ),
            *_encryption(folder, made, encrypted=encrypted),
            SecretState(name="public signing key", path=folder / store.PUBLIC_KEY, state=published),
            *_lasting(cluster, folder, secrets, made),
            *_of_machines(workspace),
        ),
        digest=secrets.authority.digest if secrets.authority else None,
    )


def remaining(end: datetime) -> int:
    return (end - datetime.now(UTC)).days


def _first(keys: bytes) -> str | None:
    """Return the fingerprint of the first public key; nothing where there is none."""
    try:
        return load_keys(keys)[0].fingerprint
    except VerificationError:
        return None


def _word(name: str) -> store.Word:
    """Read what can be made anew, also by the words and the path that the table has."""
    asked = PurePosixPath(name).name.replace(" ", "-")
    for word in WORDS:
        if word == asked:
            return word
    if asked.casefold() in _AUTHORITIES_ASKED:
        raise UsageError(
            "the cluster's CA can't be rotated here: joiners pin it, and all that the cluster has "
            "is signed by it",
            hint="a cluster whose nodes have not booted yet: delete ca.crt and ca.key and run "
            "`airseed secrets` again; a running one: Kubernetes' own manual rotation of CA "
            "certificates",
        )
    if asked in {_SIGNING_KEY, f"public-{_SIGNING_KEY}", store.SIGNING_KEY, store.PUBLIC_KEY}:
        raise UsageError(
            "the signing key can't be rotated here: what it signed is checked with it",
            hint=f"move {store.SIGNING_KEY} and {store.PUBLIC_KEY} away and run `airseed secrets` "
            "again; then sign packages, bundles and seeds anew",
        )
    raise UsageError(
        f"there is no {name!r} to rotate",
        expected=f"{', '.join(WORDS[:-1])} or {WORDS[-1]}",
        hint=did_you_mean(name, WORDS),
    )


def _words(
    cluster: Cluster, folder: Path, made: Sequence[str], before: set[str]
) -> list[SecretState]:
    """Describe what can be made anew; ``before`` has those whose place was taken."""
    states: dict[str, State] = {name: "rotated" if name in before else "made" for name in made}
    return [
        SecretState(
            name=name.replace("-", " "),
            path=folder / name,
            state=states.get(name, "kept"),
            window=cluster.seed.window if name in _JOINING else None,
        )
        for name in WORDS
    ]


def _encryption(folder: Path, made: Sequence[str], *, encrypted: bool) -> list[SecretState]:
    if not encrypted:
        return []
    state: State = "made" if store.ENCRYPTION in made else "kept"
    return [SecretState(name="encryption key", path=folder / store.ENCRYPTION, state=state)]


def _lasting(
    cluster: Cluster, folder: Path, secrets: Secrets, made: Sequence[str]
) -> list[SecretState]:
    if secrets.authority is None:
        return [SecretState(name=_AUTHORITIES[store.CA], path=None, state="on the first node")]
    state: State = "made" if store.CA in made else "kept"
    if cluster.pki.kind == "files":
        folder, state = store.supplied_folder(folder, cluster.pki), "yours"
    texts = {store.CA: secrets.authority.certificate, **secrets.shared}
    states = [
        SecretState(name=name, path=folder / path, state=state, end=authority.end(texts[path]))
        for path, name in _AUTHORITIES.items()
        if path in texts
    ]
    if _SIGNING in texts:
        states.append(SecretState(name="service account key", path=folder / _SIGNING, state=state))
    return states


def _of_machines(workspace: Workspace) -> list[SecretState]:
    """Tell what ends first of each machine's, by what the last of its changes recorded."""
    ends: dict[str, tuple[str, int] | None] = {}
    for path in sorted(paths.changes(workspace.path).glob("*/results/*.json")):
        content = owners.read_own(path, result_format.LARGEST) or b""
        if not content.strip():
            continue  # a shell leaves that where it did not reach the machine
        result = result_format.read(content, str(path), node=path.stem)
        ends[result.node] = result.first_end or ends.get(result.node)
    return [
        SecretState(
            name=f"{PurePosixPath(first[0]).name} of {node}",
            path=None,
            state="on the machines",
            end=datetime.fromtimestamp(first[1], UTC),
        )
        for node, first in sorted(ends.items())
        if first is not None
    ]
