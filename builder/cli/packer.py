"""``airseed packer``: write the folder that ``packer build`` makes an image from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli import complete
from builder.cli.verb import (
    FilePath,
    as_json,
    catalogs,
    cluster_argument,
    existing,
    lock_option,
    verb,
)

if TYPE_CHECKING:
    from builder.cli.console import Console
    from builder.model.catalog.packer import Delivery
    from builder.pipeline.packer import PackerFolder


@verb(
    "packer",
    examples="""
    airseed packer cluster.yaml
    airseed packer cluster.yaml --builder qemu --builder vsphere-iso --out image
    airseed packer cluster.yaml --bundle http://10.0.0.5:8080 --profile 1.6
    airseed packer --disk-image CentOS-7.qcow2 --disk-sha256 HEX --delivery disk
    """,
)
@cluster_argument
@click.option(
    "--builder",
    "builders",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.offering(complete.builders),
    help="qemu, vsphere-iso, openstack or proxmox-iso; may be repeated "
    "(default: what seed.provider suggests).",
)
@click.option(
    "-o",
    "--out",
    "--output",
    "output",
    type=FilePath(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the folder goes (default: beside CLUSTER, as packer/, or NAME.packer/).",
)
@click.option(
    "--profile",
    default="modern",
    metavar="LINE",
    help="modern for Packer 1.7 and newer, or 1.6 for what Debian 12 ships (default: modern).",
)
@click.option(
    "--delivery",
    type=click.Choice(["url", "disk", "upload"]),
    help="How the guest gets the bundle: fetches it, reads it from a disk, or by SSH "
    "(default: url where there is one, else upload).",
)
@click.option(
    "--bundle",
    metavar="URL|FILE",
    help="What airseed serve prints, or the bundle's file (default: seed.url, or beside the lock).",
)
@click.option("--disk-image", metavar="URL|FILE", help="Start from this CentOS 7 cloud image.")
@click.option("--disk-sha256", "disk_checksum", metavar="HEX", help="Its SHA-256.")
@click.option(
    "--ssh-key",
    type=existing(),
    metavar="FILE",
    help="Public key that Packer logs in with (default: one is made in the secrets, as image-key).",
)
@lock_option
@catalogs
@as_json
@click.pass_obj
def command(
    console: Console,
    cluster: Path,
    *,
    builders: tuple[str, ...],
    output: Path | None,
    profile: str,
    delivery: Delivery | None,
    bundle: str | None,
    disk_image: str | None,
    disk_checksum: str | None,
    ssh_key: Path | None,
    lock: Path | None,
    catalogs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write a Packer folder for a pre-baked image.

    In the image all packages are installed and all container images loaded, so that a first boot
    only runs kubeadm. Reads CLUSTER (default: cluster.yaml) and its lock; `packer build DIR` needs
    no internet then, only the medium and the bundle. Seeds for such machines are small with
    seed.scripts: image.
    """
    from builder.formats.text import read_text
    from builder.pipeline import packer
    from builder.pipeline.workspace import Workspace

    written = packer.write(
        Workspace(cluster, lock=lock, catalogs=catalogs),
        packer.PackerOptions(
            builders=builders,
            profile=profile,
            delivery=delivery,
            bundle=bundle,
            disk_image=disk_image,
            disk_checksum=disk_checksum,
            ssh_key=read_text(ssh_key) if ssh_key else None,
        ),
        output=output,
        reporter=console,
    )
    _report(written, console, as_json=as_json)


def _report(written: PackerFolder, console: Console, *, as_json: bool) -> None:
    if as_json:
        console.json(
            {
                "folder": str(written.folder),
                "image": written.name,
                "builders": list(written.builders),
                "profile": written.profile,
                "requires": written.requires,
                "delivery": written.delivery,
                "bundle": written.bundle,
                "key": str(written.key) if written.key else None,
                "changed": list(written.changed),
            }
        )
        return
    builders = ", ".join(written.builders)
    console.info(f"wrote {written.folder}: {written.name} by {builders}, Packer {written.requires}")
    how = {"url": "is fetched from", "disk": "is read from", "upload": "is uploaded from"}
    console.info(f"the bundle {how[written.delivery]} {written.bundle}")
    key = ["-var", f"ssh_private_key_file={written.key}"] if written.key else []
    command = shlex.join(["packer", "build", *key, str(written.folder)])
    console.info(f"next: {command} (README.md there says more)")
