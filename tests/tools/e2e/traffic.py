"""Whether packets get where they should: DNS by its service address, pods from other pods."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from e2e.resources import DATA
from e2e.root_image import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    nsenter --net="$place" ip -o address show 2>/dev/null | grep -qF " $1/" || continue
    shift
    exec nsenter --net="$place" "$@"
done
echo "no pod has that address here"
exit 1
"""


_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: probe}
  FAMILY
  ports: [{name: dns, port: 53, protocol: UDP}]
"""


def check_dns(cluster: Cluster, service: str, domain: str, api: str) -> None:
    """See every machine resolve the API server's Service name by the service address of DNS."""
    for name in cluster.names:
        _until(
            cluster.machine(name), (), service, f"kubernetes.default.svc.{domain}", ("0", "1", api)
        )


def check_pods(cluster: Cluster, image: str) -> None:
    """Start a pod on every worker, and see each reached from each other one and from machines.

    ``image`` is one that answers DNS questions without being configured: CoreDNS. Pods are reached
    by each address that they have.
    """
    with probes(cluster, image) as pods:
        assert len(pods) >= len([n for n in cluster.document["nodes"] if n["role"] == "worker"])


@contextmanager
def probes(cluster: Cluster, image: str) -> Iterator[dict[str, list[str]]]:
    """Yield the addresses of a pod on every worker, after each has reached each other."""
    first = cluster.first
    first.sh("kubectl", "apply", "-f", "-", input=_PROBE.replace("IMAGE", image))
    first.sh("kubectl", "rollout", "status", "daemonset/probe", "--timeout=120s")
    pods = {
        pod["spec"]["nodeName"]: [address["ip"] for address in pod["status"]["podIPs"]]
        for pod in json.loads(cluster.kubectl("get", "pods", "-l", "app=probe", "-o", "json"))[
            "items"
        ]
    }
    for here, (own, *_) in pods.items():
        for there, addresses in pods.items():
            for address in addresses:
                inside = _inside(own) if here != there else ()
                _until(cluster.machine(here), inside, address, "who.example", ("0", None, None))
    yield pods
    first.sh("kubectl", "delete", "daemonset", "probe")


def check_service(cluster: Cluster, pods: Mapping[str, list[str]], name: str, family: str) -> None:
    """See the probes answer by a Service, to machines and to pods, and DNS know its addresses.

    ``family`` is the line of its ``spec`` that says which families it has.
    """
    text = _SERVICE.replace("NAME", name).replace("FAMILY", family)
    first = cluster.first
    first.sh("kubectl", "apply", "-f", "-", input=text)
    spec = json.loads(cluster.kubectl("get", "service", name, "-o", "json"))["spec"]
    addresses = spec.get("clusterIPs") or [spec["clusterIP"]]
    words = ("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    dns = cluster.kubectl(*words).strip()
    domain = f"{name}.default.svc.{cluster.document['network'].get('domain', 'cluster.local')}"
    for address in addresses:
        kind = "AAAA" if ":" in address else "A"
        for where, (own, *_) in pods.items():
            for inside in ((), _inside(own)):
                machine = cluster.machine(where)
                _until(machine, inside, address, "who.example", ("0", None, None))
                _until(machine, inside, dns, domain, ("0", "1", address), kind)
        _until(first, (), address, "who.example", ("0", None, None))
    print(f"{name}: {', '.join(addresses)}")


def _inside(address: str) -> tuple[str, ...]:
    return ("bash", "-c", _INSIDE, "inside", address)


def _until(
    machine: Machine,
    inside: tuple[str, ...],
    server: str,
    name: str,
    wanted: tuple[str | None, ...],
    kind: str = "A",
) -> None:
    """Ask until the answer is the wanted one; rules of kube-proxy may come a moment late."""
    end = time.monotonic() + _PATIENCE
    script = (DATA / "ask.py").read_text("utf-8")
    while True:
        done = machine.sh(*inside, PYTHON, "-", server, name, kind, input=script, check=False)
        answer = done.stdout.split()
        fits = len(answer) == len(wanted) and all(
            w in {None, s} for w, s in zip(wanted, answer, strict=True)
        )
        if done.returncode == 0 and fits:
            return
        assert time.monotonic() < end, f"{machine.name} asked {server} for {name}: {done.stdout}"
        time.sleep(1)
