"""No password is ever shown: whole URLs, and URLs, proxies and registries within sentences."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from builder.errors import Fault, UsageError
from builder.model.reference import Reference
from builder.redact import hide, quoted, redact

MARK = "Zq7"
"""Stands at both ends of a password, so that a half of it is found, too."""
LETTERS = st.characters(min_codepoint=0x20, max_codepoint=0x2FF)
PASSWORDS = st.text(LETTERS, max_size=12).map(lambda middle: f"{MARK}{middle}{MARK}")
BEFORE = st.sampled_from(
    ["http://", "https://", "http//", "http:/", "http:", "", "socks5://", "//"]
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.test/x", "https://a.test/x"),
        ("https://u:p@a.test:8443/x?k=v&s=a=b#frag", "https://a.test:8443/x?k=***&s=***"),
        ("https://a.test/x?TOKEN", "https://a.test/x?***"),
        ("https://u:p@ss@a.test/", "https://a.test/"),
        ("http://u:p@[::1/x?secret", "http://[::1/x?***"),
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("", ""),
        ("http//u:p@a.test:1", "***@a.test:1"),
        ("http:/u:p@a.test:1", "***@a.test:1"),
        ("http://u:p/q@a.test:1", "http://***@a.test:1"),
        ("http://u:1/2@a.test:1", "http://***@a.test:1"),
        ("http://u:p?q@a.test:1", "http://***"),
        ("http://u:p#q@a.test:1", "http://***"),
        ("https://storage.test/x?who=a@b.test&signature=S", "https://***"),
        ("http%3A%2F%2Fu%3ap@ss%40a.test", "***@a.test"),
        ("http://http%3A%2F%2Fu%3Ap%40a.test:1/", "***@a.test:1/"),
        ("https://cdn.test/npm/%40scope/x.js", "https://cdn.test/npm/%40scope/x.js"),
        ("https://cdn.test/npm/left@1.2/x.js", "https://cdn.test/npm/left@1.2/x.js"),
    ],
)
def test_secrets_are_not_shown(url: str, shown: str) -> None:
    assert redact(url) == shown


@given(BEFORE, st.text(LETTERS, max_size=5), PASSWORDS)
@example("http://", "u", f"{MARK}1/2{MARK}")
@example("http://", "u", f"{MARK}?a=1&{MARK}")
def test_no_password_is_shown_whatever_is_in_it(before: str, user: str, password: str) -> None:
    assert MARK not in redact(f"{before}{user}:{password}@proxy.test:3128")


@given(
    BEFORE, PASSWORDS, st.sampled_from(["{}", "the proxy {} gives none", "'{}'", "a={},", "[{}]"])
)
def test_no_password_is_shown_within_a_sentence(before: str, password: str, sentence: str) -> None:
    assume("'" not in password and (not set(password) & set(" \xa0\x85") or sentence == "'{}'"))
    text = sentence.format(f"{before}u:{password}@reg.test:5000/x")
    assert MARK not in hide(text)
    assert MARK not in str(UsageError(text, where=text, expected=text, faults=()))
    assert MARK not in repr(Fault(where=text, what=text, hint=text))


@pytest.mark.parametrize(
    "text",
    [
        "docker.io/library/busybox:1.36@sha256:" + "0" * 64,
        "reg.test:5000/x@sha256:" + "0" * 64,
        "'reg.test:5000/x:1@sha256:short' is no digest",
        "signed by jane@example.test, not by https://github.com/o/r/w.yml@refs/heads/main",
        "getty@tty1.service failed: no terminal",
        "https_proxy=http://USER:PASSWORD@HOST:PORT",
        "https://cdn.test/npm/left@1.2/x.js: 404",
    ],
)
def test_what_holds_no_password_is_left_alone(text: str) -> None:
    assert hide(text) == text


@given(BEFORE, PASSWORDS, st.integers(min_value=1, max_value=60))
def test_a_text_is_cut_after_its_password_is_hidden(before: str, password: str, most: int) -> None:
    assume("'" not in password)
    shown = quoted(f"{before}u:{password}@reg.test:5000/a/rather/long/path/of/a/repository", most)
    assert MARK not in shown
    assert len(shown) <= most + 2


def test_a_query_within_a_sentence_shows_names_alone() -> None:
    text = f"'http://a.test/x?token={MARK}&b' is no registry, http://a.test/?{MARK}#part neither"
    shown = "'http://a.test/x?token=***&***' is no registry, http://a.test/?***#part neither"
    assert hide(text) == shown


def test_a_url_that_is_percent_encoded_shows_no_password() -> None:
    text = f"the proxy http://http%3A%2F%2Fu%3A{MARK}%40a.test gives no connection"
    assert hide(text) == "the proxy ***@a.test gives no connection"


def test_a_text_without_a_password_is_cut_alone() -> None:
    assert quoted("a long text", 6) == "'a long'"
    assert quoted("jane@example.test is a long text", 6) == "'jane@e'"


@pytest.mark.parametrize("at", ["", "@sha256:" + "0" * 64])
def test_a_reference_shows_nothing_of_two_ats(at: str) -> None:
    with pytest.raises(ValueError, match=r"reg\.test") as caught:
        Reference.parse(f"u:{MARK}@{MARK}@reg.test/x{at}")
    assert MARK not in str(UsageError(str(caught.value)))


@pytest.mark.parametrize("at", ["", "@" + MARK])
def test_a_word_without_end_is_cut(at: str) -> None:
    fault = Fault(where="images[0]", what=f"{'a' * 3_000_000}{at} is no reference")
    assert len(str(fault)) < 200
    assert str(fault).endswith("characters) is no reference")


@pytest.mark.parametrize("word", ["http://h/%40" + "%3a" * 20_000, "x" * 60_000 + "%40"])
def test_a_long_word_is_looked_through_once(word: str) -> None:
    """Whoever is asked may send such a URL: tried from each place, it takes days."""
    assert redact(word).endswith("%3a" if "%3a" in word else "%40")
    assert hide(word).endswith(" characters)")


def test_many_schemes_are_looked_through_once() -> None:
    assert hide("://" * 20_000 + "x ?").endswith("characters) ?")
