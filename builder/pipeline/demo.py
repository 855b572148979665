"""``demo``: from cluster.yaml to a verified bundle and seeds, on an embedded upstream."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import ClosureError, UnavailableError, VerificationError
from builder.lab import world
from builder.lab.upstream import Upstream
from builder.pipeline import bundle, init, lock, paths, secrets, seeds, verify
from builder.pipeline.workspace import Workspace
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from builder.report import Reporter

EXAMPLE = "ha"
_UPSTREAM = ".upstream"
"""Below the demo's folder: the upstream's content, so that a second run finds it."""
_STOCK = "stock.txt"
"""In that folder: what the upstream has."""
_FOREIGN = ("AIRSEED_CA_BUNDLE", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE")
"""What would lead the demo to somebody's real servers and logins."""


def run(folder: Path, reporter: Reporter) -> None:
    """Lock, bundle, verify and seed the walkthrough's cluster; leave everything in a folder.

    A cluster.yaml that is there already is taken as it is, so that it can be edited and run again.
    Raise what the verbs raise.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk.failure(error, folder) from error
    cluster = folder / init.NAME
    upstream_folder = folder.resolve() / _UPSTREAM
    reporter.info("starting the embedded upstream on 127.0.0.1: made-up content, real names")
    with Upstream(upstream_folder) as upstream:
        world.fill(upstream)
        environment = {**upstream.environment, "XDG_CACHE_HOME": str(upstream_folder / "cache")}
        with _environment(environment):
            if not cluster.exists():
                init.write(EXAMPLE, cluster)
                reporter.info(f"init    {cluster}: the walkthrough's five nodes")
            workspace = Workspace(cluster, catalogs=[upstream.catalog])
            stock = upstream_folder / _STOCK
            disk.put(stock, world.stock(upstream).encode())
            try:
                locked = lock.make(workspace, reporter=reporter)
            except (ClosureError, UnavailableError):
                reporter.warn(
                    "the demo's upstream is made up, and small",
                    hint=f"all that it has is listed in {stock}; airseed lock asks the real ones",
                )
                raise
            reporter.info(
                f"lock    {workspace.lock_path}: {len(locked.lock.images)} images, "
                f"{len(locked.lock.packages)} packages, every one by digest"
            )
            target = folder / paths.BUNDLE
            built = bundle.build(workspace.locked, target, reporter=reporter)
    progress = (
        "was whole already" if built.result.whole else f"{built.result.fetched:,} bytes fetched"
    )
    reporter.info(f"bundle  {target}: {built.result.size:,} bytes, {progress}")
    # nothing below speaks to the upstream: it is stopped
    verified = verify.verify(target, reporter=reporter)
    if verified.faults:
        raise VerificationError("the bundle is damaged", where=str(target), faults=verified.faults)
    reporter.info(f"verify  {target}: every digest, signature and reference is right")
    made = secrets.make(workspace)
    reporter.info(
        f"secrets {made.folder}: token, certificate key, signing key, certificate authority"
    )
    written = seeds.write(workspace, reporter=Silent())
    reporter.info(f"seeds   {written.folder}: what each of {len(written.nodes)} nodes boots from")
    reporter.info(
        f"now     airseed inspect {workspace.lock_path}, or airseed serve {target}; what reads "
        f"{cluster} needs the made-up keys, too: airseed seeds {cluster} --diff "
        f"--catalog {folder / _UPSTREAM / upstream.catalog.name}"
    )


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while, as if a person had set them for the verbs."""
    before = {name: os.environ.get(name) for name in (*wanted, *_FOREIGN)}
    for name in _FOREIGN:
        os.environ.pop(name, None)
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
