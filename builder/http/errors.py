"""What went wrong, in words: errors of requests, urllib3 and sockets become FetchError, once.

Whether such an error is ``temporary`` is decided here and nowhere else.
"""

from __future__ import annotations

import datetime as dt
import errno
import http.client
import re
import ssl
from typing import Literal

import requests
from urllib3 import exceptions

from builder.errors import FetchError, reason
from builder.http.environment import proxies_for
from builder.http.reply import STATUS_HINTS
from builder.redact import redact

TRANSPORT = (exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
"""All that requests (an OSError), urllib3 and the sockets below them raise; ValueError: URLs and
headers that are none."""
_NO_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)

_CA_HINT = (
    "if the site's own CA or an inspecting proxy signs this server, give its certificate with"
    " --ca-bundle or AIRSEED_CA_BUNDLE"
)
_TEMPORARY_ERRORS: tuple[tuple[tuple[type[Exception], ...], str, str | None], ...] = (
    (
        (exceptions.NameResolutionError,),
        "the name of {name} cannot be resolved",
        "check the name, /etc/resolv.conf, and whether a proxy (https_proxy) is needed",
    ),
    (
        (exceptions.NewConnectionError,),
        "no connection to {host}: {reason}",
        "check that a server runs there, its port, and whether a proxy (https_proxy) is needed",
    ),
    (
        (exceptions.ConnectTimeoutError,),
        "{host} did not accept a connection in time",
        "check the route and the firewall, and whether a proxy (https_proxy) is needed",
    ),
    ((exceptions.TimeoutError, TimeoutError), "{host} stopped sending", None),
    (
        (exceptions.ProtocolError, http.client.HTTPException, OSError),
        "the connection to {host} broke: {reason}",
        None,
    ),
)
"""What may go away by itself; the first line that fits is taken."""
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}
_OTHER_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_OUT_OF_TIME = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


def translate(error: Exception, url: str) -> FetchError:
    """Explain one of TRANSPORT, raised while asking for ``url`` or following its redirects."""
    if isinstance(error, requests.RequestException) and error.request is not None:
        url = error.request.url or url
    where = redact(url)
    if isinstance(error, _NO_URL):
        return FetchError(
            "this is not a URL that can be fetched",
            where=where,
            expected="http:// or https:// and a host",
        )
    error = _unwrap(error)
    host = where.split("://")[-1].split("/")[0]
    if isinstance(error, exceptions.ProxyError):
        return _proxy(error, where, *proxies_for(url).values())
    if isinstance(error, (exceptions.SSLError, ssl.SSLError)):
        return _tls(error, where, host)
    for kinds, sentence, hint in _TEMPORARY_ERRORS:
        if isinstance(error, kinds):
            name = host.rpartition(":")[0] or host
            what = sentence.format(host=host, name=name, reason=_reason(error))
            return FetchError(what, where=where, hint=hint, temporary=True, lacks=_lacking(error))
    return FetchError(f"this URL cannot be fetched ({type(error).__name__})", where=where)


def _lacking(error: Exception) -> Literal["", "DNS", "route"]:
    """Return what this machine lacks, if it is not this server's fault."""
    if isinstance(error, exceptions.NameResolutionError):
        return "DNS"
    cause = error.__cause__
    unreachable = isinstance(cause, OSError) and cause.errno in _UNREACHABLE
    return "route" if unreachable or isinstance(error, exceptions.ConnectTimeoutError) else ""


def _unwrap(error: Exception) -> Exception:
    """Take off what requests wraps around urllib3's exception: that one says more."""
    while isinstance(error, requests.RequestException | exceptions.MaxRetryError):
        inner = error.reason if isinstance(error, exceptions.MaxRetryError) else _wrapped(error)
        if not isinstance(inner, Exception):
            break
        error = inner
    return error


def _reason(error: BaseException) -> str:
    """Return the innermost cause in a few words, never one that repeats a URL."""
    seen: BaseException = error
    while (inner := seen.__cause__ or _wrapped(seen)) is not None and inner is not error:
        seen = inner
    if isinstance(seen, http.client.IncompleteRead | exceptions.IncompleteRead):
        return "the body ended too early"
    if isinstance(seen, http.client.RemoteDisconnected):
        return "closed without an answer"
    if isinstance(seen, OSError) and seen.strerror:
        return reason(seen)
    if isinstance(seen, http.client.HTTPException):
        return f"the answer is not HTTP ({type(seen).__name__})"
    return type(seen).__name__


def _wrapped(error: BaseException) -> BaseException | None:
    return next((item for item in error.args if isinstance(item, BaseException)), None)


def _proxy(error: exceptions.ProxyError, where: str, proxy: str = "") -> FetchError:
    inner = error.original_error
    text = str(inner)
    if re.search(r"\b407 ", text):  # not a port
        return FetchError(
            f"the proxy {redact(proxy)} requires credentials",
            where=where,
            hint=STATUS_HINTS[407],
            status=407,
        )
    told = "Tunnel connection failed" in text
    reason = text.removeprefix("Tunnel connection failed: ")[:80] if told else _reason(inner)
    return FetchError(
        f"the proxy {redact(proxy)} gives no connection: {reason}",
        where=where,
        hint="check http_proxy and https_proxy; no_proxy names hosts that are reached directly",
        temporary=not text.startswith("Tunnel connection failed: 403"),
        lacks="" if told else "proxy",
    )


def _tls(error: BaseException, where: str, host: str) -> FetchError:
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or _wrapped(seen)
    if isinstance(seen, ssl.SSLCertVerificationError):
        hint = _CA_HINT
        if seen.verify_code in _OTHER_NAME:
            hint = "the certificate is for another name; check the URL"
        elif seen.verify_code in _OUT_OF_TIME:
            now = dt.datetime.now(dt.UTC)
            hint = (
                f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC: set it if that is wrong;"
                " else it is the server's certificate"
            )
        return FetchError(
            f"the certificate of {host} is not trusted: {seen.verify_message}",
            where=where,
            hint=hint,
        )
    reason = (getattr(seen, "reason", None) or type(seen or error).__name__).replace("_", " ")
    plain = "WRONG VERSION" in reason or "HTTP REQUEST" in reason
    return FetchError(
        f"no TLS connection to {host}: {reason.lower()}",
        where=where,
        hint="the server speaks plain HTTP here, or another protocol" if plain else None,
        temporary=not plain,
    )
