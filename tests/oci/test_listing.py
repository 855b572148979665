"""Lists in pages: distribution-spec 1.1, "Listing Tags"."""

from __future__ import annotations

import pytest

from builder.http import Reply
from builder.oci.listing import Listing

START = "https://reg.example/v2/_catalog?n=100"
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

    def fetch(url: str) -> Reply:
        asked.append(url)
        if url == NEXT:
            return Reply(url=url, status=200, headers={}, content=b'{"repositories": ["b"]}')
        headers = {"Link": f'<{link}>; rel="next"'}
        return Reply(url=url, status=200, headers=headers, content=b'{"repositories": ["a"]}')

    assert Listing._pages(START, "repositories", fetch) == ["a", "b"]
    assert asked == [START, NEXT]
