"""``airseed versions``: what goes with what, from the shipped catalog and from others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from builder.assets import tree
from builder.cli.root import run
from builder.errors import DocumentError, UsageError
from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.version import Version
from builder.pipeline import versions

if TYPE_CHECKING:
    from pathlib import Path

    from builder.pipeline.versions import Versions

NODES = "nodes: [{name: a, role: control-plane, address: 10.0.0.1}]\n"


@pytest.fixture(scope="module")
def found() -> Versions:
    return versions.collect()


def test_every_combination_that_it_shows_can_be_asked_for(found: Versions) -> None:
    """And a spec with it is read without a fault; with what is not shown, it is refused."""
    catalog = catalog_format.load()
    calico = {name for row in found.kubernetes for name in row.calico}
    runtimes = {(fit.name, fit.releases[-1]) for row in found.kubernetes for fit in row.runtimes}
    systems = {name for row in found.kubernetes for name in row.systems}
    tried = 0
    for row in found.kubernetes:
        shown = {(f.name, f.releases[-1], s) for f in row.runtimes for s in f.systems}
        for system in sorted(systems):
            for name, release in sorted(runtimes):
                text = _text(row.releases[-1], system, (name, release), row.calico[-1])
                assert _is_had(text, catalog) == ((name, release, system) in shown), text
                tried += 1
        fit = row.runtimes[0]
        for series in sorted(calico):
            runtime = (fit.name, fit.releases[-1])
            text = _text(row.releases[0], row.systems[-1], runtime, series)
            assert _is_had(text, catalog) == (series in row.calico), text
    assert tried > 200


def _text(kubernetes: str, system: str, runtime: tuple[str, str], calico: str) -> str:
    os, _, release = system.partition(" ")
    return (
        f"kubernetes: {kubernetes}\nos: {{name: {os}, version: {release}}}\n"
        f"runtime: {{name: {runtime[0]}, version: {runtime[1]}}}\n"
        f"cni: {{name: calico, version: {calico}}}\n{NODES}"
    )


def _is_had(text: str, catalog: Any) -> bool:
    try:
        cluster_format.read(text, "cluster.yaml", catalog=catalog)
    except DocumentError:
        return False
    return True


def test_every_release_that_it_lists_is_known_and_no_other(found: Versions) -> None:
    catalog = catalog_format.load()
    for row in found.kubernetes:
        for release in row.releases:
            assert str(catalog.kubernetes(Version.parse(release)).version) == release
        last = Version.parse(row.releases[-1])
        with pytest.raises(NotInCatalogError):
            catalog.kubernetes(Version(last.major, last.minor, last.patch + 1))
    assert "1.18.4" not in found.kubernetes[0].releases
    assert [row.series for row in found.kubernetes] == [f"1.{n}" for n in range(18, 32)]


def test_defaults_are_among_what_fits(found: Versions) -> None:
    for row in found.kubernetes:
        assert row.defaults.os.replace("-", " ") in row.systems
        assert row.defaults.cni.removeprefix("calico-") in row.calico
        name, _, release = row.defaults.runtime.rpartition("-")
        fits = [f for f in row.runtimes if f.name == name and release in f.releases]
        assert len(fits) == 1
        assert fits[0].validated
        assert row.defaults.os.replace("-", " ") in fits[0].systems


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([], ()),
        ([5], ("1.18.5",)),
        ([5, 6, 7, 9, 11, 12], ("1.18.5 to 1.18.7", "1.18.9", "1.18.11 to 1.18.12")),
    ],
)
def test_spans(numbers: list[int], words: tuple[str, ...]) -> None:
    assert versions.spans([f"1.18.{number}" for number in numbers]) == words


def test_a_calico_that_cannot_be_had_is_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Manifests of 3.18 are published without a version: those of the newest patch alone."""
    assert run(["versions"]) == 0
    table = capsys.readouterr().out.split("\n\n")[2].splitlines()
    assert table[1].split()[:2] == ["3.18.6", "1.18"]


def test_the_table_has_a_line_for_each_minor(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["versions"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    tables = [part.splitlines() for part in out.split("\n\n")]
    heads = [table[0].split() for table in tables]
    assert heads == [
        ["KUBERNETES", "SYSTEM", "RPMS", "CALICO", "CONTAINERD", "DOCKER"],
        ["RUNTIME", "RELEASES", "SYSTEM"],
        ["CALICO", "TESTED", "WITH", "KUBERNETES", "INSTALLED", "BY"],
        ["SYSTEM", "KERNEL", "CLOUD-INIT", "MEDIA"],
    ]
    first, *_, last = tables[0][1:]
    assert first.split("  ")[0] == "1.18.5 to 1.18.20"
    assert "centos 7.6*, centos 7.9" in first
    assert "19.03* (20.10 " in first
    assert last.split("  ")[0] == "1.31.0 to 1.31.14"
    assert last.split()[-2:] == ["1.6*", "-"]


def test_one_minor_shows_what_goes_with_it_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["versions", "1.29", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (row,) = shown["kubernetes"]
    assert row["series"] == "1.29"
    assert row["releases"][-1] == "1.29.15"
    assert row["defaults"] == {"os": "centos-7.9", "runtime": "containerd-1.6.33",
                               "cni": "calico-3.29"}  # fmt: skip
    assert {one["series"] for one in shown["calico"]} == {*row["calico"]}
    assert [(one["name"], one["series"]) for one in row["runtimes"]] == [("containerd", "1.6")]
    assert [f"{one['name']} {one['version']}" for one in shown["systems"]] == row["systems"]
    minimal = shown["systems"][-1]["media"]["minimal"]
    assert (len(minimal["sha256"]), minimal["file"]) == (64, "CentOS-7-x86_64-Minimal-2009.iso")


def test_rpms_come_from_a_repository_or_are_built(found: Versions) -> None:
    for row in found.kubernetes:
        legacy = Version.parse(f"{row.series}.0") < Version(1, 24, 0)
        repository = "kubernetes-el7" if legacy else f"kubernetes-{row.series}"
        assert row.packages == (repository, "built")


def test_one_release_is_enough() -> None:
    (row,) = versions.collect(only="v1.22.17").kubernetes
    assert row.releases == ("1.22.17",)


@pytest.mark.parametrize(
    ("asked", "what", "expected"),
    [
        ("1.32", "Kubernetes 1.32.0 needs kernel 4.19 or newer; no system here has it",
         "1.31 or older"),
        ("1.34.1", "Kubernetes 1.34.1 needs kernel 5.4 or newer; no system here has it",
         "1.31 or older"),
        ("1.17.17", "Kubernetes 1.17 is not in the catalog", "1.18"),
        ("1.21.15", "the images of Kubernetes 1.21.15 are not known", "1.21.14"),
        ("latest", "'latest' is not a version of Kubernetes", "1.18, or 1.18.5"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused_with_what_is_nearest(
    asked: str, what: str, expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        versions.collect(only=asked)
    assert (caught.value.fault.what, caught.value.fault.expected) == (what, expected)


def test_a_catalog_of_the_users_own_is_shown_too(tmp_path: Path) -> None:
    """One row more is one release more."""
    place = tmp_path / "kubernetes/1.31.yaml"
    place.parent.mkdir()
    text = (tree("mirrors") / "kubernetes/1.31.yaml").read_text("utf-8")
    row = "  14: {pause: 3.10, etcd: 3.5.24-0, coredns: v1.11.3}\n"
    assert row in text
    place.write_text(text.replace(row, row + row.replace("14:", "15:")), "utf-8")
    assert versions.collect(catalogs=[tmp_path]).kubernetes[-1].releases[-1] == "1.31.15"
