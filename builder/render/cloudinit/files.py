"""The files of a seed: what user-data lays down on one node, each with who may read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from builder.assets import tree
from builder.errors import AirseedError
from builder.model.image_names import ImageNames
from builder.render import kubeadm
from builder.render.cloudinit import credentials, values
from builder.render.engine import TREE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from builder.model.cluster import Node
    from builder.model.machine import Machine, MachineFile
    from builder.render.plan import Part, Plan

Kind = Literal["scripts", "kubeadm", "pki", "settings", "registry", "commands", "user's files"]
ETC = "/etc/airseed"
LIBEXEC = "/usr/libexec/airseed"
UNITS = "/etc/systemd/system"
_UNIT_SUFFIXES = (".service", ".timer")
_ROOT_READS = "0600"
_LINE_END = "\n"
_SEED = re.compile(r"^# seed: (?:(none)|by (.*))", re.MULTILINE)
"""Of a script that not every seed has: which do, by what keeps the endpoint up."""
_OPEN = "0644"
_RUN = "0755"
_ROOT_RUNS = "0700"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFile:
    path: str
    content: str | bytes
    permissions: str = _OPEN
    kind: Kind
    owner: str | None = None
    """``USER[:GROUP]``; None is root."""

    def __repr__(self) -> str:
        return f"SeedFile({self.path!r}, {self.permissions}, {len(self.content)} long)"


def files(plan: Plan, node: Node, machine: Machine) -> tuple[SeedFile, ...]:
    """Return airseed's own files of one node beside the scripts, in the order of their writing."""
    part = plan.part(node)
    return (
        *_settings(plan, node, machine),
        SeedFile(
            path=f"{ETC}/kubeadm.yaml",
            content=kubeadm.text(plan, node),
            permissions=_ROOT_READS,
            kind="kubeadm",
        ),
        *plan.once(("pki", part), lambda: tuple(_pki(plan, part))),
        *_registry(plan, machine),
        *_phone_home(plan),
        *_commands(machine),
    )


def own_files(plan: Plan, machine: Machine) -> Iterator[SeedFile]:
    for file in machine.files:
        yield SeedFile(
            path=file.path,
            content=_content(plan, file),
            permissions=file.permissions,
            kind="user's files",
            owner=None if file.owner in {"root", "root:root"} else file.owner,
        )


def _content(plan: Plan, file: MachineFile) -> str | bytes:
    if file in plan.edited:
        return plan.edited[file]
    if file.secret is not None:
        return plan.secrets.encryption or ""
    return plan.files[file.source] if file.source is not None else file.content or ""


def scripts(plan: Plan) -> tuple[SeedFile, ...]:
    """Return what every node has: the scripts of the tree, verbatim, and their unit.

    Those that only changes need say so, and those of one way to keep an endpoint up: a seed may
    not be large, and has none of them.
    """
    by = plan.cluster.endpoint.by if plan.cluster.endpoint else None
    return tuple(file for file in all_scripts() if _is_seeded(file, by))


def _is_seeded(file: SeedFile, by: str | None) -> bool:
    said = _SEED.search(str(file.content))
    return said is None or (said[2] is not None and by in said[2].split())


@cache
def all_scripts() -> tuple[SeedFile, ...]:
    """Return the scripts that a change brings: all there are."""
    folder = tree(TREE) / "node"
    scripts = tuple(_script(path, folder) for path in sorted(folder.rglob("*")) if _runs(path))
    if not any(file.path.startswith(UNITS) for file in scripts):
        raise AirseedError(
            "the scripts of first boot are missing",
            where=str(folder),
            hint="install airseed again from its wheel or from a full checkout",
        )
    return scripts


def _runs(path: Path) -> bool:
    hidden = any(part.startswith((".", "__")) for part in path.parts[-2:])
    return path.is_file() and path.suffix != ".md" and not hidden


def _script(path: Path, folder: Path) -> SeedFile:
    """A unit beside the scripts is systemd's from the start; a script puts others in place."""
    text = path.read_text(encoding="utf-8")
    unit = path.suffix in _UNIT_SUFFIXES
    name = path.relative_to(folder).as_posix()
    return SeedFile(
        path=f"{UNITS}/{name}" if unit and path.parent == folder else f"{LIBEXEC}/{name}",
        content=text,
        permissions=_RUN if text.startswith("#!") else _OPEN,
        kind="scripts",
    )


def _settings(plan: Plan, node: Node, machine: Machine) -> Iterator[SeedFile]:
    yield SeedFile(path=f"{ETC}/node.env", content=values.env(plan, node), kind="settings")
    yield SeedFile(path=f"{ETC}/hosts", content=_hosts(node, machine.hosts), kind="settings")
    yield plan.once(
        "images.map",
        lambda: SeedFile(
            path=f"{ETC}/images.map",
            content=ImageNames(plan.cluster.registry).images_map(plan.lock.images),
            kind="settings",
        ),
    )
    if machine.files:
        paths = "".join(f"{file.path}\n" for file in machine.files)
        yield SeedFile(path=f"{ETC}/user-files", content=paths, kind="settings")
    if plan.edits and plan.part(node) == "init":  # it applies the manifests
        yield SeedFile(path=f"{ETC}/manifests.edits", content=plan.edits, kind="settings")


def _hosts(node: Node, extra: Mapping[str, Iterable[str]]) -> str:
    """Lines of /etc/hosts; the node's own first, so that its name leads to its main address."""
    short = node.name.partition(".")[0]
    names = dict.fromkeys((node.name, short))
    own = {str(address.ip): (*names, *extra.get(str(address.ip), ())) for address in node.addresses}
    lines = {**own, **{ip: names for ip, names in extra.items() if ip not in own}}
    return "".join(f"{ip} {' '.join(dict.fromkeys(names))}\n" for ip, names in lines.items())


def _pki(plan: Plan, part: Part) -> Iterator[SeedFile]:
    """The authority's certificate is public; its key goes to the node that starts the cluster."""
    authority = plan.secrets.authority
    if authority is None:
        return
    files = {"ca.crt": authority.certificate}
    if part == "init":
        files |= {"ca.key": authority.key, **plan.secrets.shared}
    for name, text in files.items():
        public = name.endswith((".crt", ".pub"))
        permissions = _OPEN if public else _ROOT_READS
        yield SeedFile(path=f"{ETC}/pki/{name}", content=text, permissions=permissions, kind="pki")


def _registry(plan: Plan, machine: Machine) -> Iterator[SeedFile]:
    access = machine.registry
    if access.ca is not None:
        content = plan.files[access.ca]
        yield SeedFile(path=f"{ETC}/registry-ca.pem", content=content, kind="registry")
    if access.credentials is not None:
        name = access.credentials
        entry = plan.once(("registry", name), lambda: credentials.entry(plan, name))
        yield SeedFile(
            path=f"{ETC}/registry.json", content=entry, permissions=_ROOT_READS, kind="registry"
        )


def _phone_home(plan: Plan) -> Iterator[SeedFile]:
    """For ``curl --config``: arguments can be seen by everybody on the machine."""
    if plan.cluster.seed.phone_home is not None:
        header = f"Authorization: Bearer {plan.secrets.phone_home_token}"
        yield SeedFile(
            path=f"{ETC}/phone-home.curl",
            content=f'header = "{header}"\n',
            permissions=_ROOT_READS,
            kind="settings",
        )


def _commands(machine: Machine) -> Iterator[SeedFile]:
    """Nobody but root reads them: users' commands may have secrets in them."""
    for name, commands in (("before", machine.before), ("after", machine.after)):
        if commands:
            head = f"#!/bin/bash\n# machine.commands.{name} of cluster.yaml; a failure ends it.\n"
            lines = "".join(f"{command.removesuffix(_LINE_END)}\n" for command in commands)
            yield SeedFile(
                path=f"{ETC}/{name}.sh",
                content=f"{head}set -eo pipefail\n{lines}",
                permissions=_ROOT_RUNS,
                kind="commands",
            )
