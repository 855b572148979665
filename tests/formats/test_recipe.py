"""Orders for RPMs beside a lock: written the same every time, read strictly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import orders
import pytest

from builder.errors import DocumentError
from builder.formats import recipe as recipe_format

KEY = "0123456789ABCDEF0123456789ABCDEF01234567"
ORDER = orders.order(KEY)
BARE = replace(
    ORDER,
    recipe=replace(
        ORDER.recipe, programs=tuple(replace(one, sources=()) for one in ORDER.recipe.programs)
    ),
)
SIGNATURE = b"\x89\x01\x02"


def test_an_order_is_read_as_it_was_written() -> None:
    content = recipe_format.write(ORDER, SIGNATURE)
    assert recipe_format.read(content, "order") == (BARE, SIGNATURE)
    assert recipe_format.write(BARE, SIGNATURE) == content


def test_an_order_has_one_name() -> None:
    """Where programs are, and how a mapping was filled, is no part of it; all else is."""
    name = recipe_format.identity(ORDER)
    assert recipe_format.identity(BARE) == name
    recipe = ORDER.recipe
    turned = replace(recipe, scripts=dict(reversed(recipe.scripts.items())))
    assert recipe_format.identity(replace(ORDER, recipe=turned)) == name
    others = [
        replace(ORDER, builder="rpm-rs 9"),
        replace(ORDER, signer="F" * 40),
        replace(ORDER, recipe=replace(recipe, requires=())),
        replace(ORDER, recipe=replace(recipe, scripts={})),
        replace(ORDER, recipe=replace(recipe, files=recipe.files[1:])),
        replace(
            ORDER,
            recipe=replace(
                recipe, programs=(replace(recipe.programs[0], digest=None), *recipe.programs[1:])
            ),
        ),
    ]
    assert len({name, *map(recipe_format.identity, others)}) == len(others) + 1


def test_every_mistake_is_told() -> None:
    fields: dict[str, Any] = json.loads(recipe_format.write(ORDER, SIGNATURE))
    fields["signer"] = "me"
    fields["signature"] = "%"
    fields["files"]["/usr/bin/../agent"] = {"program": "agent"}
    fields["scripts"]["prein"] = "true\n"
    fields["colour"] = "red"
    with pytest.raises(DocumentError) as caught:
        recipe_format.read(json.dumps(fields).encode(), "order")
    assert {(fault.where, fault.what) for fault in caught.value.faults} == {
        ("colour", "unknown key"),
        ("signer", "'me' is not a fingerprint"),
        ("signature", "this is not base64"),
        ("files./usr/bin/../agent", "the key '/usr/bin/../agent' is not allowed here"),
        ("scripts.prein", "the key 'prein' is not allowed here"),
    }


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"format": 2}', b"\xff"])
def test_other_documents_are_refused(content: bytes) -> None:
    with pytest.raises(DocumentError):
        recipe_format.read(content, "order")
