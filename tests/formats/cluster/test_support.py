from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from mutate import mutants

from builder.assets import tree
from builder.errors import DocumentError, Fault
from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.formats.text import decode
from builder.model.platform import Platform

if TYPE_CHECKING:
    from builder.model.catalog import Catalog

NODES = "nodes: [{name: a, role: control-plane, address: 10.0.0.1}]\n"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Return the real catalog, and three entries that are made up but for what is asked of them."""
    real = catalog_format.load([tree("mirrors")])
    kubernetes = real.kubernetes_series["1.18"]
    calico = real.calico_series["3.18"]
    centos = real.systems["centos-7.6"]
    newer = replace(
        kubernetes,
        series="1.32",
        runtimes={"containerd": kubernetes.runtimes["containerd"]},
        tags={0: kubernetes.tags[5]},
        pins={0: kubernetes.pins[5]},
    )
    docker = next(s for s in real.runtime_series.values() if s.name == "docker")
    old_docker = replace(docker, series="1.13", releases={"1.13.1": docker.releases["19.03.9"]})
    return replace(
        real,
        kubernetes_series={"1.18": kubernetes, "1.32": newer},
        calico_series={
            "3.18": replace(calico, kubernetes=("1.18", "1.19", "1.20")),
            "3.26": replace(calico, series="3.26", kubernetes=("1.24", "1.25")),
        },
        systems={
            "centos-7.6": centos,
            "alma-9.4": replace(centos, name="alma", version="9.4", family="el9", kernel="5.14.0"),
        },
        runtime_series={**real.runtime_series, "docker-1.13": old_docker},
        kernels={"1.18": "3.10", "1.32": "4.19"},
    )


def plain(faults: list[Fault]) -> list[tuple[str, str, str | None, str | None]]:
    return [(f.where.partition(" (line")[0], f.what, f.expected, f.hint) for f in faults]


def wrong(text: str, catalog: Catalog) -> list[tuple[str, str, str | None, str | None]]:
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(text + NODES, "cluster.yaml", catalog=catalog)
    return plain(list(caught.value.faults))


def test_what_is_left_open_comes_from_the_kubernetes_series(catalog: Catalog) -> None:
    choice = cluster_format.read("kubernetes: 1.18.5\n" + NODES, "c", catalog=catalog).choice
    assert [str(x) for x in (choice.kubernetes, choice.os, choice.runtime, choice.cni)] == [
        "Kubernetes 1.18.5",
        "centos 7.6",
        "docker 19.03.9",
        "calico 3.18.6 operator",
    ]


def test_what_is_said_is_taken(catalog: Catalog) -> None:
    text = (
        "kubernetes: 1.18.5\nos: {name: centos}\nruntime: containerd\n"
        "cni: {name: calico, version: 3.18.6, install: manifest}\n"
    )
    choice = cluster_format.read(text + NODES, "c", catalog=catalog).choice
    assert (str(choice.runtime), choice.cni) == ("containerd 1.6.33", "calico 3.18.6 manifest")


def test_without_a_network_plugin_there_is_none(catalog: Catalog) -> None:
    choice = cluster_format.read(
        "kubernetes: 1.18.5\ncni: none\n" + NODES, "c", catalog=catalog
    ).choice
    assert (choice.calico, choice.cni) == (None, "none")


def test_without_a_catalog_there_is_no_choice() -> None:
    read = cluster_format.read("kubernetes: 1.99.0\n" + NODES, "c")
    assert not isinstance(read, cluster_format.ChosenCluster)


def test_everything_unknown_is_named_at_once_with_what_is_known(catalog: Catalog) -> None:
    text = (
        "kubernetes: 1.28.0\nos: {name: centos, version: 7.7}\nruntime: dokcer\n"
        "cni: flannel\nnetwork: {pods: 10.96.0.0/16}\n"
    )
    found = wrong(text, catalog)
    assert sorted(where for where, *_ in found) == [
        "cni",
        "kubernetes",
        "network.pods",
        "os.version",
        "runtime",
    ]
    assert (
        "kubernetes",
        "Kubernetes 1.28 is not in the catalog",
        "1.18 or 1.32",
        "to add it yourself, put kubernetes/1.28.yaml into a folder and pass that as --catalog",
    ) in found
    assert (
        "cni",
        "the network plugin flannel is not in the catalog",
        "calico or none",
        "any other can come by extra.manifests with cni: none",
    ) in found


def test_a_place_in_the_catalogs_words_has_its_line(catalog: Catalog) -> None:
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(f"{NODES}kubernetes: 1.18.4\n", "c", catalog=catalog)
    assert [fault.where for fault in caught.value.faults] == ["kubernetes (line 2)"]


def test_mistakes_in_the_document_do_not_hide_those_in_versions(catalog: Catalog) -> None:
    found = wrong("kubernetes: 1.18.4\nname: Upper\nruntime: [docker]\ncni: calcio\n", catalog)
    assert sorted(where for where, *_ in found) == ["cni", "kubernetes", "name", "runtime"]
    assert "did you mean 'calico'?" in [hint for *_, hint in found]


def test_what_is_named_is_looked_up_even_for_an_unreadable_kubernetes(catalog: Catalog) -> None:
    text = (
        "kubernetes: new\nos: {name: centos, version: 7.7}\nruntime: podman\n"
        "cni: {name: calico, version: 3.99}\n"
    )
    assert [where for where, *_ in wrong(text, catalog)] == ["kubernetes", "os", "runtime", "cni"]


def test_no_release_is_missed_where_its_key_cannot_be_read(catalog: Catalog) -> None:
    for line in ("os: 7", "runtime: []", "cni: {nmae: x}", "platforms: 7"):
        found = wrong(f"kubernetes: 1.18.5\n{line}\n", catalog)
        assert {where.partition(".")[0] for where, *_ in found} == {line.partition(":")[0]}


def test_a_misspelt_name_is_guessed(catalog: Catalog) -> None:
    text = "kubernetes: 1.18.5\nos: {name: cento, version: 7.6}\nruntime: dokcer\ncni: calcio\n"
    hints = {where: hint for where, _, _, hint in wrong(text, catalog)}
    assert hints == {
        "os.name": "did you mean 'centos'?",
        "runtime": "did you mean 'docker'?",
        "cni": "did you mean 'calico'?",
    }


@pytest.mark.parametrize("kubernetes", ["1.18.5", "new"])
def test_a_name_that_nobody_has_is_told_where_it_stands(kubernetes: str, catalog: Catalog) -> None:
    """Also where the version beside it is fine, and where Kubernetes is not known yet."""
    text = (
        f"kubernetes: {kubernetes}\nos: {{name: rocky, version: 8.5}}\n"
        "runtime: {name: podman, version: 4.0}\n"
    )
    found = {where for where, *_ in wrong(text, catalog)}
    assert {where for where in found if "." in where} == {"os.name", "runtime.name"}


@pytest.mark.parametrize(
    ("line", "where", "hint"),
    [
        ("runtime: {name: docker, version: 19.03.9-3.el7}", "runtime.version", "write 19.03.9"),
        ("runtime: {name: docker, version: '3:19.03.9'}", "runtime.version", "write 19.03.9"),
        ("runtime: {name: docker, version: v19.3.9}", "runtime.version", "write 19.03.9"),
        ("runtime: docker-19.03.9", "runtime", "write {name: docker, version: 19.03.9}"),
        ("os: {name: centos, version: 7.6.1810}", "os.version", "write 7.6"),
        ("os: {name: CentOS}", "os.name", "write centos"),
        ("os: CentOS-7.6", "os", "write {name: centos, version: 7.6}"),
        ("os: centos", "os", "write {name: centos}"),
        ("cni: calico/v3.18.6", "cni", "write {name: calico, version: 3.18.6}"),
        ("cni: {name: calico, version: 3.18.6-0}", "cni.version", "write 3.18.6"),
    ],
)
def test_a_version_as_packages_and_tags_have_it(
    line: str, where: str, hint: str, catalog: Catalog
) -> None:
    found = wrong(f"kubernetes: 1.18.5\n{line}\n", catalog)
    assert [(place, said) for place, _, _, said in found] == [(where, hint)]


def test_one_bundle_is_for_one_kind_of_processor(catalog: Catalog) -> None:
    system = catalog.systems["centos-7.6"]
    both = replace(system, platforms=(*system.platforms, Platform("linux", "arm64")))
    wide = replace(catalog, systems={"centos-7.6": both})
    text = "kubernetes: 1.18.5\nplatforms: [linux/amd64, linux/arm64]\n"
    assert wrong(text, wide) == [
        (
            "platforms",
            "a bundle can hold packages for only one CPU architecture",
            "one platform",
            "make a separate lock for the nodes of each architecture",
        )
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("kubernetes: 1.18.5\ncni: {name: calico, version: 3.26}\n", "cni.version"),
        ("kubernetes: 1.32.0\nruntime: containerd\ncni: none\n", "kubernetes"),
        ("kubernetes: 1.18.5\nplatforms: [linux/amd64, linux/arm64]\n", "platforms[1]"),
    ],
)
def test_what_does_not_go_together_is_found(text: str, where: str, catalog: Catalog) -> None:
    assert [found for found, *_ in wrong(text, catalog)] == [where]


def test_a_runtime_that_nobody_tested_is_remarked(catalog: Catalog) -> None:
    text = "kubernetes: 1.18.5\nruntime: {name: docker, version: 1.13}\n" + NODES
    remarks = cluster_format.read(text, "c", catalog=catalog).remarks
    assert [remark.where for remark in remarks] == ["runtime.version (line 2)"]


def test_the_bridge_of_docker_is_in_the_way(catalog: Catalog) -> None:
    text = f"kubernetes: 1.18.5\n{NODES.replace('10.0.0.1', '172.17.3.4')}"
    assert plain(list(cluster_format.read(text, "c", catalog=catalog).remarks)) == [
        (
            "nodes[0].address",
            "172.17.3.4 overlaps 172.17.0.0/16, which docker takes for its own bridge",
            None,
            "take another range, or give docker another with bip",
        )
    ]
    text = f"runtime: containerd\n{text}"
    assert cluster_format.read(text, "c", catalog=catalog).remarks == ()


@pytest.mark.parametrize("name", ["single", "ha"])
def test_the_examples_fit_the_catalog(name: str, catalog: Catalog) -> None:
    text = (tree("mirrors") / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
    cluster_format.read(text, name, catalog=catalog)


def test_hostile_documents_meet_the_catalog(catalog: Catalog) -> None:
    text = (tree("mirrors") / "examples" / "ha.yaml").read_text(encoding="utf-8")
    chosen = 0
    for mutant in mutants(text, "yaml", seed=30, count=300):
        try:
            cluster_format.read(decode(mutant, "c"), "c", catalog=catalog)
        except DocumentError:
            continue
        chosen += 1
    assert chosen > 10


@pytest.mark.parametrize(
    ("text", "path", "what", "expected"),
    [
        ("kubernetes: 1.16.4", "kubernetes", "Kubernetes 1.16 is not in the catalog", "1.18"),
        (
            "kubernetes: 1.21.15",
            "kubernetes",
            "the images of Kubernetes 1.21.15 are not known",
            "1.21.14",
        ),
        (
            "kubernetes: 1.29.3\nruntime: docker",
            "runtime",
            (
                "Kubernetes 1.29.3 cannot use docker: kubelet has no dockershim since 1.24, and "
                "cri-dockerd is not in the catalog"
            ),
            "containerd",
        ),
        (
            "kubernetes: 1.29.3\nruntime: {name: containerd, version: 1.4}",
            "runtime.version",
            "Kubernetes 1.29.3 needs containerd 1.6 or newer",
            "containerd 1.6 or newer",
        ),
        (
            "kubernetes: 1.21.1\nruntime: {name: docker, version: 20.10.40}",
            "runtime.version",
            "docker 20.10.40 is not in the catalog",
            "20.10.24 or 23.0.0",
        ),
        (
            "kubernetes: 1.21.1\nos: {name: centos, version: 7.6}",
            "runtime",
            (
                "docker 20.10.24 cannot be installed on centos 7.6: its rootless extras need "
                "fuse-overlayfs and slirp4netns"
            ),
            "centos 7.8 or newer, or an older docker",
        ),
        (
            "kubernetes: 1.26.1\ncni: {name: calico, version: 3.26.2}",
            "cni.version",
            "Calico 3.26.2 is not in the catalog",
            "3.26.1 or 3.26.3, or 3.26 for the newest",
        ),
        (
            "kubernetes: 1.26.1\ncni: {name: calico, version: 3.17}",
            "cni.version",
            "Calico 3.17 is not in the catalog",
            "3.25",
        ),
        (
            "kubernetes: 1.26.1\nos: {name: centos, version: 7.8}",
            "os.version",
            "centos 7.8 is not in the catalog",
            "7.6 or 7.9",
        ),
        (
            "kubernetes: 1.36.3",
            "kubernetes",
            "Kubernetes 1.36.3 needs kernel 5.4 or newer; centos 7.9 has 3.10.0",
            "a version before 1.32",
        ),
    ],
)
def test_what_the_shipped_catalog_lacks_is_refused_with_what_is_nearest(
    text: str, path: str, what: str, expected: str
) -> None:
    found = wrong(f"{text}\n", catalog_format.load())
    assert [(where, message, other) for where, message, other, _ in found] == [
        (path, what, expected)
    ]
