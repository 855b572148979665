from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click
import pytest

from builder.cli.console import Console
from builder.cli.root import VERBS
from builder.cli.table import prose, table

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample

DIGEST = "0123456789abcdef" * 4


def test_columns_line_up() -> None:
    assert table(("KIND", "COUNT"), [("images", "7"), ("x", "12")]) == [
        "KIND    COUNT",
        "images  7",
        "x       12",
    ]


def test_a_long_text_is_wrapped_between_words() -> None:
    assert table(
        ("NODE", "WHAT"), [("k8s01", "waiting for the API server of the cluster")], 34
    ) == [
        "NODE   WHAT",
        "k8s01  waiting for the API server",
        "       of the cluster",
    ]


def test_columns_that_do_not_fit_side_by_side_go_on_further_lines() -> None:
    rows = [
        ("docker.io/calico/kube-controllers:v3.18.6", "2.6 MB", "first-use", "calico"),
        ("k8s.gcr.io/pause:3.2", "12.4 MB", "pinned", ""),
        ("bare", "1 B", "", ""),
    ]
    assert table(("IMAGE", "SIZE", "TRUST", "NEEDED BY"), rows, 60) == [
        "IMAGE                                      SIZE",
        "    TRUST      NEEDED BY",
        "docker.io/calico/kube-controllers:v3.18.6  2.6 MB",
        "    first-use  calico",
        "k8s.gcr.io/pause:3.2                       12.4 MB",
        "    pinned",
        "bare                                       1 B",
    ]


def test_digests_are_shortened_where_a_table_does_not_fit() -> None:
    rows = [(f"images/blobs/sha256/{DIGEST}", f"docker.io/calico/node@sha256:{DIGEST}")]
    assert table(("MEMBER", "SOURCE"), rows, 90) == [
        "MEMBER                               SOURCE",
        "images/blobs/sha256/0123456789ab...  docker.io/calico/node@sha256:0123456789ab...",
    ]
    assert DIGEST in table(("MEMBER", "SOURCE"), rows)[1]


def test_a_word_longer_than_a_line_is_parted_at_its_joints() -> None:
    url = "https://mirrors.example.com/centos-vault/7.6.1810/updates/x86_64/repodata/repomd.xml"
    assert table(("SOURCE",), [(url,)], 40) == [
        "SOURCE",
        "https://mirrors.example.com/centos-",
        "vault/7.6.1810/updates/x86_64/repodata/",
        "repomd.xml",
    ]
    assert "".join(table(("SOURCE",), [(url,)], 40)[1:]) == url
    assert prose(f"{DIGEST} is it", 60).splitlines() == [DIGEST[:60], f"{DIGEST[60:]} is it"]


def test_a_state_is_colored_and_still_lined_up() -> None:
    red = click.style("failed", fg="red")
    colors = {"failed": "red", "done": "green"}
    assert table(
        ("NODE", "STATE", "WHAT"), [("failed-1", "failed", "it failed")], None, colors
    ) == [
        "NODE      STATE   WHAT",
        f"failed-1  {red}  it failed",
    ]


@pytest.mark.parametrize("room", range(20, 140))
def test_nothing_is_wider_than_the_room_and_nothing_is_lost(room: int) -> None:
    head = ("KIND", "NAME", "SOURCE", "STATE", "SECONDS", "WHAT")
    rows = [
        ("rpms", "centos-7.6-os", "https://vault.centos.org/7.6.1810/os/x86_64/", "dead", "15.0",
         "the name of vault.centos.org cannot be resolved"),
        ("images", "registry.k8s.io", "registry.k8s.io/kube-apiserver:v1.18.5", "healthy", "0.1",
         ""),
    ]  # fmt: skip
    lines = table(head, rows, room)
    assert max(map(len, lines)) <= room
    letters = sorted("".join(lines).replace(" ", ""))
    assert letters == sorted("".join("".join(row) for row in (head, *rows)).replace(" ", ""))


def test_into_a_pipe_a_row_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    Console().table(("A", "B"), [("x" * 100, "y" * 100)])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_cell_of_several_lines_stays_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(("NODE", "WHAT"), [("k8s01", "yum said:\n\tno\x1b space"), ("k8s02", "")])
    assert capsys.readouterr().out == ("NODE   WHAT\nk8s01  yum said: no\\x1b space\nk8s02\n")


COMMANDS = (
    "lock cluster.yaml --check --catalog CATALOG",
    "verify BUNDLE",
    "inspect cluster.lock",
    "inspect BUNDLE --why libseccomp",
    "inspect BUNDLE --provenance",
    "secrets",
    "seeds --catalog CATALOG --diff",
    "seeds --catalog CATALOG",
    "changes --catalog CATALOG",
    "kubeconfig",
    "status k8s01.json k8s02.json k8s03.json",
    "versions",
    "versions 1.29",
    "doctor cluster.yaml --catalog CATALOG",
    "find-images pod.yaml",
    "inventory BUNDLE",
    "export BUNDLE --keys-only",
    "bundle cluster.lock",
    "init other.yaml",
    "explain",
    "explain machine.network",
    "help seeds",
    "schema",
)
BARE = {"completion", "demo", "serve", "publish", "mirror", "packer"}
"""A shell's script, what runs the others, what needs a registry, a signal or a disk image."""
WIDE = {"schema", "find-images", "help", "seeds"}
"""What programs read, and commands that are meant to be copied."""


def test_every_verb_fits_its_terminal(sample: Sample, tmp_path: Path) -> None:
    assert {line.split()[0] for line in COMMANDS} | BARE == set(VERBS)
    with sample.sandbox(tmp_path / "work") as sandbox:
        for name, more in (
            ("k8s01", {"state": "failed", "step": "packages", "message": "yum could not install"}),
            ("k8s02", {"state": "waiting", "waiting_for": "the API server at 10.211.55.53:6443"}),
        ):
            (sandbox.folder / f"{name}.json").write_text(
                json.dumps({"format": 1, "node": name, "role": "control-plane", **more})
            )
        (sandbox.folder / "k8s03.json").write_text("nothing of airseed's")
        (sandbox.folder / "pod.yaml").write_text(
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: registry.example.com/a:1}]}\n"
        )
        for line in COMMANDS:
            words = [
                {"CATALOG": str(sandbox.catalog), "BUNDLE": str(sample.bundle)}.get(word, word)
                for word in line.split()
            ]
            for columns in (80, 60):
                sandbox.environment["COLUMNS"] = str(columns)
                ran = sandbox.run(*words)
                assert ran.code in {0, 1, 2, 3, 5}, ran.err
                assert "Traceback" not in ran.err
                if words[0] not in WIDE:
                    wide = [shown for shown in ran.out.splitlines() if len(shown) > columns]
                    assert wide == [], line
            del sandbox.environment["COLUMNS"]
            whole = set(re.findall(r"(?<![^ ])[A-Za-z]{3,20}(?![^ ,])", sandbox.run(*words).out))
            parts = set(re.findall(r"[A-Za-z]{3,}", ran.out))
            if ran.code == 0 and words[0] in {"inspect", "versions", "doctor", "secrets", "status"}:
                assert whole <= parts, line
