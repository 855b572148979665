"""An endpoint that nodes keep up: from cluster.yaml over the lock to the machines' values."""

from __future__ import annotations

import re
from typing import Any

import pytest

from builder.formats import lock as lock_format

Site = Any
NODES = "".join(
    f"- {{name: {name}, role: {role}, address: 10.0.0.{number}/24}}\n"
    for number, (name, role) in enumerate(
        (*((f"p{n}", "control-plane") for n in (1, 2, 3)), ("w1", "worker")), start=1
    )
)


@pytest.mark.parametrize(
    ("endpoint", "image", "role", "package"),
    [
        ("{address: 10.0.0.60, by: keepalived}", "", "", "keepalived"),
        (
            "{address: 10.0.0.60, by: kube-vip}",
            "ghcr.io/kube-vip/kube-vip:v1.2.3",
            "control-plane",
            "",
        ),
        (
            "{name: api.cluster.local, by: local-proxy}",
            "docker.io/library/haproxy:3.2.19-alpine",
            "worker",
            "",
        ),
    ],
    ids=["keepalived", "kube-vip", "local-proxy"],
)
def test_what_keeps_the_endpoint_up_is_locked_and_said_to_who_needs_it(
    site: Site, endpoint: str, image: str, role: str, package: str
) -> None:
    sandbox = site.open()
    (sandbox.folder / "cluster.yaml").write_text(
        f"version: 1\nkubernetes: 1.18.5\nendpoint: {endpoint}\nnodes:\n{NODES}"
    )
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    lock = lock_format.read(sandbox.lock_path)
    asked = [one for one in lock.images if "endpoint" in one.needed_by]
    assert [(str(one.reference.tagged), one.roles) for one in asked] == (
        [(image, (role,))] if image else []
    )
    assert [p.nevra.name for p in lock.packages if "endpoint" in p.needed_by] == (
        [package] if package else []
    )
    assert sandbox.run("secrets").code == 0
    ran = sandbox.run("seeds", "--catalog", str(sandbox.catalog))
    assert ran.code == 0, ran.err
    for node, part in (("p1", "control-plane"), ("w1", "worker")):
        data = (sandbox.folder / "seeds" / node / "user-data").read_text()
        values = dict(re.findall(r"AIRSEED_([A-Z_]+)='(.*)'", data))
        assert values["ENDPOINT_PLANES"] == "10.0.0.1 10.0.0.2 10.0.0.3"
        assert values["ENDPOINT_IMAGE"] == (image if part == role else "")
        assert ("keepalived" in values["PACKAGES"]) == bool(package and part == "control-plane")
