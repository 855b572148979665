"""The catalog's arguments, gates and API versions are those of real programs and their sources."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import etcdflags
import goflags
import gotypes
import plans
import pytest

from builder.model.arguments import GATES, KUBEADM_GATES, PLUGINS, NameTable

pytestmark = pytest.mark.interop
BUILD = Path(__file__).with_name("build-kubernetes")
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
REAL = ("1.18.5", "1.19.5")
KUBEADM = (*REAL, "1.30.14", "1.36.0")
SOURCES = (18, 24, 30, 36)
"""A few minors, whose tables are made anew; all of them take an hour of a small machine."""
_FLAG = re.compile(r"^ +(?:-\w, )?--([\w-]+)", re.MULTILINE)
_GATE = re.compile(r"(\w+)=true\|false \((?:ALPHA|BETA)")


@cache
def program(version: str, name: str) -> Path:
    """Return a real program, building it when this machine has none."""
    done = subprocess.run([BUILD, version, name], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip()) / name


def said(path: Path, word: str) -> str:
    """Return what a program says of one argument before it would start."""
    done = subprocess.run([path, word, "--help"], capture_output=True, text=True, check=False)
    return done.stderr + ("" if done.returncode == 0 else done.stdout)


def at(table: str, minor: int) -> dict[str, str]:
    """Return the names of a table in one minor, each with the value that it is locked to."""
    known: NameTable = plans.catalog().arguments[table]
    release = (1, minor)
    return {
        name: (life.only or "") if life.locked and life.locked <= release else ""
        for name, life in known.names.items()
        if (life.since or release) <= release and (life.before is None or release < life.before)
    }


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("version", REAL)
def test_a_program_has_the_arguments_that_its_table_says(version: str, name: str) -> None:
    """Those that ``--help`` shows, and hidden ones, which are accepted all the same."""
    path, minor = program(version, name), int(version.split(".")[1])
    text = subprocess.run([path, "--help"], capture_output=True, text=True, check=True).stdout
    shown = {flag.replace("_", "-") for flag in _FLAG.findall(text)}
    known = at(name, minor).keys()
    assert shown <= known
    for flag in sorted(known - shown):
        assert "unknown flag" not in said(path, f"--{flag}=1"), flag
    assert "unknown flag" in said(path, "--no-such=1")
    assert set(_GATE.findall(text)) <= at(GATES, minor).keys()


@pytest.mark.parametrize("version", REAL)
def test_a_program_takes_the_gates_that_its_table_says(version: str) -> None:
    """In one breath: each with the value that it has; then each that is locked, the other way."""
    path, gates = program(version, "kube-apiserver"), at(GATES, int(version.split(".")[1]))
    whole = ",".join(f"{gate}={value or 'true'}" for gate, value in gates.items())
    assert "feature gate:" not in said(path, f"--feature-gates={whole}")
    more = said(path, f"--feature-gates={whole},NoSuch=true")
    assert "unrecognized feature gate: NoSuch" in more
    for gate in (gate for gate, value in gates.items() if value == "true"):
        wrong = said(path, f"--feature-gates={gate}=false")
        assert f"cannot set feature gate {gate} to false" in wrong


@pytest.mark.parametrize("version", KUBEADM)
def test_kubeadm_has_the_gates_that_its_table_says(version: str) -> None:
    ran = subprocess.run(
        [program(version, "kubeadm"), "init", "--help"], capture_output=True, text=True, check=True
    )
    shown = set(re.findall(r"(\w+)=true\|false", ran.stdout))
    assert shown
    known = at(KUBEADM_GATES, int(version.split(".")[1])).keys()
    assert shown <= known
    assert known - shown <= {"PublicKeysECDSA", "AllAlpha", "AllBeta"}


@pytest.mark.parametrize("minor", SOURCES)
def test_the_tables_are_what_is_read_out_of_the_sources(minor: int) -> None:
    for name in PROGRAMS:
        assert at(name, minor).keys() == goflags.flags(name, minor).keys()
    assert at(GATES, minor) == goflags.gates(minor)
    assert at(KUBEADM_GATES, minor) == goflags.kubeadm_gates(minor)
    assert at(PLUGINS, minor).keys() == goflags.plugins(minor)


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_arguments_hold_is_read_out_of_the_sources(name: str) -> None:
    read = {flag: kind for kind, those in goflags.held(name).items() for flag in those}
    assert plans.catalog().arguments[name].holds == read


def test_etcds_table_is_what_is_read_out_of_its_sources() -> None:
    assert etcdflags.FILE.read_text("utf-8") == etcdflags.written()


def test_api_versions_are_those_of_the_sources() -> None:
    text = (gotypes.ROOT / "mirrors" / "apis.yaml").read_text("utf-8")
    assert text == goflags.apis_written()
