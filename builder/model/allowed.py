"""What a program takes for a value, beside its type; the data are ``mirrors/allowed.yaml``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

from builder.host_port import LAST_PORT
from builder.model.arguments import DURATION, HELD, is_address
from builder.model.life import RELEASE, Life
from builder.model.listening import bound, place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from builder.model.life import Release

_LIST = "list of "
_RANGE = re.compile(r"(-?[0-9]{1,9}) (?:to (-?[0-9]{1,9})|or more)")
_CHOICE = re.compile(rf"([A-Za-z0-9./_-]+)((?: (?:since|before) {RELEASE})*)")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
AMOUNT = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?")
"""A quantity of Kubernetes."""
_PORTS = re.compile(r"([0-9]{1,5})(?:([-+])([0-9]{1,5}))?")
_ORIGIN = re.compile(
    r"(?i:https?)://(?:[^/?#\s@\[\]]*@)?(?:[^/?#\s:@\[\]%]*|\[[^/?#\s]*\]):[0-9]*"
    r"(?:\?[^#]*)?(?:#(?:[^%]|%[0-9A-Fa-f]{2})*)?|(?i:unixs?):.*"
)
_PROCESSORS = re.compile(r"[0-9]{1,6}(?:-[0-9]{1,6})?(?:,[0-9]{1,6}(?:-[0-9]{1,6})?)*")


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def port_range(text: str) -> tuple[int, int]:
    """Read FIRST, FIRST-LAST or FIRST+MORE; raise ValueError."""
    match = _PORTS.fullmatch(text)
    first, rest = (int(match[1]), int(match[3] or match[1])) if match else (1, 0)
    last = first + rest if match and match[2] == "+" else rest
    if not first <= last <= LAST_PORT:
        raise ValueError(f"{text!r} is not a range of ports")
    return first, last


def _are_ports(text: str) -> bool:
    try:
        port_range(text)
    except ValueError:
        return False
    return True


def _are_hours(text: str) -> bool:
    return bool(DURATION.fullmatch(text) or _INTEGER.fullmatch(text))


def _is_bound(text: str) -> bool:
    return "://" in text and (text.startswith("unix") or bound(text) is not None)


def _are_origins(text: str) -> bool:
    return text == "*" or all(_ORIGIN.fullmatch(one.strip()) for one in text.split(","))


_A_NETWORK = "a network like 192.0.2.0/24"
FILE = "file"
"""What the program reads; whether it is there is a matter of its pod."""
_FORMS: Mapping[str, tuple[Callable[[str], object], str]] = {
    **HELD,
    "amount": (AMOUNT.fullmatch, "an amount like 10Mi"),
    FILE: (lambda text: text.startswith("/"), "an absolute path"),
    "address": (is_address, "an IP address"),
    "listener": (lambda text: place(text, 1), "IP:PORT"),
    "hours": (_are_hours, "a number of hours (or of revisions), or a duration like 90m"),
    "origins": (_are_origins, "*, or http://HOST:PORT,..."),
    "bound": (_is_bound, "http://IP:PORT"),
    "network": (_is_network, _A_NETWORK),
    "node network": (lambda text: text == "primary" or _is_network(text), _A_NETWORK),
    "ports": (_are_ports, "FIRST-LAST, like 30000-32767"),
    "processors": (_PROCESSORS.fullmatch, "numbers of processors, like 0,2-3"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    form: str = ""
    """A key of the forms above; "" where there are choices, or else a range."""
    choices: tuple[tuple[str, Life], ...] = ()
    low: int = 0
    high: int | None = None
    every: bool = False
    """Whether it holds for each entry of a list."""

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """Read ``[list of ](FORM | LOW to HIGH | LOW or more | NAME [LIFE] | NAME ...)``."""
        bare, every = text.removeprefix(_LIST), text.startswith(_LIST)
        if bare in _FORMS:
            return cls(form=bare, every=every)
        if match := _RANGE.fullmatch(bare):
            return cls(low=int(match[1]), high=int(match[2]) if match[2] else None, every=every)
        choices = []
        for one in bare.split(" | "):
            choice = _CHOICE.fullmatch(one)
            if not choice:
                raise ValueError(f"{one!r} does not say what is allowed (like 0 to 31)")
            choices.append((choice[1], Life.parse(choice[2].strip() or "always")))
        return cls(choices=tuple(choices), every=every)

    def misfits(self, value: str, release: Release) -> list[str]:
        """Return what of a value a release does not take."""
        entries = [one.strip() for one in value.split(",")] if self.every else [value]
        return [one for one in entries if one and not self._takes(one, release)]

    def _takes(self, value: str, release: Release) -> bool:
        if self.form:
            return bool(_FORMS[self.form][0](value))
        if self.choices:
            return value in self._of(release)
        if not _INTEGER.fullmatch(value):
            return True  # no number: that is a matter of its type
        return self.low <= int(value) and (self.high is None or int(value) <= self.high)

    def expected(self, release: Release) -> str:
        if self.form:
            return _FORMS[self.form][1]
        if self.choices:
            return " or ".join(self._of(release))
        return f"{self.low} or more" if self.high is None else f"{self.low} to {self.high}"

    def _of(self, release: Release) -> list[str]:
        return [name for name, life in self.choices if life.is_known(release)]
