"""``airseed doctor``: check every source, and how many pulls are left; or a site's own servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from builder.cli.amounts import duration, quantity
from builder.cli.verb import as_json, ca_bundle, catalogs, existing, verb
from builder.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console
    from builder.pipeline.doctor import Finding, Health
    from builder.pipeline.doctor.asking import PullsLeft
    from builder.pipeline.workspace import Workspace

_COLORS = {
    "healthy": "green",
    "slow": "yellow",
    "limited": "yellow",
    **dict.fromkeys(("missing", "refuses", "wrong", "fails", "dead"), "red"),
}


@verb(
    "doctor",
    examples="""
    airseed doctor cluster.yaml
    airseed doctor cluster.lock --strict
    airseed doctor cluster.yaml --site
    airseed doctor cluster.yaml --image image.json
    airseed doctor --json
    """,
)
@click.argument(
    "document", type=existing(folder=True), required=False, metavar="[CLUSTER|LOCK|BUNDLE]"
)
@click.option(
    "--site",
    is_flag=True,
    help="Ask the site's registry and seed.url instead, for everything that CLUSTER's machines "
    "will need.",
)
@click.option(
    "--plain-http",
    is_flag=True,
    help="With --site: speak HTTP without TLS to the registry.",
)
@click.option(
    "--image",
    type=existing(),
    metavar="FILE",
    help="Say instead whether an image (its /etc/airseed/image.json) is of CLUSTER's lock.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 if any single source is unhealthy.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    metavar="SECONDS",
    help="How long a source may be silent before it counts as dead (default: AIRSEED_TIMEOUT, "
    "or 15).",
)
@catalogs
@ca_bundle
@as_json
@click.pass_obj
def command(
    console: Console,
    document: Path | None,
    timeout: float | None,
    catalogs: tuple[Path, ...],
    ca_bundle: Path | None,
    *,
    site: bool,
    image: Path | None,
    plain_http: bool,
    strict: bool,
    as_json: bool,
) -> int:
    """Check every source.

    Asks for all that a cluster.yaml will need, for all that a lock names, or, without either, each
    address of the catalog for the newest thing that it should have. Nothing is pulled: registries
    are asked by HEAD, which counts for no limit; where one has a limit, what is left is shown.

    An unhealthy source is shown with the day when this machine last saw it healthy; those days are
    kept in the cache.

    STATE is one of healthy, slow (5 seconds and more), missing (the server answers, but does not
    have it), refuses (wants a login, or another one), limited (too many requests), wrong (sends
    something else), fails (says that it is broken) and dead (no answer).

    With --site, before any machine is started: every image by the name that kubeadm, kubelet and
    the manifests will ask for, with its manifests and layers, and at seed.url the bundle's
    SHA256SUMS, repodata, packages, keys and manifests. They are asked as the machines will ask,
    over TLS, with the authority and the login of machine.registry and no other; digests of small
    things are compared, sizes of large ones. (seeds --check looks at the seeds themselves.)

    With --image, which asks nobody: whether machines of a pre-baked image may take CLUSTER's seeds,
    or what differs. A machine refuses a seed of another lock than its image's at first boot.

    Exits with 0 when everything can be had from at least one source, even if others are unhealthy;
    with 1 when something can be had nowhere, or, with --strict, when any source is unhealthy.
    """
    if image:
        return _image(document, image, catalogs, console, as_json=as_json)
    if site:
        health = _site(document, console, catalogs, ca_bundle, timeout, plain_http=plain_http)
    else:
        if plain_http:
            raise UsageError("--plain-http goes with --site")
        from builder.pipeline import doctor

        health = doctor.check(
            document, reporter=console, catalogs=catalogs, ca_bundle=ca_bundle, timeout=timeout
        )
    if as_json:
        console.json(_value(health))
    else:
        _show(health, console)
    return 1 if health.lost or (strict and not health.well) else 0


def _image(
    document: Path | None,
    image: Path,
    catalogs: tuple[Path, ...],
    console: Console,
    *,
    as_json: bool,
) -> int:
    from builder.pipeline.doctor.image import compare

    refusal = "--image is compared with the lock of a cluster.yaml"
    name, faults = compare(_workspace(document, catalogs, refusal), image)
    if as_json:
        differs = [
            {"where": one.where, "what": one.what, "expected": one.expected} for one in faults
        ]
        console.json({"image": name, "differs": differs})
    else:
        for fault in faults:
            console.error(str(fault))
        verdict = "is of another lock: bake it anew" if faults else "is of this lock"
        console.info(f"{name} {verdict}")
    return 1 if faults else 0


def _site(
    document: Path | None,
    console: Console,
    catalogs: tuple[Path, ...],
    ca_bundle: Path | None,
    timeout: float | None,
    *,
    plain_http: bool,
) -> Health:
    refusal = "--site asks for what the machines of a cluster.yaml will want"
    workspace = _workspace(document, catalogs, refusal)
    if ca_bundle is not None:
        raise UsageError(
            "--ca-bundle is not for --site",
            hint="machines trust what machine.registry.ca in cluster.yaml gives them",
        )
    from builder.pipeline.doctor import site

    return site.check(workspace, reporter=console, plain_http=plain_http, timeout=timeout)


def _workspace(document: Path | None, catalogs: tuple[Path, ...], refusal: str) -> Workspace:
    from builder.pipeline import paths
    from builder.pipeline.workspace import Workspace

    if document is None or not paths.is_cluster(document):
        raise UsageError(refusal)
    return Workspace(document, catalogs=catalogs)


def _show(health: Health, console: Console) -> None:
    if health.offline is not None:
        console.error(health.offline.what, hint=health.offline.hint)
        console.info(f"{quantity(len(health.findings), 'sources')}, none of them could be asked")
        return
    console.table(
        ("KIND", "NAME", "SOURCE", "STATE", "SECONDS", "WHAT"),
        [
            (
                finding.kind,
                finding.name,
                finding.address,
                finding.state,
                f"{finding.seconds:.1f}",
                _what(finding),
            )
            for finding in health.findings
        ],
        colors=_COLORS,
    )
    if health.limits:
        console.result("")
        console.table(
            ("REGISTRY", "PULLS LEFT", "OF", "IN", "COUNTED BY", "IMAGES FROM THERE"),
            [
                (
                    limit.registry,
                    "?" if limit.left is None else str(limit.left),
                    "?" if limit.pulls is None else str(limit.pulls),
                    "?" if limit.seconds is None else duration(limit.seconds),
                    {None: "?", True: "account", False: "address"}[limit.account],
                    str(health.pulls.get(limit.registry, "-")),
                )
                for limit in health.limits
            ],
        )
    for limit in health.limits:
        _warn(limit, health.pulls.get(limit.registry, 0), console)
    for fault in health.lost:
        console.error(f"{fault.where}: {fault.what}", hint=fault.hint)
    bad = sum(finding.failed > 0 for finding in health.findings)
    total = quantity(len(health.findings), "sources")
    console.info(f"{total}, {'all of them healthy' if not bad else f'{bad} of them unhealthy'}")


def _what(finding: Finding) -> str:
    counted = finding.failed and finding.asked > 1
    what = f"{finding.failed} of {finding.asked}: {finding.what}" if counted else finding.what
    if not finding.failed:
        return what
    day = finding.last_seen
    seen = f"last seen healthy {day}" if day else "never seen healthy from here"
    return f"{what}; {seen}"


def _warn(limit: PullsLeft, needed: int, console: Console) -> None:
    if limit.what:
        console.warn(f"{limit.registry} does not say how many pulls are left: {limit.what}")
    # an index and one platform's manifest are two pulls
    elif limit.left is not None and limit.left < 2 * needed:
        console.warn(
            f"{limit.registry} has {quantity(limit.left, 'pulls')} left, and "
            f"{quantity(needed, 'images')} may take {2 * needed}",
            hint="docker login raises the limit; or wait, or name another source in a catalog",
        )


def _value(health: Health) -> dict[str, Any]:
    return {
        "sources": [
            {
                "kind": finding.kind,
                "name": finding.name,
                "source": finding.address,
                "state": finding.state,
                "asked": finding.asked,
                "failed": finding.failed,
                "seconds": round(finding.seconds, 3),
                "what": finding.what or None,
                "lastSeen": finding.last_seen,
                "hint": finding.hint,
            }
            for finding in health.findings
        ],
        "limits": [
            {
                "registry": limit.registry,
                "left": limit.left,
                "of": limit.pulls,
                "seconds": limit.seconds,
                "account": limit.account,
                "images": health.pulls.get(limit.registry, 0),
                "what": limit.what or None,
            }
            for limit in health.limits
        ],
        "offline": None
        if health.offline is None
        else {"what": health.offline.what, "hint": health.offline.hint},
        "lost": [
            {"artifact": fault.where, "what": fault.what, "hint": fault.hint}
            for fault in health.lost
        ],
    }
