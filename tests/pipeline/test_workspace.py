"""Every verb reads each document of a cluster once, so that all it makes follows from one text."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.assets import tree
from builder.cli.root import run
from builder.formats import lock as lock_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes import Sample, Sandbox

CLUSTER, LOCK, BUNDLE = "cluster.yaml", "cluster.lock", "bundle.tar"
_counting: list[Counter[Path]] = []


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _counting and isinstance(arguments[0], str | os.PathLike):
        _counting[-1][Path(os.path.realpath(arguments[0]))] += 1


sys.addaudithook(_count)  # for good: Python has no way to take one away


@pytest.fixture
def opens() -> Iterator[Counter[Path]]:
    """Count how often each file is opened, by whatever function."""
    _counting.append(Counter())
    yield _counting[-1]
    _counting.clear()


@pytest.fixture
def sandbox(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with sample.sandbox(tmp_path / "work") as opened:
        for name, value in opened.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(opened.folder)
        assert run(["secrets"]) == 0
        os.link(sample.bundle, BUNDLE)
        yield opened


WHOLE = (CLUSTER, LOCK, "catalog")


@pytest.mark.parametrize(
    ("words", "documents", "locks"),
    [
        ("lock --catalog C", WHOLE, 1),
        ("lock --check --catalog C", WHOLE, 1),
        ("bundle cluster.yaml --catalog C", WHOLE, 1),
        ("bundle cluster.lock -o again.tar", (LOCK,), 1),
        ("bundle bundle.tar -o again.tar", (), 1),
        ("seeds --no-iso --catalog C", WHOLE, 1),
        ("seeds --diff --catalog C", WHOLE, 1),
        ("doctor cluster.yaml --catalog C", (CLUSTER, "catalog"), 0),
        ("doctor cluster.lock --catalog C", (LOCK, "catalog"), 1),
        ("verify bundle.tar", (), 1),
        ("inspect cluster.lock", (LOCK,), 1),
        ("inspect bundle.tar", (), 1),
        ("inspect cluster.lock --sbom spdx", (LOCK,), 1),
        ("inspect bundle.tar --sbom spdx", (), 1),
        ("export bundle.tar --manifests-only", (), 1),
        ("secrets", (CLUSTER,), 0),
        ("kubeconfig -o admin.conf", (CLUSTER,), 0),
    ],
)
def test_each_document_is_read_once(
    words: str,
    documents: tuple[str, ...],
    locks: int,
    sandbox: Sandbox,
    opens: Counter[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = []
    parse = lock_format.parse
    monkeypatch.setattr(lock_format, "parse", lambda *text: parsed.append(1) or parse(*text))
    catalog = {
        path.relative_to(folder): path.resolve()  # a file replaces the one of the same name
        for folder in (tree("mirrors"), sandbox.catalog)
        for path in folder.rglob("*.yaml")
        if path.parent.name != "examples"
    }
    opens.clear()
    assert run([str(sandbox.catalog) if word == "C" else word for word in words.split()]) in {0, 1}
    expected = [Path(name).resolve() for name in documents if name != "catalog"]
    expected += catalog.values() if "catalog" in documents else ()
    watched = {*catalog.values(), Path(CLUSTER).resolve(), Path(LOCK).resolve()}
    assert {path: count for path, count in opens.items() if path in watched} == dict.fromkeys(
        expected, 1
    )
    assert len(parsed) == locks
