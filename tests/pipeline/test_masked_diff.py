"""Differences between renderings are shown, the secrets in them are not."""

from __future__ import annotations

import gzip
import json

import pytest

from builder.pipeline.masked_diff import differences, hidden

TOKEN = "abcdef.0123456789abcdef"  # noqa: S105 -- made up
KEY = "0123456789abcdef" * 4
PEM = "-----BEGIN RSA PRIVATE KEY-----\n  TUlJRXBBSUJBQUtDQVFFQQ==\n  -----END RSA PRIVATE KEY-----"
AUTH = json.dumps(
    {"auths": {"reg:5000": {"auth": "dXNlcjpwYXNz", "password": "hunter2", "registrytoken": "TOK"}}}
)
SECRETS = (
    "0123456789abcdef",
    KEY,
    "TUlJRXBBSUJBQUtDQVFFQQ==",
    "dXNlcjpwYXNz",
    "hunter2",
    "TOK",
    "HASHHASH",
)


def user_data(more: str = "") -> str:
    return (
        f"  token: {TOKEN}\n  certificateKey: {KEY}\n  {PEM}\n  name: k8s01\n"
        f"  password: $6$salt$HASHHASH\n  content: {AUTH}\n  content: {json.dumps(AUTH)}\n{more}"
    )


def test_no_secret_shows() -> None:
    text = "\n".join(hidden(user_data()))
    assert [secret for secret in SECRETS if secret in text] == []
    assert "token: abcdef.<hidden>" in text
    assert "certificateKey: <hidden>" in text
    assert "name: k8s01" in text


def test_what_differs_is_shown_around_the_secrets() -> None:
    before, after = user_data().encode(), user_data("  mtu: 9000\n").encode()
    lines = [*differences(before, after, "k8s01/user-data")]
    assert lines[:2] == ["--- before/k8s01/user-data", "+++ after/k8s01/user-data"]
    assert [line for line in lines[2:] if line.startswith(("+", "-"))] == ["+  mtu: 9000"]
    assert [secret for secret in SECRETS if secret in "\n".join(lines)] == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_new_secret_is_said_but_not_shown(pack: type[bytes]) -> None:
    before = pack(user_data().encode())
    after = pack(user_data().replace(KEY, "f" * 64).encode())
    assert [*differences(before, after, "k8s01/user-data")] == [
        "k8s01/user-data: only secrets, or how it is packed, differ"
    ]


def test_files_come_and_go() -> None:
    assert [*differences(None, b"new\n", "n/network-config")] == [
        "--- /dev/null",
        "+++ after/n/network-config",
        "@@ -0,0 +1 @@",
        "+new",
    ]
    assert [*differences(b"old\n", None, "x")][:2] == ["--- before/x", "+++ /dev/null"]
    assert [*differences(None, None, "x")] == [*differences(b"a", b"a", "x")] == []


def test_damaged_packing_is_said() -> None:
    damaged = gzip.compress(b"x" * 5000)[:20] + b"????"
    assert "bytes that cannot be unpacked" in "\n".join(differences(damaged, b"x", "n"))


def test_a_key_that_never_ends_hides_everything_after_it() -> None:
    assert hidden("a\n-----BEGIN PRIVATE KEY-----\nTUlJ\nsecret") == ["a", "<hidden>"]


def entry(path: str, permissions: str, content: str, more: str = "") -> str:
    return f'  - path: "{path}"\n    permissions: "{permissions}"\n{more}    content: {content}\n'


def test_what_others_may_not_read_on_the_machine_is_not_shown_here() -> None:
    """Users' commands and files have secrets that nobody can know by their looks."""
    text = (
        "write_files:\n"
        + entry("/etc/airseed/before.sh", "0700", "|2\n      register SECRET-1\n\n      SECRET-2")
        + entry("/etc/app.conf", "0640", '"SECRET-3"', '    owner: "app"\n')
        + entry("/etc/app.p12", "0600", '"U0VDUkVU"', "    encoding: b64\n")
        + entry("/etc/airseed/kubeadm.yaml", "0600", "|2\n      name: k8s01")
        + entry("/etc/airseed/kubeadm.yaml", "0600", '"U0VDUkVU"', "    encoding: b64\n")
        + entry("/etc/motd", "0644", "|2\n      welcome")
        + "\nruncmd:\n  - [systemctl]\n"
    )
    lines = hidden(text)
    shown = "\n".join(lines)
    assert [word for word in ("SECRET", "U0VDUkVU") if word in shown] == []
    assert [word for word in ("name: k8s01", "welcome", "runcmd:") if word not in shown] == []
    assert sum("<hidden, " in line for line in lines) == 4


def test_a_file_that_is_not_shown_is_seen_to_differ() -> None:
    before, after = (
        f"write_files:\n{entry('/etc/app.conf', '0600', word)}".encode() for word in ("one", "two")
    )
    first, again = ([*differences(before, after, "n")] for _ in range(2))
    assert [line[:23] for line in first[-2:]] == [
        "-    content: <hidden, ",
        "+    content: <hidden, ",
    ]
    assert first[-1] != again[-1]
