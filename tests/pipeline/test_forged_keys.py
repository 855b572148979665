"""A mirror that adds to a key: what is locked is the pinned key alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.lab.openpgp import generate
from builder.rpm.keys import load_keys

if TYPE_CHECKING:
    from sandboxes import Sandbox


def test_a_second_key_in_a_key_file_is_not_locked(sandbox: Sandbox) -> None:
    evil = generate("Evil <evil@example.invalid>", created=1_500_000_000)
    before = sandbox.lock_path.read_bytes()
    for site in sandbox.upstream.sites.values():
        for path in site.paths:
            content = site._files[path]
            if isinstance(content, bytes) and b"BEGIN PGP PUBLIC KEY" in content:
                site.add(path, content + b"\n" + evil.public)
    sandbox.lock_path.unlink()
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    assert sandbox.lock_path.read_bytes() == before
    keys = [
        load_keys(path.read_bytes())
        for path in (sandbox.folder / "cluster.lock.d").iterdir()
        if path.read_bytes().startswith(b"-----BEGIN PGP PUBLIC KEY")
    ]
    assert keys
    assert all(len(found) == 1 and not found[0].has(evil.fingerprint) for found in keys)


def test_a_source_without_its_key_is_named(sandbox: Sandbox) -> None:
    for site in sandbox.upstream.sites.values():
        for path in site.paths:
            content = site._files[path]
            if isinstance(content, bytes) and b"BEGIN PGP PUBLIC KEY" in content:
                site.add(path, b"<html>not found</html>")
    sandbox.lock_path.unlink()
    ran = sandbox.lock()
    assert ran.code == 1
    assert "://" in next(line for line in ran.err.splitlines() if "OpenPGP key" in line), ran.err
