"""The embedded upstream: all the world's servers that a cluster needs, on 127.0.0.1.

Real URLs are used unchanged: clients reach the lab as their HTTP(S) proxy and trust its
certificate authority. What nobody added is not there: unknown hosts get 502, unknown paths 404.

::

    with Upstream(folder) as upstream:
        upstream.add_image("registry.k8s.io/pause:3.2")
        upstream.add_file("https://dl.k8s.io/hello", b"hello")
        subprocess.run([...], env={**os.environ, **upstream.environment})
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import unquote, urljoin, urlsplit

from builder.closing import Closing
from builder.lab.build_cache import BuildCache
from builder.lab.image_store import ImageStore, RepositoryContent
from builder.lab.images import BuiltImage, Era, ImageMaker, ImageRecipe
from builder.lab.openpgp import cached_key
from builder.lab.profiles import read_profiles
from builder.lab.registry import LabRegistry, RegistryProfile
from builder.lab.repositories import RepositoryRecipe, build_repository
from builder.lab.session import Session
from builder.lab.sites import VirtualHost
from builder.lab.storage import Storage
from builder.lab.tls import TLSAuthority
from builder.lab.tokens import TokenService
from builder.model.reference import Reference
from builder.server.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.lab.openpgp import Hash, VendorKey
    from builder.lab.packages import PackageRecipe
    from builder.lab.repositories import Groups
    from builder.server.connection import Connection

_KEY_CREATED = 1400000000


class Upstream(Closing):
    """Serve made-up content under real names until it is closed.

    Tests put faults on top of it: they override :meth:`serve` and the two types.
    """

    registry_type: type[LabRegistry] = LabRegistry
    token_type: type[TokenService] = TokenService

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Holds authority, keys and content; a second start finds what is there."""
        self.catalog = folder / "catalog"
        """An overlay catalog with the lab's keys and digests; see :mod:`builder.lab.world`."""
        self.sites: dict[str, VirtualHost] = {}
        self.build_cache = BuildCache(folder / "cellar")  # with the keys of demos made before
        self.image_store = ImageStore(folder / "blobs")
        self.image_builder = ImageMaker(self.build_cache, self.image_store.folder)
        self.authority = TLSAuthority(folder / "tls")
        self._profiles = read_profiles()
        self._registries: dict[str, LabRegistry] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        self._proxy = Listener(self.serve, name="lab proxy")
        return self

    def close(self) -> None:
        """Stop serving: end every connection and wait for all threads."""
        self._proxy.close()

    def serve(self, connection: Connection) -> None:
        """Serve one client until it goes away."""
        connection.run(Session(connection, self.sites, self.authority).exchange)

    @property
    def proxy(self) -> str:
        return f"http://{self._proxy.address}"

    @property
    def ca(self) -> Path:
        return self.authority.path

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables that lead a program here and nowhere else."""
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), self.proxy)
        proxies["NO_PROXY"] = ""
        both = proxies | {name.lower(): value for name, value in proxies.items()}
        bundles = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        return both | dict.fromkeys(bundles, str(self.ca))

    def site(self, host: str) -> VirtualHost:
        """Return what is served under a host, which exists from then on."""
        with self._lock:
            return self.sites.setdefault(host.lower(), VirtualHost())

    # content ------------------------------------------------------------------------------

    def add_file(self, url: str, content: bytes | str | Path) -> None:
        raw = content.encode() if isinstance(content, str) else content
        parts = urlsplit(url)
        self.site(parts.hostname or "").add(unquote(parts.path), raw)

    def add_redirect(self, url: str, to: str) -> None:
        parts = urlsplit(url)
        self.site(parts.hostname or "").redirect(unquote(parts.path), to)

    def add_image(
        self,
        reference: str | Reference,
        *,
        platforms: Sequence[str] = ("linux/amd64",),
        size: int = 1 << 16,
        bases: Sequence[tuple[str, int]] = (),
        era: Era = "docker",
        index: bool = True,
        attestations: bool = False,
    ) -> BuiltImage:
        """Make an image (see :class:`~builder.lab.images.ImageRecipe`) and tag it in its registry.

        The same path and tag give the same bytes in every registry.
        """
        target = reference if isinstance(reference, Reference) else Reference.parse(reference)
        recipe = ImageRecipe(
            name=f"{target.path.rpartition('/')[2]}:{target.tag or 'latest'}",
            platforms=tuple(platforms),
            size=size,
            bases=tuple(bases),
            era=era,
            index=index,
            attestations=attestations,
        )
        made = self.image_builder.make(recipe)
        self.tag(target, made)
        return made

    def tag(self, reference: str | Reference, made: BuiltImage) -> None:
        """Let a tag of a registry mean an image."""
        target = reference if isinstance(reference, Reference) else Reference.parse(reference)
        registry = self.registry(target.host)
        repository = f"{registry.profile.content}/{target.path}"
        images = self.image_store.repositories.setdefault(repository, RepositoryContent())
        images.manifests |= made.manifests
        images.blobs |= made.blobs
        images.tags[target.tag or "latest"] = made.digest

    def add_repository(
        self,
        url: str,
        packages: Sequence[PackageRecipe],
        *,
        key: VendorKey | None,
        metadata_key: VendorKey | None = None,
        signed: bool = False,
        groups: Groups | None = None,
        pool: str | None = None,
    ) -> None:
        """Build a yum repository (see :class:`~builder.lab.repositories.RepositoryRecipe`)."""
        recipe = RepositoryRecipe(packages=tuple(packages), groups=groups, pool=pool, signed=signed)
        files = build_repository(self.build_cache, recipe, key=key, metadata_key=metadata_key)
        base = f"{url.rstrip('/')}/"
        for href, path in files.items():
            self.add_file(urljoin(base, href), path)

    def key(
        self,
        user: str,
        *,
        version: Literal[3, 4] = 4,
        algorithm: Hash = "sha256",
        self_algorithm: Hash = "sha256",
    ) -> VendorKey:
        """Return the signing key of a user of the lab's own; see :mod:`builder.lab.openpgp`."""
        return cached_key(
            self.build_cache,
            user,
            created=_KEY_CREATED,
            version=version,
            algorithm=algorithm,
            self_algorithm=self_algorithm,
        )

    # registries ---------------------------------------------------------------------------

    def registry(self, host: str, profile: RegistryProfile | None = None) -> LabRegistry:
        """Return the registry that a reference's host means; ``profile`` describes a new one."""
        with self._lock:
            known = [p for p in self._profiles if host in {p.content, p.host}]
            profile = profile or next((p for p in known if not (p.moved or p.prefix)), None)
            if profile is None:
                moved = next((p for p in known if p.moved), None)
                if moved:
                    return self.registry(moved.content)
                profile = RegistryProfile(host=host, content=host)
            if profile.host not in self._registries:
                for other in self._profiles:
                    if other.content == profile.content and other.host != profile.host:
                        self._open(other)
                self._open(profile)
            return self._registries[profile.host]

    def _open(self, profile: RegistryProfile) -> None:
        storage = None
        if profile.storage:
            parts = urlsplit(profile.storage)
            storage = Storage(profile.storage, self.image_store)
            self.site(parts.hostname or "").mount(parts.path, storage)
        tokens = self.token_type(profile.service or profile.host)
        registry = self.registry_type(profile, self.image_store, tokens, storage)
        self.site(profile.host).mount("/v2", registry)
        realm = urlsplit(profile.realm or f"https://{profile.host}/v2/token")
        self.site(realm.hostname or "").mount(realm.path, tokens)
        self._registries[profile.host] = registry
