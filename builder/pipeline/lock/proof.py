"""The completeness proof: whatever a node will ask for is in the lock.

It looks at the finished lock from the other side: what kubeadm, kubelet and the runtime ask for by
the catalog, what the manifests that lie beside the lock start, what their operator starts for the
resources in them, and whether yum can install exactly the locked packages on the base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import Fault, IncompleteError
from builder.pipeline.fit import missing_files, missing_images

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from builder.model.demand import Demand, WantedImage
    from builder.model.lock import Lock
    from builder.model.rpm import Nevra


def check(
    wanted: Demand,
    started: Iterable[WantedImage],
    lock: Lock,
    *,
    present: Collection[str] = (),
    problems: Sequence[Fault] = (),
) -> None:
    """Raise IncompleteError that names everything missing.

    ``started`` is what the manifests and their operator start, ``present`` the requests for
    packages that the base fulfils already, ``problems`` what installing the packages would meet.
    """
    faults = [
        *missing_images((*wanted.images, *started), lock),
        *(
            fault
            for demand in (*wanted.before, wanted)
            for fault in missing_packages(demand, lock.of(str(demand.kubernetes.version)), present)
        ),
        *missing_files(wanted, lock),
        *problems,
    ]
    if faults:
        raise IncompleteError(
            f"{len(faults)} things that a node will ask for are missing",
            hint="this should not happen with the shipped catalog; check your own entries",
            faults=sorted(set(faults)),
        )


def missing_packages(wanted: Demand, lock: Lock, present: Collection[str]) -> list[Fault]:
    """Return requests that no locked package answers, nor the base.

    Where no repository is named, the request may be answered by something that provides it; the
    transaction, which ``packages.resolve`` proves, is its judge.
    """
    builds = {form for package in lock.packages for form in asked_as(package.nevra)}
    return [
        Fault(
            where=package_wanted.request,
            what=f"{' and '.join(package_wanted.needed_by)} asks for it; not in the lock",
        )
        for package_wanted in wanted.packages
        if package_wanted.repository
        and package_wanted.request not in builds
        and package_wanted.request not in present
    ]


def asked_as(nevra: Nevra) -> frozenset[str]:
    """Return what the catalog may ask for a build as: its name, with version, with release."""
    named = f"{nevra.name}-{nevra.evr}"
    return frozenset((nevra.name, named.removesuffix(f"-{nevra.release}"), named))
