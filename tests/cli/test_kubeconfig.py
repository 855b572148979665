from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import openssl
import pytest

from builder.cli.root import run
from builder.pipeline import init

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secrets").mkdir(mode=0o700)
    openssl.authority(tmp_path / "secrets", days=900)
    (tmp_path / "secrets/ca.crt").chmod(0o600)
    return init.write("ha", tmp_path / "cluster.yaml")


def in_days(count: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=count):%Y-%m-%d}"


def test_it_tells_for_whom_where_and_how_long(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["kubeconfig"]) == 0
    assert capsys.readouterr() == (
        "",
        (
            "wrote secrets/admin.conf: kubernetes-admin at https://10.211.55.48:6443, until "
            f"{in_days(365)}\n"
        ),
    )
    assert run(["kubeconfig"]) == 2
    assert capsys.readouterr() == (
        "",
        (
            "error: secrets/admin.conf: the file exists\n"
            "  hint: --force replaces it; the certificate in it stays valid until it expires\n"
        ),
    )


def test_json(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--user", "jane", "--group", "ops", "--group", "dev", "--days", "30", "-o", "j.conf"]
    assert run(["kubeconfig", *words, "--server", "lb.example.com", "--json", "-q"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    value = json.loads(out)
    assert value.pop("end").startswith(in_days(30))
    assert value == {
        "kubeconfig": "j.conf",
        "server": "https://lb.example.com:6443",
        "user": "jane",
        "groups": ["ops", "dev"],
    }


def test_standard_output_on_demand(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["kubeconfig", "-o", "-"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("apiVersion: v1\nkind: Config\n")
    assert out.endswith("preferences: {}\n")
    assert err == f"minted: kubernetes-admin at https://10.211.55.48:6443, until {in_days(365)}\n"
    assert not (cluster.parent / "-").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--user", "jane"],
            (
                "error: --group is required for jane\n"
                "  hint: --group system:masters makes an administrator whom no policy stops\n"
            ),
        ),
        (["-o", "-", "--json"], "error: --json and -o - both write to standard output\n"),
        (
            ["--days", "1000"],
            (
                "error: 1000 days are longer than the cluster's authority is valid, which ends on "
                "END\n  expected 899 days at most\n"
            ),
        ),
        (
            ["--days", "0"],
            (
                "error: invalid value for '--days': 0 is not in the range 1 to 3650\n"
                "  hint: airseed kubeconfig --help\n"
            ),
        ),
    ],
)
def test_wrong_use(
    words: list[str], message: str, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    time.sleep(1.1)  # the last day of the authority is not whole any more
    assert run(["kubeconfig", *words]) == 2
    out, err = capsys.readouterr()
    assert err == message.replace("END", in_days(900))
    assert bool(out) == ("--json" in words)
    assert not (cluster.parent / "secrets/admin.conf").exists()
