"""Packages that no repository has: locked, bundled and verified; what may change and what not."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_lab.faults import WrongBytes

from builder.formats import lock as lock_format
from builder.formats import recipe as recipe_format
from builder.model.digest import Digest
from builder.rpm.build import builder

if TYPE_CHECKING:
    from sandboxes import Ran, Sandbox

    from builder.model.artifact import Package
    from builder.model.lock import Lock
    from builder.model.recipe import Order

Site = Any
BUILT = "kubernetes: {version: 1.18.5, packages: built}\n"
NODES = "nodes:\n  - {name: a, role: control-plane, address: 10.0.0.1}\n"
NAMES = {"kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"}
REPOSITORY = "kubernetes-built-el7"


@pytest.fixture
def sandbox(site: Site) -> Sandbox:
    """Open a folder whose cluster builds its packages, with a cache and a key of its own."""
    opened: Sandbox = site.open()
    (opened.folder / "cluster.yaml").write_text(BUILT + NODES, "utf-8")
    cache = opened.folder.parent / "cache"
    shared = Path(opened.environment["XDG_CACHE_HOME"]) / "airseed" / "repodata"
    if shared.is_dir():
        shutil.copytree(shared, cache / "airseed" / "repodata")
    opened.environment["XDG_CACHE_HOME"] = str(cache)
    good(opened.run("secrets", "-q"))
    return opened


def good(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    return ran


def locked(sandbox: Sandbox, *words: str) -> Lock:
    good(sandbox.lock("-q", *words))
    return lock_format.read(sandbox.lock_path)


def builds(lock: Lock) -> dict[str, Package]:
    return {one.nevra.name: one for one in lock.packages if one.built}


def cached(sandbox: Sandbox) -> Path:
    return Path(sandbox.environment["XDG_CACHE_HOME"]) / "airseed" / "packages"


def of_programs(ran: Ran) -> list[str]:
    """Return what was asked for that is a program or an archive of some."""
    return [
        one.path
        for one in ran.requests
        if "/bin/linux/" in one.path or one.path.endswith((".tgz", ".tar.gz"))
    ]


def test_the_lock_says_how_each_was_built(sandbox: Sandbox) -> None:
    lock = locked(sandbox)
    found = builds(lock)
    assert set(found) == NAMES
    (key,) = [file for file in lock.files if file.path == "keys/site-packages.asc"]
    assert key.trust == "pinned"
    for package in found.values():
        assert package.repository == REPOSITORY
        assert package.sources == ()
        assert package.keys == (key.fingerprint,)
        assert package.trust == "pinned"
        assert package.nevra.release == "0.airseed1"
        assert package.built is not None
        assert package.built.by == builder()
        (one,) = package.built.inputs
        assert one.trust == "pinned"
        content = (sandbox.folder / "cluster.lock.d" / package.built.order.hex).read_bytes()
        order, _ = recipe_format.read(content, package.name)
        assert order.recipe.nevra == package.nevra
        assert [program.digest for program in order.recipe.programs] == [one.digest]
        assert order.signer == key.fingerprint
    assert {name: str(one.nevra) for name, one in found.items()} == {
        "kubeadm": "kubeadm-1.18.5-0.airseed1.x86_64",
        "kubelet": "kubelet-1.18.5-0.airseed1.x86_64",
        "kubectl": "kubectl-1.18.5-0.airseed1.x86_64",
        "kubernetes-cni": "kubernetes-cni-0.8.6-0.airseed1.x86_64",
        "cri-tools": "cri-tools-1.18.0-0.airseed1.x86_64",
    }
    (repository,) = [one for one in lock.repositories if one.name == REPOSITORY]
    assert (repository.sources, repository.signed) == ((), False)
    assert repository.keys == (key.fingerprint,)
    assert not [one for one in lock.repositories if one.name == "kubernetes-el7"]
    needs = {one.nevra.name: one.needed_by for one in lock.packages}
    assert "kubelet" in needs["socat"]


def test_the_repository_is_not_asked(sandbox: Sandbox) -> None:
    ran = good(sandbox.lock("-q"))
    assert not [one for one in ran.requests if "kubernetes-el7" in one.path]
    assert len([path for path in of_programs(ran) if "/bin/linux/" in path]) == 6  # moved once each


def test_nothing_is_fetched_or_built_twice(sandbox: Sandbox) -> None:
    first = locked(sandbox)
    text = sandbox.lock_path.read_bytes()
    beside = {path.name for path in (sandbox.folder / "cluster.lock.d").iterdir()}
    assert {one.hex for one in first.beside} == beside
    again = good(sandbox.lock())
    assert of_programs(again) == []
    assert "built" not in again.err
    assert sandbox.lock_path.read_bytes() == text
    sandbox.lock_path.unlink()
    shutil.rmtree(sandbox.folder / "cluster.lock.d")
    assert of_programs(good(sandbox.lock())) == []  # the cache has them
    assert sandbox.lock_path.read_bytes() == text
    assert {path.name for path in (sandbox.folder / "cluster.lock.d").iterdir()} == beside
    check = sandbox.lock("--check")
    assert (check.code, of_programs(check)) == (0, [])


def test_the_same_key_gives_the_same_bytes_anywhere(sandbox: Sandbox, site: Site) -> None:
    """Another folder, cache, locale, time zone and umask."""
    locked(sandbox)
    good(sandbox.bundle())
    other = site.open(name="other")
    (other.folder / "cluster.yaml").write_text(BUILT + NODES, "utf-8")
    (other.folder / "secrets").mkdir(mode=0o700)
    shutil.copy(sandbox.folder / "secrets" / "signing-key.asc", other.folder / "secrets")
    other.environment |= {
        "XDG_CACHE_HOME": str(other.folder.parent / "others"),
        "LC_ALL": "C.UTF-8",
        "TZ": "Pacific/Kiritimati",
    }
    prefix = ("sh", "-c", 'umask 077; exec "$@"', "sh")
    good(other.run("lock", "cluster.yaml", "--catalog", str(other.catalog), prefix=prefix))
    assert other.lock_path.read_bytes() == sandbox.lock_path.read_bytes()
    good(other.run("bundle", "cluster.lock", prefix=prefix))
    assert other.bundle_path.read_bytes() == sandbox.bundle_path.read_bytes()


def test_a_bundle_takes_them_from_the_cache_or_builds_them_again(sandbox: Sandbox) -> None:
    lock = locked(sandbox)
    first = good(sandbox.bundle())
    assert of_programs(first) == []
    good(sandbox.run("verify", "bundle.tar"))
    content = sandbox.bundle_path.read_bytes()
    sandbox.bundle_path.unlink()
    shutil.rmtree(cached(sandbox))
    shutil.rmtree(sandbox.folder / "secrets")  # the signature lies beside the lock
    again = good(sandbox.bundle())
    assert len(of_programs(again)) > 4
    name = "kubelet-1.18.5-0.airseed1.x86_64"
    assert f"{name} is not in the cache; fetching what it is built from\n" in again.err
    assert f"built {name}, {builder()}\n" in again.err
    assert sandbox.bundle_path.read_bytes() == content
    assert "warning" not in again.err
    assert {path.name.split(".")[1] for path in cached(sandbox).glob("*.rpm")} == {
        package.digest.hex for package in builds(lock).values()
    }


def test_a_damaged_one_in_the_cache_is_built_again(sandbox: Sandbox) -> None:
    lock = locked(sandbox)
    kubelet = builds(lock)["kubelet"]
    (path,) = cached(sandbox).glob(f"*.{kubelet.digest.hex}.rpm")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    ran = good(sandbox.bundle())
    url = "https://dl.k8s.io/v1.18.5/bin/linux/amd64/kubelet"
    assert f"taken from a new build by {builder()} of {url}, because" in ran.err
    assert path.read_bytes() == content
    good(sandbox.run("verify", "bundle.tar"))


def test_another_rpm_rs_is_named(sandbox: Sandbox) -> None:
    locked(sandbox)
    text = sandbox.lock_path.read_text("ascii")
    older = text.replace(f'"by": "{builder()}"', '"by": "rpm-rs 0.1.0"')
    assert older != text
    sandbox.lock_path.write_text(older, "ascii")
    good(sandbox.bundle())  # what is in the cache is right, whoever built it
    sandbox.bundle_path.unlink()
    shutil.rmtree(cached(sandbox))
    ran = sandbox.bundle()
    assert ran.code == 1
    assert f"the locked RPM was built by rpm-rs 0.1.0; this machine's {builder()}" in ran.err
    assert "install rpm-rs==0.1.0, or run `airseed lock --update kubelet`" in ran.err
    assert of_programs(ran) == []
    assert not sandbox.bundle_path.exists()


def test_a_lock_of_another_rpm_rs_stays_while_its_packages_are_there(sandbox: Sandbox) -> None:
    """Those of an older one, as they would lie in the cache."""
    lock = locked(sandbox)
    text = sandbox.lock_path.read_text("ascii")
    for package in builds(lock).values():
        assert package.built is not None
        place = sandbox.folder / "cluster.lock.d" / package.built.order.hex
        order, signature = recipe_format.read(place.read_bytes(), package.name)
        older = recipe_format.write(_by(order), signature)
        identity = recipe_format.identity(_by(order))
        (path,) = cached(sandbox).glob(f"*.{package.digest.hex}.rpm")
        path.rename(path.with_name(f"{identity.hex}.{package.digest.hex}.rpm"))
        digest = Digest.of(older)
        place.with_name(digest.hex).write_bytes(older)
        text = text.replace(str(package.built.order), str(digest))
    text = text.replace(f'"by": "{builder()}"', '"by": "rpm-rs 0.1.0"')
    sandbox.lock_path.write_text(text, "ascii")
    assert of_programs(good(sandbox.lock("-q"))) == []
    assert sandbox.lock_path.read_text("ascii") == text
    good(sandbox.bundle())
    good(sandbox.run("verify", "bundle.tar"))
    # moved by name, and by nothing else
    moved = good(sandbox.lock("--update", "kubelet"))
    assert len(of_programs(moved)) == 2
    after = builds(lock_format.read(sandbox.lock_path))
    by = {name: package.built.by for name, package in after.items() if package.built}
    assert by == dict.fromkeys(NAMES, "rpm-rs 0.1.0") | {"kubelet": builder()}
    # an older rpm-rs gave other bytes, and nobody has them any more
    shutil.rmtree(cached(sandbox))
    text = sandbox.lock_path.read_text("ascii")
    text = text.replace(str(after["kubectl"].digest), f"sha256:{'0' * 64}")
    sandbox.lock_path.write_text(text, "ascii")
    refused = sandbox.lock("-q")
    assert refused.code == 1
    assert (
        "kubectl-1.18.5-0.airseed1.x86_64: rpm-rs 0.1.0 built it then, and "
        f"{builder()} gives other bytes under this name"
    ) in refused.err
    assert "airseed lock --update kubectl" in refused.err


def _by(order: Order) -> Order:
    return replace(order, builder="rpm-rs 0.1.0")


def test_without_a_key_it_says_what_to_do(sandbox: Sandbox) -> None:
    (sandbox.folder / "secrets" / "signing-key.asc").unlink()
    ran = sandbox.lock()
    assert ran.code == 1
    assert ran.requests == ()
    assert (
        "error: secrets/signing-key.asc: packages that are built here need a key to sign them"
    ) in ran.err
    assert "hint: `airseed secrets cluster.yaml` makes what is missing" in ran.err
    good(sandbox.run("secrets", "-q"))
    locked(sandbox)


def test_another_key_is_another_lock(sandbox: Sandbox) -> None:
    before = locked(sandbox)
    (sandbox.folder / "secrets" / "signing-key.asc").unlink()
    good(sandbox.run("secrets", "-q"))
    refused = sandbox.lock("-q")
    assert refused.code == 1
    assert "its program, its recipe or your signing key changed" in refused.err
    assert lock_format.read(sandbox.lock_path) == before
    after = locked(sandbox, *(f"--update={name}" for name in sorted(NAMES)))
    assert {one.digest for one in builds(after).values()}.isdisjoint(
        one.digest for one in builds(before).values()
    )
    good(sandbox.bundle())
    good(sandbox.run("verify", "bundle.tar"))


def test_the_key_is_nowhere_but_in_its_file(sandbox: Sandbox) -> None:
    output = "".join(
        f"{ran.out}{ran.err}"
        for ran in (
            sandbox.lock("-v"),
            sandbox.bundle("-v"),
            sandbox.run("verify", "bundle.tar", "-v"),
            sandbox.run("inspect", "cluster.lock", "--json"),
        )
    )
    secret = (sandbox.folder / "secrets" / "signing-key.asc").read_text().splitlines()
    body = [line for line in secret[12:28] if len(line) == 64]
    assert len(body) > 10
    written = b"".join(
        path.read_bytes()
        for path in (*sandbox.folder.rglob("*"), *cached(sandbox).rglob("*"))
        if path.is_file() and path.parent.name != "secrets"
    )
    for line in body:
        assert line not in output
        assert line.encode() not in written
    assert b"PRIVATE KEY" not in written


def test_programs_without_a_digest_are_believed_once(sandbox: Sandbox) -> None:
    path = sandbox.catalog / "binaries" / "crictl.yaml"
    pinned = path.read_text("utf-8")
    own = sandbox.folder / "own"
    (own / "binaries").mkdir(parents=True)
    text = re.sub(r"    1\.18\.0:\n.*\n", "", pinned)
    assert text != pinned
    (own / "binaries" / "crictl.yaml").write_text(text, "utf-8")
    lock = locked(sandbox, "--catalog", str(own))
    tools = builds(lock)["cri-tools"]
    assert tools.trust == "first-use"
    assert tools.built is not None
    assert [one.trust for one in tools.built.inputs] == ["first-use"]
    assert builds(lock)["kubelet"].trust == "pinned"
    again = good(sandbox.lock("-q", "--catalog", str(own)))
    assert of_programs(again) == []
    # upstream changes it: what was believed stays believed
    url = tools.built.inputs[0].sources[0]
    shutil.rmtree(cached(sandbox))
    upstream = sandbox.upstream
    try:
        upstream.faults.add(WrongBytes(), path="*/crictl-*")
        changed = sandbox.lock("-q", "--catalog", str(own))
    finally:
        upstream.faults.clear()
    assert changed.code == 1
    assert "crictl: no source has this program" in changed.err
    assert url in changed.err


def test_a_program_that_is_not_the_pinned_one_is_refused(sandbox: Sandbox) -> None:
    try:
        sandbox.upstream.faults.add(WrongBytes(), path="*/kubelet")
        ran = sandbox.lock("-q")
    finally:
        sandbox.upstream.faults.clear()
    assert ran.code == 1
    assert "kubelet: no source has this program" in ran.err
    assert ran.err.count("sent sha256:") >= 3
    assert (
        "hint: check the network and proxy, or add a source with --catalog (binaries/)" in ran.err
    )
    assert not sandbox.lock_path.exists()


def test_inspect_shows_what_they_were_built_from(sandbox: Sandbox) -> None:
    lock = locked(sandbox)
    value = json.loads(good(sandbox.run("inspect", "cluster.lock", "--json")).out)
    shown = {one["name"]: one.get("built") for one in value["packages"]}
    kubelet = builds(lock)["kubelet"]
    assert kubelet.built is not None
    assert shown[kubelet.name] == {
        "by": builder(),
        "inputs": [
            {
                "name": "kubelet",
                "digest": str(kubelet.built.inputs[0].digest),
                "trust": "pinned",
                "sources": list(kubelet.built.inputs[0].sources),
            }
        ],
    }
    assert len([one for one in shown.values() if one]) == len(NAMES)
    table = good(sandbox.run("inspect", "cluster.lock")).out
    assert re.search(
        rf"^kubelet-\S+ +{builder()} +kubelet +{kubelet.built.inputs[0].digest.short} +pinned +"
        r"https://dl\.k8s\.io/v1\.18\.5/bin/linux/amd64/kubelet$",
        table,
        re.MULTILINE,
    )


def test_provenance_names_the_programs(sandbox: Sandbox) -> None:
    locked(sandbox)
    good(sandbox.bundle())
    output = json.loads(good(sandbox.run("inspect", "bundle.tar", "--provenance", "--json")).out)
    text = json.dumps(output)
    url = "https://dl.k8s.io/v1.18.5/bin/linux/amd64/kubelet"
    assert f"the cache, built by {builder()} of {url}" in text
    assert str(cached(sandbox)) not in text


@pytest.mark.parametrize("form", ["spdx", "cyclonedx"])
def test_a_bill_of_materials_has_them(sandbox: Sandbox, form: str) -> None:
    lock = locked(sandbox)
    text = good(sandbox.run("inspect", "cluster.lock", "--sbom", form)).out
    for package in builds(lock).values():
        assert package.digest.hex in text


def test_a_gone_repository_leads_to_building(site: Site) -> None:
    opened: Sandbox = site.open(name="gone")
    text = (opened.catalog / "keys" / "google-rpm.yaml").read_text("utf-8")
    assert text
    own = opened.folder / "own" / "repositories"
    own.mkdir(parents=True)
    (own / "kubernetes-el7.yaml").write_text(
        "sources: ['https://packages.cloud.google.com/yum/repos/kubernetes-el7-$basearch/']\n"
        "keys: [google-rpm]\n",
        "utf-8",
    )
    ran = opened.lock("--catalog", str(own.parent))
    assert ran.code == 1
    assert (
        "or have its packages built and signed with your own key: "
        "kubernetes: {version: 1.18.5, packages: built}"
    ) in ran.err


def test_a_gone_key_leads_to_building(site: Site) -> None:
    """It is asked for before its repository, and both are gone together."""
    opened: Sandbox = site.open(name="keyless")
    own = opened.folder / "own" / "keys"
    own.mkdir(parents=True)
    text = (opened.catalog / "keys" / "google-rpm.yaml").read_text("utf-8")
    (own / "google-rpm.yaml").write_text(text.replace(".gpg", ".gone"), "utf-8")
    ran = opened.lock("--catalog", str(own.parent))
    assert ran.code == 1
    assert "\nerror: keys/google-rpm.asc: no source has this file\n" in ran.err
    assert ran.err.endswith(
        "\n  hint: check the network and proxy, or add a source with --catalog; "
        "or have its packages built and signed with your own key: "
        "kubernetes: {version: 1.18.5, packages: built}\n"
    )


def test_a_gone_key_of_another_repository_does_not(site: Site) -> None:
    opened: Sandbox = site.open(name="elsewhere")
    own = opened.folder / "own" / "keys"
    own.mkdir(parents=True)
    text = (opened.catalog / "keys" / "docker-ce.yaml").read_text("utf-8")
    (own / "docker-ce.yaml").write_text(re.sub(r"(https://\S+)gpg", r"\1gone", text), "utf-8")
    ran = opened.lock("--catalog", str(own.parent))
    assert ran.code == 1
    assert "\nerror: keys/docker-ce.asc: no source has this file\n" in ran.err
    assert "packages: built" not in ran.err


def test_going_over_from_the_repository_and_back(sandbox: Sandbox) -> None:
    """The choice is cluster.yaml's; a lock that was made for the other one does not fit."""
    document = sandbox.folder / "cluster.yaml"
    document.write_text(f"kubernetes: 1.18.5\n{NODES}", "utf-8")
    assert builds(locked(sandbox)) == {}
    document.write_text(BUILT + NODES, "utf-8")
    ran = good(sandbox.run("bundle", "cluster.yaml", "--catalog", str(sandbox.catalog)))
    assert "does not fit" in ran.err
    lock = lock_format.read(sandbox.lock_path)
    assert set(builds(lock)) == NAMES
    document.write_text(f"kubernetes: 1.18.5\n{NODES}", "utf-8")
    lock = locked(sandbox)
    assert builds(lock) == {}
    assert not [file for file in lock.files if file.path == "keys/site-packages.asc"]
    assert {path.name for path in (sandbox.folder / "cluster.lock.d").iterdir()} == {
        one.hex for one in lock.beside
    }


def test_seeds_install_them_by_name(sandbox: Sandbox) -> None:
    locked(sandbox)
    good(sandbox.bundle())
    good(sandbox.run("seeds", "cluster.yaml", "--catalog", str(sandbox.catalog)))
    text = (sandbox.folder / "seeds" / "a" / "user-data").read_text("utf-8")
    assert "kubelet-1.18.5-0.airseed1.x86_64" in text
    assert "PGP PRIVATE" not in text
