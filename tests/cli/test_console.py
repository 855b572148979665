from __future__ import annotations

import json

import pytest

from builder.cli.amounts import duration, quantity, size
from builder.cli.console import Console, printable


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_234_567_890, "1.2 GB"),
        (5 * 10**15, "5.0 PB"),
        (5 * 10**18, "5000 PB"),
        (-2_000_000, "-2.0 MB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_steps_are_counted_in_words() -> None:
    assert quantity(7, "images") == "7 images"
    assert quantity(1, "images") == "1 image"
    assert quantity(1, "repositories") == "1 repository"
    assert quantity(0, "keys") == "0 keys"
    assert quantity(7, "") == "7"


def test_control_characters_become_visible() -> None:
    assert printable("a\x1b]0;b\x07\u202ec\rd\n\te é 語") == (
        "a\\x1b]0;b\\x07\\u202ec\\rd\n\te é 語"
    )


def test_results_go_to_standard_output_and_words_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console()
    console.info("one")
    console.detail("not asked for")
    console.warn("two", hint="three")
    console.result("four")
    console.json({"five": [5, "ä"]})
    out, err = capsys.readouterr()
    assert err == "one\nwarning: two\n  hint: three\n"
    assert out.startswith("four\n")
    assert json.loads(out.removeprefix("four\n")) == {"five": [5, "ä"]}


@pytest.mark.parametrize(
    ("choice", "no_color", "colored"),
    [
        ("auto", None, None),
        ("auto", "1", False),
        ("auto", "", None),
        ("always", "1", True),
        ("never", None, False),
    ],
)
def test_who_decides_about_color(
    choice: str, no_color: str | None, colored: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    console = Console()
    console.color = choice  # type: ignore[assignment]
    assert console.colored is colored
