"""``pki: {files: FOLDER}``: authorities and keys that the user brings, laid out as kubeadm's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import Fault, StorageError, VerificationError
from builder.secrets import authority, pem
from builder.secrets.folder import OTHERS_MAY_ENTER, OTHERS_MAY_WRITE, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.secrets import ClusterAuthority

CLUSTER = ("ca.crt", "ca.key")
SHARED = (("etcd/ca.crt", "etcd/ca.key"), ("front-proxy-ca.crt", "front-proxy-ca.key"))
SIGNING = ("sa.pub", "sa.key")
"""The keys of service accounts' tokens."""


def load(folder: Path) -> tuple[ClusterAuthority, dict[str, str]]:
    """Read the cluster's authority, and what else there is by its path below the folder.

    Raises:
        StorageError: files are missing, unreadable or open to others.
        VerificationError: files are damaged, ended, or do not fit together.
    """
    contents = _contents(folder)
    faults: list[Fault] = []
    cluster: ClusterAuthority | None = None
    shared: dict[str, str] = {}
    for names in (CLUSTER, *SHARED):
        if names[0] not in contents:
            continue
        where = (str(folder / names[0]), str(folder / names[1]))
        pair = authority.read(contents[names[0]], contents[names[1]], where=where, faults=faults)
        if names == CLUSTER:
            cluster = pair
        elif pair is not None:
            shared |= {names[0]: pair.certificate, names[1]: pair.key}
    if SIGNING[0] in contents:
        shared |= _signing(folder, contents, faults)
    if faults or cluster is None:
        raise VerificationError("these files can't be used", where=str(folder), faults=faults)
    return cluster, shared


def _contents(folder: Path) -> dict[str, bytes]:
    """Read all files that are there; of a pair both must be."""
    contents: dict[str, bytes] = {}
    faults: list[Fault] = []
    for pair in (CLUSTER, *SHARED, SIGNING):
        read = {
            name: read_file(
                folder / name,
                forbidden=OTHERS_MAY_ENTER if name.endswith(".key") else OTHERS_MAY_WRITE,
            )
            for name in pair
        }
        needed = pair == CLUSTER or any(content is not None for content in read.values())
        for name, content in read.items():
            if isinstance(content, bytes):
                contents[name] = content
            elif isinstance(content, Fault):
                faults.append(content)
            elif needed:
                faults.append(_missing(folder, name, pair))
    if faults:
        raise StorageError("these files can't be used", where=str(folder), faults=faults)
    return contents


def _missing(folder: Path, name: str, pair: tuple[str, str]) -> Fault:
    if pair == SIGNING and name == pair[0]:
        hint = f"openssl pkey -pubout -in {folder / pair[1]} -out {folder / pair[0]}"
    elif name.endswith(".key"):
        hint = "without it no node can be given a certificate; pki: on-node needs no files"
    else:
        hint = None
    return Fault(where=str(folder / name), what="is missing", hint=hint)


def _signing(folder: Path, contents: dict[str, bytes], faults: list[Fault]) -> dict[str, str]:
    """Read the keys of service accounts; several public ones may be there while they change."""
    where = [str(folder / name) for name in SIGNING]
    public = pem.attempt(pem.public_keys, contents[SIGNING[0]], where[0], faults)
    key = pem.attempt(pem.private_key, contents[SIGNING[1]], where[1], faults)
    if public is None or key is None:
        return {}
    if pem.public_bytes(key.public_key()) not in map(pem.public_bytes, public):
        faults.append(Fault(where=where[1], what=f"the key does not belong to {where[0]}"))
    return {SIGNING[0]: "".join(map(pem.public_text, public)), SIGNING[1]: pem.key_text(key)}
