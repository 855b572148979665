"""What files of the user's say in kubelet's unit: variables, files of them, and its command."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from builder.model.catalog.paths import real

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENVIRONMENT, _FILE, _COMMAND = "Environment", "EnvironmentFile", "ExecStart"
_KUBELETS = re.compile(
    r"/(?:etc|run|usr/lib|usr/local/lib)/systemd/system/kubelet\.service(?:\.d/([^/]+\.conf))?"
)
_KUBEADMS = "10-kubeadm.conf"
_SETTING = re.compile(r"^[ \t]*(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$")
_SECTION = re.compile(r"^[ \t]*\[(\w+)\]")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def is_kubelets(path: str) -> bool:
    return _KUBELETS.fullmatch(real(path)) is not None


def comes_last(path: str) -> bool:
    """Tell whether systemd reads a drop-in after kubeadm's own."""
    match = _KUBELETS.fullmatch(real(path))
    return bool(match and match[1] and match[1] >= _KUBEADMS)


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stands in the section of the service, in order."""
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if found := _SECTION.match(line):
            section = found[1]
        elif section == "Service" and (setting := _SETTING.match(line)):
            yield setting[1], setting[2]


def assigned(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of variables."""
    for key, value in _settings(text):
        for word in _words(value) if key == _ENVIRONMENT else ():
            name, is_said, said = word.partition("=")
            if is_said:
                yield name, said


def files(text: str) -> list[str]:
    """Return the files whose variables it reads."""
    return [real(value.lstrip("-")) for key, value in _settings(text) if key == _FILE]


def commands(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the arguments of each command that starts kubelet, and what variables it takes."""
    for key, value in _settings(text):
        program, *rest = _words(value.lstrip("-@:+!")) if key == _COMMAND and value else [""]
        if program.rpartition("/")[2] == "kubelet":
            said = [word for word in rest if not _VARIABLE.fullmatch(word)]
            yield " ".join(said), frozenset(_VARIABLE.findall(" ".join(rest)))


def emptied(text: str) -> list[str]:
    """Return the settings of which all before is dropped."""
    return [key for key, value in _settings(text) if key in {_ENVIRONMENT, _FILE} and not value]


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()  # a quote without end, which systemd passes by
