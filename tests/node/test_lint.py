"""What runs on a node must fit CentOS 7.6: bash 4.2, systemd 219, curl 7.29, tar 1.26, yum 3.4."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder import assets

if TYPE_CHECKING:
    from collections.abc import Iterator

NODE = assets.tree("cloudinit-templates") / "node"
REFUSED = {
    r"\b(local|declare|typeset)\s+-\w*n": "bash 4.2 has no name references",
    r"\$\{\w+(\[[^]]*\])?@[A-Za-z]\}": "bash 4.2 has no ${v@Q}",
    r"\[-\d+\]": "bash 4.2 has no negative subscripts",
    r"\$\{\w+:[^}]*:\s*-\d": "bash 4.2 knows no negative length of a substring of an array",
    r'(?<!\+)"\$\{\w+\[@\]\}"': "an empty array is an unbound variable before bash 4.4",
    r"\bwait\s+-[np]\b": "bash 4.2 has no wait -n",
    r"\bEPOCH(SECONDS|REALTIME)\b": "bash 5 only",
    r"\b(mapfile|readarray)\s+(-\w+\s+)*-d\b": "bash 4.4 only",
    r"\bjq\b": "there is no jq",
    r"\bpython[23]?\b": "which Python there is depends on the system",
    r"\b(nc|ncat|netcat)\s+-": "there is no nc",
    r"--retry-(connrefused|all-errors)|--fail-with-body|--parallel\b|--json\b|--next\b": (
        "curl 7.29, lsblk 2.23 don't know it"
    ),
    r"\btar\b.*\s--(sort|zstd)\b": "tar 1.26 does not know it",
    r"(?<!-)\bsync\s+[^&|;)\s#]": "sync takes no names before coreutils 8.24",
    r"\bsystemctl\b.*\s--wait\b": "systemd 232 only",
    r"\bss\s+-\w*H": "iproute 4.11: no -H",
    r"\bunshare\b.*--propagation": "util-linux 2.26 only",
    r"\bopenssl\b.*-(macopt|hmac|passin pass:)": "a secret would be an argument",
    r"\bdf\b.*--output": "not needed; keep to what POSIX has",
    r"\byum\b(?!.*(-y|%|d/|/))\s+(install|update)": "yum only through run_yum",
    r"\bgrep\s+-\w*P": "not in busybox, and slow on hostile lines",
}
DIRECTIVES = frozenset(
    {
        "Description",
        "Wants",
        "After",
        "Before",
        "Type",
        "Environment",
        "ExecStart",
        "Restart",
        "RestartSec",
        "RestartPreventExitStatus",
        "StartLimitInterval",
        "StandardOutput",
        "StandardError",
        "SyslogIdentifier",
        "WantedBy",
        "RemainAfterExit",
        "OnBootSec",
        "OnUnitInactiveSec",
        "AccuracySec",
        "Unit",
    }
)


def scripts() -> Iterator[Path]:
    for path in sorted(NODE.rglob("*")):
        if path.is_file() and path.read_bytes().startswith(b"#!"):
            yield path


def faults(text: str) -> list[str]:
    """Return what CentOS 7 can't do in a script, without comments."""
    refusals = []
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r"(^|\s)#.*", "", line)
        refusals += [f"{number}: {why}" for rule, why in REFUSED.items() if re.search(rule, code)]
    return refusals


def unit_faults(text: str) -> list[str]:
    """Return what systemd 219 can't do in a unit."""
    settings = re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)
    section = {name: head for head, name in _placed(text)}
    refusals = [
        f"{name}: not known to fit systemd 219" for name, _ in settings if name not in DIRECTIVES
    ]
    if ("Type", "oneshot") in settings and "Restart" in dict(settings):
        refusals.append("Restart= with Type=oneshot")
    if section.get("StartLimitInterval", "Service") != "Service":
        refusals.append("StartLimitInterval= stands in [Service]")
    refusals += [
        f"{value}: files are no outputs"
        for _, value in settings
        if value.startswith(("file:", "append:"))
    ]
    return refusals


def _placed(text: str) -> Iterator[tuple[str, str]]:
    head = ""
    for line in text.splitlines():
        if line.startswith("["):
            head = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            yield head, line.split("=")[0]


@pytest.mark.parametrize("path", list(scripts()), ids=lambda path: str(path.relative_to(NODE)))
def test_scripts_fit_centos_7(path: Path) -> None:
    assert faults(path.read_text()) == []
    assert path.stat().st_mode & 0o111, "not executable"


@pytest.mark.parametrize(
    "path", sorted((*NODE.rglob("*.service"), *NODE.rglob("*.timer"))), ids=lambda path: path.name
)
def test_units_fit_systemd_219(path: Path) -> None:
    assert unit_faults(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "local -n target=$1",
        'echo "${value@Q}"',
        'echo "${list[-1]}"',
        'run "${words[@]}"',
        "python3 -c 1",
        "jq . file",
        "curl --retry-connrefused x",
        "tar --sort=name -cf x y",
        "lsblk --json",
        "sync /etc/file",
        "nc -z host 1",
        "openssl dgst -sha256 -hmac $secret",
        "wait -n",
        "yum install kubeadm",
        "unshare -m --propagation private",
    ],
)
def test_the_lint_refuses(line: str) -> None:
    assert len(faults(line)) == 1


@pytest.mark.parametrize("line", ['run ${words[@]+"${words[@]}"}', "sync", "sync && x", "# jq"])
def test_the_lint_accepts(line: str) -> None:
    assert faults(line) == []


@pytest.mark.parametrize(
    ("unit", "fault"),
    [
        ("[Service]\nType=oneshot\nRestart=on-failure\n", "Restart= with Type=oneshot"),
        ("[Unit]\nStartLimitInterval=0\n", "StartLimitInterval= stands in [Service]"),
        (
            "[Unit]\nStartLimitIntervalSec=0\n",
            "StartLimitIntervalSec: not known to fit systemd 219",
        ),
        ("[Service]\nStandardOutput=append:/x\n", "append:/x: files are no outputs"),
        ("[Service]\nExecCondition=/x\n", "ExecCondition: not known to fit systemd 219"),
    ],
)
def test_the_lint_refuses_units(unit: str, fault: str) -> None:
    assert unit_faults(unit) == [fault]


def test_shellcheck_finds_nothing() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    stand_ins = sorted(Path(__file__).parent.joinpath("standins").rglob("*"))
    files = [str(path) for path in (*scripts(), *stand_ins) if path.is_file()]
    ran = subprocess.run([shellcheck, *files], capture_output=True, text=True, check=False)
    assert ran.stdout == ""
