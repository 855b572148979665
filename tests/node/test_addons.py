"""The step that applies manifests believes no answer that it did not get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder import assets

if TYPE_CHECKING:
    import subprocess

    from conftest import Machine

SCRIPTS = assets.tree("cloudinit-templates") / "node"
THERE = "Error from server (AlreadyExists): error when creating: crds x already exists"
REFUSED = "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host?"


def addons(machine: Machine, script: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of bash that knows the step's functions; a worker's step itself does nothing."""
    return machine.source(f'. "{SCRIPTS}/steps/addons.sh"\nmkdir -p "$STATE"\n{script}')


@pytest.mark.parametrize(
    ("answer", "code", "made"),
    [
        (f"customresourcedefinition.apiextensions.k8s.io/a created\n{THERE}", 1, True),
        ("customresourcedefinition.apiextensions.k8s.io/a created", 0, True),
        (THERE, 1, True),
        (f"{THERE}\n{REFUSED}", 1, False),
        (REFUSED, 1, False),
        (f'{THERE}\nError from server (Invalid): "b" is invalid', 1, False),
        ("", 137, False),
    ],
)
def test_what_is_made_is_what_was_said(
    machine: Machine, answer: str, code: int, *, made: bool
) -> None:
    machine.stand_in("kubectl", f"cat <<'END'\n{answer}\nEND\nexit {code}")
    ran = addons(machine, "if create crds.yaml; then say made; else say not made; fi")
    assert ran.stdout == ("made\n" if made else "not made\n")


@pytest.mark.parametrize("answers", [True, False])
def test_a_taint_counts_as_gone_when_the_api_server_says_so(
    machine: Machine, *, answers: bool
) -> None:
    body = 'case "$*" in *" get node "*) exit {code} ;; esac'
    machine.stand_in("kubectl", body.format(code=0 if answers else 1))
    ran = addons(machine, "remove_taints")
    assert (ran.returncode == 0) is answers
    assert ("the node's taints can't be read" in ran.stdout) is not answers
