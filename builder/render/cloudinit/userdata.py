"""User-data: accounts, files and one start, in the words that the node's own cloud-init knows."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from builder.render.cloudinit import files, keys
from builder.render.engine import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.model.cluster import Node
    from builder.model.machine import Machine, User
    from builder.render.cloudinit.files import SeedFile
    from builder.render.plan import Part, Plan

UNIT = "airseed-bootstrap.service"
_LATER = f"{files.ETC}/files"
"""Where files wait whose owner or folder is made after all files are written."""
_LAID = "/var/lib/cloud/instance/airseed-laid"
"""A file that says that all which cloud-init wrote for this seed is on disk."""
_WANTED = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
_ROLES: Mapping[Part, str] = {
    "init": "starts the cluster (kubeadm init)",
    "control-plane": "joins the cluster as a control plane",
    "worker": "joins the cluster as a worker",
}
_ENTRIES = "sections/entries.yaml.j2"
_FILES = "\nwrite_files:\n"
_START = (
    ("systemctl", "daemon-reload"),
    ("systemctl", "enable", UNIT),
    # cloud-init would wait for a unit that waits for cloud-init
    ("systemctl", "start", "--no-block", UNIT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserData:
    text: str
    files: tuple[SeedFile, ...]
    scripts: str = ""
    """Those of the text's lines that have airseed's scripts."""

    def __repr__(self) -> str:
        return f"UserData({len(self.text)} characters, {len(self.files)} files)"


def user_data(plan: Plan, node: Node, machine: Machine) -> UserData:
    """Render a node's user-data; raise AirseedError where its cloud-init does not know a key."""
    later = {user.name for user in machine.users}
    laid: list[SeedFile] = [*files.files(plan, node, machine)]
    commands: list[tuple[str, ...]] = []
    for number, file in enumerate(files.own_files(plan, machine)):
        waiting, move = _waiting(file, number) if _comes_later(file, later) else (file, ())
        laid.append(waiting)
        commands += move
    text = render(
        "user-data.yaml.j2",
        {
            "role": _ROLES[plan.part(node)],
            "node": node,
            "users": [_account(user) for user in machine.users],
            "ssh_keys": machine.ssh_keys,
            "files": [_entry(file) for file in laid],
            "commands": commands,
            "start": _START,
            "laid": _LAID,
            "wanted": _WANTED,
        },
    )
    keys.check(text, plan.choice.cloud_init, where=f"user-data of {node.name}")
    if plan.cluster.seed.scripts == "image":
        return UserData(text=text, files=tuple(laid))
    # what all nodes have: most of the text, rendered and checked only once
    scripts = plan.once("scripts", lambda: _scripts(plan))
    before, head, after = text.partition(_FILES)
    return UserData(
        text=f"{before}{head}{scripts}{after}",
        files=(*files.scripts(plan), *laid),
        scripts=scripts,
    )


def _scripts(plan: Plan) -> str:
    entries = render(_ENTRIES, {"files": [_entry(file) for file in files.scripts(plan)]})
    keys.check(
        f"{keys.HEADER}write_files:\n{entries}",
        plan.choice.cloud_init,
        where="the scripts' user-data",
    )
    return entries


def _account(user: User) -> Mapping[str, Any]:
    """``hashed_passwd`` and not ``passwd``: that one stands in the arguments of useradd."""
    account: dict[str, Any] = {"name": user.name, "shell": user.shell}
    account["lock_passwd"] = user.password is None
    if user.password is not None:
        account["hashed_passwd"] = user.password
    if user.groups:
        account["groups"] = list(user.groups)
    if user.sudo:
        account["sudo"] = "ALL=(ALL) NOPASSWD:ALL"
    if user.ssh_keys:
        account["ssh_authorized_keys"] = list(user.ssh_keys)
    return account


def _comes_later(file: SeedFile, users: Iterable[str]) -> bool:
    """cloud-init writes files before it makes accounts.

    It stops at an owner or group that it doesn't know, be it cluster.yaml's or the image's own that
    it makes itself, and a home that is there already stays root's.
    """
    owners = {*(file.owner or "root").split(":")}
    return owners != {"root"} or any(file.path.startswith(f"/home/{user}/") for user in users)


def _waiting(file: SeedFile, number: int) -> tuple[SeedFile, tuple[tuple[str, ...], ...]]:
    """Lay a file where only root sees it, and install it when the accounts are there."""
    path = f"{_LATER}/{number}"
    user, _, group = (file.owner or "root:root").partition(":")
    whose = ("-o", user, *(("-g", group) if group else ()))
    move = ("install", "-D", *whose, "-m", file.permissions, path, file.path)
    return replace(file, path=path, permissions="0600", owner=None), (move,)


def _entry(file: SeedFile) -> Mapping[str, str | None]:
    """Text stays readable where every YAML reader takes it as it is; the rest goes as base64."""
    raw = file.content.encode() if isinstance(file.content, str) else file.content
    fields: dict[str, str | None] = {
        "path": file.path,
        "permissions": file.permissions,
        "owner": file.owner,
        "text": None,
        "base64": None,
    }
    if raw.isascii() and b"\0" not in raw:
        text = file.content if isinstance(file.content, str) else raw.decode("ascii")
        return {**fields, "text": text}
    return {**fields, "base64": base64.b64encode(raw).decode("ascii")}
