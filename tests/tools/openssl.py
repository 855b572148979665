"""Authorities that openssl made, as a user would bring them to airseed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIGNS = ("-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign")
RSA = ("-newkey", "rsa:2048")
P256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
"""Made at once."""


def openssl(*words: object) -> str:
    """Run openssl; it has to be well."""
    done = subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True)
    return done.stdout


def authority(
    folder: Path,
    name: str = "ca",
    *,
    key: tuple[str, ...] = P256,
    uses: tuple[str, ...] = SIGNS,
    days: int = 500,
) -> None:
    """Make NAME.crt and NAME.key."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    openssl(
        *("req", "-x509", "-nodes", *key, "-subj", "/CN=site", "-days", days, *uses),
        *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
    )
    (folder / f"{name}.key").chmod(0o600)
    (folder / f"{name}.crt").chmod(0o644)


def site(folder: Path) -> Path:
    """Fill a folder with everything that ``pki: files`` may have."""
    for name in ("ca", "etcd/ca", "front-proxy-ca"):
        authority(folder, name)
    openssl("genrsa", "-out", folder / "sa.key", "2048")
    (folder / "sa.key").chmod(0o600)
    openssl("pkey", "-in", folder / "sa.key", "-pubout", "-out", folder / "sa.pub")
    (folder / "sa.pub").chmod(0o644)
    return folder


def pin(certificate: Path) -> str:
    """Return what ``caCertHashes`` has, the way that Kubernetes' documentation computes it."""
    program = 'openssl x509 -pubkey -noout -in "$1" | openssl pkey -pubin -outform der | sha256sum'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", program, "pin", str(certificate)],
        check=True,
        capture_output=True,
        text=True,
    )
    return f"sha256:{done.stdout.split()[0]}"
