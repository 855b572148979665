"""``packer``: write the folder that ``packer build`` makes an image from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from builder import disk, owners
from builder.errors import DocumentError, Fault, UsageError, did_you_mean
from builder.formats.reading import option
from builder.formats.terms import folder_url
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.digest import Digest
from builder.model.source import is_url
from builder.pipeline import fit, image_plan, paths
from builder.render.packer import folder as rendered
from builder.render.packer.image import DiskImage, MachineImage
from builder.rpm.installed import LIST_LIMIT, parse_installed
from builder.secrets import image_key
from builder.sources.file import read_local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.model.catalog.packer import Delivery, ImageBuilder, PackerTable
    from builder.pipeline.lock_document import LockDocument
    from builder.pipeline.workspace import Workspace
    from builder.report import Reporter

PROFILE = "modern"
_SERVED = "http://HOST:PORT, as airseed serve prints it"
_CLOUD_INIT = "cloud-init"
_KEY = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]{20,}={0,3}(?: [^\x00-\x1f]*)?")
_MARK = "airseed.auto.pkrvars.hcl"
"""A folder that has it was written by this verb."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackerFolder:
    folder: Path
    name: str
    """Of the image."""
    builders: tuple[str, ...]
    profile: str
    requires: str
    delivery: Delivery
    bundle: str
    key: Path | None
    """The private half that Packer logs in with, where airseed made it."""
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackerOptions:
    """What is left open has a default that follows from cluster.yaml."""

    builders: tuple[str, ...] = ()
    profile: str = PROFILE
    delivery: Delivery | None = None
    bundle: str | None = None
    """A URL or a file."""
    disk_image: str | None = None
    disk_checksum: str | None = None
    ssh_key: str | None = None
    """The text of a public key."""


def write(
    workspace: Workspace,
    options: PackerOptions,
    *,
    reporter: Reporter,
    output: Path | None = None,
) -> PackerFolder:
    """Render the folder and write what changed; what an earlier run wrote besides goes.

    Raises:
        DocumentError: cluster.yaml, a catalog or the lock is wrong, or lacks what an image needs.
        UsageError: there is no lock, or the options do not go together.
        StorageError: the disk does not take it.
    """
    workspace.warn(reporter)
    locked = fit.require(workspace)
    table = workspace.catalog.packer
    chosen = _builders(table, options.builders, workspace)
    if options.profile not in table.profiles:
        raise _unknown("profile", options.profile, table.profiles)
    start = _disk(options.disk_image, options.disk_checksum)
    how, where = _delivery(workspace, options.delivery, options.bundle)
    _refuse(workspace, locked, chosen, start, how)
    target = output or paths.packer(workspace.path)
    _refuse_strangers(target)
    given = options.ssh_key
    public = given.strip() if given is not None else image_key.public_half(workspace.secrets)
    if not _KEY.fullmatch(public):
        raise UsageError(
            "this is not a public key",
            where="--ssh-key",
            expected="one line: ssh-ed25519 AAAA... NAME",
        )
    image = MachineImage(
        plan=image_plan.plan(workspace, locked),
        lock=Digest.of(locked.content),
        builders=chosen,
        profile=options.profile,
        requires=table.profiles[options.profile],
        delivery=how,
        bundle=where,
        # a name that is no ASCII is none of Packer's or the installer's concern
        key=public if public.isascii() else " ".join(public.split()[:2]),
        disk=start,
        version=version("airseed"),
    )
    changed = _write(target, rendered.folder(image))
    return PackerFolder(
        folder=target,
        name=image.name,
        builders=tuple(builder.name for builder in chosen),
        profile=options.profile,
        requires=image.requires,
        delivery=how,
        bundle=where,
        key=None if given is not None else workspace.secrets / image_key.NAME,
        changed=changed,
    )


def _builders(
    table: PackerTable, names: Sequence[str], workspace: Workspace
) -> tuple[ImageBuilder, ...]:
    if not names:
        provider = workspace.cluster.seed.provider
        suggested = table.suggested(provider)
        if suggested is None:
            raise UsageError(
                f"no builder is known for seed.provider {provider}",
                where=str(workspace.path),
                hint=f"--builder {' or '.join(table.builders)}",
            )
        return (suggested,)
    chosen = []
    for name in dict.fromkeys(names):
        try:
            chosen.append(table.builder(name))
        except NotInCatalogError as error:
            raise _unknown("builder", name, table.builders) from error
    return tuple(chosen)


def _unknown(what: str, name: str, known: Mapping[str, object]) -> UsageError:
    return UsageError(
        f"there is no {what} {name!r}",
        where=f"--{what}",
        expected=" or ".join(known),
        hint=did_you_mean(name, known),
    )


def _disk(url: str | None, checksum: str | None) -> DiskImage | None:
    if url is None and checksum is None:
        return None
    if url is None or checksum is None:
        raise UsageError(
            "a disk image is taken by its checksum alone",
            where="--disk-image",
            expected="--disk-image URL|FILE --disk-sha256 HEX",
            hint="sha256sum FILE",
        )
    try:
        digest = Digest.parse(f"sha256:{checksum.removeprefix('sha256:').lower()}")
    except ValueError as error:
        raise UsageError(
            "is not a SHA-256", where="--disk-sha256", expected="64 hexadecimal digits"
        ) from error
    # Packer takes a path for a URL as well, and decodes what Go would have encoded, nothing else
    place = url if "://" in url else quote(_file(url), safe="/$&+,:;=@")
    return DiskImage(url=place, digest=digest)


def _delivery(
    workspace: Workspace, asked: Delivery | None, bundle: str | None
) -> tuple[Delivery, str]:
    """Say how the guest gets the bundle, and where that is."""
    url = bundle if bundle is not None and is_url(bundle) else workspace.cluster.seed.url
    how: Delivery = asked or ("url" if url and (bundle is None or is_url(bundle)) else "upload")
    if how == "url":
        if not url or (bundle is not None and not is_url(bundle)):
            raise UsageError(
                "the guest needs a URL to fetch the bundle from",
                where="--bundle",
                expected=_SERVED,
                hint="seed.url in cluster.yaml does, too; or --delivery upload",
            )
        return how, option("--bundle", folder_url, url, expected=_SERVED)
    if bundle is not None and is_url(bundle):
        raise UsageError(
            f"--delivery {how} takes a file, not a URL", where="--bundle", hint="--delivery url"
        )
    return how, _file(bundle if bundle is not None else paths.bundle(workspace.lock_path))


def _file(path: str | Path) -> str:
    """Return a path that means the same wherever Packer runs on this machine."""
    return str(Path(path).resolve())


def _refuse(
    workspace: Workspace,
    locked: LockDocument,
    builders: Sequence[ImageBuilder],
    start: DiskImage | None,
    how: Delivery,
) -> None:
    """Raise DocumentError or UsageError for all that an image can't be made with."""
    faults = [*_options(builders, start, how)]
    if faults:
        raise UsageError("these do not go together", faults=faults)
    faults = [*_lacking(workspace, locked, builders, start)]
    if faults:
        raise DocumentError(locked.name, faults)


def _options(
    builders: Sequence[ImageBuilder], start: DiskImage | None, how: Delivery
) -> Iterator[Fault]:
    for builder in builders:
        where = f"--builder {builder.name}"
        if start is not None and "disk" not in builder.starts:
            yield Fault(where=where, what="it can't start from --disk-image")
        if how == "disk" and builder.gives != "file":
            what = "nothing here attaches a bundle to its machine as a disk"
            yield Fault(where=where, what=what, hint="--delivery url or upload")


def _lacking(
    workspace: Workspace,
    locked: LockDocument,
    builders: Sequence[ImageBuilder],
    start: DiskImage | None,
) -> Iterator[Fault]:
    system = workspace.choice.os
    names = {package.nevra.name for package in locked.lock.packages if package.requested}
    names |= _of_own_image(workspace)
    again = f"then airseed lock {workspace.path}"
    if _CLOUD_INIT not in names:
        yield Fault(where=_CLOUD_INIT, what="the lock lacks it, and first boot starts from it")
    for agent in dict.fromkeys(builder.agent for builder in builders):
        if agent not in names:
            of = ", ".join(builder.name for builder in builders if builder.agent == agent)
            what = f"the lock lacks this package, by which {of} talks to its guests"
            hint = f"add it to extra.packages in {workspace.path}, {again}"
            yield Fault(where=agent, what=what, hint=hint)
    from_medium = [one.name for one in builders if start is None and "medium" in one.starts]
    if from_medium and workspace.cluster.os.base.kind == "packages":
        yield Fault(
            where="os.base",
            what="the lock is made for an image of your own, and an installation medium is not it",
            hint="--disk-image with that image, or os.base: core",
        )
    if from_medium and "minimal" not in system.isos:
        what = f"the catalog has no installation medium of {system}"
        yield Fault(where="os", what=what, hint="--disk-image")


def _of_own_image(workspace: Workspace) -> set[str]:
    """Return the names of what the user's own image has, and the bundle therefore has not."""
    cluster = workspace.cluster
    if cluster.os.base.file is None:
        return set()
    installed = parse_installed(
        read_local(workspace.folder / cluster.os.base.file, LIST_LIMIT),
        document=cluster.os.base.file,
        architecture=cluster.platforms[0].rpm,
        system=workspace.choice.os.family,
    )
    return {package.name for package in installed}


def _refuse_strangers(target: Path) -> None:
    """Never take a folder that somebody else filled: what is not ours there would be removed."""
    fault = owners.untrusted_folder(target)
    if fault:
        raise UsageError(fault.what, where=fault.where, hint=fault.hint)
    if target.is_dir() and any(target.iterdir()) and not (target / _MARK).is_file():
        raise UsageError(
            "this folder has other files in it",
            where=str(target),
            expected="a new folder, or one that airseed packer has written",
            hint="choose another one with --out",
        )


def _write(target: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write what differs, and remove templates and guest's files of an earlier run."""
    disk.folder(target, mode=0o755)
    changed = []
    for path, content in files.items():
        file = target / path
        if file.is_file() and not file.is_symlink() and file.read_bytes() == content:
            continue
        disk.put(file, content, mode=0o755 if rendered.is_program(path) else disk.PUBLIC)
        changed.append(path)
    guest = (one for one in (target / rendered.GUEST).rglob("*") if one.is_file())
    for file in (*target.glob("*.pkr.hcl"), *guest):
        if file.relative_to(target).as_posix() not in files:
            file.unlink()
            changed.append(file.relative_to(target).as_posix())
    return tuple(changed)
