from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING, Any

import openssl
import pytest
import yaml

from builder.errors import AirseedError, StorageError, UsageError, VerificationError
from builder.pipeline import init, kubeconfig, secrets
from builder.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """Return a cluster with an authority that is made at once."""
    path = init.write("ha", tmp_path / "cluster.yaml")
    (tmp_path / "secrets").mkdir(mode=0o700)
    openssl.authority(tmp_path / "secrets")
    (tmp_path / "secrets/ca.crt").chmod(0o600)
    return path


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def refused(cluster: Path, *arguments: Any, **options: Any) -> AirseedError:
    with pytest.raises(AirseedError) as caught:
        kubeconfig.mint(Workspace(cluster), *arguments, **options)
    return caught.value


def test_an_administrators_kubeconfig(cluster: Path, tmp_path: Path) -> None:
    minted = kubeconfig.mint(Workspace(cluster))
    path = tmp_path / "secrets/admin.conf"
    assert minted.path == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = read(path)
    assert (document["apiVersion"], document["kind"]) == ("v1", "Config")
    assert document["clusters"] == [
        {
            "name": "cluster.local",
            "cluster": {
                "server": "https://10.211.55.48:6443",
                "certificate-authority-data": base64.b64encode(
                    (tmp_path / "secrets/ca.crt").read_bytes()
                ).decode(),
            },
        }
    ]
    assert document["current-context"] == "kubernetes-admin@cluster.local"
    user = document["users"][0]
    assert user["name"] == "kubernetes-admin"
    (tmp_path / "client.crt").write_bytes(base64.b64decode(user["user"]["client-certificate-data"]))
    assert openssl.openssl("x509", "-in", tmp_path / "client.crt", "-noout", "-subject") == (
        "subject=O = system:masters, CN = kubernetes-admin\n"
    )
    openssl.openssl(
        *("verify", "-x509_strict", "-purpose", "sslclient"),
        *("-CAfile", tmp_path / "secrets/ca.crt", tmp_path / "client.crt"),
    )
    assert minted.text == path.read_text()
    assert user["user"]["client-key-data"] not in repr(minted)


def test_anywhere_else_it_is_private_too(cluster: Path, tmp_path: Path) -> None:
    minted = kubeconfig.mint(
        Workspace(cluster), tmp_path / "out/jane.conf", user="jane", groups=["ops"], days=3
    )
    assert minted.path == tmp_path / "out/jane.conf"
    assert stat.S_IMODE((tmp_path / "out/jane.conf").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["jane.conf"]


def test_without_a_file_nothing_is_written(cluster: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert kubeconfig.mint(Workspace(cluster), write=False).path is None
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_is_replaced_when_forced_alone(cluster: Path, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\nclusters: []\n")
    path.chmod(0o644)
    error = refused(cluster, path)
    assert str(error) == f"{path}: the file exists"
    assert error.hint == "--force replaces it; the certificate in it stays valid until it expires"
    assert path.read_text() == "apiVersion: v1\nclusters: []\n"
    kubeconfig.mint(Workspace(cluster), path, force=True)
    assert read(path)["kind"] == "Config"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_no_kubeconfig_is_never_replaced(cluster: Path) -> None:
    """Least of all the cluster.yaml beside it, or a key in secrets/."""
    before = cluster.read_bytes()
    error = refused(cluster, cluster, force=True)
    assert str(error) == (
        f"{cluster}: there is another file already (expected a name that is free, or that of an "
        "earlier kubeconfig)"
    )
    assert cluster.read_bytes() == before


@pytest.mark.parametrize("force", [True, False])
def test_links_and_folders_stay(force: bool, cluster: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    for name in ("link", "secrets"):
        error = refused(cluster, tmp_path / name, force=force)
        assert str(error) == f"{tmp_path}/{name}: is not a regular file, so it can't be replaced"
    assert not (tmp_path / "outside").exists()


def test_on_node_it_says_where_to_get_one(cluster: Path) -> None:
    cluster.write_text(cluster.read_text() + "\npki: on-node\n")
    error = refused(cluster)
    assert type(error) is UsageError
    assert str(error) == (
        f"{cluster}: with pki: on-node the CA's key never leaves the first node, so nothing can be "
        "signed here"
    )
    assert error.hint == "copy /etc/kubernetes/admin.conf from k8s01, once it is up"


def test_files_of_ones_own_sign_too(cluster: Path, tmp_path: Path) -> None:
    openssl.authority(tmp_path / "site")
    cluster.write_text(cluster.read_text() + "\npki: {files: site}\n")
    kubeconfig.mint(Workspace(cluster), tmp_path / "x.conf")
    data = read(tmp_path / "x.conf")["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(data) == (tmp_path / "site/ca.crt").read_bytes()


def test_before_there_is_an_authority(tmp_path: Path) -> None:
    cluster = init.write("ha", tmp_path / "cluster.yaml")
    error = refused(cluster)
    assert type(error) is StorageError
    assert str(error) == f"{tmp_path}/secrets: there are no secrets yet"
    assert error.hint == (
        "`airseed secrets` makes them; those of a cluster that runs can only be put back"
    )


def test_a_damaged_authority(cluster: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets/ca.key").write_text("?")
    error = refused(cluster)
    assert type(error) is VerificationError
    assert [str(fault) for fault in error.faults] == [
        f"{tmp_path}/secrets/ca.key: holds no private key in PEM form"
    ]
    assert not (tmp_path / "secrets/admin.conf").exists()


def test_the_lone_control_plane_is_the_server(tmp_path: Path, cluster: Path) -> None:
    init.write("single", cluster, force=True)
    error = refused(cluster)
    assert str(error) == (
        f"{cluster}: neither an endpoint nor the control plane's address is known"
    )
    assert error.hint == (
        "give --server HOST, or add an endpoint or the node's address to cluster.yaml"
    )
    for address, more, server in (
        ("10.0.0.9/24", "", "https://10.0.0.9:6443"),
        ("fd00::9", "network: {pods: fd01::/64, services: fd02::/112}", "https://[fd00::9]:6443"),
        # only nodes know that name
        (
            "10.0.0.9/24",
            "endpoint: {name: api.cluster.local, by: local-proxy}",
            "https://10.0.0.9:6443",
        ),
        (
            "10.0.0.9/24",
            "endpoint: {address: 10.0.0.60, by: keepalived}",
            "https://10.0.0.60:6443",
        ),
    ):
        node = f"- {{name: n1, role: control-plane, address: '{address}'}}"
        cluster.write_text(f"kubernetes: 1.18.5\nnodes:\n{node}\n{more}\n")
        assert kubeconfig.mint(Workspace(cluster), write=False).server == server


@pytest.mark.parametrize(
    ("given", "server"),
    [
        ("lb.example.com", "https://lb.example.com:6443"),
        ("lb.example.com:443", "https://lb.example.com:443"),
        ("https://lb.example.com:8443/", "https://lb.example.com:8443"),
        ("[fd00::1]:6443", "https://[fd00::1]:6443"),
        ("10.0.0.1", "https://10.0.0.1:6443"),
    ],
)
def test_another_server(given: str, server: str, cluster: Path) -> None:
    assert kubeconfig.mint(Workspace(cluster), write=False, server=given).server == server


@pytest.mark.parametrize(
    "given", ["http://x", "x:0", "x:65536", "fd00::1", "a b", "https://u:p@x", "https://x/path"]
)
def test_what_is_no_server(given: str, cluster: Path) -> None:
    error = refused(cluster, write=False, server=given)
    shown = given.replace("u:p@", "***@")
    assert str(error) == (
        f"{shown!r} is not a server (expected HOST[:PORT], [ADDRESS]:PORT or an https URL)"
    )


def test_what_it_makes_is_swept_up_by_the_next_secrets(cluster: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets/.token.01234567.part").write_text("half")
    kubeconfig.mint(Workspace(cluster))
    secrets.make(Workspace(cluster))
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == {
        *(".lock", "admin.conf", "ca.crt", "ca.key", "certificate-key", "token"),
        *("phone-home-token", "signing-key.asc", "signing-key.pub.asc"),
    }
