"""Plans to render from: a cluster.yaml's text, a lock made up from what it asks for, and secrets.

Nothing here is random: the same text gives the same plan, so that golden files can be kept.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.model.artifact import File, Image, Package, Repository
from builder.model.demand import demand, operator_images
from builder.model.digest import Digest
from builder.model.lock import Fingerprint, Lock, Subject
from builder.model.rpm import Nevra
from builder.model.secrets import ClusterAuthority, Secrets
from builder.render.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.formats.cluster import ChosenCluster
    from builder.model.catalog import Catalog
    from builder.model.cluster import Cluster
    from builder.model.demand import Demand

PEM = "-----BEGIN {0}-----\nTWFkZSB1cCBmb3IgdGVzdHMsIG5vdCBhIHJlYWwgb25l\n-----END {0}-----\n"
AUTHORITY = ClusterAuthority(
    certificate=PEM.format("CERTIFICATE"),
    key=PEM.format("RSA PRIVATE KEY"),
    digest=f"sha256:{'c' * 64}",
)
TOKEN = "abcdef.0123456789abcdef"  # noqa: S105 -- made up, as is the key below
CERTIFICATE_KEY = "0123456789abcdef" * 4
PHONE_HOME_TOKEN = "fedcba9876543210" * 4
ENCRYPTION = "kind: EncryptionConfiguration\n# and a key\n"
SECRETS = Secrets(
    token=TOKEN,
    certificate_key=CERTIFICATE_KEY,
    phone_home_token=PHONE_HOME_TOKEN,
    authority=AUTHORITY,
    encryption=ENCRYPTION,
)
SUMS = Digest.of(b"SHA256SUMS of no bundle")


@cache
def catalog() -> Catalog:
    """Read the built-in catalog once."""
    return catalog_format.load(())


def plan(
    text: str, *, files: Mapping[str, bytes] | None = None, shared: Mapping[str, str] | None = None
) -> Plan:
    """Make the plan of a cluster.yaml's text; ``files`` are the local ones that it names."""
    return of(cluster_format.read(text, "cluster.yaml", catalog=catalog()), files, shared)


def of(
    spec: ChosenCluster,
    files: Mapping[str, bytes] | None = None,
    shared: Mapping[str, str] | None = None,
) -> Plan:
    """Make the plan of a cluster that was read."""
    secrets = SECRETS
    if spec.cluster.pki.kind == "on-node":
        secrets = replace(SECRETS, authority=None)
    elif shared:
        secrets = replace(SECRETS, shared=shared)
    return Plan(
        cluster=spec.cluster,
        choice=spec.choice,
        lock=_lock(spec.cluster, demand(spec.cluster, spec.choice, catalog())),
        secrets=secrets,
        sums=SUMS,
        made_bytes=100_000,
        files={} if files is None else files,
    )


def example(name: str) -> str:
    """Return the text of an example that ``airseed init`` writes."""
    folder = Path(__file__).parent.parent.parent / "mirrors" / "examples"
    return (folder / f"{name}.yaml").read_text(encoding="utf-8")


def _lock(cluster: Cluster, wanted: Demand) -> Lock:
    """Lock what is asked for by name, with digests that are made of the names."""
    images = list(wanted.images)
    if wanted.calico is not None:
        images += operator_images(wanted.calico, ["Installation"])
    return Lock(
        subject=Subject(
            cluster=cluster.name,
            kubernetes=str(cluster.kubernetes),
            os=str(wanted.os),
            base="core",
            runtime=str(wanted.runtime),
            cni=wanted.cni,
            platforms=cluster.platforms,
            demand=Fingerprint(1, Digest.of(b"made up")),
        ),
        images=tuple(
            Image(
                reference=image.reference,
                digest=Digest.of(str(image.reference).encode()),
                size=1,
                media_type="application/vnd.docker.distribution.manifest.v2+json",
                sources=(str(image.reference),),
                manifests=(),
                roles=image.roles,
                needed_by=image.needed_by,
            )
            for image in sorted(images, key=lambda image: str(image.reference))
        ),
        repositories=tuple(
            Repository(
                name=one.name,
                sources=one.sources,
                digest=Digest.of(one.name.encode()),
                size=1,
                keys=(),
                signed=False,
            )
            for one in sorted(wanted.repositories, key=lambda one: one.name)
        ),
        packages=tuple(_package(one.request) for one in wanted.packages),
        files=tuple(
            File(
                kind=one.kind,
                path=one.path,
                digest=Digest.of(one.path.encode()),
                size=1,
                sources=one.sources,
                needed_by=one.needed_by,
            )
            for one in wanted.manifests
        ),
    )


def _package(request: str) -> Package:
    name, evr = _cut(request)
    text = f"{name}-{evr}"
    nevra = Nevra.parse(f"{text}.x86_64")
    return Package(
        nevra=nevra,
        repository="kubernetes-el7" if "kube" in name or "cri" in name else "centos-7.6-os",
        digest=Digest.of(text.encode()),
        size=1,
        sources=(),
        keys=(),
        requested=True,
        needed_by=("kubeadm",),
    )


def _cut(request: str) -> tuple[str, str]:
    """Cut ``NAME-[EPOCH:]VERSION-RELEASE``; a name without a version gets one."""
    name, *rest = request.rsplit("-", 2)
    if len(rest) == 2 and rest[0][:1].isdigit():
        return name, "-".join(rest)
    return request, "1.0-1.el7"
