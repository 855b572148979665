"""Metadata of yum repositories: built here, signed here, served by the lab, faults included."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from fault_lab.faults import LoginPage, Reset, Status, WrongBytes

from builder.errors import Fault, StorageError, UnavailableError
from builder.lab.openpgp import armour
from builder.lab.packages import PackageRecipe
from builder.model.digest import Digest
from builder.rpm.keys import load_keys
from builder.rpm.subset import KINDS, read_packages
from builder.sources.repository import RepositoryMetadata, WantedRepository, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.lab.openpgp import VendorKey
    from builder.sources.access import Access

HOME = "https://home.example.org/yum/repos/el7"
COPY = "https://copy.example.org/mirror/yum/repos/el7/"
RECIPES = (
    PackageRecipe(nevra="kubelet-1.18.5-0.x86_64", files=("/usr/bin/kubelet",)),
    PackageRecipe(nevra="kubeadm-1.18.5-0.x86_64", requires=("kubelet",)),
)
REPOMD = f"{HOME}/repodata/repomd.xml"


@pytest.fixture
def key(upstream: FaultyUpstream) -> VendorKey:
    return upstream.key("Automatic <auto@example.org>")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "repodata"


class World:
    """Serve a repository at two places, and fetch it."""

    def __init__(
        self, upstream: FaultyUpstream, access: Access, key: VendorKey, cache: Path
    ) -> None:
        self.upstream = upstream
        self.key = key
        self._access = access
        self._cache = cache

    def serve(self, *urls: str, **how: Any) -> None:
        options = {"key": self.key, "pool": "../../pool/", "groups": {"core": ["kubelet"]}, **how}
        for url in urls:
            self.upstream.add_repository(url, RECIPES, **options)

    def fetch(
        self, signed: Any = "unsigned", *keys: VendorKey, types: Any = KINDS
    ) -> RepositoryMetadata:
        held = keys or (self.key,)
        place = WantedRepository(
            name="kubernetes",
            urls=(HOME, COPY),
            keys=tuple(one for each in held for one in load_keys(each.public)),
            signed=signed,
        )
        return fetch(place, types, self._access.client, self._cache)

    def refused(self, signed: Any = "unsigned", *keys: VendorKey) -> tuple[Fault, ...]:
        with pytest.raises(UnavailableError) as caught:
            self.fetch(signed, *keys)
        assert str(caught.value) == "kubernetes: no source has this repository"
        assert caught.value.hint == "check the network and proxy, or add a mirror with --catalog"
        # the second place is there, but empty
        assert caught.value.faults[-1].where == f"{COPY}repodata/repomd.xml"
        return caught.value.faults[:-1]

    def change(self, name: str, old: bytes, new: bytes) -> None:
        """Change a served document of the first place."""
        url = f"{HOME}/repodata/{name}"
        content = self._access.client.get(url, limit=1 << 20).content
        changed = re.sub(old, new, content)
        assert changed != content
        self.upstream.add_file(url, changed)

    @property
    def paths(self) -> list[str]:
        return [one.path.rpartition("/")[2] for one in self.upstream.requests]


@pytest.fixture
def world(upstream: FaultyUpstream, access: Access, key: VendorKey, cache: Path) -> World:
    upstream.site("home.example.org")
    upstream.site("copy.example.org")
    return World(upstream, access, key, cache)


def test_metadata_is_fetched_checked_and_unpacked(world: World, upstream: FaultyUpstream) -> None:
    world.serve(HOME)
    found = world.fetch(types=[*KINDS, "group"])
    assert (found.name, found.base, found.signed) == ("kubernetes", f"{HOME}/", False)
    assert found.passed_over == ()
    assert list(found.files) == [*KINDS, "group"]
    names = [one.name for one in read_packages(found.files["primary"], "kubernetes")]
    assert names == ["kubelet", "kubeadm"]
    assert b"/usr/bin/kubelet" in found.files["filelists"].read_bytes()
    assert b">kubelet</packagereq>" in found.files["group"].read_bytes()
    repomd = upstream.site("home.example.org")._files["/yum/repos/el7/repodata/repomd.xml"]
    content = repomd.read_bytes()  # type: ignore[union-attr]
    assert (found.digest, found.size) == (Digest.of(content), len(content))
    assert not any(path.endswith(".rpm") for path in world.paths), "no RPM is needed to lock"


def test_what_a_repository_lacks_is_left_out(world: World) -> None:
    world.serve(HOME, groups=None)
    assert "group" not in world.fetch(types=["primary", "group"]).files


def test_a_second_run_asks_for_repomd_alone(world: World) -> None:
    world.serve(HOME)
    first = world.fetch()
    before = len(world.paths)
    assert world.fetch() == first
    assert world.paths[before:] == ["repomd.xml"]


def test_damage_in_the_cache_is_noticed_and_mended(world: World, cache: Path) -> None:
    world.serve(HOME)
    primary = world.fetch().files["primary"]
    whole = primary.read_bytes()
    primary.write_bytes(whole.replace(b"kubelet", b"kubelex"))
    before = len(world.paths)
    again = world.fetch()
    assert again.files["primary"].read_bytes() == whole
    assert len(world.paths) == before + 2
    assert not list(cache.glob(".*"))


def test_a_cache_that_cannot_be_written_says_so(world: World, cache: Path) -> None:
    world.serve(HOME)
    cache.parent.write_text("a file where a folder should be", "utf-8")
    with pytest.raises(StorageError) as caught:
        world.fetch()
    assert (
        caught.value.hint
        == "a file is in the place of a folder: remove it, or choose another place"
    )


def test_a_cache_that_cannot_be_read_says_so(world: World, cache: Path) -> None:
    world.serve(HOME)
    primary = world.fetch().files["primary"]
    primary.unlink()
    primary.mkdir()
    with pytest.raises(StorageError) as caught:
        world.fetch()
    assert str(primary) in str(caught.value)


def test_the_next_place_is_asked_and_that_is_reported(world: World) -> None:
    world.serve(COPY)
    found = world.fetch()
    assert found.base == COPY
    assert found.passed_over == (
        Fault(
            where=REPOMD,
            what="the server answered 404 Not Found",
            hint="check the name and the version; a later source may still have it",
        ),
    )


def test_temporary_failures_are_waited_out(world: World, upstream: FaultyUpstream) -> None:
    world.serve(HOME)
    upstream.faults.add(Status(503, retry_after="0"), path="*repomd.xml", times=1)
    upstream.faults.add(Reset(), path="*primary*", times=1)
    assert world.fetch().base == f"{HOME}/"


def test_a_login_page_is_no_repository(world: World, upstream: FaultyUpstream) -> None:
    world.serve(HOME)
    upstream.faults.add(LoginPage(), host="home.example.org")
    [fault] = world.refused()
    assert fault.where == REPOMD
    assert fault.what.startswith(("not well-formed XML: ", "the document is refused: "))


def test_wrong_bytes_are_named_by_their_checksum(world: World, upstream: FaultyUpstream) -> None:
    world.serve(HOME)
    upstream.faults.add(WrongBytes(), path="*filelists*")
    [fault] = world.refused()
    assert re.fullmatch(f"{HOME}/repodata/[0-9a-f]{{64}}-filelists.xml.gz", fault.where)
    assert fault.what.startswith("the content is sha256:")
    assert fault.expected == f"sha256:{fault.where.rpartition('/')[2].partition('-')[0]}"
    assert fault.hint == (
        "the mirror may be in the middle of an update, or a proxy changed the file"
    )


def test_a_file_that_is_larger_than_announced_is_not_read_to_its_end(
    world: World, upstream: FaultyUpstream
) -> None:
    world.serve(HOME)
    world.change("repomd.xml", rb"<size>\d+<", b"<size>1<")
    [fault] = world.refused()
    assert re.fullmatch(r"the document has [0-9,]+ bytes", fault.what)


def test_a_repomd_cannot_make_us_read_without_end(world: World) -> None:
    world.serve(HOME)
    world.change("repomd.xml", rb"<size>\d+<", b"<size>2000000000<")
    [fault] = world.refused()
    assert (fault.what, fault.expected) == (
        "repomd.xml says that it has 2,000,000,000 bytes",
        "at most 268,435,456",
    )


def test_a_bomb_ends_at_its_announced_size(
    world: World, upstream: FaultyUpstream, cache: Path
) -> None:
    world.serve(HOME)
    bomb = gzip.compress(b"<metadata>" + b" " * 50_000_000, 9)
    repomd = (
        '<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary">'
        f'<checksum type="sha256">{hashlib.sha256(bomb).hexdigest()}</checksum>'
        '<location href="repodata/bomb.xml.gz"/><open-size>1000</open-size></data></repomd>'
    )
    upstream.add_file(REPOMD, repomd)
    upstream.add_file(f"{HOME}/repodata/bomb.xml.gz", bomb)
    [fault] = world.refused()
    assert fault.what == "the content grows beyond its size when decompressed"
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("href", "what"),
    [
        ("//evil.example.org/primary.xml", "'//evil.example.org/primary.xml' is not a location"),
        ("https://evil.example.org/p.xml", "'https://evil.example.org/p.xml' is not a location"),
        ("repodata/p.xml?x", "'repodata/p.xml?x' is not a location"),
        ("", "it has no location"),
    ],
)
def test_hostile_places_of_metadata_are_refused(
    world: World, upstream: FaultyUpstream, href: str, what: str
) -> None:
    repomd = (
        f'<repomd><data type="primary"><checksum type="sha256">{"a" * 64}</checksum>'
        f'<location href="{href}"/></data></repomd>'
    )
    upstream.add_file(REPOMD, repomd)
    [fault] = world.refused()
    assert fault.where == f"{REPOMD}: 'primary'"
    assert fault.what.startswith(what)
    assert "evil.example.org" not in {one.host for one in upstream.requests}


def test_a_signature_is_checked_and_remembered(world: World) -> None:
    world.serve(HOME, signed=True)
    for signed in ("signed", "sometimes"):
        assert world.fetch(signed).signed
    assert not world.fetch("unsigned").signed
    other = world.upstream.key("Somebody else")
    assert world.fetch("signed", other, world.key).signed, "one of several keys is enough"


@pytest.mark.parametrize("signed", ["signed", "sometimes"])
def test_changed_metadata_is_refused_wherever_there_is_a_signature(
    world: World, signed: str
) -> None:
    world.serve(HOME, signed=True)
    world.change("repomd.xml", b"<revision>", b"<revision>1")
    [fault] = world.refused(signed)
    assert (fault.where, fault.hint) == (REPOMD, "the content, the signature or both were changed")
    assert fault.what.startswith(f"the signature of {world.key.fingerprint} (Automatic ")


def test_a_changed_place_is_passed_over_for_a_good_one(world: World) -> None:
    world.serve(HOME, COPY, signed=True)
    world.change("repomd.xml", b"<revision>", b"<revision>1")
    found = world.fetch("signed")
    assert (found.base, found.signed) == (COPY, True)
    assert [fault.where for fault in found.passed_over] == [REPOMD]


def test_metadata_that_must_be_signed_is_refused_without_signature(world: World) -> None:
    world.serve(HOME)
    assert world.refused("signed") == (
        Fault(
            where=f"{REPOMD}.asc",
            what="the metadata is not signed here, but the catalog says that upstream signs it",
            hint="for a mirror that leaves signatures out, set `metadata: sometimes` in a catalog"
            " of your own; the packages' own signatures are checked in any case",
        ),
    )
    found = world.fetch("sometimes")
    assert (found.signed, found.passed_over) == (False, ())


def test_a_strangers_signature_is_no_signature(world: World) -> None:
    other = world.upstream.key("Somebody else")
    world.serve(HOME, signed=True, metadata_key=other)
    expected = f"{world.key.fingerprint} (Automatic <auto@example.org>)"
    remark = Fault(
        where=REPOMD,
        what=f"it is signed by the key {other.fingerprint}",
        expected=expected,
        hint="if the signer changed the key, check the new one's fingerprint and add it to the"
        " catalog",
    )
    assert world.refused("signed") == (remark,)
    found = world.fetch("sometimes")
    assert (found.base, found.signed, found.passed_over) == (f"{HOME}/", False, (remark,))


def test_a_signature_of_old_times_proves_nothing(world: World) -> None:
    old = world.upstream.key("Old", version=3, self_algorithm="sha1")
    world.serve(HOME, signed=True, metadata_key=old)
    [fault] = world.refused("signed", old)
    assert fault.what == f"the signature of {old.fingerprint} (Old) can't be checked"
    assert fault.hint == "it is a version 3 signature, which is not accepted since 2021"
    found = world.fetch("sometimes", old)
    assert (found.signed, found.passed_over) == (False, (fault,))


def test_a_login_page_in_place_of_a_signature_is_refused(
    world: World, upstream: FaultyUpstream
) -> None:
    world.serve(HOME)
    upstream.faults.add(LoginPage(), path="*.asc")
    [fault] = world.refused("sometimes")
    assert fault.where == REPOMD
    assert fault.what.startswith("no OpenPGP signature can be read: ")


def test_an_endless_signature_is_not_read(world: World, upstream: FaultyUpstream) -> None:
    world.serve(HOME)
    upstream.add_file(f"{REPOMD}.asc", armour("SIGNATURE", b"x" * 100_000))
    [fault] = world.refused("signed")
    assert fault.where == f"{REPOMD}.asc"
    assert fault.what.endswith(" bytes")


@pytest.mark.parametrize(
    ("status", "counts"), [(403, True), (404, True), (410, True), (401, False)]
)
def test_only_an_absent_signature_counts_as_unsigned(
    world: World, upstream: FaultyUpstream, status: int, counts: bool
) -> None:
    """Storage that may not be listed answers 403 for what is not there."""
    world.serve(HOME, signed=True)
    upstream.faults.add(Status(status), path="*.asc")
    if counts:
        assert not world.fetch("sometimes").signed
    else:
        [fault] = world.refused("sometimes")
        assert (fault.where, fault.what) == (
            f"{REPOMD}.asc",
            f"the server answered {status} Unauthorized",
        )
