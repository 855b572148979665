"""Whether packets get where they should: DNS by its service address, pods from other pods."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from e2e.resources import DATA
from e2e.root_image import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.cluster import Cluster
    from e2e.machine import Machine

_PATIENCE = 60
_PROBE = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: probe}
spec:
  selector: {matchLabels: {app: probe}}
  template:
    metadata: {labels: {app: probe}}
    spec:
      containers: [{name: probe, image: 'IMAGE'}]
"""
# In the network namespace that has this address, if any process of the machine is in it.
_INSIDE = """\
for place in /proc/[0-9]*/ns/net; do
    nsenter --net="$place" ip -o -4 address show 2>/dev/null | grep -qF " $1/" || continue
    shift
    exec nsenter --net="$place" "$@"
done
echo "no pod has that address here"
exit 1
"""


def check_dns(cluster: Cluster, service: str, domain: str, api: str) -> None:
    """See every machine resolve the API server's Service name by the service address of DNS."""
    for name in cluster.names:
        _until(
            cluster.machine(name), (), service, f"kubernetes.default.svc.{domain}", ("0", "1", api)
        )


def check_pods(cluster: Cluster, image: str) -> None:
    """Start a pod on every worker, and see each reached from each other one and from machines.

    ``image`` is one that answers DNS questions without being configured: CoreDNS.
    """
    first = next(iter(cluster.machines.values()))
    first.sh("kubectl", "apply", "-f", "-", input=_PROBE.replace("IMAGE", image))
    first.sh("kubectl", "rollout", "status", "daemonset/probe", "--timeout=120s")
    pods = dict(_probes(cluster))
    assert len(pods) >= len([n for n in cluster.document["nodes"] if n["role"] == "worker"])
    for here, own in pods.items():
        for there, address in pods.items():
            inside = ("bash", "-c", _INSIDE, "inside", own) if here != there else ()
            _until(cluster.machine(here), inside, address, "who.example", ("0", None, None))
    first.sh("kubectl", "delete", "daemonset", "probe")


def _probes(cluster: Cluster) -> Iterator[tuple[str, str]]:
    pods = json.loads(cluster.kubectl("get", "pods", "-l", "app=probe", "-o", "json"))
    for pod in pods["items"]:
        yield pod["spec"]["nodeName"], pod["status"]["podIP"]


def _until(
    machine: Machine,
    inside: tuple[str, ...],
    server: str,
    name: str,
    wanted: tuple[str | None, ...],
) -> None:
    """Ask until the answer is the wanted one; rules of kube-proxy may come a moment late."""
    end = time.monotonic() + _PATIENCE
    script = (DATA / "ask.py").read_text("utf-8")
    while True:
        done = machine.sh(*inside, PYTHON, "-", server, name, input=script, check=False)
        answer = done.stdout.split()
        fits = len(answer) == len(wanted) and all(
            w in {None, s} for w, s in zip(wanted, answer, strict=True)
        )
        if done.returncode == 0 and fits:
            return
        assert time.monotonic() < end, f"{machine.name} asked {server} for {name}: {done.stdout}"
        time.sleep(1)
