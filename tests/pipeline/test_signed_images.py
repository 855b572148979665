"""Signatures of images: found while locking, carried along, and checked without any network."""

from __future__ import annotations

import datetime as dt
import json
import re
import tarfile
from typing import TYPE_CHECKING

import cosign
import pytest
from cosign import Service, attach
from push_registry import PushRegistry

from builder.formats import lock as lock_format
from builder.model.digest import Digest

if TYPE_CHECKING:
    from conftest import Site
    from sandboxes import Sandbox

    from builder.lab.images import BuiltImage
    from builder.model.artifact import Image
    from builder.model.lock import Lock

TEAM = "registry.example.org/team"
AT = dt.datetime(2023, 5, 1, 12, 0, tzinfo=dt.UTC)
WHO, BY = "release@example.org", "https://accounts.example.org"
POLICY = (
    "signatures:\n  - {name: team, images: ['registry.example.org/team/*'], keys: cosign.pub%s}\n"
)


def extra(*names: str) -> str:
    return "extra:\n  images:\n" + "".join(f"    - {TEAM}/{name}:1\n" for name in names)


def image_of(lock: Lock, name: str) -> Image:
    return next(one for one in lock.images if one.reference.path == f"team/{name}")


class Team:
    """Publish signed images, with a key of the team's own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.key = cosign.new_key()
        (sandbox.folder / "cosign.pub").write_text(cosign.public(self.key), "utf-8")

    def publish(self, name: str) -> BuiltImage:
        return self.sandbox.upstream.add_image(f"{TEAM}/{name}:1", platforms=("linux/amd64",))

    def sign(self, name: str, digest: Digest, *, key: cosign.PrivateKey | None = None,
             about: Digest | None = None, named: str = "", how: str = "tag") -> Digest:  # fmt: skip
        content = cosign.payload(f"{TEAM}/{named or name}", about or digest)
        layer = cosign.by_key(content, key or self.key)
        return attach(self.sandbox.upstream, f"{TEAM}/{name}:1", digest, [layer], how=how)  # type: ignore[arg-type]


def locked(sandbox: Sandbox) -> Lock:
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    return lock_format.read(sandbox.lock_path)


@pytest.mark.parametrize("how", ["tag", "referrer"])
def test_a_signature_travels_and_is_checked(site: Site, how: str) -> None:
    name = f"app-{how}"
    sandbox = site.open(extra(name) + POLICY % "")
    team = Team(sandbox)
    made = team.publish(name)
    manifest = team.sign(name, made.digest, how=how)
    image = image_of(locked(sandbox), name)
    assert (image.signed_by, image.trust) == ("team", "signed")
    assert [one.digest for one in image.signatures] == [manifest]
    assert sandbox.bundle().code == 0
    ran = sandbox.run("verify")
    assert ran.code == 0, ran.err
    assert "images: 1 signed by team; 13 without a signature\n" in ran.err
    with tarfile.open(sandbox.bundle_path) as tar:
        index = json.load(tar.extractfile("images/signatures.json"))  # type: ignore[arg-type]
        names = set(tar.getnames())
        assert "images/signers/team.json" in names
        top = json.load(tar.extractfile("images/index.json"))  # type: ignore[arg-type]
    [entry] = index["manifests"]
    assert entry["digest"] == str(manifest)
    assert entry["annotations"] == {
        "org.opencontainers.image.ref.name": f"{TEAM}/{name}:sha256-{made.digest.hex}.sig"
    }
    assert f"images/blobs/sha256/{manifest.hex}" in names
    assert str(manifest) not in json.dumps(top)
    ran = sandbox.run("inspect", "bundle.tar")
    assert re.search(rf"^{TEAM}/{name}:1 .* signed +team +extra$", ran.out, re.MULTILINE)
    assert re.search(r"^k8s.gcr.io/pause:3.2 .* nobody +kubeadm, runtime$", ran.out, re.MULTILINE)


def test_what_a_site_has_signed_itself_stays(site: Site) -> None:
    """Upstream's next signature takes the place of its last one, and of no other."""
    sandbox = site.open(extra("site") + POLICY % "")
    team = Team(sandbox)
    made = team.publish("site")
    tag, path = f"sha256-{made.digest.hex}.sig", "k8s/team/site"

    def publish() -> str:
        assert locked(sandbox) is not None
        assert sandbox.bundle().code == 0
        ran = sandbox.run("publish", "bundle.tar", "--registry", f"{registry.host}/k8s")
        assert ran.code == 0, ran.err
        return ran.err

    with PushRegistry() as registry:
        first = team.sign("site", made.digest)
        publish()
        assert registry.tags[path][tag] == str(first)
        second = team.sign("site", made.digest)
        ran = sandbox.lock("--update", f"{TEAM}/site:1")
        assert ran.code == 0, ran.err
        publish()
        assert registry.tags[path][tag] == str(second)
        own = registry.other_image(path, tag)
        for gone in ("", "1"):
            registry.tags[path].pop(gone, None)
            told = publish()
            assert f"{registry.host}/{path}:{tag} has signatures that are not airseed's" in told
            assert (registry.tags[path][tag], registry.tags[path]["1"]) == (own, str(made.digest))


def test_a_second_lock_asks_for_nothing(site: Site) -> None:
    sandbox = site.open(extra("again") + POLICY % "")
    team = Team(sandbox)
    team.sign("again", team.publish("again").digest)
    first = locked(sandbox)
    ran = sandbox.lock()
    assert ran.code == 0
    assert not [one for one in ran.requests if "team/again" in one.path]
    assert lock_format.read(sandbox.lock_path) == first
    assert sandbox.run("bundle", "cluster.yaml", "--catalog", str(sandbox.catalog)).code == 0
    # another key under the same name: what was signed before is judged anew
    Team(sandbox)
    ran = sandbox.lock()
    assert ran.code == 1
    assert "team should have signed this image" in ran.err


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("missing", "the image is not signed"),
        ("wrong key", "it was made with another key, or was changed afterwards"),
        ("swapped", "it is the signature of another image, sha256:"),
        ("renamed", f"it is the signature of an image of another name, '{TEAM}/other'"),
    ],
)
def test_a_required_signature_that_is_not_good(site: Site, how: str, what: str) -> None:
    name = f"bad-{how.replace(' ', '-')}"
    sandbox = site.open(extra(name) + POLICY % "")
    team = Team(sandbox)
    made = team.publish(name)
    if how == "wrong key":
        team.sign(name, made.digest, key=cosign.new_key())
    if how == "swapped":
        team.sign(name, made.digest, about=Digest.of(b"another"))
    if how == "renamed":
        team.sign(name, made.digest, named="other")
    ran = sandbox.lock()
    assert ran.code == 1
    assert f"error: {TEAM}/{name}:1: team should have signed this image" in ran.err
    assert what in ran.err
    assert not sandbox.lock_path.exists()


def test_a_signature_that_nobody_requires(site: Site) -> None:
    """It travels; why it does not count is said."""
    sandbox = site.open(extra("optional") + POLICY % ", required: false")
    team = Team(sandbox)
    made = team.publish("optional")
    team.sign("optional", made.digest, key=cosign.new_key())
    ran = sandbox.lock()
    assert ran.code == 0
    assert "it was made with another key, or was changed afterwards" in ran.err
    image = image_of(lock_format.read(sandbox.lock_path), "optional")
    assert (image.signed_by, image.trust, len(image.signatures)) == (None, "first-use", 1)
    assert sandbox.bundle().code == 0
    assert sandbox.run("verify").code == 0
    ran = sandbox.run("inspect", "bundle.tar")
    assert re.search(rf"^{TEAM}/optional:1 .* first-use +unchecked +extra$", ran.out, re.MULTILINE)


def test_an_identity_of_the_catalog(site: Site) -> None:
    """With an authority and a log of the test's own."""
    sandbox = site.open(
        extra("keyless")
        + "signatures:\n  - name: release\n    images: ['registry.example.org/team/*']\n"
        f"    identities: [{{subject: '*@example.org', issuer: '{BY}'}}]\n    authority: lab\n"
    )
    service = Service(start=dt.datetime(2022, 1, 1, tzinfo=dt.UTC))
    catalog = sandbox.folder / "catalog"
    (catalog / "authorities").mkdir(parents=True)
    document = {
        "certificates": list(service.certificates),
        "logs": [cosign.public(service.log_key)],
    }
    (catalog / "authorities/lab.yaml").write_text(json.dumps(document), "utf-8")
    made = sandbox.upstream.add_image(f"{TEAM}/keyless:1")
    content = cosign.payload(f"{TEAM}/keyless", made.digest)
    layer = service.by_identity(content, WHO, BY, at=AT)
    attach(sandbox.upstream, f"{TEAM}/keyless:1", made.digest, [layer])
    ran = sandbox.lock("--catalog", str(catalog))
    assert ran.code == 0, ran.err
    assert image_of(lock_format.read(sandbox.lock_path), "keyless").signed_by == "release"
    assert sandbox.bundle().code == 0
    assert sandbox.run("verify").code == 0
    # the certificate had ended when the log got it
    late = service.by_identity(content, WHO, BY, at=AT, logged=AT + dt.timedelta(hours=1))
    attach(sandbox.upstream, f"{TEAM}/keyless:1", made.digest, [late])
    ran = sandbox.lock("--catalog", str(catalog), "--update", f"{TEAM}/keyless:1")
    assert ran.code == 1
    assert "the certificate was not valid when it was used (2023-05-01T13:00:00Z)" in ran.err


def test_verify_believes_no_lock(site: Site) -> None:
    """A bundle that is whole in itself, with the signatures of two images swapped."""
    sandbox = site.open(extra("one", "two") + POLICY % "")
    team = Team(sandbox)
    for name in ("one", "two"):
        team.sign(name, team.publish(name).digest)
    lock = locked(sandbox)
    text = sandbox.lock_path.read_text("utf-8")
    one, two = (json.dumps(_signatures(image_of(lock, name))) for name in ("one", "two"))
    assert text.count(one) == text.count(two) == 1
    sandbox.lock_path.write_text(
        text.replace(one, "@").replace(two, one).replace("@", two), "utf-8"
    )
    assert sandbox.bundle().code == 0
    ran = sandbox.run("verify", "--json")
    assert ran.code == 1
    faults = json.loads(ran.out)["faults"]
    assert [fault["where"] for fault in faults] == [
        f"{TEAM}/one:1, expected from team",
        f"{TEAM}/two:1, expected from team",
    ]
    assert all("the signature of another image" in fault["what"] for fault in faults)
    # and none at all
    sandbox.bundle_path.unlink()
    bare = json.loads(text)
    gone = {d for name in ("one", "two") for d in _digests(image_of(lock, name))}
    bare["artifacts"] = [a for a in bare["artifacts"] if a["name"] not in gone]
    for artifact in bare["artifacts"]:
        artifact.pop("signatures", None)
    sandbox.lock_path.write_text(json.dumps(bare), "utf-8")
    assert sandbox.bundle().code == 0
    ran = sandbox.run("verify", "--json")
    assert ran.code == 1
    assert {f["what"] for f in json.loads(ran.out)["faults"]} == {"the image is not signed"}


def _signatures(image: Image) -> list[dict[str, object]]:
    return [
        {"digest": str(one.digest), "size": one.size, "blobs": [str(blob) for blob in one.blobs]}
        for one in image.signatures
    ]


def _digests(image: Image) -> set[str]:
    return {str(d) for one in image.signatures for d in (one.digest, *one.blobs)}


def test_what_cluster_yaml_may_not_say(site: Site) -> None:
    sandbox = site.open(
        "signatures:\n"
        "  - {name: a, images: ['registry.example.org/*'], keys: nowhere.pub}\n"
        "  - {name: b, images: ['registry.example.org/*']}\n"
        "  - {name: c, images: x, authority: nobody, identities: [{subject: x, issuer: 'http://x'}]}\n"
    )
    ran = sandbox.lock()
    assert ran.code == 3
    assert "signatures[0].keys[0]" in ran.err
    assert "there is no file 'nowhere.pub'" in ran.err
    assert "signatures[1] (line 6): it names neither keys nor identities" in ran.err
    assert "signatures[2].identities[0].issuer (line 7): the issuer is the URL" in ran.err
    (sandbox.folder / "nowhere.pub").write_text("garbage", "utf-8")
    text = (sandbox.folder / "cluster.yaml").read_text("utf-8").partition("  - {name: b")[0]
    (sandbox.folder / "cluster.yaml").write_text(text, "utf-8")
    ran = sandbox.lock()
    assert ran.code == 1
    assert "the signer a" in ran.err
    assert "the public key cannot be read" in ran.err
