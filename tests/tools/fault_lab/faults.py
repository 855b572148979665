"""A plan of faults: what goes wrong, for which requests, how often.

::

    upstream.faults.add(Status(429, retry_after="1"), host="registry.k8s.io", times=2)
    upstream.faults.add(Reset(after=0.5), path="*.rpm", nth=1)
    upstream.faults.add(Hang(), path="/v2/*/blobs/*", probability=0.1)

The first rule that matches a request is the one that acts. Chance is drawn from the seed, the rule
and the request itself (host, path and how often it came), so a run with several threads repeats.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from builder.server.message import Request, Response, redirect, text

if TYPE_CHECKING:
    from collections.abc import Callable

Where = int | float
"""A place in a body: a number of bytes, or (float) a part of what would be sent."""


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """Do nothing; kinds of faults override what they change."""

    def asked(self, request: Request) -> Request:
        """Change what the site gets to see."""
        return request

    def instead(self, request: Request) -> Response | None:  # noqa: ARG002 -- for others to use
        """Return an answer that the site is not asked for."""
        return None

    def answered(self, request: Request, response: Response) -> Response:  # noqa: ARG002 -- for others to use
        """Change the site's answer."""
        return response


@dataclass(frozen=True, slots=True)
class Status(NetworkFault):
    """Answer with a status of its own, such as 503, or 429 with Retry-After."""

    code: int = 503
    retry_after: str | None = None
    """Seconds or an HTTP date, as it stands in the header."""

    def instead(self, request: Request) -> Response | None:  # noqa: ARG002 -- the same for all
        """Return the status."""
        response = text(self.code, f"injected {self.code}\n")
        if self.retry_after is None:
            return response
        return replace(response, headers={**response.headers, "Retry-After": self.retry_after})


@dataclass(frozen=True, slots=True)
class LoginPage(NetworkFault):
    """Answer 200 with a page of HTML, as captive portals do."""

    def instead(self, request: Request) -> Response | None:
        """Return the page."""
        page = f"<!DOCTYPE html><title>Sign in</title><p>To reach {request.host}, sign in first.\n"
        return text(200, page, "text/html; charset=utf-8")


@dataclass(frozen=True, slots=True)
class RedirectLoop(NetworkFault):
    """Send the client to where it is."""

    def instead(self, request: Request) -> Response | None:
        """Return a redirect to the same URL."""
        query = f"?{request.query}" if request.query else ""
        return redirect(f"{request.scheme}://{request.host}{request.path}{query}", 302)


@dataclass(frozen=True, slots=True)
class ExpiredToken(NetworkFault):
    """Forget every token that the registry has given out, before it looks at this request."""


@dataclass(frozen=True, slots=True)
class RangeIgnored(NetworkFault):
    """Answer a ranged request with 200 and everything."""

    def asked(self, request: Request) -> Request:
        """Take the Range header away."""
        kept = {name: value for name, value in request.headers.items() if name != "range"}
        return replace(request, headers=kept)


@dataclass(frozen=True, slots=True)
class WrongRange(NetworkFault):
    """Answer a ranged request with another part of the same length, and say so in Content-Range."""

    shift: int = 1
    """Bytes by which the part begins too early."""

    def answered(self, request: Request, response: Response) -> Response:  # noqa: ARG002 -- the same for all
        """Move the part."""
        if response.status != 206:
            return response
        start = max(response.offset - self.shift, 0)
        content_range = f"bytes {start}-{start + response.size - 1}/{response.total}"
        return replace(
            response, offset=start, headers={**response.headers, "Content-Range": content_range}
        )


@dataclass(frozen=True, slots=True)
class WrongBytes(NetworkFault):
    """Flip one bit of the body; length and headers stay as they are."""

    at: Where = 0.5


@dataclass(frozen=True, slots=True)
class Reset(NetworkFault):
    """Reset the connection inside the body."""

    after: Where = 0.5


@dataclass(frozen=True, slots=True)
class Truncate(NetworkFault):
    """Close the connection cleanly inside the body."""

    after: Where = 0.5


@dataclass(frozen=True, slots=True)
class Hang(NetworkFault):
    """Go silent, for some seconds or until the upstream is closed."""

    seconds: float | None = None
    after: Where | None = None
    """Inside the body; None for before the answer."""


@dataclass(frozen=True, slots=True)
class Drip(NetworkFault):
    """Send the body in small pieces with a pause after each."""

    piece: int = 1024
    pause: float = 0.05


@dataclass(frozen=True, slots=True)
class DripHead(NetworkFault):
    """Never end the head of an answer, a byte now and then."""

    pause: float = 0.05


@dataclass(frozen=True, slots=True)
class BadTLS(NetworkFault):
    """Fail the handshake: a certificate of somebody else's authority, or no answer at all.

    Only ``host`` matters for such a rule: there is no path yet.
    """

    how: Literal["authority", "name", "closed"] = "authority"


@dataclass(slots=True)
class Rule:
    """Tie a fault to the requests that meet it; ``hits`` counts them."""

    fault: NetworkFault
    host: str
    path: str
    method: str
    ranged: bool | None
    nth: int | None
    times: int | None
    probability: float
    where: Callable[[Request], bool] | None
    seen: int = 0
    hits: int = 0
    draws: dict[tuple[str, str], int] = field(default_factory=dict)

    def concerns(self, request: Request) -> bool:
        """Tell whether the rule speaks of such requests at all."""
        return (
            fnmatchcase(request.host, self.host)
            and fnmatchcase(request.path, self.path)
            and fnmatchcase(request.method, self.method)
            and (self.ranged is None or self.ranged == ("range" in request.headers))
            and (self.where is None or self.where(request))
        )

    def strikes(self, request: Request, seed: str) -> bool:
        """Count a request that the rule concerns and tell whether the fault acts on it."""
        self.seen += 1
        if self.nth is not None and self.seen != self.nth:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.probability < 1:
            target = (request.host, request.path)
            draw = self.draws[target] = self.draws.get(target, 0) + 1
            if random.Random(f"{seed} {target} {draw}").random() >= self.probability:
                return False
        self.hits += 1
        return True


class FaultPlan:
    """Hold the rules of one upstream; every method may be called from any thread."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(  # noqa: PLR0913 -- ways to say which requests, all optional
        self,
        fault: NetworkFault,
        *,
        host: str = "*",
        path: str = "*",
        method: str = "*",
        ranged: bool | None = None,
        nth: int | None = None,
        times: int | None = None,
        probability: float = 1.0,
        where: Callable[[Request], bool] | None = None,
    ) -> Rule:
        """Let something go wrong; return the rule, whose ``hits`` tell how often it did.

        ``host``, ``path`` and ``method`` are shell patterns (``*`` crosses slashes), ``ranged``
        asks for requests with or without a Range header, ``nth`` (from 1) picks one of those that
        match, ``times`` limits how many are struck, ``where`` looks closer.
        """
        rule = Rule(fault, host, path, method, ranged, nth, times, probability, where)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Let everything go well again."""
        with self._lock:
            self._rules.clear()

    def pick(self, request: Request, *, handshake: bool = False) -> NetworkFault | None:
        """Return the fault that this request meets, if any; ``handshake`` asks for TLS faults."""
        with self._lock:
            for number, rule in enumerate(self._rules):
                if isinstance(rule.fault, BadTLS) is not handshake:
                    continue
                if rule.concerns(request) and rule.strikes(request, f"{self.seed} {number}"):
                    return rule.fault
        return None
