"""What a program takes for a value, beside its type; the data are ``mirrors/allowed.yaml``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

from builder.model.arguments import HELD, Life, is_address
from builder.model.cluster import LAST_PORT
from builder.model.listening import place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from builder.model.arguments import Minor

_LIST = "list of "
_RANGE = re.compile(r"(-?[0-9]{1,9}) (?:to (-?[0-9]{1,9})|or more)")
_CHOICE = re.compile(r"([A-Za-z0-9./_-]+)((?: (?:since|before) 1\.\d{1,3})*)")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
AMOUNT = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?")
"""A quantity of Kubernetes."""
_PORTS = re.compile(r"([0-9]{1,5})(?:([-+])([0-9]{1,5}))?")
_PROCESSORS = re.compile(r"[0-9]{1,6}(?:-[0-9]{1,6})?(?:,[0-9]{1,6}(?:-[0-9]{1,6})?)*")


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _are_ports(text: str) -> bool:
    match = _PORTS.fullmatch(text)
    if not match:
        return False
    first, rest = int(match[1]), int(match[3] or match[1])
    return first <= (first + rest if match[2] == "+" else rest) <= LAST_PORT


FILE = "file"
"""What the program reads; whether it is there is a matter of its pod."""
_FORMS: Mapping[str, tuple[Callable[[str], object], str]] = {
    **HELD,
    "amount": (AMOUNT.fullmatch, "an amount like 10Mi"),
    FILE: (lambda text: text.startswith("/"), "an absolute path"),
    "address": (is_address, "an IP address"),
    "listener": (lambda text: place(text, 1), "IP:PORT"),
    "network": (_is_network, "a network like 192.0.2.0/24"),
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

    def misfits(self, value: str, minor: Minor) -> list[str]:
        """Return what of a value a release does not take."""
        entries = [one.strip() for one in value.split(",")] if self.every else [value]
        return [one for one in entries if one and not self._takes(one, minor)]

    def _takes(self, value: str, minor: Minor) -> bool:
        if self.form:
            return bool(_FORMS[self.form][0](value))
        if self.choices:
            return value in self._of(minor)
        if not _INTEGER.fullmatch(value):
            return True  # no number: that is a matter of its type
        return self.low <= int(value) and (self.high is None or int(value) <= self.high)

    def expected(self, minor: Minor) -> str:
        if self.form:
            return _FORMS[self.form][1]
        if self.choices:
            return " or ".join(self._of(minor))
        return f"{self.low} or more" if self.high is None else f"{self.low} to {self.high}"

    def _of(self, minor: Minor) -> list[str]:
        return [name for name, life in self.choices if life.is_known(minor)]
