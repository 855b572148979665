"""Quoting: whatever the text is, YAML gives it back."""

from __future__ import annotations

import random

import pytest
import yaml
from jinja2 import UndefinedError

from builder.render import engine

LETTERS = " \t\nab:#-'\"{}%|>&*!\\?@`,[]~"
RARE = "\x00\x07\r\x7f\x85\xa0\u2028\ufeff\ufffe\U0001f600é"


def texts(count: int) -> list[str]:
    chance = random.Random(7)
    found = []
    for _ in range(count):
        letters = LETTERS + RARE if chance.random() < 0.3 else LETTERS
        found.append("".join(chance.choice(letters) for _ in range(chance.randrange(14))))
    return [*found, *(f"{text}\n" for text in found), *(f"{text}\n\n" for text in found)]


def test_quoted_text_is_ascii_and_comes_back() -> None:
    lines = [f"- {engine.quote(text)}\n" for text in texts(1500)]
    assert "".join(lines).isascii()
    assert yaml.safe_load("".join(lines)) == texts(1500)


def test_blocks_come_back_too_whatever_follows() -> None:
    for text in texts(1500):
        document = f"k:\n  - content: {engine.block(text, 6)}\n    path: x\nz: 1\n"
        assert yaml.safe_load(document) == {"k": [{"content": text, "path": "x"}], "z": 1}
        last = f"k:\n  - content: {engine.block(text, 6)}\nz: 1\n"
        assert yaml.safe_load(last) == {"k": [{"content": text}], "z": 1}


def test_a_small_document_comes_back() -> None:
    document = {"a": [{"b": 1, "c": ["x: y", {"d": []}]}, {}], "E f": {"g": True}, "h": {}}
    assert yaml.safe_load(engine.dumped(document)) == document


def test_a_value_that_is_missing_is_a_mistake() -> None:
    with pytest.raises(UndefinedError, match="'node' is undefined"):
        engine.render("sections/identity.yaml.j2", {})
