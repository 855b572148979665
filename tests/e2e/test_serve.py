"""Machines with nothing around them but what airseed serves, and what it published at a site."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from e2e import leaks, traffic, upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.machine import Switch

    Maker = Callable[..., AbstractContextManager[Cluster]]

HOST = "10.211.55.1"
SITE = f"{HOST}:5000"
WEB = f"{HOST}:8080"
PLANES = ["k8s01", "k8s02", "k8s03"]
ALL = [*PLANES, "k8s04", "k8s05"]
CA = "site-ca.pem"
"""Beside cluster.yaml: the certificate of registry, payload and phone-home."""

pytestmark = pytest.mark.e2e


def _certified(cluster: Cluster) -> tuple[Path, Path]:
    key, certificate = cluster.folder / "site.key", cluster.folder / CA
    upstream.certify(HOST, key, certificate)
    key.chmod(0o600)
    return certificate, key


@contextmanager
def _served(cluster: Cluster, switch: Switch, certificate: Path, key: Path) -> Iterator[Path]:
    """Run ``airseed serve`` on the switch; give its log."""
    folder = cluster.folder / "serve"
    folder.mkdir()
    words = (
        *upstream.airseed("serve", cluster.folder / "bundle.tar"),
        *("--listen", SITE, "--tls-cert", certificate, "--tls-key", key),
        *("--boots", "--cluster", cluster.folder / "cluster.yaml"),
    )
    with upstream.serving(folder, switch, SITE, *words):
        yield folder / "log"


def _check(cluster: Cluster, prefix: str) -> None:
    """See a whole cluster that pulled every image from the site's registry."""
    cluster.wait_for_pods()
    assert sorted(cluster.ready()) == ALL
    assert cluster.etcd_members() == PLANES
    traffic.check_dns(cluster, "10.233.0.10", "cluster.local", "10.233.0.1")
    images = cluster.pod_images()
    assert images
    assert all(name.startswith(f"{prefix}/") for name in images), images
    for machine in cluster.machines.values():
        names = machine.sh("docker", "images", "--format", "{{.Repository}}").stdout.split()
        assert names, machine.name
        assert all(name.startswith(f"{prefix}/") for name in names), names
        assert not (machine.root / "opt/airseed/bundle").exists()


def test_five_machines_with_nothing_but_serve(make_cluster: Maker, switch: Switch) -> None:
    def change(document: dict[str, Any]) -> None:
        document["registry"] = SITE
        document["seed"] = {"url": f"https://{SITE}", "phone-home": f"https://{SITE}/boots"}
        document["machine"] = {
            "registry": {"ca": CA},
            "files": [{"path": "/usr/local/share/ca-certificates/site.crt", "source": CA}],
            # what update-ca-trust is on CentOS
            "commands": {"before": ["update-ca-certificates"]},
        }

    with make_cluster("serve", payload="url") as cluster:
        cluster.describe("ha", change)
        certificate, key = _certified(cluster)
        cluster.prepare()
        with _served(cluster, switch, certificate, key) as log:
            began = cluster.start()
            with leaks.watched(cluster):
                cluster.wait()
            print(f"\nfive, docker, everything from airseed serve:\n{cluster.report(began)}")
            _check(cluster, SITE)
            told = cluster.airseed(
                "status", "--from", f"https://{SITE}", "--ca-bundle", CA, "--json", through=switch
            )
            page = switch("curl", "-sSf", "--cacert", certificate, f"https://{SITE}/boots").stdout
            figures = switch("curl", "-sSf", "--cacert", certificate, f"https://{SITE}/metrics")
        rows = sorted((row["node"], row["state"]) for row in json.loads(told))
        assert rows == [(name, "done") for name in ALL]
        assert page.count('data-label="State"><span class="state done">') == len(ALL), page
        assert 'airseed_members{state="damaged"} 0\n' in figures.stdout
        assert 'airseed_members{state="verified"} 0\n' not in figures.stdout
        assert "Traceback" not in log.read_text("utf-8")


def test_five_machines_from_a_published_registry_and_folder(
    make_cluster: Maker, switch: Switch, workdir: Path
) -> None:
    prefix = f"{SITE}/mirror"

    def change(document: dict[str, Any]) -> None:
        document["registry"] = prefix
        document["seed"] = {"url": f"http://{WEB}"}
        document["machine"] = {"registry": {"ca": CA}}

    folder, root = workdir / "published-registry", workdir / "published-www"
    with (
        make_cluster("published", payload="url") as cluster,
        upstream.registry(folder, SITE, inside=switch, tls=True) as certificate,
        upstream.web(workdir / "published-nginx", root, WEB, inside=switch),
    ):
        cluster.describe("ha", change)
        (cluster.folder / CA).write_bytes(certificate.read_bytes())
        cluster.prepare()
        words = ("publish", "bundle.tar", "--registry", prefix, "--ca-bundle", CA)
        print(
            cluster.airseed(
                *words, "--yum", str(root), "--base-url", f"http://{WEB}", through=switch
            )
        )
        again = json.loads(cluster.airseed(*words, "--json", "--quiet", through=switch))
        assert {one["state"] for one in again["images"]} == {"there"}
        began = cluster.start()
        cluster.wait()
        print(f"\nfive, docker, from docker-registry and nginx:\n{cluster.report(began)}")
        _check(cluster, prefix)
