"""One cluster as its verbs see it: where its files are, and what they say.

Every document is read when something first asks for it, and once, so that all that a run makes
follows from the same bytes. What is wrong with a document is raised then.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from builder.formats import cluster as cluster_format
from builder.formats.text import decode, read_text
from builder.model.signer import Signer
from builder.pipeline import machine_manifests, paths
from builder.pipeline.lock_document import LockDocument

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.formats.cluster import ChosenCluster
    from builder.model.catalog import Catalog
    from builder.model.choice import Choice
    from builder.model.cluster import Cluster, SignerSettings
    from builder.model.demand import Demand
    from builder.model.hops import Hop
    from builder.pipeline.machine_manifests import MachineManifest, OfMachines
    from builder.report import Reporter

_KEY_LIMIT = 1 << 14


class Workspace:
    """Hold the documents of one cluster.

    Attributes are read lazily. They raise DocumentError for a wrong cluster.yaml, catalog or lock.
    """

    def __init__(
        self,
        cluster: Path,
        *,
        lock: Path | None = None,
        seeds: Path | None = None,
        catalogs: Sequence[Path] = (),
    ) -> None:
        self.path = cluster
        """Of cluster.yaml."""
        self.folder = cluster.parent
        """Where the local paths of cluster.yaml begin."""
        self.lock_path = lock or paths.lock(cluster)
        self.secrets = paths.secrets(cluster)
        self.seeds = seeds or paths.seeds(cluster)
        self._catalogs = catalogs

    @cached_property
    def _text(self) -> str:
        return read_text(self.path, largest=cluster_format.LARGEST)

    @cached_property
    def outline(self) -> Cluster:
        """What cluster.yaml says, read without the catalog and without the files it names."""
        return cluster_format.read(self._text, str(self.path)).cluster

    @cached_property
    def catalog(self) -> Catalog:
        """The built-in catalog with the user's folders over it."""
        from builder.formats import catalog  # noqa: PLC0415 -- slow to load, not for every verb

        return catalog.load(self._catalogs)

    @cached_property
    def _spec(self) -> ChosenCluster:
        catalog = self.catalog
        exists = cluster_format.exists_in(self.folder)
        return cluster_format.read(self._text, str(self.path), catalog=catalog, exists=exists)

    @property
    def cluster(self) -> Cluster:
        """What cluster.yaml says, checked against the catalog."""
        return self._spec.cluster

    @property
    def choice(self) -> Choice:
        return self._spec.choice

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The releases that the cluster is led through; only its own where it is led from none."""
        return self._spec.hops

    def warn(self, reporter: Reporter) -> None:
        for remark in self._spec.remarks:
            reporter.warn(str(remark), hint=remark.hint)

    def warn_of_files(self, reporter: Reporter) -> None:
        """Tell what deserves a warning in static pods that lie beside cluster.yaml."""
        known = {remark.what for remark in self._spec.remarks}
        for remark in self._of_machines.remarks:
            if remark.what not in known:
                reporter.warn(str(remark), hint=remark.hint)

    @cached_property
    def demand(self) -> Demand:
        from builder.model.demand import along, demand  # noqa: PLC0415 -- as for the catalog

        started = machine_manifests.started(self.machine_manifests)
        *before, last = [
            demand(hop.cluster, hop.choice, self.catalog, started) for hop in self.hops
        ]
        return along(before, last)

    @cached_property
    def _of_machines(self) -> OfMachines:
        releases = [hop.choice.kubernetes for hop in self.hops]
        return machine_manifests.read(self.cluster, self.folder, releases)

    @property
    def machine_manifests(self) -> tuple[MachineManifest, ...]:
        """What of the files that machines get are manifests."""
        return self._of_machines.manifests

    @cached_property
    def signers(self) -> tuple[Signer, ...]:
        """Who may sign images, with their keys; those of cluster.yaml first.

        Raise StorageError or FetchError for a key that can't be read, VerificationError for a bad
        one.
        """
        from builder.image_signatures.verify import check_signer  # noqa: PLC0415 -- slow to load

        own = [self._signer(settings) for settings in self.cluster.signatures]
        names = {signer.name for signer in own}
        signers = sorted(self.catalog.signers.items())
        own += [signer for name, signer in signers if name not in names]
        for signer in own:
            check_signer(signer, where=f"the signer {signer.name}")
        return tuple(own)

    def _signer(self, settings: SignerSettings) -> Signer:
        from builder.sources.file import read_local  # noqa: PLC0415 -- as for the catalog

        keys = [decode(read_local(self.folder / key, _KEY_LIMIT), key) for key in settings.keys]
        return Signer(
            name=settings.name,
            images=settings.images,
            keys=tuple(key.strip() + "\n" for key in keys),
            identities=settings.identities,
            authority=self.catalog.authorities[settings.authority] if settings.identities else None,
            required=settings.required,
            signed_as=settings.signed_as,
        )

    @cached_property
    def locked(self) -> LockDocument:
        return LockDocument.read(self.lock_path)
