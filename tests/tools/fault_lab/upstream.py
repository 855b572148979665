"""The lab's upstream with a plan of faults and an access log, reached without a proxy, too.

::

    with FaultyUpstream(folder) as upstream:
        upstream.add_file("https://dl.k8s.io/hello", b"hello")
        upstream.faults.add(Status(503), times=1)
        subprocess.run([...], env={**os.environ, **upstream.environment})
        assert upstream.requests[0].status == 503
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from builder.lab import world
from builder.lab.tls import TLSAuthority
from builder.lab.upstream import Upstream
from builder.server.listener import Listener
from fault_lab.access_log import AccessLog, Served
from fault_lab.faults import FaultPlan
from fault_lab.registry import FullRegistry
from fault_lab.session import FaultySession
from fault_lab.tokens import UserTokens

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from builder.lab.registry import LabRegistry
    from builder.server.connection import Connection


class FaultyUpstream(Upstream):
    """Serve as the lab does, and let go wrong what is planned; ``seed`` decides over chance."""

    registry_type: type[LabRegistry] = FullRegistry
    token_type = UserTokens

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        super().__init__(folder)
        self.faults = FaultPlan(seed)
        self.access_log = AccessLog()
        self.closing = threading.Event()
        self._direct: dict[tuple[str, bool], Listener] = {}

    def serve(self, connection: Connection) -> None:
        connection.run(FaultySession(connection, self).exchange)

    def close(self) -> None:
        """Stop serving: end every connection, hung ones too, and wait for all threads."""
        self.closing.set()
        super().close()
        with self._lock:
            listeners = list(self._direct.values())
        for listener in listeners:
            listener.close()

    @property
    def requests(self) -> tuple[Served, ...]:
        """Return everything that was asked so far, in order."""
        return self.access_log.served()

    def listen(self, host: str, *, tls: bool = False) -> str:
        """Serve one host without a proxy, over plain HTTP or TLS; return its ``127.0.0.1:PORT``."""
        for profile in self._profiles:
            if profile.content == host and not (profile.prefix or profile.moved):
                host = profile.host  # docker.io answers at registry-1.docker.io
                break
        return self._listener(host, tls=tls).address

    def local(self, url: str) -> str:
        """Return the plain loopback form of a URL of the upstream; leave other URLs as they are."""
        host = (urlsplit(url).hostname or "").lower()
        if host not in self.sites:
            return url
        rest = url.partition("://")[2].partition("/")[2]
        return f"http://{self._listener(host).address}/{rest}"

    def deceive(self, host: str, how: str) -> ssl.SSLContext:
        """Return a TLS context that no client should accept for a host."""
        if how == "name":
            return self.authority.context("somebody-else.invalid")
        return TLSAuthority(self.folder / "impostor", "somebody else").context(host)

    def expire_tokens(self, host: str) -> None:
        """Forget the tokens that a registry has given out; other hosts have none."""
        if host in self._registries:
            self._registries[host].tokens.expire()

    def remove_file(self, url: str) -> None:
        """Serve a URL no longer; raise KeyError when nothing was there."""
        parts = urlsplit(url)
        del self.site(parts.hostname or "")._files[unquote(parts.path)]

    def _listener(self, host: str, *, tls: bool = False) -> Listener:
        """Return the listener of a host, started when it is first asked for."""
        with self._lock:
            if (host, tls) not in self._direct:
                self._direct[host, tls] = Listener(
                    lambda connection: connection.run(
                        FaultySession(connection, self, host).exchange
                    ),
                    tls=self.authority.context("127.0.0.1") if tls else None,
                    name=f"lab {host}",
                )
            return self._direct[host, tls]


@contextmanager
def running_world(
    folder: Path, *, catalogs: Sequence[Path] = (), scale: float = world.SCALE, seed: int = 0
) -> Iterator[FaultyUpstream]:
    """Run an upstream that has all that the catalog names."""
    with FaultyUpstream(folder, seed=seed) as upstream:
        world.fill(upstream, catalogs, scale=scale)
        yield upstream
