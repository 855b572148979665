"""The mutator itself: the same seed gives the same bytes, and most mutants are worth reading."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Literal

import pytest
import yaml
from mutate import Pairs, dump, mutants

if TYPE_CHECKING:
    from collections.abc import Callable

YAML = "name: a\nnodes:\n  - {name: b, size: 3, on: true}\n  - {name: c, tags: [x, y]}\n"
JSON = json.dumps(yaml.safe_load(YAML))
XML = """<?xml version="1.0"?>
<metadata xmlns="urn:x" packages="2"><package type="rpm"><name>a</name>
<version epoch="0" ver="1" rel="2"/></package><package><name>b</name></package></metadata>
"""
DOCUMENTS: dict[Literal["yaml", "json", "xml"], str] = {"yaml": YAML, "json": JSON, "xml": XML}


def yaml_events(content: bytes) -> None:
    for _ in yaml.parse(content.decode(), Loader=yaml.CSafeLoader):
        pass


def xml_tree(content: bytes) -> None:
    ET.fromstring(content)  # noqa: S314 -- counting, with the parser that made it


SYNTAX: dict[str, Callable[[bytes], object]] = {
    "yaml": yaml_events,
    "json": json.loads,
    "xml": xml_tree,
}


@pytest.mark.parametrize("kind", [*DOCUMENTS])
def test_a_seed_decides_every_byte(kind: Literal["yaml", "json", "xml"]) -> None:
    document = DOCUMENTS[kind]
    first = [*mutants(document, kind, seed=1, count=300)]
    assert [*mutants(document, kind, seed=1, count=300)] == first
    assert [*mutants(document, kind, seed=1, count=10)] == first[:10]
    assert [*mutants(document, kind, seed=2, count=300)] != first
    assert len(set(first)) > 200


@pytest.mark.parametrize("kind", [*DOCUMENTS])
def test_most_mutants_get_past_the_first_syntax_check(
    kind: Literal["yaml", "json", "xml"],
) -> None:
    past = 0
    for mutant in mutants(DOCUMENTS[kind], kind, seed=3, count=1000):
        try:
            SYNTAX[kind](mutant)
        except (ValueError, RecursionError, yaml.YAMLError, ET.ParseError, LookupError):
            continue
        past += 1
    assert past >= 500


def test_what_is_written_reads_back() -> None:
    value = Pairs([("a", [1, "x", None, True]), ("b: c", Pairs([("d", [])])), ("e", "1.20")])
    plain = {"a": [1, "x", None, True], "b: c": {"d": []}, "e": "1.20"}
    assert json.loads(dump(value, "json")) == plain
    assert yaml.safe_load(dump(value, "yaml")) == {**plain, "e": 1.2}
    assert dump(Pairs([("a", 1), ("a", 2)]), "json") == b'{"a":1,"a":2}'
    assert dump(Pairs([("a", 1), ("a", 2)]), "yaml") == b"a: 1\na: 2\n"
