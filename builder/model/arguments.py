"""Which arguments and feature gates the programs of Kubernetes know, release by release.

The tables are data (``mirrors/arguments/``), made from the programs' sources;
``mirrors/instead.yaml`` has what to do where a name is gone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import ip_address
from typing import TYPE_CHECKING

from builder.errors import Fault
from builder.model.life import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from builder.model.life import Life, Release
    from builder.model.version import Version

GATES = "feature-gates"
"""The table of the gates of all programs, and the argument that has them."""
KUBEADM_GATES = f"kubeadm-{GATES}"
PLUGINS = "admission-plugins"
_APIS = "apis"
_API_SERVER = "kube-apiserver"
_SHOWN = 40
_LISTS = {f"enable-{PLUGINS}", f"disable-{PLUGINS}", "admission-control"}
"""Arguments that name admission plugins."""
DURATION = re.compile(r"[-+]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")


def is_address(text: str) -> bool:
    """Tell whether Go reads an address: without a zone, and without zeros before a number."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


TRUE, FALSE = ("true", "1", "t"), ("false", "0", "f")
"""What Go reads as a flag, in small letters."""
HELD: Mapping[str, tuple[Callable[[str], object], str]] = {
    "flag": (re.compile(r"[01tTfF]|true|True|TRUE|false|False|FALSE").fullmatch, "true or false"),
    "integer": (
        re.compile(r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[oObB]?[0-7_]*|[1-9][0-9_]*)").fullmatch,
        "a whole number",
    ),
    "count": (
        re.compile(r"0[xX][0-9a-fA-F_]+|0[oObB]?[0-7_]*|[1-9][0-9_]*").fullmatch,
        "a whole number from 0 on",
    ),
    "number": (re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]{1,3})?").fullmatch, "a number"),
    "duration": (DURATION.fullmatch, "a duration like 1h30m or 20s"),
    "address": (lambda text: not text or is_address(text.strip()), "an IP address"),
}
"""What an argument may hold: whether a value is one, and its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedKind:
    """Say in which releases an API version has a kind."""

    served: Life
    instead: str | None = None
    """The API version that has it then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTable:
    """Hold all names of one program's arguments, or of gates."""

    name: str
    first: Release
    last: Release
    """The series that were looked at; of others nothing is known."""
    names: Mapping[str, Life]
    holds: Mapping[str, str] = field(default_factory=dict)
    """What arguments hold that are not text, by :data:`HELD`."""

    def covers(self, release: Release) -> bool:
        return self.first <= release[: len(self.first)] <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """Look at the tables from one release."""

    release: Version
    tables: Mapping[str, NameTable] = field(default_factory=dict)
    instead: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By table and name: what to do where it is gone."""
    apis: Mapping[str, Mapping[str, ServedKind]] = field(default_factory=dict)
    """By API version and kind; what is not there is not known."""
    others: Mapping[str, Release] = field(default_factory=dict)
    """Releases of programs that are not Kubernetes' own, as etcd is not."""

    def release_of(self, program: str) -> Release:
        """Return the release by which a program's, or a document's, names are known."""
        return self.others.get(program, self._minor)

    def misfits(self, program: str, name: str, value: str, where: str) -> Iterator[Fault]:
        """Yield why a program does not start with an argument; its gates are looked at, too."""
        if program not in self.others:  # those go by pflag, which reads _ as -
            name = name.replace("_", "-")
        unknown = [*self._misfit(program, name, (program, f"argument --{name}"), where)]
        yield from unknown
        held = self.tables[program].holds.get(name) if program in self.tables else None
        if held and not unknown and not HELD[held][0](value):
            what = f"{program} would not start with {value[:_SHOWN]!r}"
            yield Fault(where=where, what=what, expected=HELD[held][1])
        if name == GATES and program not in self.others:
            for pair in value.split(","):
                gate, _, setting = pair.strip().partition("=")
                if gate:
                    yield from self.gate(GATES, gate, setting, where)
        if program == _API_SERVER and name in _LISTS:
            for plugin in filter(None, map(str.strip, value.split(","))):
                form = (program, f"admission plugin {plugin}")
                yield from self._misfit(PLUGINS, plugin, form, where)

    def gate(self, table: str, name: str, setting: str, where: str) -> Iterator[Fault]:
        """Yield why a feature gate, of kubeadm or of all other programs, can't be set so."""
        who = "kubeadm" if table == KUBEADM_GATES else "Kubernetes"
        yield from self._misfit(table, name, (who, f"feature gate {name}"), where)
        life = self._life(table, name)
        if life is None or life.locked is None or life.is_over(self._minor):
            return
        if life.locked <= self._minor and life.only != setting.lower():
            what = f"the feature gate {name} is always {life.only} since {written(life.locked)}"
            yield Fault(where=where, what=what, expected=life.only, hint="leave it out")

    def unserved(self, api: str, kind: str, where: str) -> Iterator[Fault]:
        """Yield why a manifest's resource can't be applied."""
        known = self.apis.get(api, {}).get(kind)
        if known is None:
            return
        since, before = known.served.since, known.served.before
        if since and self._minor < since:
            what = f"{self.release} does not serve {api} {kind}: {written(since)} does"
            yield Fault(where=where, what=what)
        elif before and before <= self._minor:
            what = f"{self.release} does not serve {api} {kind}: it is gone since {written(before)}"
            hint = self.instead.get(_APIS, {}).get(kind)
            if known.instead:
                hint = f"write apiVersion: {known.instead}, and what else that has otherwise"
            yield Fault(where=where, what=what, expected=known.instead, hint=hint)

    @property
    def _minor(self) -> Release:
        return self.release.major, self.release.minor

    def _life(self, table: str, name: str) -> Life | None:
        return self.tables[table].names.get(name) if table in self.tables else None

    def _misfit(self, table: str, name: str, form: tuple[str, str], where: str) -> Iterator[Fault]:
        who, named = form
        known, release = self.tables.get(table), self.release_of(table)
        if known is None or not known.covers(release):
            return
        life = known.names.get(name)
        other = (
            f"Kubernetes {self.release} has {who} {written(release)}"
            if table in self.others
            else None
        )
        if life is None:
            near = get_close_matches(name, self._known(known), n=1, cutoff=0.75)
            what = f"{who} knows no {named}"
            yield Fault(where=where, what=what, hint=f"did you mean {near[0]}?" if near else other)
        elif life.since and release < life.since:
            what = f"{who} has no {named} before {written(life.since)}"
            newer = f"{written(life.since)} or newer" if other is None else None
            yield Fault(where=where, what=what, expected=newer, hint=other)
        elif life.before and life.before <= release:
            what = f"{who} has no {named} since {written(life.before)}"
            hint = self.instead.get(table, {}).get(name, "leave it out")
            yield Fault(where=where, what=what, hint=hint)

    def _known(self, table: NameTable) -> list[str]:
        release = self.release_of(table.name)
        return [name for name, life in table.names.items() if life.is_known(release)]
