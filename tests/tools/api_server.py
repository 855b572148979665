"""An API server on loopback, as far as the node's scripts see one; it plays etcd, too."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.conftest import Authority

TOKEN = "abcdef.0123456789abcdef"  # noqa: S105 -- opens nothing
ACCOUNT = "system:serviceaccount:airseed:change"
"""Whom nodes act as in a change."""
_WATCH = 0.5
"""Seconds after which who watches is sent away."""
LEASES = "/apis/coordination.k8s.io/v1/namespaces/airseed/leases"


@dataclass
class Api:
    """Be an API server, as far as a joining node sees one."""

    authority: Authority
    leases: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    """Status of the condition Ready by name."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)
    """Of etcd, which this server also plays."""
    quorum: bool = True
    port: int = 0
    version: int = 100
    certificates: bool = True
    status: bool = True
    """Whether kubeadm's configuration says where API servers are."""
    signature: str = ""
    info: str = "x"
    opened: bool = True
    """Whether nodes may act as the account of changes."""
    drained: bool = True
    """Whether nodes may read what draining asks for, and the account may take that back."""
    lost: list[tuple[str, str]] = field(default_factory=list)
    """Requests, by method and the end of their path, that are answered by an error once each."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(  # noqa: PLR0911 -- a table of what an API server says
        self, method: str, path: str, body: Any, token: str | None
    ) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.seen.append((method, path))
            if lost := [one for one in self.lost if method == one[0] and path.endswith(one[1])]:
                self.lost.remove(lost[0])
                return 500, {"kind": "Status"}
            if path == "/v3/cluster/member/list":
                return 200, {"header": {}, "members": self.members}
            if path == "/v3/cluster/member/remove":
                self.members = [member for member in self.members if member["ID"] != body["ID"]]
                return 200, {"header": {}, "members": self.members}
            if path == "/v3/kv/range":
                return (200, {"count": "0"}) if self.quorum else (503, {})
            if path == "/version":
                return 200, {"gitVersion": "v1.18.5"}
            if path.endswith("/configmaps/cluster-info"):
                if token is not None:  # kubeadm lets system:anonymous alone read it
                    return 403, {"kind": "Status"}
                data = {"kubeconfig": self.info, "jws-kubeconfig-abcdef": self.signature}
                return 200, {"data": data}
            if token == ACCOUNT and not self.opened:
                return 403, {"kind": "Status"}
            if token not in {TOKEN, ACCOUNT}:
                return 401, {"kind": "Status"}
            return self._answer_a_member(method, path, body)

    def _answer_a_member(  # noqa: PLR0911 -- the same
        self, method: str, path: str, body: Any
    ) -> tuple[int, dict[str, Any]]:
        """Answer somebody who has the bootstrap token, or a node's certificate."""
        if path.startswith(f"{LEASES}?labelSelector=change%3D"):
            return self._list(path.partition("%3D")[2].partition("&")[0])
        if path.startswith(LEASES):
            return self._lease(method, path.removeprefix(LEASES).strip("/"), body)
        if path.startswith("/apis/rbac.authorization.k8s.io/v1/") and method == "DELETE":
            if path.endswith("/clusterrolebindings/airseed:change"):
                may, self.drained = self.drained, False
                return (200, {}) if may else (403, {"kind": "Status"})
            self.opened = False
            return 200, {}
        if path.startswith("/api/v1/nodes/"):
            return self._node(path.rpartition("/")[2])
        if path.endswith("/secrets/kubeadm-certs"):
            return (200, {}) if self.certificates else (404, {})
        if path.endswith("/configmaps/kubeadm-config"):
            status = "apiEndpoints:\n  k8s01:\n    advertiseAddress: 127.0.0.1\n"
            data = {"ClusterConfiguration": 'a: "<b>"\n'}
            return 200, {"data": data | ({"ClusterStatus": status} if self.status else {})}
        return 404, {}

    def _list(self, change: str) -> tuple[int, dict[str, Any]]:
        items = [
            {"metadata": {"name": name, **lease["metadata"]}, "spec": lease["spec"]}
            for name, lease in self.leases.items()
            if lease["metadata"].get("labels", {}).get("change") == change
        ]
        metadata = {"resourceVersion": str(self.version)}
        return 200, {"kind": "LeaseList", "metadata": metadata, "items": items}

    def event(self, since: int) -> dict[str, Any] | None:
        """Wait until a Lease is newer than a version; after a while there is none, as anywhere."""
        end = time.monotonic() + _WATCH
        while time.monotonic() < end:
            if self.version > since:
                return {"type": "MODIFIED", "object": {"kind": "Lease"}}
            time.sleep(0.01)
        return None

    def _node(self, name: str) -> tuple[int, dict[str, Any]]:
        if name not in self.nodes:
            return 404, {}
        conditions = [
            {"type": "DiskPressure", "status": "False"},
            {"type": "Ready", "status": self.nodes[name]},
        ]
        return 200, {"status": {"conditions": conditions}}

    def _lease(  # noqa: PLR0911 -- the same
        self, method: str, name: str, body: Any
    ) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            name = body["metadata"]["name"]
            if name in self.leases:
                return 409, {"reason": "AlreadyExists"}
        elif name not in self.leases and method != "PUT":  # which makes one that is gone
            return 404, {}
        current: dict[str, Any] = self.leases.get(name, {})
        if method == "GET":
            return 200, current
        if method == "DELETE":
            if body["preconditions"] != {"resourceVersion": current["metadata"]["resourceVersion"]}:
                return 409, {}
            del self.leases[name]
            self.version += 1
            return 200, {}
        if (
            method == "PUT"
            and current
            and body["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"]
        ):
            return 409, {"reason": "Conflict"}
        self.version += 1
        body["metadata"] |= {"resourceVersion": str(self.version), "uid": f"u-{name}"}
        self.leases[name] = body
        return (201 if method == "POST" else 200), body

    def hold(self, name: str, holder: str, **labels: str) -> None:
        """Let somebody have a lease."""
        self.version += 1
        metadata = {"name": name, "resourceVersion": str(self.version), "uid": "u-else"}
        self.leases[name] = {
            "metadata": metadata | ({"labels": labels} if labels else {}),
            "spec": {"holderIdentity": holder, "renewTime": "2020-01-01T00:00:00.000000Z"},
        }


class Door(http.server.BaseHTTPRequestHandler):
    """Let curl in."""

    protocol_version = "HTTP/1.1"
    api: Api

    def _any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        user = self.headers.get("Impersonate-User")
        if user and self.connection.getpeercert():
            token = user
        code, answer = self.api.answer(self.command, self.path, body, token)
        text = json.dumps(answer, separators=(",", ":")).encode()
        if code == HTTPStatus.OK and self.path.endswith("&watch=1"):
            since = self.path.partition("&resourceVersion=")[2].partition("&")[0]
            event = self.api.event(int(since))
            text = json.dumps(event, separators=(",", ":")).encode() if event else b""
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 -- http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serving(api: Api, certificate: str, address: tuple[str, int]) -> Iterator[Api]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = api.authority.folder
    context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    context.verify_mode = ssl.CERT_OPTIONAL
    for name in ("ca.crt", "etcd/ca.crt"):
        context.load_verify_locations(folder / name)
    server = http.server.ThreadingHTTPServer(address, type("D", (Door,), {"api": api}))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    api.port = server.server_address[1]
    yield api
    server.shutdown()
    thread.join()
    server.server_close()
