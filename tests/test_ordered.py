from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

import builder
from builder.errors import Fault
from builder.model.reference import Reference
from builder.pipeline.lock.differences import LockDifference
from builder.rpm.closure import PackageRequest

if TYPE_CHECKING:
    from builder.ordered import Ordered

DIGEST = f"sha256:{'1' * 64}"


@pytest.mark.parametrize(
    "values",
    [
        (Fault(where="a", what="b"), Fault(where="a", what="b", hint="c")),
        (Reference.parse(f"a.io/b@{DIGEST}"), Reference.parse("a.io/b:1")),
        (Reference.parse("a.io/b:1"), Reference.parse(f"a.io/b:1@{DIGEST}")),
        (
            LockDifference(kind="k", name="n", before=None, after="x"),
            LockDifference(kind="k", name="n", before="x", after=None),
        ),
        (PackageRequest(text="a"), PackageRequest(text="a", repository="r")),
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_what_lacks_a_field_comes_first(values: tuple[Ordered, ...]) -> None:
    for mixed in permutations(values):
        assert sorted(mixed) == list(values)


def test_dataclasses_order_themselves_only_where_no_field_is_optional() -> None:
    for module in pkgutil.walk_packages(builder.__path__, "builder."):
        if module.name.endswith("__main__"):
            continue
        for one in vars(importlib.import_module(module.name)).values():
            if isinstance(one, type) and dataclasses.is_dataclass(one) and "__lt__" in vars(one):
                types = {each.name: str(each.type) for each in dataclasses.fields(one)}
                assert "None" not in " ".join(types.values()), one
