"""``airseed serve``: offer bundles to machines that have nothing else to ask."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import click

from builder.cli.amounts import quantity
from builder.cli.verb import destination, existing, existing_bundle, verb
from builder.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console
    from builder.pipeline.boots import Watch

_PORTS = 1 << 16


@verb(
    "serve",
    examples="""
    airseed serve bundle.tar
    airseed serve --listen 10.0.0.5:8080 bundle.tar bundle-2.tar
    airseed serve --boots --cluster cluster.yaml bundle.tar
    """,
)
@click.argument("bundles", type=existing_bundle(), nargs=-1, required=True, metavar="BUNDLE...")
@click.option(
    "--listen",
    default="0.0.0.0:5000",
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Where to listen; [::]:5000 for IPv6 and IPv4.",
)
@click.option(
    "--boots",
    is_flag=True,
    help="Take what machines post to seed.phone-home, and show it live at /boots.",
)
@click.option(
    "--cluster", type=existing(), metavar="FILE", help="With --boots: the cluster.yaml of these."
)
@click.option(
    "--state",
    type=destination(),
    metavar="FILE",
    help="With --boots: where that is kept. [default: boots.json beside cluster.yaml]",
)
@click.pass_obj
def command(
    console: Console,
    bundles: tuple[Path, ...],
    *,
    listen: str,
    boots: bool,
    cluster: Path | None,
    state: Path | None,
) -> None:
    """Serve bundles to machines, read-only.

    They become a registry, yum repositories and files over HTTP. Images are found under their own
    names (HOST/k8s.gcr.io/pause), under those of an internal registry (HOST/pause), and by
    containerd's mirrors. Files are where they are in the bundle
    (HOST/yum/docker-ce/repodata/repomd.xml). A browser finds at / what there is, and the
    configuration of clients for this very address.

    With --boots, machines whose cluster.yaml has `phone-home: http://HOST/boots` under `seed` are
    watched at HOST/boots; `airseed status --from` shows the same on a terminal.
    """
    from builder.pipeline.serve import serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's way to stop
    watch = _watch(boots=boots, cluster=cluster, state=state)
    with serve(bundles, address=_address(listen), watch=watch, reporter=console) as serving:
        for name, sources in sorted(serving.content.clashes.items()):
            console.warn(
                f"{name} would be {' and '.join(sources)}", hint="ask for them by these names"
            )
        images = {image.name for served in serving.content.bundles for image in served.lock.images}
        console.info(f"serving {quantity(len(images), 'images')} at http://{serving.address}/")
        if watch:
            console.info(f"first boots are shown at http://{serving.address}/boots")
        threading.Event().wait()


def _watch(*, boots: bool, cluster: Path | None, state: Path | None) -> Watch | None:
    from builder.pipeline.boots import Watch

    if boots and cluster:
        return Watch(cluster=cluster, state=state)
    if boots:
        raise UsageError(
            "--boots needs --cluster", hint="--cluster cluster.yaml names the machines"
        )
    if cluster or state:
        raise UsageError(f"--{'cluster' if cluster else 'state'} is of use with --boots only")
    return None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < _PORTS):
        raise UsageError(
            "is not an address to listen on", where=text, expected="like 10.0.0.5:5000"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
