"""The words of cluster.yaml: each text becomes a value or an error that says how to write it.

Every function is a ``parse`` of :class:`builder.formats.shape.Text`. No message repeats a text
that may hold credentials.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_interface, ip_network
from posixpath import basename
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.formats.reading import MisfitError
from builder.formats.terms import FILE_PATH, source
from builder.host_port import LAST_PORT
from builder.model.cluster import API_PORT, Endpoint, NodeAddress, Taint
from builder.model.reference import Reference
from builder.model.source import SCHEME, is_url
from builder.model.version import Version, bare

if TYPE_CHECKING:
    from builder.model.cluster import Address, Effect, Subnet

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DNS_NAME = rf"{LABEL}(?:\.{LABEL})*"
"""RFC 1123, as Kubernetes checks it."""
_QUALIFIED = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
LABEL_VALUE = rf"(?:{_QUALIFIED})?"
LABEL_KEY = rf"(?:{DNS_NAME}/)?{_QUALIFIED}"
LOOPBACK_NAMES = ("localhost", "localhost.localdomain")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_EFFECTS: tuple[Effect, ...] = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_SHORTEST_NET = 31
"""From here on a network has neither a network nor a broadcast address (RFC 3021)."""


def release(text: str) -> Version:
    """Read an exact version of Kubernetes; a series of them gets an answer of its own."""
    if re.fullmatch(r"v?[0-9]{1,4}\.[0-9]{1,4}(?:\.[x*])?", text):
        series = ".".join(text.removeprefix("v").split(".")[:2])
        raise MisfitError(
            f"{text!r} names a series, not a release",
            hint=f"write its patch, too: airseed versions lists the releases of {series}, if there "
            "are any",
        )
    try:
        return Version.parse(text)
    except ValueError as error:
        plain = bare(text)
        known = re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", plain) and plain != text
        hint = f"write {plain}" if known else "airseed versions lists the releases"
        raise MisfitError(str(error), hint=hint) from None


_APART = re.compile(r"([A-Za-z][A-Za-z-]{0,30}?)[ @:/-]?v?([0-9][0-9A-Za-z.:+~_-]{0,60})")


def apart(text: str) -> str | None:
    """Say how a name and a version are written that somebody wrote as one word."""
    if match := _APART.fullmatch(text):
        return f"write {{name: {match[1].lower()}, version: {bare(match[2])}}}"
    lower = text.lower()
    fits = lower != text and re.fullmatch(r"[a-z][a-z0-9-]{0,30}", lower)
    return f"write {lower}" if fits else None


def node_name(text: str) -> str:
    """Read a host name that is also a Node's name; at most 63 characters, as labels have it."""
    if not re.fullmatch(DNS_NAME, text) or len(text) > 63:  # noqa: PLR2004 -- kubernetes.io/hostname is a label
        lower = text.lower().replace("_", "-")
        fits = re.fullmatch(DNS_NAME, lower) and len(lower) <= 63  # noqa: PLR2004 -- as above
        raise MisfitError(
            f"{text!r} is not a node name",
            hint=f"write {lower}" if fits and lower != text else None,
        )
    if text in LOOPBACK_NAMES:
        raise MisfitError(f"{text!r} is a name that every machine has")
    if re.fullmatch(r"[0-9.]+", text):
        raise MisfitError(f"{text!r} looks like an address", hint="begin it with a letter")
    return text


def subnet(text: str) -> Subnet:
    """Read a CIDR; bits set beyond its prefix are refused, as Go's strict callers do."""
    host, slash, prefix = text.partition("/")
    if not slash:
        raise MisfitError(f"{text!r} has no prefix length", hint=f"write {text}/16, for example")
    if not (prefix.isascii() and prefix.isdigit()) or "%" in host:
        raise MisfitError(f"{text!r} is not a subnet")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise MisfitError(f"{text!r} is not a subnet") from None
    if network.network_address != ip_address(host):
        raise MisfitError(f"{text!r} has host bits set", hint=f"write {network}")
    if (
        network.is_multicast
        or network.is_loopback
        or network.is_link_local
        or network.prefixlen == 0
    ):
        raise MisfitError(f"{text!r} cannot be used for a cluster", hint="take a private range")
    return network


def node_address(text: str) -> NodeAddress:
    """Read an address of a machine, with or without the prefix length of its network."""
    try:
        ip = ip_address(text.partition("/")[0])
    except ValueError:
        raise MisfitError(f"{text!r} is not an IP address") from None
    try:
        network = ip_interface(text).network
    except ValueError:
        raise MisfitError(f"{text!r} has a wrong prefix length") from None
    if "%" in text:
        raise MisfitError(f"{text!r} has a zone", hint="link-local addresses cannot be used")
    if ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local:
        raise MisfitError(f"{text!r} cannot be the address of a node")
    if ip.version == 4 and ip.is_reserved:  # noqa: PLR2004 -- IPv6 calls whole future blocks reserved
        raise MisfitError(f"{text!r} cannot be the address of a node")
    if "/" not in text:
        return NodeAddress(ip=ip)
    if network.prefixlen < min(_SHORTEST_NET, network.max_prefixlen - 1):
        if ip == network.network_address:
            raise MisfitError(f"{text!r} is the network, not a machine in it")
        if ip.version == 4 and ip == network.broadcast_address:  # noqa: PLR2004 -- IPv6 has no broadcast
            raise MisfitError(f"{text!r} is the broadcast address of {network}")
    return NodeAddress(ip=ip, prefix=network.prefixlen)


def mac(text: str) -> str:
    """Read a hardware address of one card; dashes and upper case are taken too."""
    address = text.lower().replace("-", ":")
    if not _MAC.fullmatch(address):
        raise MisfitError(f"{text!r} is not a MAC address")
    if int(address[:2], 16) & 1:
        raise MisfitError(f"{text!r} is a group address, not one card's")
    if address == "00:00:00:00:00:00":
        raise MisfitError(f"{text!r} is not the address of a card")
    return address


def endpoint(text: str) -> Endpoint:
    """Read ``HOST[:PORT]``; an IPv6 address with a port stands in brackets."""
    if "@" in text:
        raise MisfitError("an endpoint holds no credentials")
    if SCHEME.match(text):
        rest = text.partition("://")[2].rstrip("/")
        hint = f"write {rest}" if re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", rest) else None
        raise MisfitError("an endpoint has no scheme", hint=hint)
    host, port = text, str(API_PORT)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (rest and not rest.startswith(":")):
            raise MisfitError(f"{text!r} is not an endpoint")
        port = rest[1:] if rest else port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not _PORT.fullmatch(port) or int(port) > LAST_PORT:
        raise MisfitError(f"{text!r} has no valid port", hint=f"a number from 1 to {LAST_PORT}")
    if re.fullmatch(r"[0-9.]+", host) or ":" in host:
        return Endpoint(host=str(_endpoint_address(host, text)), port=int(port))
    if not re.fullmatch(DNS_NAME, host) or len(host) > 253:  # noqa: PLR2004 -- RFC 1035
        hint = f"write {text.lower()}" if re.fullmatch(DNS_NAME, host.lower()) else None
        raise MisfitError(f"{text!r} is not an endpoint", hint=hint)
    return Endpoint(host=host, port=int(port))


def endpoint_address(text: str) -> Address:
    """Read the address of an endpoint alone."""
    return _endpoint_address(text, text)


def _endpoint_address(host: str, text: str) -> Address:
    try:
        address = node_address(host)
    except MisfitError:
        raise MisfitError(f"{text!r} is not an endpoint that nodes can reach") from None
    if address.prefix is not None:
        raise MisfitError(f"{text!r} is not an endpoint", hint="leave the prefix length out")
    return address.ip


def _is_ipv6(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address)
    except ValueError:
        return False


def image(text: str) -> Reference:
    if SCHEME.match(text):
        raise MisfitError("an image reference has no scheme", hint="leave https:// out")
    try:
        return Reference.parse(text)
    except ValueError as error:
        lower = text.lower()
        fits = lower != text and _is_reference(lower)
        raise MisfitError(str(error), hint=f"write {lower}" if fits else None) from None


def _is_reference(text: str) -> bool:
    try:
        Reference.parse(text)
    except ValueError:
        return False
    return True


def file_path(text: str) -> str:
    """Read a place below ``files/`` of the bundle; nothing may lead out of it."""
    if text.startswith("/"):
        raise MisfitError(f"{text!r} is absolute", hint=f"write {text.lstrip('/') or 'a name'}")
    if any(part in {"", ".", ".."} for part in text.split("/")):
        raise MisfitError(f"{text!r} has a part that is not a name")
    if not re.fullmatch(FILE_PATH, text):
        raise MisfitError(f"{text!r} is not a path that every tar and web server takes")
    return text


def file_name(source: str) -> str:
    """Return the last part of a URL or path: what a file is called when nobody says otherwise."""
    return basename(urlsplit(source).path if is_url(source) else source)


def taint(text: str) -> Taint:
    """Read ``KEY[=VALUE]:EFFECT``, as kubectl takes it."""
    body, colon, effect = text.rpartition(":")
    key, equals, value = body.partition("=")
    if not colon or effect not in _EFFECTS:
        raise MisfitError(f"{text!r} has no effect", hint=f"end it in :{' or :'.join(_EFFECTS)}")
    if not re.fullmatch(LABEL_KEY, key) or not re.fullmatch(LABEL_VALUE, value):
        raise MisfitError(f"{text!r} is not a taint")
    if equals and not value:
        raise MisfitError(f"{text!r} has no value", hint=f"write {key}:{effect}")
    return Taint(key=key, value=value, effect=next(e for e in _EFFECTS if e == effect))


def local_folder(text: str) -> str:
    """Read the local path of a folder; a slash at its end is taken too."""
    return local(text.rstrip("/") or text)


def local(text: str) -> str:
    if SCHEME.match(text):
        raise MisfitError("a URL is not allowed here", hint="download it and name the file")
    return source(text)
