"""Repositories for the tests: written as text where the solver is tried, real ones elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from primary import write_filelists, write_primary

from builder.lab.build_cache import BuildCache
from builder.lab.openpgp import generate
from builder.lab.packages import PackageRecipe
from builder.lab.repositories import RepositoryRecipe, build_repository
from builder.rpm.repodata import MetadataFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from primary import P

    from builder.lab.openpgp import VendorKey


@pytest.fixture
def feed(tmp_path: Path) -> Callable[..., MetadataFiles]:
    """Write a repository's primary and filelists; return their places."""

    def write(name: str, *packages: P) -> MetadataFiles:
        first, second = tmp_path / f"{name}-primary.xml", tmp_path / f"{name}-filelists.xml"
        first.write_text(write_primary(packages), "utf-8")
        second.write_text(write_filelists(packages), "utf-8")
        return MetadataFiles(name=name, primary=first, filelists=second)

    return write


@pytest.fixture(scope="session")
def cellar(tmp_path_factory: pytest.TempPathFactory) -> BuildCache:
    return BuildCache(tmp_path_factory.mktemp("cellar"))


@pytest.fixture(scope="session")
def modern() -> VendorKey:
    return generate("Modern <modern@example.invalid>", created=1_500_000_000)


@pytest.fixture(scope="session")
def old() -> VendorKey:
    """Sign as CentOS 7 does: version 3, with a key that certifies itself with SHA-1."""
    return generate(
        "Old <old@example.invalid>", created=1_400_000_000, version=3, self_algorithm="sha1"
    )


KUBE = (
    PackageRecipe(
        nevra="kubeadm-1.18.5-0.x86_64",
        requires=("kubelet >= 1.13.0", "cri-tools >= 1.13.0"),
        files=("/usr/bin/kubeadm",),
    ),
    PackageRecipe(
        nevra="kubelet-1.18.5-0.x86_64",
        requires=("kubernetes-cni >= 0.8.6", "/usr/share/pki/ca"),
        files=("/usr/bin/kubelet", "/etc/sysconfig/kubelet"),
    ),
    PackageRecipe(nevra="kubernetes-cni-0.8.6-0.x86_64", requires=("kubelet",)),
    PackageRecipe(nevra="cri-tools-1.13.0-0.x86_64"),
    PackageRecipe(nevra="docker-ce-3:19.03.9-3.el7.x86_64", size=40_000),
    PackageRecipe(nevra="ca-certificates-2020.2-1.noarch", files=("/usr/share/pki/ca",)),
    PackageRecipe(nevra="libstdc++-4.8.5-44.el7.x86_64"),
)


@pytest.fixture(scope="session")
def repository(cellar: BuildCache, modern: VendorKey) -> dict[str, Path]:
    """Build a real repository; return its files by their path below its URL."""
    recipe = RepositoryRecipe(packages=KUBE, pool="../../pool/")
    return build_repository(cellar, recipe, key=modern)
