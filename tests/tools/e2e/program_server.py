"""The programs of this Kubernetes as upstream publishes them, for machines whose RPMs are built."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from interop.programs import free_port
from published import pack, publish

from e2e.resources import CACHE, releases
from e2e.upstream import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def programs(folder: Path, catalog: Path) -> Iterator[None]:
    """Serve them on loopback, and let a catalog lead there."""
    made = folder / "made"
    made.mkdir(parents=True)
    release = releases()[0]
    own = CACHE / f"kubernetes-{release}"
    files = {name: own / name for name in ("kubeadm", "kubelet", "kubectl")}
    files["cni-plugins"] = pack(made / "plugins.tgz", CACHE / "plugins")
    files["crictl"] = pack(made / "crictl.tgz", CACHE / "crictl")
    listen = f"127.0.0.1:{free_port()}"
    publish(folder / "www", f"http://{listen}", catalog, release, files)
    with web(folder / "nginx", folder / "www", listen):
        yield
