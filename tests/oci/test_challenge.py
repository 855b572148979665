from __future__ import annotations

import random
import string

import pytest

from builder.oci.challenge import Challenge, parse


def _challenge(scheme: str, **parameters: str) -> Challenge:
    return Challenge(scheme=scheme, parameters=tuple(parameters.items()))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (
            (
                'Bearer realm="https://auth.test/token",service="registry.test",'
                'scope="repository:a/b:pull,push"'
            ),
            [
                _challenge(
                    "bearer",
                    realm="https://auth.test/token",
                    service="registry.test",
                    scope="repository:a/b:pull,push",
                )
            ],
        ),
        ('BEARER  Realm = "x" , SERVICE=y', [_challenge("bearer", realm="x", service="y")]),
        (r'Basic realm="a \"quoted\" \\ one"', [_challenge("basic", realm=r'a "quoted" \ one')]),
        (
            'Bearer realm="x",Basic realm="y"',
            [_challenge("bearer", realm="x"), _challenge("basic", realm="y")],
        ),
        (
            'Negotiate, Basic realm="y"',
            [_challenge("negotiate"), _challenge("basic", realm="y")],
        ),
        ("Negotiate abc==, NTLM", [_challenge("negotiate"), _challenge("ntlm")]),
    ],
)
def test_challenges_are_read(text: str, found: list[Challenge]) -> None:
    assert list(parse(text)) == found


@pytest.mark.parametrize(
    "text",
    [
        'Bearer realm="x',
        'Bearer realm="x" service="y"',
        'Bearer realm="x",realm="y"',
        'Bearer realm="x\x00"',
        '"Bearer"',
        'Bearer realm="x",=',
        "Bearer " + 'a="b",' * 3000,
    ],
)
def test_what_breaks_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not begin a challenge|comma|twice|too long"):
        parse(text)


def test_mutations_raise_nothing_but_value_error() -> None:
    source = random.Random(11)
    good = 'Bearer realm="https://a.test/t",service="s", scope="repository:a:pull",Basic realm="b"'
    read = 0
    for _ in range(3000):
        text = list(good)
        for _ in range(source.randint(1, 4)):
            at = source.randrange(len(text))
            text[at : at + source.randint(0, 2)] = source.choice(string.printable + "é\x00")
        try:
            parse("".join(text))
            read += 1
        except ValueError:
            pass
    assert 300 < read < 2900
