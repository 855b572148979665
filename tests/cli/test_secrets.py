from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import openssl
import pytest

from builder.cli.root import run
from builder.pipeline import init, secrets
from builder.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a cluster whose authority ends in 500 days."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secrets").mkdir(mode=0o700)
    openssl.authority(tmp_path / "secrets")
    (tmp_path / "secrets/ca.crt").chmod(0o600)
    return init.write("ha", tmp_path / "cluster.yaml")


def table(cluster: Path, *states: str) -> str:
    end = secrets.make(Workspace(cluster)).states[-1].end
    widths = max(map(len, ("STATE", *states)))
    hours = "24 hours after kubeadm init on k8s01"
    rows = [
        ("SECRET", "FILE", "STATE", "ENDS"),
        ("token", "secrets/token", states[0], hours),
        ("certificate key", "secrets/certificate-key", states[1], hours),
        ("phone home token", "secrets/phone-home-token", states[2], "never"),
        ("signing key", "secrets/signing-key.asc", states[3], "never"),
        ("public signing key", "secrets/signing-key.pub.asc", states[4], "never"),
        ("cluster CA", "secrets/ca.crt", states[5], f"{end:%Y-%m-%d}, in 499 days"),
    ]
    lines = [f"{a:18}  {b:27}  {c:{widths}}  {d}\n" for a, b, c, d in rows]
    pin = openssl.pin(cluster.parent / "secrets/ca.crt")
    return "".join(lines) + (
        f"\nhash of the authority's public key, which joining nodes check: {pin}\n"
    )


def test_a_first_and_a_second_run(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secrets"]) == 0
    out, err = capsys.readouterr()
    assert out == table(cluster, *["made"] * 5, "kept")
    assert err == (
        "made token, certificate key, phone home token, signing key, public signing key"
        " in secrets\n"
    )
    assert run(["secrets"]) == 0
    out, err = capsys.readouterr()
    assert out == table(cluster, *["kept"] * 6)
    assert err == "nothing was missing\n"


def test_what_follows_from_a_rotation(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secrets", "-q"]) == 0
    capsys.readouterr()
    assert run(["secrets", "--rotate", "token", "--rotate", "certificate-key"]) == 0
    out, err = capsys.readouterr()
    assert out == table(cluster, "rotated", "rotated", *["kept"] * 4)
    assert err == (
        "made token, certificate key in secrets\n"
        "nodes get it from their seeds: render them again\n"
        "for a cluster that is up, run a node's admit.sh: airseed seeds --node NAME prints the "
        "command\n"
    )
    assert run(["secrets", "--rotate", "phone-home-token"]) == 0
    out, err = capsys.readouterr()
    assert out == table(cluster, "kept", "kept", "rotated", *["kept"] * 3)
    assert err == (
        "made phone home token in secrets\n"
        "nodes get it from their seeds: render them again\n"
        "nodes that are up send the old one until /etc/airseed/phone-home.curl has the new one\n"
    )


def test_json(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secrets", "--json", "-q"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    end = secrets.make(Workspace(cluster)).states[-1].end
    assert end is not None
    assert json.loads(out) == {
        "folder": "secrets",
        "caCertHash": openssl.pin(cluster.parent / "secrets/ca.crt"),
        "firstNode": "k8s01",
        "secrets": [
            {
                "name": name,
                "file": f"secrets/{file}",
                "state": state,
                "end": ends,
                "hoursAfterInit": hours,
            }
            for name, file, state, ends, hours in (
                ("token", "token", "made", None, 24),
                ("certificate key", "certificate-key", "made", None, 24),
                ("phone home token", "phone-home-token", "made", None, None),
                ("signing key", "signing-key.asc", "made", None, None),
                ("public signing key", "signing-key.pub.asc", "made", None, None),
                ("cluster CA", "ca.crt", "kept", end.isoformat(), None),
            )
        ],
    }


def test_on_node(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.write_text(cluster.read_text() + "\npki: on-node\nseed: {window: 1}\n")
    assert run(["secrets", "-q"]) == 0
    assert capsys.readouterr().out == (
        "SECRET              FILE                         STATE              ENDS\n"
        "token               secrets/token                made               "
        "1 hour after kubeadm init on k8s01\n"
        "certificate key     secrets/certificate-key      made               "
        "1 hour after kubeadm init on k8s01\n"
        "phone home token    secrets/phone-home-token     made               never\n"
        "signing key         secrets/signing-key.asc      made               never\n"
        "public signing key  secrets/signing-key.pub.asc  made               never\n"
        "cluster CA          -                            on the first node  -\n"
    )


def test_a_public_half_of_another_key_is_replaced_and_told(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["secrets"]) == 0
    (cluster.parent / "secrets/signing-key.pub.asc").write_text("of another key")
    capsys.readouterr()
    assert run(["secrets"]) == 0
    output = capsys.readouterr()
    assert "public signing key  secrets/signing-key.pub.asc  replaced  never\n" in output.out
    assert output.err == (
        "nothing was missing\n"
        "replaced the public signing key: secrets/signing-key.pub.asc did not match the signing "
        "key\n"
    )


def test_an_authority_that_ends_soon(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openssl.authority(cluster.parent / "secrets", days=300)
    (cluster.parent / "secrets/ca.crt").chmod(0o600)
    assert run(["secrets", "-q"]) == 0
    assert capsys.readouterr().err == (
        "warning: the cluster CA ends in 299 days\n"
        "  hint: no certificate that it signs can outlive it\n"
    )


def test_all_faults_are_told(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cluster.parent / "secrets/token").write_text("abcdef.0123456789abcdefg")
    (cluster.parent / "secrets/token").chmod(0o600)
    (cluster.parent / "secrets/ca.key").write_text("x")
    assert run(["secrets"]) == 1
    assert capsys.readouterr() == (
        "",
        (
            "error: secrets: the secrets can't be used\n"
            "  secrets/token: holds no token\n"
            "    expected 6 and 16 lower-case letters or digits with a point between them\n"
            "    hint: `airseed secrets --rotate token` makes a new one\n"
            "  secrets/ca.key: holds no private key in PEM form\n"
            "    hint: restore the file from your backup\n"
        ),
    )


def test_no_secret_is_ever_said(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not by a good run, not by any complaint about one, however verbose."""
    output = ""
    for words in ([], ["--rotate", "token"], ["--json"], ["--rotate", "ca"]):
        run(["secrets", "-v", *words])
    run(["kubeconfig", "-v", "--json"])
    folder = cluster.parent / "secrets"
    secret_values = [
        (folder / "token").read_text().strip(),
        (folder / "certificate-key").read_text().strip(),
        (folder / "phone-home-token").read_text().strip(),
        *(folder / "ca.key").read_text().split("\n")[1:-2],
        *(folder / "signing-key.asc").read_text().split("\n")[12:28],
        *(folder / "admin.conf").read_text().partition("client-key-data: ")[2].split("\n")[:1],
    ]
    output += "".join(capsys.readouterr())
    names = ("token", "certificate-key", "phone-home-token", "ca.key", "ca.crt", "signing-key.asc")
    for name in names:
        whole = (folder / name).read_text()
        for damaged in (whole[:-5], whole.upper(), whole.replace("-----END", "-----ENT")):
            (folder / name).write_text(damaged)
            run(["secrets", "-v"])
            run(["kubeconfig", "-v", "--force"])
        (folder / name).write_text(whole)
    output += "".join(capsys.readouterr())
    assert len(output) > 4000
    for secret in secret_values:
        assert len(secret) > 10
        assert secret.lower()[:40] not in output.lower()
        assert secret.lower()[-20:] not in output.lower()


def test_who_renames_cluster_yaml_is_told_of_the_secrets_it_had(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else machines that run get seeds of another authority."""
    assert run(["secrets", str(cluster)]) == 0
    other = cluster.with_name("other.yaml")
    other.write_bytes(cluster.read_bytes())
    assert run(["secrets", str(other)]) == 0
    assert "warning" not in capsys.readouterr().err
    prod = cluster.rename(cluster.with_name("prod.yaml"))
    assert run(["secrets", str(prod)]) == 0
    said = capsys.readouterr().err
    assert f"warning: {prod.with_name('secrets')} is beside it, and no cluster.yaml" in said
    assert run(["secrets", str(prod)]) == 0
    assert "warning" not in capsys.readouterr().err


def test_the_umask_opens_nothing(cluster: Path) -> None:
    before = os.umask(0)
    try:
        assert run(["secrets", "-q"]) == 0
        assert run(["kubeconfig", "-q", "-o", "admin.conf"]) == 0
    finally:
        os.umask(before)
    folder = cluster.parent / "secrets"
    public = folder / "signing-key.pub.asc"
    assert public.stat().st_mode & 0o777 == 0o644
    for path in {folder, *folder.iterdir(), cluster.parent / "admin.conf"} - {public}:
        assert path.stat().st_mode & 0o077 == 0, path


def test_what_machines_recorded_in_changes_ends_too(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end = int(time.time()) + 20 * 86400 + 60
    for change, moment in (("001-renew-30-days", 5), ("002-renew-30-days", end)):
        results = cluster.parent / "changes" / change / "results"
        results.mkdir(parents=True)
        result = {
            "format": 1,
            "node": "k8s02",
            "state": "done",
            "certificates": {"/etc/kubernetes/pki/apiserver.crt": moment},
        }
        (results / "k8s02.json").write_text(json.dumps(result), "utf-8")
    assert run(["secrets"]) == 0
    out, err = capsys.readouterr()
    day = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d}"
    row = rf"^apiserver.crt of k8s02 +- +on the machines +{day}, in 20 days$"
    assert re.search(row, out, re.MULTILINE)
    assert "apiserver.crt of k8s02 ends in 20 days" in err
    assert run(["secrets", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["secrets"]
    assert rows[-1]["end"].startswith(day)
