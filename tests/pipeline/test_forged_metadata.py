"""A mirror that changes its metadata: no lock of it becomes a bundle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from forged import forge_served, of_package

if TYPE_CHECKING:
    from sandboxes import Sandbox

OS = "https://vault.centos.org/7.6.1810/os/x86_64"


def test_a_requirement_that_a_mirror_drops_is_found_in_the_signed_header(sandbox: Sandbox) -> None:
    """conntrack-tools requires a library which nothing else asks for."""
    name = b"libnetfilter_cthelper-1.0.0"
    assert name in sandbox.lock_path.read_bytes()

    def drop(text: str) -> str:
        return re.sub(r'\s*<rpm:entry name="libnetfilter_cthelper"[^>]*/>', "", text)

    forge_served(sandbox.upstream, OS, "primary", of_package("conntrack-tools", drop))
    sandbox.lock_path.unlink()
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    assert name not in sandbox.lock_path.read_bytes()
    ran = sandbox.bundle()
    assert ran.code == 1
    assert (
        "conntrack-tools-1.4.4-4.el7.x86_64: primary leaves out that it requires"
        " libnetfilter_cthelper" in ran.err
    ), ran.err
    assert not sandbox.bundle_path.exists()
