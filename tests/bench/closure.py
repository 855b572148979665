"""Print the URLs of a closure, with nothing but what ``airseed lock`` does for it.

As ``python -m bench.closure URL CACHE NAME...``, a process of its own like its peer.
"""

from __future__ import annotations

import sys
from pathlib import Path

from builder.http import Client
from builder.rpm import base
from builder.rpm.closure import PackageRequest, solve
from builder.rpm.repodata import MetadataFiles, resolve_href
from builder.sources.repository import WantedRepository, fetch


def main(url: str, cache: str, *names: str) -> None:
    """Fetch the metadata, solve, print."""
    place = WantedRepository(name="bench", urls=(url,), keys=(), signed="unsigned")
    with Client() as client:
        found = fetch(place, ["primary", "filelists"], client, Path(cache))
    metadata = MetadataFiles(
        name=found.name, primary=found.files["primary"], filelists=found.files["filelists"]
    )
    requests = [PackageRequest(text=name) for name in names]
    closure = solve(requests, arch="x86_64", metadata=[metadata], base=base.empty())
    for one in closure.packages:
        copy = one.places[0]
        print(resolve_href(found.base, copy.href, location_base=copy.base))


if __name__ == "__main__":
    main(*sys.argv[1:])
