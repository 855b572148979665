"""The guard, the lease and the joins, against real TLS servers on loopback."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from api_server import TOKEN, Api, serving

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from conftest import Authority, Machine

SUMS = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def worker(joiner: Machine, api: Api) -> Machine:
    joiner.set(ENDPOINT=f"127.0.0.1:{api.port}", SUMS=SUMS)
    joiner.write("opt/airseed/bundle/SHA256SUMS", "")
    return joiner


@pytest.fixture
def second(worker: Machine) -> Machine:
    """Return the second control plane."""
    worker.set(NODE="k8s02", ROLE="control-plane", ADDRESS="10.0.0.2", ADDRESSES="10.0.0.2")
    worker.environment["CONTROL_PLANE"] = "1"
    return worker


def held(machine: Machine, script: str = "") -> subprocess.CompletedProcess[str]:
    return machine.source(
        f"learn_authority; LEASE_SECONDS=2; lease_get control-plane-join; {script}",
        "tls",
        "api",
        "lease",
    )


def test_a_free_lease_is_taken_and_given_back(second: Machine, api: Api) -> None:
    ran = held(
        second, 'cp "$R/var/lib/airseed/api.body" "$R/got"; lease_release control-plane-join'
    )
    assert ran.returncode == 0, ran.stdout
    got = json.loads((second.root / "got").read_text())
    assert got["spec"]["holderIdentity"] == "k8s02"
    assert re.fullmatch(r"[\d-]{10}T[\d:]{8}\.000000Z", got["spec"]["renewTime"])
    assert api.leases == {}


def test_a_held_lease_is_waited_for(second: Machine, api: Api) -> None:
    api.hold("control-plane-join", "k8s03")
    ask = api.answer

    def given_back(method: str, path: str, body: Any, token: str | None) -> Any:
        if len([request for request in api.seen if request[0] == "POST"]) == 5:
            api.leases.clear()
        return ask(method, path, body, token)

    api.answer = given_back  # type: ignore[method-assign]
    ran = second.source(
        "learn_authority; lease_get control-plane-join; lease_release control-plane-join",
        "tls",
        "api",
        "lease",
    )
    assert ran.returncode == 0
    assert "waiting for k8s03 to finish joining: control planes join one at a time" in ran.stdout
    assert "taking it over" not in ran.stdout
    assert [wait["for"] for wait in second.result["waits"]] == [
        "k8s03 to finish joining: control planes join one at a time"
    ]


def test_a_stale_lease_is_taken_over(second: Machine, api: Api) -> None:
    api.hold("control-plane-join", "k8s03")
    ran = held(second)
    assert "k8s03 has not renewed its lease for 2 seconds: taking it over" in ran.stdout
    assert api.leases["control-plane-join"]["spec"]["holderIdentity"] == "k8s02"


def test_a_lease_from_before_a_power_cut_is_ours(second: Machine, api: Api) -> None:
    api.hold("control-plane-join", "k8s02")
    ran = held(second)
    assert "waiting" not in ran.stdout
    assert api.leases["control-plane-join"]["metadata"]["resourceVersion"] != "101"


def test_a_lease_is_renewed_while_it_is_held(second: Machine, api: Api) -> None:
    ran = held(second, "/bin/sleep 4")  # a machine under load renews late
    assert ran.returncode == 0
    renewals = [request for request in api.seen if request[0] == "PUT"]
    assert len(renewals) >= 2
    count = len(api.seen)
    threading.Event().wait(1)
    assert len(api.seen) <= count + 2, "the keeper outlives its owner"


def test_the_token_is_no_argument(second: Machine, api: Api) -> None:
    """Whoever looks at the list of processes learns nothing."""
    second.stand_in(
        "curl", '/usr/bin/tr "\\0" " " </proc/$$/cmdline >>"$R/arguments"; exec /usr/bin/curl "$@"'
    )
    assert held(second, "lease_release control-plane-join").returncode == 0
    arguments = (second.root / "arguments").read_text()
    assert "curl -q -s -K -" in arguments
    assert TOKEN not in arguments
    assert not any(
        TOKEN.encode() in path.read_bytes() for path in second.state.rglob("*") if path.is_file()
    )


def test_a_cloned_machine_id_is_refused(worker: Machine, api: Api) -> None:
    identity = (worker.root / "etc/machine-id").read_text().strip()
    api.hold(f"machine-{identity}", "k8s05")
    api.nodes["k8s05"] = "True"
    assert worker.boot("kubeadm").returncode == 1
    assert worker.result["message"] == (
        f"the node k8s05 has the same machine-id as this machine, {identity}"
    )
    # a node that is gone does not count
    del api.nodes["k8s05"]
    worker.environment["AIRSEED_CLONE_PATIENCE"] = "0"
    assert worker.boot("kubeadm").returncode == 0
    assert api.leases[f"machine-{identity}"]["spec"]["holderIdentity"] == "k8s04"


def test_a_clone_that_joins_at_the_same_time_is_found_too(worker: Machine, api: Api) -> None:
    identity = (worker.root / "etc/machine-id").read_text().strip()
    api.hold(f"machine-{identity}", "k8s05")
    threading.Timer(2, api.nodes.__setitem__, ("k8s05", "False")).start()
    assert worker.boot("kubeadm").returncode == 1
    assert "has the same machine-id as this machine" in worker.result["message"]
    assert api.leases[f"machine-{identity}"]["spec"]["holderIdentity"] == "k8s05"
    assert worker.called("kubeadm") == []


def test_a_token_that_the_cluster_does_not_know_is_told(worker: Machine) -> None:
    seed = worker.root / "etc/airseed/kubeadm.yaml"
    seed.write_text(seed.read_text().replace(TOKEN, "fedcba.0123456789abcdef"))
    worker.stand_in("sleep", "exit 1")
    assert worker.boot("kubeadm").returncode == 1
    log = (worker.state / "log/kubeadm.log").read_text()
    assert "to know this seed's token: if it goes on, the token has expired" in log


def test_a_worker_joins(worker: Machine, api: Api) -> None:
    assert worker.boot("kubeadm").returncode == 0
    assert [call[1] for call in worker.called("kubeadm")] == ["join"]
    assert worker.boot("kubeadm").returncode == 0
    assert len(worker.called("kubeadm")) == 1


def test_a_ready_node_of_that_name_is_refused(worker: Machine, api: Api) -> None:
    api.nodes["k8s04"] = "True"
    worker.environment["AIRSEED_NAME_PATIENCE"] = "1"
    assert worker.boot("kubeadm").returncode == 1
    assert worker.result["message"] == "a Node named k8s04 is Ready in the cluster"
    assert worker.called("kubeadm") == []
    api.nodes["k8s04"] = "Unknown"
    assert worker.boot("kubeadm").returncode == 0


def test_another_authority_at_the_endpoint(worker: Machine, authority: Authority) -> None:
    worker.write("etc/airseed/pki/ca.crt", (authority.folder / "front-proxy-ca.crt").read_bytes())
    assert worker.boot("kubeadm").returncode == 1
    assert "that this cluster's authority did not sign, or" in worker.result["message"]


def test_a_joiner_waits_for_the_first_control_plane(worker: Machine, api: Api) -> None:
    signature, api.info = api.info, ""
    ask = api.answer

    def late(method: str, path: str, body: Any, token: str | None) -> tuple[int, dict[str, Any]]:
        code, answer = ask(method, path, body, token)
        return (404, {}) if len(api.seen) < 10 and "cluster-info" in path else (code, answer)

    api.answer = late  # type: ignore[method-assign]
    api.info = signature
    assert worker.boot("kubeadm").returncode == 0
    log = (worker.state / "log/kubeadm.log").read_text()
    assert f"waiting for the first control plane to answer at 127.0.0.1:{api.port}" in log


def sign(info: str, secret: str) -> str:
    """Sign as kubeadm does: a detached JWS with HMAC-SHA256."""
    import base64
    import hashlib
    import hmac

    def plain(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    head = plain(b'{"alg":"HS256","kid":"abcdef"}')
    mac = hmac.new(secret.encode(), f"{head}.{plain(info.encode())}".encode(), hashlib.sha256)
    return f"{head}..{plain(mac.digest())}"


@pytest.mark.parametrize("secret", ["0123456789abcdef", "0123456789abcdee"])
def test_without_an_authority_the_token_tells(
    worker: Machine, api: Api, authority: Authority, secret: str
) -> None:
    """With on-node PKI the cluster proves that it knows the token before it is sent."""
    import base64

    (worker.root / "etc/airseed/pki/ca.crt").unlink()
    worker.set(PKI="on-node")
    data = base64.b64encode((authority.folder / "ca.crt").read_bytes()).decode()
    api.info = (
        "apiVersion: v1\nclusters:\n- cluster:\n"
        f'    certificate-authority-data: {data}\n    server: https://x\n  name: ""\n'
    )
    api.signature = sign(api.info, secret)
    ran = worker.boot("kubeadm")
    if secret == TOKEN.partition(".")[2]:
        assert ran.returncode == 0, worker.result
        assert (worker.state / "authority.crt").read_bytes() == (
            authority.folder / "ca.crt"
        ).read_bytes()
    else:
        assert "does not know this cluster's bootstrap token" in worker.result["message"]
        assert all(path.endswith("cluster-info") for _, path in api.seen)


@contextlib.contextmanager
def babbler(authority: Authority, certificate: str) -> Iterator[tuple[int, list[int]]]:
    """Answer every request over TLS without an end; the list has how much was sent, by request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = authority.folder
    context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    sent: list[int] = []

    def serve(client: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(client, server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            sent.append(0)
            place = len(sent) - 1
            while sent[place] < 1 << 30:
                connection.sendall(b'"jws-kubeconfig-abcdef" ' * 4096)
                sent[place] += 24 * 4096

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], sent
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("known", [False, True])
def test_who_answers_without_end_fills_no_disk(
    worker: Machine, authority: Authority, *, known: bool
) -> None:
    """Neither a stranger who is asked for the authority, nor whoever has its certificate."""
    script = "learn_authority; echo $?" if not known else "api GET /version; echo $API_CODE"
    with babbler(authority, "apiserver" if known else "front-proxy-client") as (port, sent):
        worker.set(ENDPOINT=f"127.0.0.1:{port}", PKI="on-node")
        if known:
            worker.write(
                "var/lib/airseed/authority.crt", (authority.folder / "ca.crt").read_bytes()
            )
        else:
            (worker.root / "etc/airseed/pki/ca.crt").unlink()
        ran = worker.source(f"set +e; mkdir -p $STATE; {script}", "tls", "api")
    assert ran.stdout.splitlines()[-1] == ("000" if known else "1")
    assert len(sent) == 1
    assert sent[0] < 32 << 20
    most = (16 << 20) if known else 65536
    assert all(path.stat().st_size <= most for path in worker.state.rglob("*") if path.is_file())


def test_a_control_plane_joins_in_three_legs(second: Machine, api: Api) -> None:
    assert second.boot("kubeadm").returncode == 0, second.result
    legs = [
        next(word for word in call if word.startswith("--skip-phases=")).partition("=")[2]
        for call in second.called("kubeadm", "join")
    ]
    assert legs == [
        "check-etcd,kubelet-start,control-plane-join",
        "preflight,control-plane-prepare,control-plane-join",
        "preflight,control-plane-prepare,check-etcd,kubelet-start",
    ]
    assert "control-plane-join" not in api.leases
    assert (second.state / "etcd-peers").read_text() == "127.0.0.1\n"
    assert (second.state / "cluster-configuration").read_text() == 'a: "<b>"\n'
    assert (second.root / "root/.kube/config").stat().st_mode & 0o777 == 0o600


def test_later_versions_tell_where_etcd_is_on_its_pods(second: Machine, api: Api) -> None:
    """From 1.22 on there is no ClusterStatus, and behind a balancing endpoint is no etcd."""
    api.status = False
    pods = "https://10.0.0.3:2379\n\nhttps://[fd00::1]:2379\nhttps://10.0.0.2:2379\n"
    (second.root / "etcd-pods").write_text(pods)
    assert second.boot("kubeadm").returncode == 0, second.result
    assert (second.state / "etcd-peers").read_text() == "10.0.0.3\nfd00::1\n127.0.0.1\n"


@pytest.fixture
def etcd(authority: Authority) -> Iterator[Api]:
    """Yield the etcd of the first control plane."""
    yield from serving(Api(authority), "etcd/server", ("127.0.0.1", 0))


def alone(second: Machine, etcd: Api) -> None:
    """Let etcd have the first control plane alone, and the second machine ask it."""
    second.environment["AIRSEED_ETCD_PORT"] = str(etcd.port)
    etcd.members = [{"ID": "1", "name": "k8s01", "peerURLs": ["https://10.0.0.1:2380"]}]


def cut_in_join(second: Machine) -> None:
    """Let the power go right after "member add"."""
    second.boot("kubeadm", environment={"CRASH_IN_JOIN": "1"})


@pytest.mark.parametrize("torn", [False, True])
def test_between_member_add_and_the_manifest(second: Machine, etcd: Api, *, torn: bool) -> None:
    """The power goes right after "member add": forward, from the list of members, never back."""
    second.environment["CRASH_IN_JOIN"] = "1"
    second.environment["AIRSEED_ETCD_PORT"] = str(etcd.port)
    assert second.boot("kubeadm").returncode != 0
    assert (second.root / "member-added").exists()
    manifest = second.root / "etc/kubernetes/manifests/etcd.yaml"
    assert not manifest.exists()
    del second.environment["CRASH_IN_JOIN"]
    if torn:
        (second.state / "stamps/member").write_bytes(b"")
    etcd.members = [
        {"ID": "1", "name": "k8s01", "peerURLs": ["https://10.0.0.1:2380"]},
        {"ID": "2", "peerURLs": ["https://10.0.0.2:2380"]},
    ]
    etcd.quorum = False
    (second.root / "var/lib/etcd/member").mkdir(parents=True)  # etcd starts by the manifest
    before = len(second.called("kubeadm"))
    assert second.boot("kubeadm").returncode == 0, second.result
    text = manifest.read_text()
    assert (
        "    - --initial-cluster=k8s01=https://10.0.0.1:2380,k8s02=https://10.0.0.2:2380\n" in text
    )
    assert "    - --initial-cluster-state=existing\n" in text
    assert second.called("kubeadm", "reset") == []
    assert [call[3:5] for call in second.calls if call[:3] == ["kubeadm", "join", "phase"]] == [
        ["control-plane-join", "--help"],
        ["control-plane-join", "update-status"],
        ["control-plane-join", "mark-control-plane"],
    ]
    assert len(second.called("kubeadm")) > before


def test_nobody_can_be_asked_whether_we_are_a_member(second: Machine) -> None:
    cut_in_join(second)
    assert second.boot("kubeadm").returncode == 1
    assert second.result["message"].startswith("no other control plane's etcd answers (127.0.0.1")
    assert second.called("kubeadm", "reset") == []
    assert "never run kubeadm reset" in second.run("actions/status").stdout


def test_a_member_with_data_goes_forward_when_nobody_answers(second: Machine) -> None:
    """etcd without a quorum is ended again and again; one with data needs no list of members."""
    cut_in_join(second)
    (second.state / "stamps/member").write_bytes(b"")
    (second.root / "var/lib/etcd/member").mkdir(parents=True)
    manifest = second.root / "etc/kubernetes/manifests/etcd.yaml"
    manifest.write_bytes(b"")
    assert second.boot("kubeadm").returncode == 0, second.result
    assert "    - --initial-cluster=k8s02=https://10.0.0.2:2380\n" in manifest.read_text()
    assert second.called("kubeadm", "reset") == []


@pytest.mark.parametrize("how", ["gone", "torn"])
def test_kubelet_is_made_whole_before_it_goes_forward(second: Machine, how: str) -> None:
    """kubeadm reset unmounts its folder, and the next start mounts the empty one again."""
    cut_in_join(second)
    (second.root / "var/lib/etcd/member").mkdir(parents=True)
    folder = second.root / "var/lib/kubelet"
    names = ("config.yaml", "kubeadm-flags.env", "pki/kubelet-client-1.pem")
    before = {name: (folder / name).read_bytes() for name in names}
    if how == "gone":
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        for name in names:
            (folder / name).write_bytes(b"")
    assert second.boot("kubeadm").returncode == 0, second.result
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert (folder / "pki/kubelet-client-current.pem").read_bytes() == before[names[2]]


def test_a_torn_certificate_of_kubelets_own_does_not_stay(first: Machine) -> None:
    """The first node's kubelet makes it anew from what kubeadm gave it."""
    for name in ("kubelet-client-1.pem", "kubelet.crt", "kubelet.key"):
        first.write(f"var/lib/kubelet/pki/{name}", "")
    (first.root / "var/lib/kubelet/pki/kubelet-client-current.pem").symlink_to(
        "kubelet-client-1.pem"
    )
    whole = (first.authority.folder / "apiserver.crt").read_bytes()
    first.write("var/lib/kubelet/pki/kubelet-client-0.pem", whole)
    ran = first.source("mend_files", "tls", "kubeadm")
    assert ran.returncode == 0, ran.stdout
    left = [path.name for path in (first.root / "var/lib/kubelet/pki").iterdir()]
    assert left == ["kubelet-client-0.pem"]


def test_somebody_else_at_the_endpoint_does_not_make_us_whole(second: Machine) -> None:
    cut_in_join(second)
    second.environment["AIRSEED_FORWARD_PATIENCE"] = "0"
    (second.root / "endpoint-lives").touch()
    ran = second.source("go_forward", "tls", "api", "lease", "etcd", "kubeadm", "registry", "join")
    assert ran.returncode == 1
    assert "this node's API server does not come up" in ran.stdout
    asked = [call for call in second.called("kubectl") if "/healthz" in call]
    assert "https://10.0.0.2:6443" in asked[-1]


def test_back_only_with_quorum_and_without_membership(second: Machine, etcd: Api) -> None:
    cut_in_join(second)
    alone(second, etcd)
    etcd.quorum = False
    assert second.boot("kubeadm").returncode == 1
    assert second.result["message"] == "etcd has no quorum"
    assert second.called("kubeadm", "reset") == []
    etcd.quorum = True
    assert second.boot("kubeadm").returncode == 0, second.result
    assert len(second.called("kubeadm", "reset")) == 1


def test_a_cut_while_it_goes_back_is_made_good(second: Machine, etcd: Api) -> None:
    """Without certificates nobody's etcd can be asked, so the reset must not leave a member."""
    cut_in_join(second)
    alone(second, etcd)
    goes_on = second.folder / "bin/kubeadm"
    whole = goes_on.read_bytes()
    second.stand_in("kubeadm", f'[ "$1" != reset ] || kill -9 0\n. "{goes_on}.whole"')
    goes_on.with_name("kubeadm.whole").write_bytes(whole)
    assert second.boot("kubeadm").returncode != 0
    for path in (second.root / "etc/kubernetes/pki").rglob("*.*"):
        path.unlink()
    second.stand_in("kubeadm", f'. "{goes_on}.whole"')
    assert second.boot("kubeadm").returncode == 0, second.result


def test_a_living_cluster_is_never_initialised_again(first: Machine, api: Api) -> None:
    first.set(ENDPOINT=f"127.0.0.1:{api.port}", ADDRESS="10.0.0.1")
    first.set(ADDRESSES="10.0.0.1")
    script = f"signs_of_life() {{ api_lives 127.0.0.1 {api.port}; }}; guard"
    ran = first.source(script, "tls", "init")
    assert ran.returncode == 1
    seen = f"an API server of this cluster answers at 127.0.0.1:{api.port}"
    assert seen in ran.stdout
    # once is enough: it may be down the next time
    ran = first.source("initialise", *PARTS)
    assert (ran.returncode, f"it was seen alive before: {seen} (" in ran.stdout) == (1, True)
    assert first.called("kubeadm") == []


def test_others_on_those_ports_are_no_cluster(first: Machine, authority: Authority) -> None:
    for server in serving(Api(authority), "front-proxy-client", ("127.0.0.1", 0)):
        ran = first.source(f"api_lives 127.0.0.1 {server.port}", "tls", "init")
        assert (ran.returncode, ran.stdout) == (0, "")
        # without an authority to compare any API server is one too many
        (first.root / "etc/airseed/pki/ca.crt").unlink()
        ran = first.source(f"api_lives 127.0.0.1 {server.port}", "tls", "init")
        assert ran.stdout == f"proof an API server answers at 127.0.0.1:{server.port}\n"
        ran = first.source(f"port_speaks 127.0.0.1 {server.port} etcd", "tls", "init")
        assert ran.stdout == f"port 127.0.0.1:{server.port} (etcd)\n"
    assert first.source("peers_live; api_lives 127.0.0.1 1", "tls", "init").stdout == ""


def test_who_answers_without_end_is_no_api_server(first: Machine) -> None:
    end = first.folder / "all of it"
    script = "is_api_server 127.0.0.1 6443 && echo lives"
    first.stand_in("curl", """printf '{"gitVersion": "v1.18.5"}'""")
    assert first.source(script, "tls").stdout == "lives\n"
    first.stand_in("curl", f"""printf 'gitVersion%1000000s' && >'{end}'""")
    assert first.source(script, "tls").stdout == ""
    assert not end.exists()


def test_who_the_system_trusts_is_not_our_authority(first: Machine, authority: Authority) -> None:
    """openssl of CentOS 7 adds the system's authorities to those that it is given."""
    ours = first.root / "etc/airseed/pki/ca.crt"
    ours.write_bytes((authority.folder / "etcd/ca.crt").read_bytes())
    openssl = first.folder / "centos/openssl"
    # as that one does it: the default authorities count, too
    first.stand_in(
        "openssl",
        f'[ "$1" != s_client ] || set -- "$@" -CAfile <(cat "{ours}" '
        f'"${{SSL_CERT_FILE:-{authority.folder}/ca.crt}}")\nexec "{openssl}" "$@"',
    )
    for server in serving(Api(authority), "apiserver", ("127.0.0.1", 0)):
        ran = first.source(f"api_lives 127.0.0.1 {server.port}", "tls", "init")
        assert (ran.returncode, ran.stdout) == (0, "")


def test_who_shows_our_certificate_without_its_key_is_not_our_authority(
    first: Machine, authority: Authority
) -> None:
    """Certificates are public: only an ended handshake proves whose one is."""
    issued = ssl.PEM_cert_to_DER_cert((authority.folder / "apiserver.crt").read_text())

    def message(kind: int, content: bytes) -> bytes:
        body = bytes([kind]) + len(content).to_bytes(3) + content
        return b"\x16\x03\x03" + len(body).to_bytes(2) + body

    certificate = len(issued).to_bytes(3) + issued
    # TLS 1.2, RSA with AES128-SHA, secure renegotiation
    hello = b"\x03\x03" + bytes(32) + b"\0\0\x2f\0\0\x05\xff\x01\0\x01\0"
    flight = message(2, hello) + message(11, len(certificate).to_bytes(3) + certificate)

    def answer(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(flight + message(14, b""))
                    connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        ran = first.source(f"api_lives 127.0.0.1 {port}", "tls", "init")
        assert (ran.returncode, ran.stdout) == (0, "")
        ran = first.source(f"port_speaks 127.0.0.1 {port} etcd", "tls", "init")
        assert ran.stdout == f"port 127.0.0.1:{port} (etcd)\n"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("again", ["guard", "guard peers_live"])
def test_a_stranger_is_waited_for_and_named_and_stops_nothing_for_good(
    first: Machine, authority: Authority, again: str
) -> None:
    """Any TLS at the port of a peer's kubelet proves nothing; init goes on when it is gone."""
    first.environment["AIRSEED_PORT_PATIENCE"] = "0"
    for server in serving(Api(authority), "front-proxy-client", ("127.0.0.1", 0)):
        look = f"port_speaks 127.0.0.1 {server.port} kubelet"
        shown = f"signs_of_life() {{ {look}; }}; peers_live() {{ {look}; }}"
        first.write("etc/kubernetes/manifests/etcd.yaml", "")
        first.write("var/lib/airseed/keep/pki/ca.crt", "")
        ran = first.source(f"{shown}; {again}; echo went on", "tls", "init")
        assert ran.returncode == 1
        port = f"127.0.0.1:{server.port} (kubelet)"
        assert f"waiting for what speaks TLS at {port} to prove" in ran.stdout
        assert (
            f"error: TLS is spoken at {port}, but nothing proves that this cluster lives there\n"
            in ran.stdout
        )
        assert not (first.state / "stamps/lives").exists()
        # nothing that it began goes on meanwhile
        assert not (first.root / "etc/kubernetes/manifests/etcd.yaml").exists()
        assert not (first.state / "keep").exists()
    ran = first.source(f"{shown}; {again}; echo went on", "tls", "init")
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "went on")


def test_a_proof_comes_while_a_port_is_waited_for(first: Machine) -> None:
    """The others' API servers come up a minute after their kubelets."""
    looks = (
        "signs_of_life() { echo port 10.0.0.2:10250; echo . >>$R/looks;"
        " [ $(wc -l <$R/looks) -lt 3 ] || echo proof alive; }"
    )
    ran = first.source(f"{looks}; guard", "tls", "init")
    assert ran.returncode == 1
    assert "this cluster lives already, so kubeadm init will not run here: alive\n" in ran.stdout


@pytest.mark.parametrize("pki", ["generated", "on-node"])
def test_no_stamp_outlives_its_proof(first: Machine, pki: str) -> None:
    """What lived is the cluster of one authority; with another it is another cluster."""
    ours = first.root / "etc/airseed/pki/ca.crt"
    if pki == "on-node":
        ours.unlink()
    check = 'is_stamped lives "$(lives_key)" && echo yes || echo no'
    told = first.source(f"remember_life 'it answers'; {check}", "tls", "init")
    assert told.stdout == "yes\n"
    if pki == "on-node":
        seed = first.root / "etc/airseed/kubeadm.yaml"
        seed.write_text(seed.read_text().replace("abcdef", "fedcba"))
    else:
        ours.write_bytes((first.authority.folder / "etcd/ca.crt").read_bytes())
    assert first.source(check, "tls", "init").stdout == "no\n"


def test_the_guard_gives_the_others_a_moment(first: Machine) -> None:
    """Where all were powered on together, the cluster shows only at the third look."""
    first.set(PEERS="10.0.0.2 10.0.0.3")
    first.write("proc/uptime", "59.99 100.0\n")
    looks = (
        "signs_of_life() { echo . >>$R/looks; [ $(wc -l <$R/looks) -lt 3 ] || echo proof alive; }"
    )
    first.environment["AIRSEED_GUARD_PATIENCE"] = "60"
    ran = first.source(f"{looks}; guard", "tls", "init")
    assert ran.returncode == 1
    assert "this cluster lives already, so kubeadm init will not run here: alive" in ran.stdout
    assert "airseed seeds --node k8s01" in ran.stdout
    assert (first.root / "looks").read_text() == ".\n" * 3


@pytest.mark.parametrize(("peers", "up"), [("10.0.0.2", "60.00"), ("", "1.00")])
def test_the_guard_keeps_nobody_waiting_for_ever(first: Machine, peers: str, up: str) -> None:
    first.set(PEERS=peers)
    first.write("proc/uptime", f"{up} 100.0\n")
    first.environment["AIRSEED_GUARD_PATIENCE"] = "60"
    ran = first.source("signs_of_life() { echo >>$R/looks; }; guard; echo went on", "tls", "init")
    assert (ran.returncode, ran.stdout) == (0, "went on\n")
    assert (first.root / "looks").read_text() == "\n"


PARTS = "tls", "api", "lease", "etcd", "kubeadm", "registry", "init"
SHOWS = "peers_live() { [ ! -d $R/var/lib/etcd/member ] || echo proof alive; }; initialise"


def check_withdrawn(machine: Machine) -> None:
    """See nothing left that could act in the cluster that lives."""
    assert not (machine.root / "var/lib/etcd/member").exists()
    assert list((machine.root / "etc/kubernetes/manifests").glob("*")) == []
    assert list((machine.root / "etc/kubernetes").glob("*.conf")) == []
    assert not [*(machine.root / "etc/kubernetes/pki").rglob("*.*")]
    assert not (machine.root / "uploaded").exists()
    assert not (machine.state / "stamps/no-return").exists()


def test_a_cluster_that_shows_while_kubeadm_runs_is_left_alone(first: Machine) -> None:
    """The last look comes before anybody else could act on what this node says."""
    first.set(PEERS="10.0.0.2")
    ran = first.source(SHOWS, *PARTS)
    assert ran.returncode == 1
    assert "this cluster lives already" in ran.stdout
    check_withdrawn(first)
    assert ["systemctl", "disable", "kubelet.service"] in first.calls
    # nothing of it went to the endpoint, where the other one may have answered
    (leg,) = (call for call in first.called("kubeadm", "init") if "phase" not in call)
    assert "--skip-phases=upload-config,upload-certs," in " ".join(leg)
    # and it stays so, whether or not the others answer next time
    again = first.source("initialise", *PARTS)
    assert (again.returncode, "it was seen alive before" in again.stdout) == (1, True)


def test_a_cut_in_the_withdrawal_does_not_open_the_door(first: Machine) -> None:
    """Once the cluster was seen alive, nothing but the withdrawal comes next."""
    first.set(PEERS="10.0.0.2")
    assert first.source(f"withdraw() {{ kill -9 $$; }}; {SHOWS}", *PARTS).returncode < 0
    assert (first.root / "var/lib/etcd/member").exists()
    # the others are silent now
    assert first.source("peers_live() { :; }; initialise", *PARTS).returncode == 1
    check_withdrawn(first)


def test_containers_that_cannot_be_removed_do_not_either(first: Machine) -> None:
    first.set(PEERS="10.0.0.2")
    first.stand_in("docker", 'case "$1" in ps) echo 17 ;; rm) exit 1 ;; esac')
    assert first.source(SHOWS, *PARTS).returncode == 1
    assert ["docker", "rm", "-f", "-v", "17"] in first.calls
    check_withdrawn(first)
