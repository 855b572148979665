from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import openssl
import pytest

from builder.errors import DocumentError, UsageError
from builder.pipeline import init, paths, secrets
from builder.pipeline.secrets import SecretState
from builder.pipeline.workspace import Workspace
from builder.rpm.keys import has_secrets, load_keys, public_half, verify_detached
from builder.rpm.signing import open_signer
from builder.secrets import signing

if TYPE_CHECKING:
    from pathlib import Path

    from pgp import Gpg


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    return init.write("ha", tmp_path / "cluster.yaml")


def test_it_tells_what_there_is_and_when_it_ends(cluster: Path) -> None:
    folder = cluster.parent / "secrets"
    result = secrets.make(Workspace(cluster))
    end = result.states[-1].end
    assert end is not None
    assert abs(end - datetime.now(UTC) - timedelta(days=3650)) < timedelta(minutes=5)
    assert secrets.remaining(end) == 3649
    assert result.folder == folder
    assert result.first == "k8s01"
    assert result.digest == openssl.pin(folder / "ca.crt")
    assert result.states == (
        SecretState(name="token", path=folder / "token", state="made", window=24),
        SecretState(
            name="certificate key", path=folder / "certificate-key", state="made", window=24
        ),
        SecretState(name="phone home token", path=folder / "phone-home-token", state="made"),
        SecretState(name="signing key", path=folder / "signing-key.asc", state="made"),
        SecretState(name="public signing key", path=folder / "signing-key.pub.asc", state="made"),
        SecretState(name="cluster CA", path=folder / "ca.crt", state="made", end=end),
    )
    again = secrets.make(Workspace(cluster))
    assert [one.state for one in again.states] == ["kept"] * 6
    assert again.digest == result.digest
    rotated = secrets.make(Workspace(cluster), rotate=["certificate-key"])
    assert [one.state for one in rotated.states] == ["kept", "rotated", *["kept"] * 4]


def test_clusters_in_one_folder_share_nothing(cluster: Path) -> None:
    other = cluster.with_name("test.yaml")
    other.write_text(cluster.read_text())
    first, second = secrets.make(Workspace(cluster)), secrets.make(Workspace(other))
    assert [result.folder.name for result in (first, second)] == ["secrets", "test.secrets"]
    assert {one.state for one in second.states} == {"made"}
    assert first.digest != second.digest
    assert [paths.seeds(one).name for one in (cluster, other)] == ["seeds", "test.seeds"]


def test_what_was_missing_is_made_and_not_rotated(cluster: Path) -> None:
    result = secrets.make(Workspace(cluster), rotate=["token", "token"])
    assert [one.state for one in result.states] == ["made"] * 6


def test_the_window_is_the_clusters(cluster: Path) -> None:
    cluster.write_text(cluster.read_text() + "\nseed: {window: 72}\npki: on-node\n")
    result = secrets.make(Workspace(cluster))
    assert [(one.name, one.window, one.state) for one in result.states] == [
        ("token", 72, "made"),
        ("certificate key", 72, "made"),
        ("phone home token", None, "made"),
        ("signing key", None, "made"),
        ("public signing key", None, "made"),
        ("cluster CA", None, "on the first node"),
    ]
    assert result.digest is None


def test_files_of_ones_own(cluster: Path) -> None:
    site = openssl.site(cluster.parent / "site")
    cluster.write_text(cluster.read_text() + "\npki: {files: site}\n")
    result = secrets.make(Workspace(cluster))
    assert [(one.name, one.path, one.state) for one in result.states] == [
        ("token", cluster.parent / "secrets/token", "made"),
        ("certificate key", cluster.parent / "secrets/certificate-key", "made"),
        ("phone home token", cluster.parent / "secrets/phone-home-token", "made"),
        ("signing key", cluster.parent / "secrets/signing-key.asc", "made"),
        ("public signing key", cluster.parent / "secrets/signing-key.pub.asc", "made"),
        ("cluster CA", site / "ca.crt", "yours"),
        ("etcd CA", site / "etcd/ca.crt", "yours"),
        ("front proxy CA", site / "front-proxy-ca.crt", "yours"),
        ("service account key", site / "sa.key", "yours"),
    ]
    assert result.digest == openssl.pin(site / "ca.crt")


@pytest.mark.parametrize("name", ["certificate key", "secrets/certificate-key"])
def test_a_secret_is_rotated_by_what_the_table_calls_it(name: str, cluster: Path) -> None:
    secrets.make(Workspace(cluster))
    rotated = secrets.make(Workspace(cluster), rotate=[name])
    assert [one.name for one in rotated.states if one.state == "rotated"] == ["certificate key"]


@pytest.mark.parametrize("name", ["signing key", "public signing key", "secrets/signing-key.asc"])
def test_the_signing_key_is_not_rotated(name: str, cluster: Path) -> None:
    with pytest.raises(UsageError) as caught:
        secrets.make(Workspace(cluster), rotate=[name])
    assert str(caught.value) == (
        "the signing key can't be rotated here: what it signed is checked with it"
    )
    assert caught.value.hint == (
        "move signing-key.asc and signing-key.pub.asc away and run `airseed secrets` again; then "
        "sign packages, bundles and seeds anew"
    )


@pytest.mark.parametrize("name", ["ca", "ca.crt", "ca.key", "cluster-ca", "cluster CA"])
def test_the_authority_is_not_rotated(name: str, cluster: Path) -> None:
    with pytest.raises(UsageError) as caught:
        secrets.make(Workspace(cluster), rotate=["token", name])
    assert str(caught.value) == (
        "the cluster's CA can't be rotated here: joiners pin it, and all that the cluster has is "
        "signed by it"
    )
    assert caught.value.hint == (
        "a cluster whose nodes have not booted yet: delete ca.crt and ca.key and run "
        "`airseed secrets` again; a running one: Kubernetes' own manual rotation of CA certificates"
    )
    assert not (cluster.parent / "secrets").exists()


def test_an_unknown_name_names_the_known(cluster: Path) -> None:
    with pytest.raises(UsageError) as caught:
        secrets.make(Workspace(cluster), rotate=["tokn"])
    assert str(caught.value) == (
        "there is no 'tokn' to rotate (expected token, certificate-key or phone-home-token)"
    )
    assert caught.value.hint == "did you mean 'token'?"


def test_a_wrong_document_makes_nothing(cluster: Path) -> None:
    cluster.write_text("kubernetes: x\n")
    with pytest.raises(DocumentError):
        secrets.make(Workspace(cluster))
    assert not (cluster.parent / "secrets").exists()


def test_the_public_half_is_made_beside_the_signing_key(cluster: Path) -> None:
    """Also for secrets of an earlier airseed, and anew when the key is another one."""
    folder = cluster.parent / "secrets"
    secrets.make(Workspace(cluster))
    public = folder / "signing-key.pub.asc"
    content = public.read_bytes()
    key = signing.read((folder / "signing-key.asc").read_bytes())
    assert [one.fingerprint for one in load_keys(content)] == [key.fingerprint]
    assert not has_secrets(content)
    for left in (None, b"of another key"):
        public.unlink() if left is None else public.write_bytes(left)
        result = secrets.make(Workspace(cluster))
        state = "made" if left is None else "replaced"
        assert [one.name for one in result.states if one.state == state] == ["public signing key"]
        assert public.read_bytes() == content
    (folder / "signing-key.asc").write_bytes(signing.new("another <another@localhost>").secret)
    result = secrets.make(Workspace(cluster))
    assert [one.name for one in result.states if one.state == "replaced"] == ["public signing key"]
    assert load_keys(public.read_bytes())[0].users == ("another <another@localhost>",)


def test_keys_that_were_added_to_the_public_half_stay(cluster: Path) -> None:
    secrets.make(Workspace(cluster))
    folder = cluster.parent / "secrets"
    public = folder / "signing-key.pub.asc"
    another = public_half(signing.new("another <another@localhost>").secret)
    both = public.read_bytes() + another
    public.write_bytes(both)
    result = secrets.make(Workspace(cluster))
    assert {one.state for one in result.states} == {"kept"}
    assert public.read_bytes() == both


def test_the_public_half_has_the_subkeys_of_a_key_of_ones_own(cluster: Path, gpg: Gpg) -> None:
    """gpg's users sign with subkeys; without them nobody could check it."""
    secrets.make(Workspace(cluster))
    folder = cluster.parent / "secrets"
    fingerprint = gpg.key("own@example.org", "rsa2048+")
    (folder / "signing-key.asc").write_bytes(gpg.secret(fingerprint).read_bytes())
    secrets.make(Workspace(cluster))
    content = (folder / "signing-key.pub.asc").read_bytes()
    signed = open_signer((folder / "signing-key.asc").read_bytes(), where="key").sign(b"x")
    assert verify_detached(b"x", signed, load_keys(content)) == fingerprint
    assert not has_secrets(content)
