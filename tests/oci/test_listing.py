"""Lists in pages: distribution-spec 1.1, "Listing Tags"."""

from __future__ import annotations

from typing import Any

import pytest

from builder.errors import FetchError
from builder.http import Reply
from builder.oci import listing
from builder.oci.auth import Credentials
from builder.oci.connection import RegistryConnection
from builder.oci.listing import Lister

NEXT = "https://reg.example/v2/_catalog?last=a"


@pytest.mark.parametrize(
    "link",
    [
        "/v2/_catalog?last=a",
        "https://reg.example/v2/_catalog?last=a",
        "http://reg.example/v2/_catalog?last=a",  # it does not know of the TLS before it
        "https://elsewhere.example/v2/_catalog?last=a",
    ],
)
def test_the_next_page_is_asked_where_the_first_one_came_from(link: str) -> None:
    """Credentials are for nobody else, and nothing may be left out silently."""
    asked = []

    class Client:
        def get(self, url: str, **_: Any) -> Reply:
            asked.append(url)
            if url == NEXT:
                return Reply(url=url, status=200, headers={}, content=b'{"repositories": ["b"]}')
            headers = {"Link": f'<{link}>; rel="next"'}
            return Reply(url=url, status=200, headers=headers, content=b'{"repositories": ["a"]}')

    connection = RegistryConnection(Client(), Credentials())  # type: ignore[arg-type]
    assert Lister(connection).repositories("reg.example") == ["a", "b"]
    assert asked == ["https://reg.example/v2/_catalog?n=500", NEXT]


class Endless:
    """List a page of new names for ever."""

    def __init__(self, *, size: int = 1, filler: int = 0) -> None:
        self.pages = 0
        self._size, self._filler = size, filler

    def get(self, url: str, **_: Any) -> Reply:
        self.pages += 1
        names = ", ".join(f'"{self.pages}-{number}"' for number in range(self._size))
        content = f'{{"repositories": [{names}], "tags": [{names}]}}'.encode()
        headers = {"Link": f'</v2/_catalog?last={self.pages}>; rel="next"'}
        return Reply(url=url, status=200, headers=headers, content=content + b" " * self._filler)


@pytest.mark.parametrize(
    ("server", "pages", "most"),
    [
        (Endless(size=400), 26, "10,000 names"),
        (Endless(filler=100_000), 11, "1,048,576 bytes"),
        (Endless(), 101, "100 pages"),
    ],
)
def test_lists_without_end_end_in_an_error(
    monkeypatch: pytest.MonkeyPatch, server: Endless, pages: int, most: str
) -> None:
    """All lists of a registry count together, so many small ones do not help it."""
    monkeypatch.setattr(listing, "_MOST_NAMES", 10_000)
    monkeypatch.setattr(listing, "_MOST_BYTES", 1 << 20)
    monkeypatch.setattr(listing, "_MOST_PAGES", 100)
    lister = Lister(RegistryConnection(server, Credentials()))  # type: ignore[arg-type]
    for ask in (lister.repositories, lambda host: lister.tags(f"{host}/app")):
        with pytest.raises(FetchError) as caught:
            ask("reg.example")
        assert caught.value.fault.what == "the registry's lists do not end"
        assert caught.value.fault.expected == f"at most {most} in all"
    assert server.pages == pages + 1


def test_pages_in_a_circle_are_an_error() -> None:
    """What is behind them would be left out silently."""

    class Circle:
        def get(self, url: str, **_: Any) -> Reply:
            headers = {"Link": '</v2/_catalog?n=500>; rel="next"'}
            return Reply(url=url, status=200, headers=headers, content=b'{"repositories": ["a"]}')

    connection = RegistryConnection(Circle(), Credentials())  # type: ignore[arg-type]
    with pytest.raises(FetchError, match="go round in a circle"):
        Lister(connection).repositories("reg.example")
