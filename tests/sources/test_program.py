"""Programs that are fetched whole, and archives that are taken apart."""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
import time
from typing import TYPE_CHECKING

import orders
import pytest
from fault_lab.faults import Drip, Status, Truncate, WrongBytes

from builder.errors import Fault, UnavailableError, VerificationError
from builder.model.digest import Digest
from builder.model.recipe import PackedFile, Program
from builder.report import Silent
from builder.sources import program as source

if TYPE_CHECKING:
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.report import Progress
    from builder.sources.access import Access

HOME, COPY = orders.SOURCES["agent"]
CONTENT = orders.PROGRAM * 20
AGENT = Program(name="agent", sources=(HOME, COPY), digest=Digest.of(CONTENT))


@pytest.fixture
def progress() -> Progress:
    return Silent().progress("programs", None)


def test_the_first_source_that_is_right_wins(
    upstream: FaultyUpstream, access: Access, tmp_path: Path, progress: Progress
) -> None:
    upstream.add_file(HOME, b"an older one")
    upstream.add_file(COPY, CONTENT)
    found = source.fetch(AGENT, access.client, tmp_path / "new", progress)
    assert found.path.read_bytes() == CONTENT
    assert (found.digest, found.size, found.source) == (AGENT.digest, len(CONTENT), COPY)
    assert found.passed_over == (
        Fault(where=HOME, what=f"sent {Digest.of(b'an older one')}", expected=str(AGENT.digest)),
    )
    assert [path.name for path in (tmp_path / "new").iterdir()] == [found.digest.hex]


def test_one_that_is_there_is_not_asked_for_again(
    upstream: FaultyUpstream, access: Access, tmp_path: Path, progress: Progress
) -> None:
    upstream.add_file(HOME, CONTENT)
    first = source.fetch(AGENT, access.client, tmp_path, progress)
    asked = len(upstream.requests)
    again = source.fetch(AGENT, access.client, tmp_path, progress)
    assert (again.path, again.digest, again.source) == (first.path, first.digest, "")
    assert len(upstream.requests) == asked
    first.path.write_bytes(b"damaged")
    assert source.fetch(AGENT, access.client, tmp_path, progress).source == HOME
    assert first.path.read_bytes() == CONTENT


def test_without_a_digest_the_first_is_believed(
    upstream: FaultyUpstream, access: Access, tmp_path: Path, progress: Progress
) -> None:
    upstream.add_file(HOME, CONTENT)
    bare = Program(name="agent", sources=(HOME, COPY))
    assert source.fetch(bare, access.client, tmp_path, progress).digest == Digest.of(CONTENT)


def test_a_body_that_breaks_goes_on(
    upstream: FaultyUpstream, access: Access, tmp_path: Path, progress: Progress
) -> None:
    upstream.add_file(HOME, CONTENT)
    upstream.faults.add(Truncate(0.5), path="/agent", times=2)
    found = source.fetch(AGENT, access.client, tmp_path, progress)
    assert found.path.read_bytes() == CONTENT
    assert found.source == HOME
    assert sum(one.sent for one in upstream.requests) < 2 * len(CONTENT)


def test_every_source_is_named_when_none_has_it(
    upstream: FaultyUpstream, access: Access, tmp_path: Path, progress: Progress
) -> None:
    upstream.add_file(HOME, CONTENT)
    upstream.faults.add(WrongBytes(), path="/agent", times=1)
    upstream.site("copy.example.org")
    with pytest.raises(UnavailableError) as caught:
        source.fetch(AGENT, access.client, tmp_path, progress)
    assert str(caught.value) == f"agent: no source has this program (expected {AGENT.digest})"
    assert [fault.where for fault in caught.value.faults] == [HOME, COPY]
    assert caught.value.faults[1].what == "the server answered 404 Not Found"
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".part" and path.is_file()]


def test_a_server_that_wants_to_be_left_alone_is(
    upstream: FaultyUpstream, access: Access, tmp_path: Path, progress: Progress
) -> None:
    upstream.add_file(HOME, CONTENT)
    upstream.add_file(COPY, CONTENT)
    upstream.faults.add(Status(503, retry_after="3600"), path="/agent", times=1)
    assert source.fetch(AGENT, access.client, tmp_path, progress).source == COPY


def test_a_download_ends_when_nobody_wants_it(
    upstream: FaultyUpstream, access: Access, tmp_path: Path, progress: Progress
) -> None:
    upstream.add_file(HOME, CONTENT)
    upstream.add_file(COPY, CONTENT)
    upstream.faults.add(Drip(piece=1000, pause=0.1), path="/agent")
    threading.Timer(0.5, access.client.cancel).start()
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        source.fetch(AGENT, access.client, tmp_path, progress)
    assert time.monotonic() - began < 10  # all of it would take half a minute
    assert [one.host for one in upstream.requests] == ["home.example.org"]


# archives -------------------------------------------------------------------------------------


FOLDER = PackedFile(path="/opt/plugins", archive="plugins", folder=True)
LONE = PackedFile(path="/usr/bin/crictl", archive="plugins", member="bin/crictl")


def unpack(content: bytes, tmp_path: Path, *wanted: PackedFile) -> dict[str, bytes]:
    (tmp_path / "archive").write_bytes(content)
    inside = tmp_path / "inside"
    inside.mkdir()
    found = source.unpack(tmp_path / "archive", wanted, inside, "plugins")
    return {path: file.read_bytes() for path, file in found.items()}


def test_a_folder_gets_the_programs_alone(tmp_path: Path) -> None:
    found = unpack(orders.PLUGINS, tmp_path, FOLDER)
    assert found == {"/opt/plugins/bridge": b"bridge", "/opt/plugins/loopback": b"loopback"}


def test_a_member_is_found_by_its_name(tmp_path: Path) -> None:
    content = orders.archive({"bin/crictl": b"crictl", "crictl": b"other"})
    assert unpack(content, tmp_path, LONE) == {"/usr/bin/crictl": b"crictl"}


def test_a_member_that_comes_twice_takes_nobody_elses_place(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as opened:
        for name, content in (("bridge", b"first"), ("./bridge", b"second"), ("loopback", b"lo")):
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o755, len(content)
            opened.addfile(member, io.BytesIO(content))
    found = unpack(packed.getvalue(), tmp_path, FOLDER)
    assert found == {"/opt/plugins/bridge": b"second", "/opt/plugins/loopback": b"lo"}


def test_nothing_leaves_the_folder(tmp_path: Path) -> None:
    members = {"../bridge": b"x", "/etc/passwd": b"x", "a/b": b"x", "-rf": b"x", ".hidden": b"x"}
    found = unpack(orders.archive({**members, "good": b"good"}), tmp_path, FOLDER)
    assert found == {"/opt/plugins/good": b"good"}
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "inside"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as opened:
        link = tarfile.TarInfo("bridge")
        link.type, link.linkname, link.mode = tarfile.SYMTYPE, "/etc/shadow", 0o777
        opened.addfile(link)
    with pytest.raises(VerificationError) as caught:
        unpack(packed.getvalue(), tmp_path, FOLDER)
    assert str(caught.value) == "plugins: the archive lacks programs"


def header(size: int, kind: bytes = tarfile.REGTYPE, name: str = "bin/crictl") -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.mode = size, kind, 0o755
    return member.tobuf(tarfile.GNU_FORMAT)


def pax(record: bytes) -> bytes:
    return header(512, tarfile.XHDTYPE) + record.ljust(512, b"\0") + header(0)


def sparse() -> bytes:
    """Say without an end where the holes are."""
    first = bytearray(header(1 << 20, tarfile.GNUTYPE_SPARSE))
    first[482], first[148:156] = 1, b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    return bytes(first) + (b"00000000001\0" * 42 + b"\1" + bytes(7)) * 4000


BOMBS = {
    "a header that claims gigabytes": (header(1 << 40, tarfile.XHDTYPE), "a header does not end"),
    "a name that does": (header(1 << 62, tarfile.GNUTYPE_LONGNAME), "a header does not end"),
    "holes without end": (sparse(), "a header does not end"),
    "a member to be passed over": (header(1 << 62, name="other"), "it has more than 8,589,934,592"),
    "names upon names": ((header(2, tarfile.GNUTYPE_LONGNAME) + b"a".ljust(512, b"\0")) * 3000, ""),
    "a number of ten": (pax(b"99999999999999999999 path=x\n"), ""),
    "a hole that is no number": (pax(b"25 GNU.sparse.map=1,a,b,\n"), ""),
}


@pytest.mark.parametrize(("content", "what"), BOMBS.values(), ids=BOMBS)
def test_archives_that_are_made_to_harm_are_refused(
    tmp_path: Path, content: bytes, what: str
) -> None:
    with pytest.raises(VerificationError) as caught:
        unpack(gzip.compress(content + bytes(1024)), tmp_path, LONE)
    assert caught.value.fault.what.startswith(f"the archive can't be read: {what}")
    assert caught.value.fault.where == "plugins"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (orders.PLUGINS, "the archive lacks bin/crictl"),
        (b"<html>", "the archive can't be read: "),
        (orders.PLUGINS[:60], "the archive can't be read: "),
        (orders.archive({str(n): b"" for n in range(1001)}), "the archive has too many members"),
    ],
)
def test_bad_archives_are_refused(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(VerificationError) as caught:
        unpack(content, tmp_path, LONE)
    assert caught.value.fault.what.startswith(what)
    assert caught.value.fault.where == "plugins"
