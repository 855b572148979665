"""``airseed publish``: fill a site's registry and yum server from a bundle."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import click

from builder.cli import outcome
from builder.cli import yum as yum_side
from builder.cli.amounts import quantity, size
from builder.cli.verb import as_json, ca_bundle, existing, existing_bundle, together, verb
from builder.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console
    from builder.model.registry import Registry
    from builder.pipeline.access_settings import AccessSettings
    from builder.pipeline.publish import Published, Pushed
    from builder.pipeline.yum import YumPublished, YumTarget

_LONGEST_PASSWORD = 64 << 10


dry_run = click.option("--dry-run", is_flag=True, help="Say what would move, and move nothing.")


registry_options = together(
    click.option(
        "--registry",
        metavar="HOST[:PORT][/PREFIX]",
        help="Where the images go; the `registry:` of cluster.yaml.",
    ),
    click.option("--plain-http", is_flag=True, help="Speak HTTP without TLS to the registry."),
    click.option(
        "--authfile",
        type=existing(),
        metavar="FILE",
        help="Take the registry's login from this file (as podman and skopeo write it).",
    ),
    click.option(
        "--login",
        metavar="USER",
        help="Log in as USER; the password is asked for on the terminal.",
    ),
    click.option("--password-stdin", is_flag=True, help="Read the password from standard input."),
    click.option(
        "--cert", type=existing(), metavar="FILE", help="Show this client certificate (PEM)."
    ),
    click.option(
        "--key", type=existing(), metavar="FILE", help="Its key, where that is another file."
    ),
    ca_bundle,
)
"""What names a registry and says who we are to it; see ``access_settings``."""


def asked(registry: Registry | None, text: str | None, yum: YumTarget | None) -> tuple[str, str]:
    """Return whom a login is for, and how that was written: without a registry the yum server."""
    if registry is None:
        return (yum.host, yum.place) if yum else ("", "")
    return registry.host, text or ""


def access_settings(
    host: str,
    text: str,
    *,
    ca_bundle: Path | None,
    plain_http: bool,
    authfile: Path | None,
    login: str | None,
    password_stdin: bool,
    cert: Path | None,
    key: Path | None,
) -> AccessSettings:
    """Judge the options of ``registry_options`` together; raise UsageError."""
    from builder.pipeline.access_settings import settings_for

    tls = text.startswith("https://")
    if tls and plain_http:
        raise UsageError("https:// and --plain-http contradict each other", where=text)
    if key and not cert:
        raise UsageError("--key needs --cert", where=str(key))
    if password_stdin and login is None:
        raise UsageError("--password-stdin needs --login USER")
    return settings_for(
        host,
        ca_bundle=ca_bundle,
        plain_http=plain_http or text.startswith("http://"),
        tls=tls,
        authfile=authfile,
        login=None if login is None else (login, _password(stdin=password_stdin)),
        certificate=cert,
        key=key,
    )


def _password(*, stdin: bool) -> str:
    """Read a password that is never in argv; raise UsageError where there is none."""
    if not stdin:
        if not sys.stdin.isatty():
            raise UsageError(
                "there is no terminal to ask for the password",
                hint="--password-stdin reads it from standard input",
            )
        return str(click.prompt("Password", hide_input=True, err=True))
    content = sys.stdin.buffer.read(_LONGEST_PASSWORD + 1)
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        password = ""
    if not password or len(content) > _LONGEST_PASSWORD or not password.isprintable():
        raise UsageError(
            "there is no password on standard input", expected="one line of printable text"
        )
    return password


def _usual_bundle(
    ctx: click.Context, param: click.Parameter, bundles: tuple[Path, ...]
) -> tuple[Path, ...]:
    return bundles or (cast("Path", existing_bundle().convert("bundle.tar", param, ctx)),)


@verb(
    "publish",
    examples="""
    airseed publish bundle.tar --registry registry.example.com/k8s
    airseed publish bundle.tar --registry 10.0.0.5:5000 --plain-http --dry-run
    airseed publish delta.tar --base march.tar --registry r.example.com --prune
    airseed publish bundle.tar --yum /srv/www/k8s --base-url http://10.0.0.5/k8s
    airseed publish --registry r.example.com --login ci --password-stdin < FILE
    """,
)
@click.argument(
    "bundles", type=existing_bundle(), nargs=-1, metavar="[BUNDLE]...", callback=_usual_bundle
)
@click.option(
    "--base",
    "bases",
    type=existing_bundle(),
    multiple=True,
    metavar="BUNDLE",
    help="An earlier bundle that has what a delta leaves out; may be repeated.",
)
@registry_options
@yum_side.options
@outcome.options
@dry_run
@as_json
@click.pass_obj
def command(
    console: Console,
    /,
    bundles: tuple[Path, ...],
    *,
    bases: tuple[Path, ...],
    registry: str | None,
    yum: YumTarget | None,
    mapping: Path | None,
    prune: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **access: Any,
) -> None:
    """Fill a site's registry and yum server from bundles.

    BUNDLE (default: bundle.tar) is a tar, its parts, an unpacked folder or a delta; it is read
    where it lies. Both places are asked for what they have, and only the rest moves; tags and
    repomd.xml come last. Logins are docker's and podman's (docker login).
    """
    from builder.pipeline.publish import publish

    target = registry_of(registry)
    if yum is not None and len(bundles) > 1:
        raise UsageError("--yum takes one bundle", where=str(bundles[1]))
    agree = outcome.agreement(
        console, registry=target is not None, prune=prune, yes=yes, dry_run=dry_run
    )
    settings = access_settings(*asked(target, registry, yum), **access)
    images = files = None
    if yum is not None:
        from builder.pipeline.yum import publish_yum

        files = publish_yum(bundles[0], yum, reporter=console, settings=settings, dry_run=dry_run)
    if target is not None:
        images = publish(
            bundles,
            target,
            reporter=console,
            bases=bases,
            settings=settings,
            dry_run=dry_run,
            prune=agree,
        )
        outcome.finish(images, console, mapping=mapping, dry_run=dry_run)
    report(images, files, console, as_json=as_json, dry_run=dry_run)


def report(
    images: Published | None,
    files: YumPublished | None,
    console: Console,
    *,
    as_json: bool,
    dry_run: bool,
) -> None:
    if as_json:
        document = _images(images) if images else {}
        console.json({**document, "yum": yum_side.value(files)} if files else document)
        return
    if files:
        yum_side.tell(files, console, dry_run=dry_run)
    if images:
        _tell(images, console, dry_run=dry_run)


def _images(done: Published) -> dict[str, Any]:
    return {
        "blobs": sum(len(plan.uploads) for plan in done.plans),
        "size": sum(plan.size for plan in done.plans),
        "mounts": sum(len(plan.mounts) for plan in done.plans),
        "missing": [target.name for plan in done.plans for target in plan.targets],
        "images": [_value(pushed) for pushed in done.pushed],
        "stale": [one.name for one in done.stale],
        "removed": [one.name for one in done.pruned if not one.kept],
    }


def _tell(done: Published, console: Console, *, dry_run: bool) -> None:
    blobs = sum(len(plan.uploads) for plan in done.plans)
    moved = f"{quantity(blobs, 'blobs')} of {size(sum(plan.size for plan in done.plans))}"
    images = quantity(sum(len(plan.targets) for plan in done.plans), "images")
    if dry_run:
        console.info(f"{images} would be pushed: {moved}")
        return
    console.info(f"pushed {images}: {moved}")
    partial = [pushed for pushed in done.pushed if pushed.digest != pushed.image.digest]
    if partial:
        console.warn(
            f"the registry refuses indexes that lack platforms: {quantity(len(partial), 'names')}"
            " mean one platform's manifest there",
            hint="airseed publish --json lists both digests",
        )


def registry_of(text: str | None) -> Registry | None:
    if text is None:
        return None
    from builder.formats.reading import option
    from builder.formats.terms import registry

    plain = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    return option("--registry", registry, plain, expected="HOST[:PORT][/PREFIX]")


def _value(pushed: Pushed) -> dict[str, str]:
    return {
        "source": pushed.image.name,
        "name": pushed.name,
        "digest": str(pushed.digest),
        "index": str(pushed.image.digest),
        "state": pushed.state,
    }
