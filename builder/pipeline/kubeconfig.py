"""``kubeconfig``: let somebody into the cluster, signed by its authority, offline."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import UsageError
from builder.host_port import LAST_PORT
from builder.model.cluster import API_PORT, Endpoint
from builder.redact import quoted
from builder.secrets import client, kubeconfig, store
from builder.secrets.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from builder.model.cluster import Cluster
    from builder.pipeline.workspace import Workspace

NAME = "admin.conf"
_HEAD = b"apiVersion: v1\n"
"""How airseed, kubeadm and kubectl begin one: no other file is replaced, even with --force."""
"""In the folder of secrets, as kubeadm names it on a control plane."""
USER = "kubernetes-admin"
GROUPS = ("system:masters",)
_SERVER = re.compile(r"(?:https://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    path: Path | None
    """None where it was not written to a file."""
    text: str = field(repr=False)
    server: str
    user: str
    groups: tuple[str, ...]
    end: datetime


def mint(
    workspace: Workspace,
    target: Path | None = None,
    *,
    user: str = USER,
    groups: Sequence[str] = GROUPS,
    days: int | None = None,
    server: str | None = None,
    write: bool = True,
    force: bool = False,
) -> Minted:
    """Mint a client certificate and write a kubeconfig with it, 0600.

    ``target`` is admin.conf in the folder of secrets unless given; with ``write`` off nothing
    is written. ``server`` stands in for what cluster.yaml says or does not say.

    Raises:
        DocumentError: cluster.yaml is wrong.
        UsageError: there is no CA to sign with, no server to name, or the file exists.
        StorageError: secrets are missing or open to others, or the disk does not take it.
        VerificationError: the CA is damaged or has ended.
    """
    cluster, folder = workspace.outline, workspace.secrets
    address = _given(server) if server else _known(cluster, workspace.path)
    path = (target or folder / NAME) if write else None
    if path is not None:
        hint = "--force replaces it; the certificate in it stays valid until it expires"
        disk.claim(path, force=force, magic=_HEAD, what="an earlier kubeconfig", hint=hint)
    authority = store.load_authority(folder, cluster.pki)
    if authority is None:
        first = cluster.control_planes[0]
        raise UsageError(
            "with pki: on-node the CA's key never leaves the first node, so nothing can be signed "
            "here",
            where=str(workspace.path),
            hint=f"copy /etc/kubernetes/admin.conf from {first.name}, once it is up",
        )
    minted = client.mint(authority, user=user, groups=groups, days=days)
    url = f"https://{address}"
    text = kubeconfig.text(
        cluster=cluster.name, server=url, user=user, authority=authority, client=minted
    )
    if path is not None:
        _write(path, folder, text)
    return Minted(path=path, text=text, server=url, user=user, groups=tuple(groups), end=minted.end)


def _known(cluster: Cluster, where: Path) -> Endpoint:
    """Return the endpoint, or the address of the first control plane.

    A name that local-proxy keeps up is known to nodes alone.
    """
    if cluster.endpoint is not None and cluster.endpoint.by != "local-proxy":
        return cluster.endpoint
    address = cluster.control_planes[0].address
    if address is None:
        raise UsageError(
            "neither an endpoint nor the control plane's address is known",
            where=str(where),
            hint="give --server HOST, or add an endpoint or the node's address to cluster.yaml",
        )
    return Endpoint(host=str(address))


def _given(server: str) -> Endpoint:
    match = _SERVER.fullmatch(server)
    port = int(match[2] or API_PORT) if match else 0
    if match is None or not 0 < port <= LAST_PORT:
        raise UsageError(
            f"{quoted(server, 200)} is not a server",
            expected="HOST[:PORT], [ADDRESS]:PORT or an https URL",
        )
    return Endpoint(host=match[1].strip("[]"), port=port)


def _write(path: Path, folder: Path, text: str) -> None:
    """Write the file; in the folder of secrets under its lock, so that nothing is left behind."""
    if os.path.realpath(path.parent) == os.path.realpath(folder) and not folder.is_symlink():
        with Folder.open(folder) as room, room.locked():
            room.write(path.name, text.encode())
    else:
        disk.put(path, text.encode(), mode=disk.PRIVATE)
