"""Lists in pages: distribution-spec 1.1, "Listing Tags"."""

from __future__ import annotations

from typing import Any

import pytest

from builder.http import Reply
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
