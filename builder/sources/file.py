"""Plain files: documents read while locking, and URLs or local files read while bundling."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder import disk
from builder.bundle.source import Source, from_file
from builder.errors import AirseedError, Fault, FetchError, UnavailableError, UsageError, reason
from builder.http import redact
from builder.model.digest import Digest
from builder.model.source import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from builder.http import Client

_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDocument:
    content: bytes
    digest: Digest
    source: str
    passed_over: tuple[Fault, ...] = ()
    """What was wrong with the sources before it."""


def read_local(path: Path, limit: int) -> bytes:
    """Read a local file of at most ``limit`` bytes; raise FetchError when that fails."""
    try:
        return disk.read(path, limit)
    except OSError as error:
        raise FetchError(
            reason(error), where=str(path), hint="check the path in cluster.yaml"
        ) from error


def read(source: str, client: Client, folder: Path, limit: int) -> bytes:
    """Read a document from a URL, or from a path relative to ``folder``."""
    if is_url(source):
        return client.get(source, limit=limit).content
    return read_local(folder / source.removeprefix("file:"), limit)


def first(
    what: str,
    sources: Iterable[str],
    fetch: Callable[[str], bytes],
    *,
    expected: Digest | None = None,
    check: Callable[[bytes], None] | None = None,
) -> SourceDocument:
    """Try the sources in order; the first whose content is right wins.

    ``check`` raises an AirseedError for content that is not. Raise UnavailableError with a
    fault for every source when none is left.
    """
    faults: list[Fault] = []
    for source in sources:
        try:
            content = fetch(source)
            digest = Digest.of(content)
            if expected and digest != expected:
                fault = Fault(where=redact(source), what=f"sent {digest}", expected=str(expected))
                faults.append(fault)
                continue
            if check:
                check(content)
        except UsageError:
            raise  # a proxy that cannot be used is no source's fault
        except AirseedError as error:
            faults.append(replace(error.fault, where=error.fault.where or redact(source)))
            faults.extend(error.faults)
            continue
        return SourceDocument(
            content=content, digest=digest, source=source, passed_over=tuple(faults)
        )
    raise UnavailableError(
        "no source has this file",
        where=what,
        expected=str(expected) if expected else None,
        hint="check the network and proxy, or add a source with --catalog",
        faults=faults,
    )


def through(
    source: Source,
    client: Client,
    begin: Callable[[], None],
    take: Callable[[memoryview], None],
    *,
    most: int,
) -> None:
    """Hand a body over piece by piece, going on where it breaks.

    ``begin`` is called whenever it starts from its first byte. Raise FetchError when it has more
    than ``most`` bytes, too many attempts in a row bring nothing, or the server wants more patience
    than there is.
    """
    offset, failures = 0, 0
    view = memoryview(bytearray(_BUFFER))
    begin()
    while True:
        before = offset
        try:
            with contextlib.closing(source.open(offset)) as stream:
                if stream.offset != offset:
                    begin()
                    offset = 0
                while count := stream.readinto(view):
                    client.go_on(source.name)
                    _refuse_endless(source, offset + count, most)
                    take(view[:count])
                    offset += count
        except FetchError as error:
            failures = 1 if offset > before else failures + 1
            if not error.temporary:
                raise
            pause = client.backoff.pause(failures, error.retry_after)
            if failures >= client.backoff.attempts or pause > client.backoff.longest:
                raise
            client.wait(pause, source.name)
        else:
            return


def _refuse_endless(source: Source, size: int, most: int) -> None:
    if size > most:
        raise FetchError(
            "the file does not end", where=source.name, expected=f"at most {most:,} bytes"
        )


def web(client: Client, url: str, size: int | None) -> Source:
    """Return a URL as a source; ``size`` are its bytes, where they are known."""
    return Source(
        name=redact(url),
        host=urlsplit(url).netloc.rpartition("@")[2],
        open=lambda offset: client.open(url, offset=offset, size=size),
    )


def local(path: Path) -> Source:
    return from_file(str(path), lambda: disk.opened(path, buffering=0))


def sources(urls: Sequence[str], size: int | None, client: Client, folder: Path) -> list[Source]:
    return [
        web(client, url, size) if is_url(url) else local(folder / url.removeprefix("file:"))
        for url in urls
    ]
