from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import DocumentError, Fault
from builder.formats.text import (
    decode,
    json_value,
    read_text,
    yaml_document,
    yaml_documents,
)

if TYPE_CHECKING:
    from pathlib import Path


def refusal(call: Any, *arguments: Any, **named: Any) -> Fault:
    with pytest.raises(DocumentError) as caught:
        call(*arguments, **named)
    assert len(caught.value.faults) == 1
    assert len(str(caught.value.faults[0])) < 300
    return caught.value.faults[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1.20", {"a": "1.20"}),
        ("a: 7", {"a": 7}),
        ("a: -7", {"a": -7}),
        ("a: 007", {"a": "007"}),
        ("a: 0x10", {"a": "0x10"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 1e3", {"a": "1e3"}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: 2020-01-01", {"a": "2020-01-01"}),
        ("a: yes", {"a": "yes"}),
        ("a: true", {"a": True}),
        ("a: 'true'", {"a": "true"}),
        ("a: '7'", {"a": "7"}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: 12345678901234567890", {"a": "12345678901234567890"}),
        ("1: 2", {"1": 2}),
        ("true: 2", {"true": 2}),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("a: !!str 7", {"a": "7"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("[]", []),
    ],
)
def test_yaml_means_what_it_says(text: str, value: Any) -> None:
    assert yaml_document(text, "x.yaml").value == value


def test_each_value_has_its_line() -> None:
    document = yaml_document("a:\n  - b: 1\n  - c:\n      d: 2\n", "x.yaml")
    assert document.lines == {"": 1, "a": 2, "a[0]": 2, "a[0].b": 2, "a[1]": 3, "a[1].c": 4,
                              "a[1].c.d": 4}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: 1\na: 2", "line 2", "the key 'a' appears twice"),
        ("a: 1\n<<: {b: 1}", "line 2", "merge keys (<<) are not supported"),
        ("? [a]\n: b", "line 1", "a key must be plain text"),
        ("a: *b", "line 1", "the alias '*b' names nothing that is complete"),
        ("a: &a [*a]", "line 1", "the alias '*a' names nothing that is complete"),
        ("a: !x y", "line 1", "the tag '!x' is not supported"),
        (
            "a: !!python/name:os.system\n",
            "line 1",
            "the tag '!!python/name:os.system' is not supported",
        ),
        ("a: [", "line 2, column 1", "not YAML: did not find expected node content"),
        ("\ta: 1", "line 1, column 1", "not YAML: a tab; YAML is indented with spaces"),
        ("", "", "the document is empty"),
        ("a: 1\n---\nb: 1", "", "2 documents where one was expected"),
        ("[" * 65 + "]" * 65, "line 1", "nested more than 64 levels deep"),
    ],
)
def test_yaml_that_is_refused(text: str, where: str, what: str) -> None:
    fault = refusal(yaml_document, text, "x.yaml")
    assert (fault.where, fault.what) == (where, what)


def test_several_documents_come_in_order_without_the_empty_ones() -> None:
    documents = yaml_documents("---\na: 1\n---\n---\n# nothing\n---\nb: 1\n", "x.yaml")
    assert [document.value for document in documents] == [{"a": 1}, {"b": 1}]


def test_aliases_cannot_blow_a_document_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    fault = refusal(yaml_document, "\n".join(lines), "x.yaml")
    assert fault.what == "the document grows without bound through its aliases"


def test_aliases_cannot_nest_a_document_deeply() -> None:
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 2000))]
    fault = refusal(yaml_document, "\n".join(lines), "x.yaml")
    assert (fault.where, fault.what) == ("line 64", "nested more than 64 levels deep")


def test_sixty_four_levels_are_allowed() -> None:
    yaml_document("[" * 64 + "]" * 64, "x.yaml")
    json_value("[" * 64 + "]" * 64, "x.json")


def test_paths_stay_short_under_long_keys() -> None:
    text = f"? {'k' * 100_000}\n:\n" + "".join(f"- {i}\n" for i in range(2000))
    lines = yaml_document(text, "x.yaml").lines
    assert max(len(path) for path in lines) < 200


def test_keys_with_odd_characters_are_quoted_in_paths() -> None:
    assert "'\\x1b[31m'" in yaml_document('"\\e[31m": 1', "x.yaml").lines


def test_half_a_surrogate_pair_is_no_yaml() -> None:
    fault = refusal(yaml_document, "a: \ud800", "x.yaml")
    assert fault.what.startswith("not YAML: ")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' appears twice"),
        ('{"a": 1.5}', "the number 1.5 is not whole"),
        ('{"a": NaN}', "not JSON: NaN"),
        ('{"a": 1e3}', "the number 1e3 is not whole"),
        ('["\\ud800"]', "not JSON: half of a surrogate pair"),
        ('{"\\udfff": 1}', "not JSON: half of a surrogate pair"),
        ("[" * 65 + "]" * 65, "nested more than 64 levels deep"),
        ("[" * 100_000, "nested more than 64 levels deep"),
        ('{"a": ' * 100_000, "nested more than 64 levels deep"),
        ('{"a"', "not JSON: Expecting ':' delimiter"),
        ("[1] 2", "not JSON: Extra data"),
        ("", "not JSON: Expecting value"),
    ],
)
def test_json_that_is_refused(text: str, what: str) -> None:
    assert refusal(json_value, text, "x.json").what == what


def test_json_whole_surrogate_pairs_are_fine() -> None:
    assert json_value('["\\ud83e\\udd8a"]', "x.json") == ["🦊"]


def test_text_is_utf8_with_or_without_a_mark() -> None:
    assert decode("\ufeffé".encode(), "x") == "é"
    assert refusal(decode, b"ab\xff", "x").what == "byte 2 (line 1) is not UTF-8 text"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_text("12345")
    assert read_text(large, largest=5) == "12345"
    assert refusal(read_text, large, largest=4).what == "the file is larger than 4 bytes"
    fault = refusal(read_text, tmp_path / "none")
    assert (fault.what, fault.hint) == ("no such file or directory", "check the path")
    assert refusal(read_text, tmp_path).what == "is a directory"
