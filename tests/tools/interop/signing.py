"""Keys of gnupg 1, which still makes what CentOS 7 has: SHA-1 certificates, V3 signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interop.programs import environment, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Sign RPMs and files with one key, kept in a folder of its own."""

    home: Path
    user: str
    version: int = 4
    """Of its signatures over RPMs."""
    algorithm: str = "sha256"
    self_algorithm: str = "sha256"

    def create(self) -> None:
        """Make the key."""
        self.home.mkdir(mode=0o700, parents=True)
        recipe = f"Key-Type: RSA\nKey-Length: 2048\nName-Real: {self.user}\n%commit\n"
        self._gpg("--quick-random", "--gen-key", input=recipe)

    @property
    def fingerprint(self) -> str:
        lines = self._gpg("--with-colons", "--fingerprint").splitlines()
        return next(line for line in lines if line.startswith("fpr:")).split(":")[9]

    @property
    def public(self) -> str:
        """Return the public key, armoured."""
        return self._gpg("--armor", "--export")

    def packets(self, content: str) -> str:
        """List the packets of a key or signature, as gpg1 sees them."""
        return self._gpg("--list-packets", input=content)

    def detach(self, path: Path) -> None:
        """Sign a file; the signature gets its name with ``.asc`` after it."""
        self._gpg("--armor", "--digest-algo", self.algorithm, "--detach-sign", str(path))

    def sign(self, rpms: Sequence[Path]) -> None:
        """Sign RPMs: their headers, and header and payload together, as on CentOS 7."""
        more = "--batch --force-v3-sigs" if self.version == 3 else "--batch --no-force-v3-sigs"
        macros = {
            "__gpg": "/usr/bin/gpg1",
            "_gpg_name": self.user,
            "_gpg_digest_algo": self.algorithm,
            "_gpg_sign_cmd_extra_args": more,
        }
        words = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
        env = environment(self.home.parent, GNUPGHOME=str(self.home))
        run("rpmsign", *words, "--rpmv3", "--addsign", *rpms, env=env)

    def _gpg(self, *words: str, input: str | None = None) -> str:  # noqa: A002 -- subprocess's word
        env = environment(self.home.parent, GNUPGHOME=str(self.home))
        options = ("--batch", "--quiet", "--no-tty", "--cert-digest-algo", self.self_algorithm)
        return run("gpg1", *options, *words, env=env, input=input).stdout
