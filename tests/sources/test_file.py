from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from fault_lab.faults import LoginPage, Reset, Status

from builder.backoff import Backoff
from builder.errors import AirseedError, Fault, FetchError, UnavailableError, VerificationError
from builder.http import Client
from builder.model.digest import Digest
from builder.sources import file as file_source
from builder.sources.file import first, local, read, read_local, web

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.bundle.source import Source
    from builder.sources.access import Access

HOME, COPY = "https://home.example.org/calico.yaml", "https://copy.example.org/calico.yaml"
YAML = b"kind: List\n"


def fetcher(access: Access, folder: Path, limit: int = 1000) -> Callable[[str], bytes]:
    return lambda source: read(source, access.client, folder, limit)


def test_the_first_source_that_has_it_wins(
    upstream: FaultyUpstream, access: Access, tmp_path: Path
) -> None:
    for url in (HOME, COPY):
        upstream.add_file(url, YAML)
    found = first("calico.yaml", [HOME, COPY], fetcher(access, tmp_path))
    assert (found.content, found.digest, found.source) == (YAML, Digest.of(YAML), HOME)
    assert found.passed_over == ()
    assert [one.host for one in upstream.requests] == ["home.example.org"]


def test_sources_that_fail_are_passed_over_and_reported(
    upstream: FaultyUpstream, access: Access, tmp_path: Path
) -> None:
    upstream.site("home.example.org")
    upstream.add_file(COPY, YAML)
    found = first("calico.yaml", [HOME, "absent.yaml", COPY], fetcher(access, tmp_path))
    assert (found.content, found.source) == (YAML, COPY)
    assert found.passed_over == (
        Fault(
            where=HOME,
            what="the server answered 404 Not Found",
            hint="check the name and the version; a later source may still have it",
        ),
        Fault(
            where=str(tmp_path / "absent.yaml"),
            what="no such file or directory",
            hint="check the path in cluster.yaml",
        ),
    )


def test_a_temporary_failure_is_waited_out(
    upstream: FaultyUpstream, access: Access, tmp_path: Path
) -> None:
    upstream.add_file(HOME, YAML)
    upstream.faults.add(Status(503, retry_after="0"), path="/calico.yaml", times=1)
    upstream.faults.add(Reset(), path="/calico.yaml", times=1)
    found = first("calico.yaml", [HOME], fetcher(access, tmp_path))
    assert found.content == YAML
    assert found.passed_over == ()


def test_a_body_is_given_up_when_attempts_bring_nothing(upstream: FaultyUpstream) -> None:
    upstream.add_file(HOME, YAML)
    upstream.faults.add(Status(503, retry_after="3"), path="/calico.yaml")
    pauses: list[float] = []
    with (
        Client(backoff=Backoff(attempts=3, sleep=pauses.append)) as client,
        pytest.raises(FetchError, match="503"),
    ):
        file_source.through(web(client, HOME, None), client, lambda: None, lambda _: None, most=99)
    assert pauses == [3.0, 3.0]


def test_other_bytes_than_pinned_are_never_taken(
    upstream: FaultyUpstream, access: Access, tmp_path: Path
) -> None:
    upstream.add_file(HOME, YAML)
    upstream.faults.add(LoginPage(), host="home.example.org")
    upstream.add_file(COPY, b"kind: Evil\n")
    with pytest.raises(UnavailableError) as caught:
        first("calico.yaml", [HOME, COPY], fetcher(access, tmp_path), expected=Digest.of(YAML))
    error = caught.value
    assert str(error) == f"calico.yaml: no source has this file (expected {Digest.of(YAML)})"
    assert error.hint == "check the network and proxy, or add a source with --catalog"
    assert [(fault.where, fault.expected) for fault in error.faults] == [
        (HOME, str(Digest.of(YAML))),
        (COPY, str(Digest.of(YAML))),
    ]
    assert error.faults[1].what == f"sent {Digest.of(b'kind: Evil' + bytes([10]))}"


def test_what_a_check_refuses_keeps_expectation_and_hint(
    upstream: FaultyUpstream, access: Access, tmp_path: Path
) -> None:
    upstream.add_file(HOME, YAML)

    def check(_content: bytes) -> None:
        raise VerificationError("this is the key A", expected="B", hint="look at the catalog")

    with pytest.raises(UnavailableError) as caught:
        first("keys/x.asc", [HOME], fetcher(access, tmp_path), check=check)
    assert caught.value.faults == (
        Fault(where=HOME, what="this is the key A", expected="B", hint="look at the catalog"),
    )


def test_secrets_in_sources_are_not_told(
    upstream: FaultyUpstream, access: Access, tmp_path: Path
) -> None:
    upstream.site("home.example.org")
    secret = "https://user:hunter2@home.example.org/x?token=hunter2"  # noqa: S105 -- the lab's own
    with pytest.raises(UnavailableError) as caught:
        first("x", [secret], fetcher(access, tmp_path))
    assert "hunter2" not in str([str(fault) for fault in caught.value.faults])
    assert "hunter2" not in web(access.client, secret, None).name
    assert web(access.client, secret, None).host == "home.example.org"


def test_documents_are_limited_before_they_are_read(
    upstream: FaultyUpstream, access: Access, tmp_path: Path
) -> None:
    upstream.add_file(HOME, b"x" * 1001)
    with pytest.raises(FetchError) as caught:
        read(HOME, access.client, tmp_path, 1000)
    assert str(caught.value) == f"{HOME}: the document has 1,001 bytes (expected at most 1,000)"
    (tmp_path / "large").write_bytes(b"x" * 1001)
    with pytest.raises(FetchError) as beside:
        read("file:large", access.client, tmp_path, 1000)
    assert str(beside.value) == f"{tmp_path / 'large'}: the file is larger than 1,000 bytes"
    with pytest.raises(FetchError):
        read_local(tmp_path / "/dev/zero", 1000)


@pytest.mark.parametrize("name", ["absent", "folder"])
def test_local_files_that_cannot_be_read_say_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FetchError) as caught:
        read_local(tmp_path / name, 10)
    assert caught.value.fault.where == str(tmp_path / name)
    assert caught.value.hint == "check the path in cluster.yaml"
    with pytest.raises(FetchError):
        local(tmp_path / name).open(0)


def test_sources_of_the_lock_become_places_in_order(access: Access, tmp_path: Path) -> None:
    found = file_source.sources(
        ["https://h/x", "http://h/x", "file:extra/x", "x"], 5, access.client, tmp_path
    )
    assert found == [
        web(access.client, "https://h/x", 5),
        web(access.client, "http://h/x", 5),
        local(tmp_path / "extra/x"),
        local(tmp_path / "x"),
    ]
    assert [one.host for one in found] == ["h", "h", "", ""]


def drained(source: Source, offset: int) -> tuple[int, bytes]:
    stream = source.open(offset)
    buffer = memoryview(bytearray(3))
    content = b""
    while count := stream.readinto(buffer):
        content += buffer[:count]
    stream.close()
    return stream.offset, content


def test_web_and_local_files_are_read_from_any_place_on(
    upstream: FaultyUpstream, access: Access, tmp_path: Path
) -> None:
    upstream.add_file(HOME, b"0123456789")
    (tmp_path / "x").write_bytes(b"0123456789")
    for source in (web(access.client, HOME, 10), local(tmp_path / "x")):
        assert drained(source, 0) == (0, b"0123456789")
        assert drained(source, 7) == (7, b"789")


def test_a_pipe_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    keeper = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        with pytest.raises(AirseedError) as caught:
            local(tmp_path / "pipe").open(5)
    finally:
        os.close(keeper)
    assert str(caught.value) == f"{tmp_path / 'pipe'}: is a pipe, not a file"
