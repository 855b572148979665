"""The words about machines in cluster.yaml; see :mod:`builder.formats.cluster.terms`."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from builder.errors import did_you_mean
from builder.formats.cluster.terms import DNS_NAME, node_address
from builder.formats.reading import WRONG, MisfitError, child, kind
from builder.formats.shape import Plain
from builder.formats.terms import folder_url, split_url
from builder.model.machine import MachineFile
from builder.model.source import is_url

if TYPE_CHECKING:
    from builder.formats.reading import Reading
    from builder.model.cluster import Address, NodeAddress, Subnet

CARD = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}"
"""A kernel's name of a network interface (IFNAMSIZ is 16, with the final zero)."""
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "InitConfiguration": (
        "For kubeadm init, on the first node.",
        {"nodeRegistration": {"kubeletExtraArgs": {"v": "4"}}},
    ),
    "ClusterConfiguration": (
        "For the cluster: API server, controllers, scheduler, etcd.",
        {"apiServer": {"extraArgs": {"profiling": "false"}}},
    ),
    "JoinConfiguration": (
        "For kubeadm join, on every other node.",
        {"nodeRegistration": {"kubeletExtraArgs": {"v": "4"}}},
    ),
    "KubeletConfiguration": ("For kubelet on every node.", {"maxPods": 200}),
    "KubeProxyConfiguration": ("For kube-proxy on every node.", {"mode": "ipvs"}),
}
"""What a document of each kind is about, with an example."""
_LONGEST_NAME = 255
_CRYPT = re.compile(r"\$[56]\$[A-Za-z0-9./$,=-]{8,}")
"""What crypt of EL7 knows (glibc 2.17), MD5 apart; later schemes would lock the account."""
_CONFIG = (
    "lay it down with machine.files, and name it in ClusterConfiguration.{0}.extraArgs and "
    "extraVolumes"
)
_ELSEWHERE = {
    "ResetConfiguration": "kubeadm reset alone reads it",
    "UpgradeConfiguration": "kubeadm upgrade alone reads it",
    "ClusterStatus": "kubeadm writes it itself",
    "KubeSchedulerConfiguration": _CONFIG.format("scheduler"),
    "KubeControllerManagerConfiguration": _CONFIG.format("controllerManager"),
}
"""Advice for kinds that first boot does not give kubeadm."""
_KEY_KINDS = re.compile(
    r"(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
)


def absolute(text: str) -> str:
    """Read an absolute path; nothing in it leads back."""
    if not text.startswith("/"):
        raise MisfitError(f"{text!r} is not absolute", hint=f"write /{text}")
    parts = text[1:].split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise MisfitError(f"{text!r} has a part that is not a name")
    if any(len(part.encode()) > _LONGEST_NAME for part in parts):
        raise MisfitError(f"a name of more than {_LONGEST_NAME} bytes, which no file system takes")
    return text


def machine_file(
    content: str | None, source: str | None, secret: Any, permissions: str | None, **fields: Any
) -> MachineFile:
    """Make a file of its keys; it has one of ``content``, ``source`` and ``secret``."""
    given = [
        key
        for key, value in (("content", content), ("source", source), ("secret", secret))
        if value is not None
    ]
    if not given:
        raise ValueError("give either content, source or secret")
    if len(given) > 1:
        raise ValueError(f"has both {' and '.join(given)}")
    if secret is not None and permissions is not None and not permissions.endswith("00"):
        raise ValueError(f"a secret at {permissions}: it must be closed to others, like 0600")
    usual = "0644" if secret is None else "0600"
    return MachineFile(
        content=content, source=source, secret=secret, permissions=permissions or usual, **fields
    )


def permissions(text: str) -> str:
    """Read octal permissions; ``644`` is taken for ``0644``.

    Unquoted ``0644`` arrives as text too: a YAML number has no leading zero here.
    """
    if not re.fullmatch(r"[0-7]{3,4}", text):
        raise MisfitError(f"{text!r} is not octal permissions")
    return text.rjust(4, "0")


def ssh_key(text: str) -> str:
    """Read one line of authorized_keys; a private key is refused without being repeated."""
    if "PRIVATE KEY" in text:
        raise MisfitError("this is a private key", hint="take the file that ends in .pub")
    words = text.split()
    kinds = [number for number, word in enumerate(words) if _KEY_KINDS.fullmatch(word)]
    if not kinds or kinds[0] + 1 >= len(words):
        raise MisfitError("this is not a public key")
    try:
        blob = base64.b64decode(words[kinds[0] + 1], validate=True)
    except binascii.Error:
        raise MisfitError("the key is cut off or damaged") from None
    name = words[kinds[0]].encode()
    if blob[: 4 + len(name)] != len(name).to_bytes(4, "big") + name:
        raise MisfitError("the key is cut off or damaged")
    return text


def password(text: str) -> str:
    """Read a crypt(3) hash; nothing of it is ever repeated."""
    if not _CRYPT.fullmatch(text):
        raise MisfitError("this is not a password's hash that CentOS 7 knows")
    return text


def proxy(text: str) -> str:
    """Read a proxy's URL; credentials in it would lie open on the machine."""
    parts = split_url(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise MisfitError("this is not the URL of a proxy", hint="begin it with http://")
    if parts.username is not None or parts.password is not None:
        raise MisfitError(
            "credentials in a proxy's URL would be visible to everyone on the machine"
        )
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise MisfitError("a proxy's URL ends after the port")
    if not text.isascii() or " " in text:
        raise MisfitError("this is not a URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def copies(text: str) -> str:
    """Read where snapshots are copied to: an absolute path, or the URL of a folder."""
    return folder_url(text) if is_url(text) else text


def address(text: str) -> Address:
    try:
        ip = ip_address(text)
    except ValueError:
        hint = "leave the prefix length out" if "/" in text else None
        raise MisfitError(f"{text!r} is not an IP address", hint=hint) from None
    if "%" in text or ip.is_unspecified or ip.is_multicast or ip.is_loopback:
        raise MisfitError(f"{text!r} is not allowed here")
    return ip


def card_address(text: str) -> NodeAddress:
    """Read an address with the prefix length of its network."""
    found = node_address(text)
    if found.prefix is None:
        raise MisfitError(
            f"{text!r} has no prefix length",
            hint=f"write {text}/{24 if found.ip.version == 4 else 64}, for example",  # noqa: PLR2004 -- the family
        )
    return found


def destination(text: str) -> Subnet:
    if text in {"default", "any"}:
        raise MisfitError(f"{text!r} is not a subnet", hint="write 0.0.0.0/0, or ::/0")
    if "/" not in text:
        raise MisfitError(f"{text!r} has no prefix length", hint=f"write {text}/24, for example")
    try:
        return ip_network(text)
    except ValueError as error:
        host_bits = "host bits" in str(error)
        hint = f"write {ip_network(text, strict=False)}" if host_bits else None
        raise MisfitError(f"{text!r} is not a subnet", hint=hint) from None


def server(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return host_name(text)


def host_name(text: str) -> str:
    if not re.fullmatch(DNS_NAME, text) or len(text) > 253 or re.fullmatch(r"[0-9.]+", text):  # noqa: PLR2004 -- RFC 1035
        lower = text.lower()
        fits = lower != text and re.fullmatch(DNS_NAME, lower)
        raise MisfitError(f"{text!r} is not a host name", hint=f"write {lower}" if fits else None)
    return text


@dataclass(frozen=True, slots=True)
class Documents(Plain):
    """Read raw kubeadm documents by kind; their fields are checked where they are rendered."""

    def read(self, value: Any, path: str, reading: Reading) -> dict[str, dict[str, Any]]:
        if not isinstance(value, dict):
            refused: dict[str, dict[str, Any]] = reading.wrong(
                path, f"{kind(value)} is not a mapping", expected="documents by kind"
            )
            return refused
        good = True
        for name, document in value.items():
            if name not in KINDS:
                good = False
                if reading.full:
                    break
                reading.wrong(
                    child(path, name),
                    "unknown kind",
                    expected=f"one of {', '.join(KINDS)}",
                    hint=_ELSEWHERE.get(name) or did_you_mean(name, KINDS),
                )
            elif document is not None and not isinstance(document, dict):
                good = False
                reading.wrong(
                    child(path, name), f"{kind(document)} is not a mapping", expected="its fields"
                )
        if not good:
            wrong: dict[str, dict[str, Any]] = WRONG
            return wrong
        return {name: document for name, document in value.items() if document is not None}

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                name: {
                    "type": ["object", "null"],
                    "title": name,
                    "description": doc,
                    "examples": [example],
                }
                for name, (doc, example) in KINDS.items()
            },
            "additionalProperties": False,
        }
