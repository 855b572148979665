"""The workshop: RPMs kept by order and digest, built once more where they are gone."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orders
import pytest

from builder.errors import FetchError, StorageError, VerificationError
from builder.formats import recipe as recipe_format
from builder.lab.openpgp import generate
from builder.model.artifact import Build, Input, Package
from builder.model.digest import Digest
from builder.report import Silent
from builder.rpm import build as rpm_build
from builder.sources import built
from builder.sources.built import Workshop
from builder.sources.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.lab.openpgp import VendorKey
    from builder.sources.access import Access

STILL = Silent().progress("programs", None)


@pytest.fixture(scope="module")
def key() -> VendorKey:
    return generate("Site <site@example.com>", created=1700000000)


@pytest.fixture
def workshop(upstream: FaultyUpstream, access: Access, tmp_path: Path) -> Workshop:
    """Open a workshop beside an upstream that has both programs."""
    upstream.add_file(orders.SOURCES["agent"][0], orders.PROGRAM)
    upstream.add_file(orders.SOURCES["plugins"][0], orders.PLUGINS)
    return built.workshop(tmp_path, access.client)


def make(workshop: Workshop, key: VendorKey, **how: Any) -> built.Finished:
    order = orders.order(key.fingerprint)
    with workshop.alone():
        programs = {one.name: workshop.fetch(one, STILL).path for one in order.recipe.programs}
        return workshop.build(order, programs, key.sign, **how)


def package(found: built.Finished, key: VendorKey, kept: Store) -> Package:
    order = orders.order(key.fingerprint)
    content = recipe_format.write(order, rpm_build.signature_of(found.path))
    return Package(
        nevra=order.recipe.nevra,
        repository="built",
        digest=found.digest,
        size=found.size,
        sources=(),
        keys=(key.fingerprint,),
        requested=True,
        needed_by=("kubeadm",),
        built=Build(
            by=order.builder,
            order=kept.put(content),
            inputs=tuple(
                Input(name=one.name, digest=one.digest, sources=one.sources)
                for one in order.recipe.programs
                if one.digest
            ),
        ),
    )


def read(source: Any) -> bytes:
    stream = source.open(0)
    view = memoryview(bytearray(1 << 20))
    try:
        return bytes(view[: stream.readinto(view)])
    finally:
        stream.close()


def test_what_was_built_is_found_by_order_and_by_digest(workshop: Workshop, key: VendorKey) -> None:
    found = make(workshop, key)
    order = recipe_format.identity(orders.order(key.fingerprint))
    assert workshop.find(order=order) == workshop.find(rpm=found.digest) == found
    assert found.digest == Digest.of(found.path.read_bytes())
    assert workshop.find(order=Digest.of(b"another")) is None
    assert {path.name for path in workshop.folder.iterdir()} == {
        ".lock", "programs", f"{order.hex}.{found.digest.hex}.rpm",
    }  # fmt: skip
    assert not [path for path in (workshop.folder / "programs").rglob("*") if path.is_file()]


def test_a_damaged_one_is_dropped(workshop: Workshop, key: VendorKey) -> None:
    found = make(workshop, key)
    found.path.write_bytes(found.path.read_bytes()[:-1])
    assert workshop.find(rpm=found.digest) is None
    assert not found.path.exists()


def test_another_rpm_than_expected_is_not_kept(workshop: Workshop, key: VendorKey) -> None:
    with pytest.raises(VerificationError) as caught:
        make(workshop, key, expected=Digest.of(b"another"))
    assert "built different bytes" in caught.value.fault.what
    assert not [*workshop.folder.glob("*.rpm")]


def test_what_a_killed_run_left_is_swept_up(workshop: Workshop, key: VendorKey) -> None:
    (workshop.folder / ".build.01234567.part").mkdir(parents=True)
    (workshop.folder / ".build.01234567.part" / "rpm").write_bytes(b"half")
    make(workshop, key)
    assert not (workshop.folder / ".build.01234567.part").exists()


def test_one_at_a_time(workshop: Workshop, access: Access) -> None:
    """Threads of one run, and runs beside each other."""
    other = Workshop(workshop.folder, access.client)
    inside, seen = threading.Event(), []

    def enter(one: Workshop) -> None:
        with one.alone():
            seen.append(inside.is_set())

    threads = [threading.Thread(target=enter, args=(one,)) for one in (workshop, other)]
    with workshop.alone():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(0.2)
        assert seen == []
        inside.set()
    for thread in threads:
        thread.join()
    assert seen == [True, True]


def test_it_is_built_again_without_the_key(
    workshop: Workshop, key: VendorKey, tmp_path: Path
) -> None:
    found = make(workshop, key)
    kept = Store(tmp_path / "kept")
    locked = package(found, key, kept)
    content = found.path.read_bytes()
    first, second = built.sources(locked, kept, workshop)
    assert read(first) == content
    found.path.unlink()
    assert read(second) == content
    (again,) = [*workshop.folder.glob("*.rpm")]
    assert again == found.path
    urls = "https://home.example.org/agent, https://home.example.org/plugins.tgz"
    assert first.host == second.host == ""
    assert first.name == f"the cache, built by {rpm_build.builder()} of {urls}"
    assert second.name == f"a new build by {rpm_build.builder()} of {urls}"
    assert built.sources(replace(locked, built=None), kept, workshop) == []


def test_another_builder_is_named_before_anything_is_fetched(
    workshop: Workshop, key: VendorKey, upstream: FaultyUpstream, tmp_path: Path
) -> None:
    found = make(workshop, key)
    kept = Store(tmp_path / "kept")
    locked = package(found, key, kept)
    assert locked.built is not None
    locked = replace(locked, built=replace(locked.built, by="rpm-rs 0.1.0"))
    found.path.unlink()
    asked = len(upstream.requests)
    (source,) = built.sources(locked, kept, workshop)
    with pytest.raises(FetchError) as caught:
        source.open(0)
    assert str(caught.value) == (
        "agent-1.18.5-0.airseed1.x86_64: the locked RPM was built by rpm-rs 0.1.0; "
        f"this machine's {rpm_build.builder()} would give other bytes: install rpm-rs==0.1.0, or "
        "run `airseed lock --update agent`"
    )
    assert not caught.value.temporary
    assert len(upstream.requests) == asked


def test_a_program_that_is_gone_is_named(
    workshop: Workshop, key: VendorKey, upstream: FaultyUpstream, tmp_path: Path
) -> None:
    found = make(workshop, key)
    kept = Store(tmp_path / "kept")
    locked = package(found, key, kept)
    found.path.unlink()
    upstream.remove_file(orders.SOURCES["agent"][0])
    (source,) = built.sources(locked, kept, workshop)
    with pytest.raises(FetchError) as caught:
        source.open(0)
    assert caught.value.fault.what.startswith("it can't be built again: https://home.example.org/")
    assert "404 Not Found" in caught.value.fault.what


def test_an_order_that_is_gone_is_named(workshop: Workshop, key: VendorKey, tmp_path: Path) -> None:
    found = make(workshop, key)
    kept = Store(tmp_path / "kept")
    locked = package(found, key, kept)
    found.path.unlink()
    assert locked.built is not None
    kept.drop(locked.built.order)
    (source,) = built.sources(locked, kept, workshop)
    with pytest.raises(StorageError) as caught:
        source.open(0)
    assert "run `airseed lock`" in (caught.value.fault.hint or "")
