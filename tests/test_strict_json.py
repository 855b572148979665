from __future__ import annotations

import pytest

from builder import strict_json


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("", "not JSON: Expecting value", "line 1, column 1"),
        ('{"a":1,\n"b"}', "not JSON: Expecting ':' delimiter", "line 2, column 4"),
        ('{"a": 1, "a": 1}', "the key 'a' appears twice", ""),
        ("[NaN]", "not JSON: NaN", ""),
        ("[-Infinity]", "not JSON: -Infinity", ""),
        ("9" * 5000, "the number 99999999999999999999… is too large", ""),
        ('["\\uD800"]', "not JSON: half of a surrogate pair", ""),
        ("[" * 65 + "]" * 65, "nested more than 64 levels deep", ""),
        ("[" * 100_000, "nested more than 64 levels deep", ""),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(
    text: str, what: str, where: str
) -> None:
    for content in (text, text.encode()):
        with pytest.raises(strict_json.JsonError) as caught:
            strict_json.load(content)
        assert (caught.value.what, caught.value.where) == (what, where)
        assert str(caught.value) == (f"{what} ({where})" if where else what)


def test_other_encodings_are_refused() -> None:
    with pytest.raises(strict_json.JsonError, match=r"^this is not UTF-8 text$"):
        strict_json.load('{"a": 1}'.encode("utf-16"))


def test_fractions_are_refused_where_documents_have_none() -> None:
    assert strict_json.load("[1.5, 1e3, 2]") == [1.5, 1000.0, 2]
    with pytest.raises(strict_json.JsonError, match=r"^the number 1e3 is not whole$"):
        strict_json.load("[1e3]", integers=True)
