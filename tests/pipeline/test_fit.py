"""A lock that was made by another version of airseed is to be made anew, and everybody is told."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Site
    from sandboxes import Ran, Sandbox

_FINGERPRINT = re.compile(r'"demand": "1:(sha256:[0-9a-f]{64})"')


@pytest.fixture(params=[r'"demand": "\1"', r'"demand": "2:\1"'], ids=["earlier", "later"])
def sandbox(request: pytest.FixtureRequest, site: Site) -> Sandbox:
    """Lock a small cluster, and put the fingerprint there that another version would have made."""
    opened = site.open()
    seen(opened.lock(), 0)
    seen(opened.run("secrets"), 0)
    shutil.copy(opened.lock_path, opened.folder / "ours.lock")
    text, count = _FINGERPRINT.subn(request.param, opened.lock_path.read_text("utf-8"))
    assert count == 1
    opened.lock_path.write_text(text, "utf-8")
    return opened


def seen(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code, ran.err
    for word in words:
        assert word in ran.err


def test_seeds_name_the_command_that_makes_it_anew(sandbox: Sandbox) -> None:
    ran = sandbox.run("seeds", "--catalog", str(sandbox.catalog))
    seen(
        ran,
        2,
        "error: cluster.lock: the lock was made by another version of airseed, so whether it is "
        "for what cluster.yaml asks for now cannot be told\n"
        "  hint: airseed lock cluster.yaml makes it anew and keeps what still fits\n",
    )


def test_locking_changes_nothing_else_in_it(sandbox: Sandbox) -> None:
    seen(sandbox.lock(), 0, "wrote cluster.lock")
    assert sandbox.lock_path.read_bytes() == (sandbox.folder / "ours.lock").read_bytes()
    seen(sandbox.run("seeds", "--catalog", str(sandbox.catalog)), 0)


def test_a_bundle_of_the_cluster_locks_first(sandbox: Sandbox) -> None:
    ran = sandbox.run("bundle", "cluster.yaml", "--catalog", str(sandbox.catalog))
    seen(ran, 0, "cluster.lock was made by another version of airseed: locking\n")
    assert sandbox.lock_path.read_bytes() == (sandbox.folder / "ours.lock").read_bytes()


def test_it_is_still_bundled_verified_and_inspected(sandbox: Sandbox) -> None:
    seen(sandbox.bundle(), 0)
    for words in (("verify", "bundle.tar"), ("inspect", "bundle.tar"), ("inspect", "cluster.lock")):
        seen(sandbox.run(*words), 0)
