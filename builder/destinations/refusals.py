"""What a registry's refusal means, and what to do about it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from builder.errors import FetchError, UnavailableError
from builder.http import StatusError
from builder.oci.push import PAGE, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.errors import Fault
    from builder.model.digest import Digest
    from builder.oci.scope import Scope

_NO_PROJECT = {401, 403, 404, 500}
"""Statuses with which registries refuse a project that they don't have: Harbor has all of them."""
_NO_CERTIFICATE = 400
_NOWHERE = 404
_READ_ONLY = 405
_REDIRECTS = range(300, 400)
_UNSUPPORTED = 415
_KEPT = {400, 403, 405, 409, 412}
"""Statuses with which registries refuse to move a tag."""
_FEW = 3


@contextlib.contextmanager
def of_project(scope: Scope) -> Iterator[None]:
    """Say of a refusal that may be so that the project is missing."""
    try:
        yield
    except FetchError as error:
        if error.status == _NO_CERTIFICATE:
            hint = (
                "so a port for TLS answers to plain HTTP (--registry https://HOST:PORT), and nginx"
                " to who shows no certificate (--cert FILE --key FILE)"
            )
            raise FetchError(
                error.fault.what, where=scope.repository, hint=hint, status=error.status
            ) from error
        # after several attempts the answer stands behind, with the registry's own words
        answer = error if isinstance(error, StatusError) else error.__cause__
        told = refusal(answer) if isinstance(answer, StatusError) else error
        if error.status in _NO_PROJECT:
            project = scope.path.partition("/")[0]
            hint = (
                f"check that the project {project!r} is there (Harbor and Artifactory want it made"
                f" first) and that the login for {scope.host} may push to it"
            )
            if error.status == _NOWHERE:
                hint += f"; a registry answers at {scope.host}/v2/, and in no path below another"
        elif error.status == _READ_ONLY:
            hint = "it can only be read: a replica or a cache, or it is in maintenance"
        elif error.status in _REDIRECTS:
            hint = PAGE
        else:
            raise
        raise FetchError(
            told.fault.what,
            where=scope.repository,
            hint=hint,
            status=error.status,
        ) from error


def of_tag(
    error: StatusError, name: str, media_type: str, present: Digest | None = None
) -> FetchError:
    """Explain why a manifest was refused; ``present`` is what its tag means now, if anything."""
    told = refusal(error)
    what, hint = told.fault.what, told.fault.hint
    docker = ".docker." in media_type
    if present is not None and error.status in _KEPT:
        what = f"the registry keeps what the tag means now, {present}: {what}"
        hint = "tags are immutable there: delete this one, or publish with another prefix"
    elif docker and (error.status == _UNSUPPORTED or "MANIFEST_INVALID" in what):
        what = f"the registry takes no {media_type}: {what}"
        hint = (
            'zot takes docker\'s types with `"compat": ["docker2s2"]` below "http" in its'
            " configuration; a conversion would change the digest"
        )
    elif error.status in _REDIRECTS:
        hint = PAGE
    return FetchError(what, where=name, hint=hint, temporary=told.temporary, status=error.status)


def together(errors: Iterable[FetchError], registry: str) -> UnavailableError:
    """Tell all refusals in one error, and once what was refused to many in the same words."""
    groups: dict[tuple[str, str | None], list[Fault]] = {}
    count = 0
    for error in errors:
        count += 1
        groups.setdefault((error.fault.what, error.fault.hint), []).append(error.fault)
    faults: list[Fault] = []
    for group in groups.values():
        if len(group) <= _FEW:
            faults += group
            continue
        names = ", ".join(fault.where for fault in group[:_FEW])
        what = f"{group[0].what}, {len(group)} times: {names}, ..."
        faults.append(replace(group[0], where=registry, what=what))
    return UnavailableError(
        f"the registry refused {count} {'request' if count == 1 else 'requests'}",
        where=registry,
        hint="what is there already stays; run the same command again to continue",
        faults=sorted(set(faults)),
    )
