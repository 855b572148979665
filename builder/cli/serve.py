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
    from builder.pipeline.serve import Serving

_ADDRESS = r"(\[[^\[\]]+\]|[^\[\]]*):([0-9]{1,5})"
_PORTS = 1 << 16


@verb(
    "serve",
    examples="""
    airseed serve bundle.tar
    airseed serve --listen 10.0.0.5:8080 delta.tar bundle.tar
    airseed serve --tls-cert tls.crt --tls-key tls.key --htpasswd users bundle.tar
    airseed serve --boots --cluster cluster.yaml bundle.tar
    airseed serve --prefix k8s bundle.tar
    """,
)
@click.argument("bundles", type=existing_bundle(), nargs=-1, metavar="[BUNDLE...]")
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
@click.option(
    "--tls-cert", type=existing(), metavar="FILE", help="Speak HTTPS with this certificate (PEM)."
)
@click.option("--tls-key", type=existing(), metavar="FILE", help="The certificate's key (PEM).")
@click.option(
    "--htpasswd",
    type=existing(),
    metavar="FILE",
    help="Let only these users in; `htpasswd -B` makes the file.",
)
@click.option(
    "--prefix",
    "prefixes",
    multiple=True,
    metavar="PATH",
    help="Serve images below this path, too (HOST/PATH/pause). May be repeated.",
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
    tls_cert: Path | None,
    tls_key: Path | None,
    htpasswd: Path | None,
    prefixes: tuple[str, ...],
) -> None:
    """Serve bundles to machines, read-only.

    They become a registry, yum repositories and files over HTTP. Images are found under their own
    names (HOST/k8s.gcr.io/pause), under those of an internal registry (HOST/pause), and by
    containerd's mirrors. Files are where they are in the bundle
    (HOST/yum/docker-ce/repodata/repomd.xml). Where several bundles differ, the first one counts;
    what a delta lacks comes from the others. With -v there is a line for each request.

    A browser finds at / what there is, and the configuration of clients for this very address.

    With --boots, machines whose cluster.yaml has `phone-home: http://HOST/boots` under `seed` are
    watched at HOST/boots; `airseed status --from` shows the same on a terminal. That needs no
    BUNDLE: a site may have its own registry and web server.
    """
    from builder.disk import OTHERS
    from builder.pipeline.serve import ServeAccess, serve

    if not bundles and not boots:
        raise UsageError("no BUNDLE is given", hint="airseed serve --help")
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together")
    if tls_key and tls_key.stat().st_mode & OTHERS:
        console.warn(f"{tls_key} can be read by others", hint=f"chmod 600 {tls_key}")
    if htpasswd and not tls_cert:
        console.warn(
            "passwords will travel in plain text", hint="give --tls-cert and --tls-key as well"
        )
    watch = _watch(boots=boots, cluster=cluster, state=state)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())  # a service manager's way to stop
    with serve(
        bundles,
        address=_address(listen),
        access=ServeAccess(certificate=tls_cert, key=tls_key, users=htpasswd),
        watch=watch,
        prefixes=[_prefix(path) for path in prefixes],
        reporter=console,
        log=console.detail if console.verbose else None,
    ) as serving:
        if bundles:
            _introduce(console, serving)
        if watch:
            console.info(f"first boots are shown at {serving.url}/boots")
        stopping.wait()
        console.info("stopping: what is under way may end")


def _introduce(console: Console, serving: Serving) -> None:
    content = serving.content
    for name, sources in sorted(content.clashes.items()):
        console.warn(f"{name} would be {' and '.join(sources)}", hint="ask for them by these names")
    for name, missing in content.missing.items():
        console.warn(
            f"{name} is a delta and lacks {quantity(len(missing), 'artifacts')} that no other"
            f" bundle here has ({missing[0]}{', ...' if missing[1:] else ''})",
            hint="serve the bundle that it was made against, too",
        )
    images = {image.name for served in content.bundles for image in served.lock.images}
    packages = {piece.digest for piece in content.files.values() if piece.path.endswith(".rpm")}
    console.info(
        f"serving {quantity(len(images), 'images')} and {quantity(len(packages), 'packages')}"
        f" at {serving.url}/"
    )


def _prefix(text: str) -> str:
    import re

    prefix = text.strip("/")
    if not re.fullmatch(
        r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*", prefix
    ):
        raise UsageError("is not a path of images", where=text, expected="like k8s or team/k8s")
    return prefix


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
    import re

    match = re.fullmatch(_ADDRESS, text, re.ASCII)
    if not match or int(match[2]) >= _PORTS:
        raise UsageError(
            "is not an address to listen on", where=text, expected="like 10.0.0.5:5000"
        )
    return match[1].strip("[]"), int(match[2])
