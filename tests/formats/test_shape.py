from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest

from builder.errors import DocumentError, Fault
from builder.formats.reading import WRONG, MisfitError, Reading, child
from builder.formats.records import Field, ListOf, MapOf, Record, TextOr
from builder.formats.shape import Anything, Flag, Number, OneOf, Text
from builder.model.digest import Digest


@dataclass(frozen=True, kw_only=True)
class Box:
    name: str
    size: int = 1
    tags: tuple[str, ...] = ()


def box(**named: Any) -> Record[Box]:
    return Record(
        Box,
        {
            "name": Field(Text[str](), required=True, doc="what it is called"),
            "size": Field(Number(least=1, most=9), default=1),
            "tags": Field(ListOf(Text[str]()), default=()),
        },
        title="a box",
        **named,
    )


def read(shape: Any, value: Any, path: str = "x") -> tuple[Any, list[Fault]]:
    reading = Reading("doc")
    return shape.read(value, path, reading), reading.faults


def fault(shape: Any, value: Any) -> Fault:
    found, faults = read(shape, value)
    assert found is WRONG
    assert len(faults) == 1
    return faults[0]


def even(text: str) -> int:
    number = int(text)
    if number % 2:
        raise MisfitError(f"{number} is odd", hint=f"write {number + 1}")
    return number


def test_text_takes_whole_numbers_and_parses() -> None:
    assert read(Text[str](), 7) == ("7", [])
    assert read(Text(parse=even), "8") == (8, [])


def test_a_misfit_brings_its_own_hint() -> None:
    shape = Text(parse=even, expected="an even number", example="4", hint="count again")
    assert fault(shape, "7") == Fault(
        where="x", what="7 is odd", expected="an even number, like 4", hint="write 8"
    )
    assert fault(shape, "z").hint == "count again"


@pytest.mark.parametrize(
    ("value", "what", "hint"),
    [
        (True, "true or false is not allowed here", 'write "true", in quotes'),
        (None, "nothing is not allowed here", None),
        ([], "a list is not allowed here", None),
        ({}, "a mapping is not allowed here", None),
        ("", "empty text", None),
        ("aaaaaa", "longer than 5 characters", None),
        ("a\nb", "'a\\nb' has control characters", None),
        ("\ud800", "'\\ud800' has control characters", None),
        ("ab", "'ab' is not an a", None),
        ("a\n", "'a\\n' has control characters", None),
    ],
)
def test_text_refuses(value: Any, what: str, hint: str | None) -> None:
    shape = Text[str](pattern="a", expected="an a", longest=5)
    assert fault(shape, value) == Fault(where="x", what=what, expected="an a", hint=hint)


def test_numbers() -> None:
    assert read(Number(), 7) == (7, [])
    expected = "a whole number from 1 to 9"
    assert fault(Number(least=1, most=9), 10) == Fault(
        where="x", what="10 is out of range", expected=expected
    )
    assert fault(Number(least=1, most=9), []).what == "a list is not a number"
    assert fault(Number(least=1, most=1, hint="why"), 2) == Fault(
        where="x", what="2 is out of range", expected="1", hint="why"
    )


def test_flags_and_choices() -> None:
    assert read(Flag(), value=False) == (False, [])
    assert fault(Flag(), "yes") == Fault(
        where="x", what="'yes' is not allowed here", expected="true or false"
    )
    assert read(OneOf(("one", "two")), "two") == ("two", [])
    assert fault(OneOf(("one", "two")), "tow") == Fault(
        where="x",
        what="'tow' is not one of the choices",
        expected="one or two",
        hint="did you mean 'two'?",
    )
    assert fault(OneOf(("one",)), ["one"]).what == "a list is not one of the choices"


def test_lists_read_on_after_a_mistake() -> None:
    found, faults = read(ListOf(Number()), [1, "a", 2, "b"])
    assert found is WRONG
    assert [f.where for f in faults] == ["x[1]", "x[3]"]
    found, faults = read(ListOf(Number(), partial=True), [1, "a", 2])
    assert found == (1, WRONG, 2)
    assert len(faults) == 1


def test_lists_have_bounds_and_may_be_lone() -> None:
    assert read(ListOf(Number(), lone=True), 5) == ((5,), [])
    assert fault(ListOf(Number()), 5).what == "a number is not a list"
    assert fault(ListOf(Number(), lone=True), None).what == "nothing is not a list"
    assert fault(ListOf(Number(), least=1, most=2), []).what == "0 entries"
    assert fault(ListOf(Number(), least=1, most=2), [1, 2, 3]).expected == "1 to 2 entries"


def test_mappings_with_free_keys() -> None:
    shape = MapOf(Number(), key="[a-z]+")
    assert read(shape, {"a": 1}) == ({"a": 1}, [])
    assert fault(shape, {"A": 1}) == Fault(where="x.A", what="the key 'A' is not allowed here")
    assert fault(shape, {"a": ""}).where == "x.a"
    assert fault(shape, []).what == "a list is not a mapping"


def test_records_report_everything_at_once() -> None:
    found, faults = read(box(), {"nam": "a", "size": 0, "tags": ["", 2]})
    assert found is WRONG
    assert faults == [
        Fault(
            where="x.nam",
            what="unknown key",
            expected="one of name, size, tags",
            hint="did you mean 'name'?",
        ),
        Fault(where="x.size", what="0 is out of range", expected="a whole number from 1 to 9"),
        Fault(where="x.tags[0]", what="empty text", expected="text"),
    ]
    assert fault(box(), 7) == Fault(
        where="x", what="a number is not a mapping", expected="a box with name, size, tags"
    )
    assert fault(box(), {"name": None}).what == "has no value"


def test_a_partial_record_has_gaps_that_are_empty_and_false() -> None:
    found, faults = read(box(partial=True), {"name": "a", "tags": 7})
    assert len(faults) == 1
    assert found.name == "a"
    assert found.tags is WRONG
    assert not found.tags
    assert list(found.tags) == []


def test_a_builder_may_refuse_and_optional_keys_may_be_empty() -> None:
    def build(name: str, size: int) -> str:
        if len(name) != size:
            raise ValueError("the size is not the name's")
        return name

    shape = Record(build, {"name": Field(Text[str](), required=True), "size": Field(Number())})
    assert fault(shape, {"name": "ab", "size": 3}).what == "the size is not the name's"
    assert read(box(), {"name": "a", "size": None}) == (Box(name="a"), [])


def test_text_or_mapping() -> None:
    shape = TextOr(Text(parse=lambda text: Box(name=text)), box())
    assert read(shape, "a") == (Box(name="a"), [])
    assert read(shape, {"name": "a"}) == (Box(name="a"), [])
    assert fault(shape, [1]).what == "a list is not allowed here"


def test_a_reading_places_faults_on_lines_and_ends_in_one_error() -> None:
    reading = Reading("doc.yaml", {"a": 3})
    reading.remark("a", "odd", hint="mend it")
    reading.finish()
    assert reading.remarks == [Fault(where="a (line 3)", what="odd", hint="mend it")]
    reading.wrong("a", "bad", expected="good")
    reading.wrong("b", "bad")
    with pytest.raises(DocumentError) as caught:
        reading.finish()
    assert str(caught.value) == "doc.yaml: 2 mistakes"
    assert [str(f) for f in caught.value.faults] == ["a (line 3): bad (expected good)", "b: bad"]


def test_paths_are_fit_to_print() -> None:
    assert child("", "a") == "a"
    assert child("a", "b.c") == "a.b.c"
    assert child("a", "\n") == "a.'\\n'"
    assert len(child("a", "b" * 10_000)) < 100
    path = "a"
    for _ in range(100):
        path = child(path, "b" * 50)
    assert len(path) < 410


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (Text[str](), "a"),
        (Text[str](), 1),
        (Text[str](pattern="1"), 1),
        (Text[str](empty=True), ""),
        (Number(), 5),
        (Flag(), True),
        (OneOf(("a",)), "a"),
        (ListOf(Number()), [1, 2]),
        (ListOf(Number(), lone=True), 1),
        (MapOf(Number()), {"a": 1}),
        (Anything(), {"a": [None]}),
        (box(), {"name": "a"}),
        (box(), {"name": "a", "size": None, "tags": None}),
        (TextOr(Text(parse=lambda text: Box(name=text)), box()), {"name": "a"}),
    ],
)
def test_what_a_shape_reads_its_schema_takes(shape: Any, value: Any) -> None:
    assert read(shape, value)[1] == []
    schema = shape.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (Text[str](), True),
        (Text[str](), ""),
        (Text[str](longest=2), "abc"),
        (Text[str](pattern="a"), "b"),
        (Number(most=5), 6),
        (Flag(), "true"),
        (OneOf(("a",)), "b"),
        (ListOf(Number(), least=1), []),
        (ListOf(Number(), most=1), [1, 2]),
        (ListOf(Number()), 1),
        (MapOf(Number(), key="a"), {"b": 1}),
        (box(), {}),
        (box(), {"name": None}),
        (box(), {"name": "a", "other": 1}),
    ],
)
def test_what_a_shape_refuses_its_schema_refuses(shape: Any, value: Any) -> None:
    assert read(shape, value)[1] != []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, shape.schema(), cls=jsonschema.Draft202012Validator)


def test_a_schema_explains_its_keys() -> None:
    field = Field(Number(), doc="how many", title="Count", examples=(3,))
    assert field.schema() == {
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": 2**31 - 1,
        "title": "Count",
        "description": "how many",
        "examples": [3],
    }


def test_a_reading_stops_writing_when_nobody_would_read_on() -> None:
    found, faults = read(box(), {f"key{i}": 1 for i in range(5000)})
    assert found is WRONG
    assert len(faults) == 1001
    assert faults[-1] == Fault(where="", what="there are more; fix these first")


@dataclass(frozen=True, kw_only=True)
class Parcel:
    digest: Digest | None
    numbers: tuple[int, ...] = ()
    free: dict[str, bool]


def test_what_is_written_reads_as_it_was() -> None:
    shape = Record(
        Parcel,
        {
            "other-name": Field(Text(parse=Digest.parse, expected="a digest"), name="digest"),
            "numbers": Field(ListOf(Number()), default=()),
            "free": Field(MapOf(Flag()), required=True),
        },
    )
    plain = {"other-name": str(Digest.of(b"")), "numbers": [1, 2], "free": {"a": True}}
    value, faults = read(shape, plain)
    assert not faults
    assert value == Parcel(digest=Digest.of(b""), numbers=(1, 2), free={"a": True})
    assert shape.write(value) == plain
    assert shape.write(Parcel(digest=None, free={})) == {"free": {}}
