"""``airseed versions``: show which versions the catalog knows, and which go together."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from builder.cli import complete
from builder.cli.verb import as_json, catalogs, verb

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console
    from builder.pipeline.versions import Fit, Row, Versions


@verb(
    "versions",
    examples="""
    airseed versions
    airseed versions 1.29
    airseed versions --json
    """,
)
@click.argument(
    "kubernetes",
    required=False,
    metavar="[KUBERNETES]",
    shell_complete=complete.offering(complete.kubernetes),
)
@catalogs
@as_json
@click.pass_obj
def command(
    console: Console, kubernetes: str | None, catalogs: tuple[Path, ...], *, as_json: bool
) -> None:
    """Show which versions go together.

    Everything here is what the catalog knows; nothing is asked over the network. KUBERNETES limits
    it to what goes with one minor or release. A * marks what a cluster.yaml that leaves it open
    gets, and kubeadm's preflight warns of what stands in brackets.
    """
    from builder.pipeline import versions

    known = versions.collect(only=kubernetes, catalogs=catalogs)
    if as_json:
        console.json(_value(known))
    else:
        _show(known, console)


def _show(known: Versions, console: Console) -> None:
    from builder.pipeline.versions import spans

    names = sorted({fit.name for row in known.kubernetes for fit in row.runtimes})
    console.table(
        ("KUBERNETES", "SYSTEM", "RPMS", "CALICO", *(name.upper() for name in names)),
        [
            (
                ", ".join(spans(row.releases)),
                _systems(row),
                ", ".join(row.packages),
                _marked(row.calico, row.defaults.cni.rpartition("-")[2]),
                *(_runtimes(row, name) for name in names),
            )
            for row in known.kubernetes
        ],
    )
    console.result("")
    fits = {(fit.name, fit.series): fit for row in known.kubernetes for fit in row.runtimes}
    console.table(
        ("RUNTIME", "RELEASES", "SYSTEM"),
        [
            (fit.name, ", ".join(spans(fit.releases)), ", ".join(fit.systems))
            for _, fit in sorted(fits.items(), key=lambda item: _order(item[1]))
        ],
    )
    console.result("")
    console.table(
        ("CALICO", "TESTED WITH KUBERNETES", "INSTALLED BY"),
        [
            (
                ", ".join(spans(s.releases)),
                " ".join(s.kubernetes),
                " or ".join(way for way in s.install if way != "operator" or s.images),
            )
            for s in known.calico
        ],
    )
    console.result("")
    console.table(
        ("SYSTEM", "KERNEL", "CLOUD-INIT", "MEDIA"),
        [
            (str(system), system.kernel, system.cloud_init, " ".join(system.isos) or "-")
            for system in known.systems
        ],
    )


def _order(fit: Fit) -> tuple[Any, ...]:
    from builder.model.version import numbers

    return fit.name, numbers(fit.series)


def _systems(row: Row) -> str:
    name, _, version = row.defaults.os.rpartition("-")
    return ", ".join(
        f"{system}*" if system == f"{name} {version}" else system for system in row.systems
    )


def _marked(series: tuple[str, ...], default: str) -> str:
    usual = ".".join(default.split(".")[:2])
    return " ".join(f"{sery}*" if sery == usual else sery for sery in series) or "-"


def _runtimes(row: Row, name: str) -> str:
    usual, _, version = row.defaults.runtime.rpartition("-")
    default = ".".join(version.split(".")[:2]) if usual == name else ""
    fits = [fit for fit in row.runtimes if fit.name == name]
    good = _marked(tuple(fit.series for fit in fits if fit.validated), default)
    warned = [fit.series for fit in fits if not fit.validated]
    return f"{good} ({' '.join(warned)})" if warned else good


def _value(known: Versions) -> dict[str, Any]:
    return {
        "kubernetes": [asdict(row) for row in known.kubernetes],
        "calico": [
            {
                "series": series.series,
                "releases": list(series.releases),
                "kubernetes": list(series.kubernetes),
                "install": [w for w in series.install if w != "operator" or series.images],
            }
            for series in known.calico
        ],
        "systems": [
            {
                "name": system.name,
                "version": system.version,
                "family": system.family,
                "kernel": system.kernel,
                "cloudInit": system.cloud_init,
                "media": {
                    name: {"file": iso.file, "sha256": iso.digest.hex, "sources": list(iso.sources)}
                    for name, iso in system.isos.items()
                },
            }
            for system in known.systems
        ],
    }
