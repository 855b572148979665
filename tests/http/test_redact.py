from __future__ import annotations

import pytest

from builder.http import redact


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.test/x", "https://a.test/x"),
        ("https://u:p@a.test:8443/x?k=v&s=a=b#frag", "https://a.test:8443/x?k=***&s=***"),
        ("https://a.test/x?TOKEN", "https://a.test/x?***"),
        ("https://u:p@ss@a.test/", "https://a.test/"),
        ("http://u:p@[::1/x?secret", "[::1/x"),
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("", ""),
    ],
)
def test_secrets_are_not_shown(url: str, shown: str) -> None:
    assert redact(url) == shown
