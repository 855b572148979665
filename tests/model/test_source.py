"""Telling URLs from paths."""

from __future__ import annotations

from builder.model.source import is_url


def test_sources_are_urls_or_paths() -> None:
    assert is_url("https://files.example.com/x")
    assert is_url("http://files.example.com/x")
    assert not is_url("https/x")
    assert not is_url("file:///x")
