"""What only the nodes that need it may know: token, certificate key, certificate authority.

No secret shows in a ``repr``, so that no traceback, log or failed assertion repeats one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAuthority:
    certificate: str
    """PEM; public."""
    key: str = field(repr=False)
    """PEM."""
    digest: str
    """``sha256:`` and the hex SHA-256 of the public key's DER form, as ``caCertHashes`` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    token: str = field(repr=False)
    """A bootstrap token, ``[a-z0-9]{6}.[a-z0-9]{16}``."""
    certificate_key: str = field(repr=False)
    """32 bytes as 64 hexadecimal digits."""
    phone_home_token: str = field(repr=False)
    """Likewise; what a node sends along with its results, for whom ``seed.phone-home`` names."""
    authority: ClusterAuthority | None = None
    """None where kubeadm makes it on the first node (``pki: on-node``)."""
    encryption: str | None = field(default=None, repr=False)
    """EncryptionConfiguration with the key for what etcd holds, where a machine gets it."""
    shared: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Of ``pki: files``: PEM by path below /etc/kubernetes/pki, beside ca.crt and ca.key."""
