"""A mirror that changes its metadata: no lock of it becomes a bundle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from forged import forge_served, of_package

if TYPE_CHECKING:
    from collections.abc import Callable

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


def provide(text: str) -> str:
    """Provide a library that something asks for, as if it were there already."""
    name = "libnetfilter_cthelper"
    entry = f'<rpm:entry name="{name}"/>'
    assert "<rpm:provides>" in text
    return text.replace("<rpm:provides>", f"<rpm:provides>{entry}")


def require(text: str) -> str:
    """Require a program, which would then have come with the base."""
    return text.replace("<rpm:requires>", '<rpm:requires><rpm:entry name="socat"/>')


def contain(text: str) -> str:
    return text.replace("</package>", "<file>/usr/bin/socat</file></package>")


@pytest.mark.parametrize(
    ("kind", "package", "change", "said"),
    [
        ("primary", "bash", provide, "primary adds that it provides libnetfilter_cthelper"),
        ("primary", "basesystem", require, "primary adds that it requires socat"),
        ("filelists", "bash", contain, "its file list adds /usr/bin/socat"),
    ],
)
def test_the_base_has_what_its_signed_headers_say(
    sandbox: Sandbox, kind: str, package: str, change: Callable[[str], str], said: str
) -> None:
    """Else what a mirror says is there already would be bundled by nobody."""
    forge_served(sandbox.upstream, OS, kind, of_package(package, change))
    sandbox.lock_path.unlink()
    ran = sandbox.lock()
    assert ran.code == 1, ran.err
    assert f"{package}-" in ran.err
    assert said in ran.err, ran.err
    assert not sandbox.lock_path.exists()


def test_a_group_has_no_names_that_only_a_mirror_knows_of(sandbox: Sandbox) -> None:
    def add(text: str) -> str:
        return text.replace(
            "<packagelist>", '<packagelist><packagereq type="mandatory">socat</packagereq>'
        )

    forge_served(sandbox.upstream, OS, "group", add)
    sandbox.lock_path.unlink()
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    assert "puts socat into the group core" in ran.err
    assert b'"socat-' in sandbox.lock_path.read_bytes()
