"""``airseed doctor`` on a machine that reaches nobody says what it lacks, once."""

from __future__ import annotations

import json
import socket

import pytest

from builder.cli.root import run

_REAL = socket.getaddrinfo


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def no_dns(_: str, *__: object, **___: object) -> object:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def no_route(_: str, *args: object, **named: object) -> object:
    return _REAL("240.0.0.1", *args, **named)  # type: ignore[arg-type] # of no network


def test_a_machine_without_dns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", no_dns)
    assert run(["-q", "doctor"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    first, hint = err.splitlines()
    assert first.startswith(
        "error: this machine has no DNS: not one name could be resolved (the name of "
    )
    assert hint == "  hint: check /etc/resolv.conf; a proxy (https_proxy) looks names up itself"


def test_a_machine_without_a_way_to_its_proxy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://jane:secret@127.0.0.1:{taken.getsockname()[1]}")
        assert run(["doctor", "--json"]) == 1
    out, err = capsys.readouterr()
    assert "secret" not in out + err
    offline = json.loads(out)["offline"]
    assert offline["what"].startswith("the proxy cannot be reached, so nothing can be had")
    assert offline["hint"].startswith("check http_proxy and https_proxy")


def test_a_machine_without_a_route(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", no_route)

    def unreachable(self: object, address: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert run(["-q", "doctor"]) == 1
    assert capsys.readouterr().err.startswith("error: this machine has no route to the sources")
