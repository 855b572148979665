"""How a transfer that failed is told."""

from __future__ import annotations

import pytest

from builder.bundle.failures import Refusal, RefusedError, displaced, summary
from builder.errors import Fault


@pytest.mark.parametrize("way", ["from", "to"])
def test_what_could_not_be_sent_was_not_to_be_fetched(way: str) -> None:
    fault = Fault(where="site:5000", what="it broke")
    refusal = Refusal(artifact="a", host="site:5000", fault=fault)
    failure = RefusedError("x", where="a", refusals=[refusal])
    told = summary([failure if way == "from" else displaced("a", "site:5000", fault)])
    word = {"from": "fetched", "to": "sent"}[way]
    assert str(told) == f"1 artifact could not be {word}"
    assert told.fault.hint == f"what was {word} is kept; run the same command again to continue"


def test_a_host_that_was_given_up_is_told_once_with_its_hint() -> None:
    faults = [Fault(where="a.example", what="dead", hint=hint) for hint in ("dig", *[None] * 4)]
    failures = [
        RefusedError("x", where=n, refusals=[Refusal(artifact=n, host="a.example", fault=fault)])
        for n, fault in zip("abcde", faults, strict=True)
    ]
    (told,) = summary([*failures]).faults
    assert (told.where, told.hint) == ("a.example", "dig")


def test_an_artifact_is_counted_once_for_a_host_that_is_asked_twice() -> None:
    fault = Fault(where="docker.io/a", what="429")
    failures = [
        RefusedError(
            "x",
            where=name,
            refusals=[Refusal(artifact=name, host="docker.io", fault=fault)] * 2,
        )
        for name in "abcd"
    ]
    (told,) = summary([*failures]).faults
    assert told.what == "429, for 4 artifacts: a, b, c, ..."
