"""RPMs that are built here: what is in them, who signed them, and that they never differ."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orders
import pytest
import rpm_rs

from builder.errors import StorageError, VerificationError
from builder.lab.openpgp import generate
from builder.lab.packages import PackageRecipe, build_package
from builder.rpm.build import BUILT, build, builder, signature_of
from builder.rpm.header import read_head
from builder.rpm.keys import load_keys
from builder.rpm.payload import verify_payload
from builder.rpm.signature import read_nevra, verify_signature

if TYPE_CHECKING:
    from builder.lab.openpgp import VendorKey

ONE = """
import os, sys, time
from pathlib import Path
import orders
from builder.rpm.build import build
from builder.secrets import signing
folder = Path(sys.argv[1])
os.umask(int(sys.argv[2], 8))
folder.mkdir()
places = orders.places(folder)
for path in places.values():
    os.utime(path, (int(sys.argv[3]), int(sys.argv[3])))
key = signing.read(Path(sys.argv[4]).read_bytes())
build(orders.order(key.fingerprint), places, folder / "rpm", key.sign)
"""


@pytest.fixture(scope="module")
def key() -> VendorKey:
    return generate("Site <site@example.com>", created=1700000000)


@pytest.fixture
def made(key: VendorKey, tmp_path: Path) -> Path:
    build(orders.order(key.fingerprint), orders.places(tmp_path), tmp_path / "rpm", key.sign)
    return tmp_path / "rpm"


def test_it_is_what_el7_reads(made: Path) -> None:
    metadata = rpm_rs.PackageMetadata.open(str(made))
    assert str(metadata.nevra().nvra()) == "agent-1.18.5-0.airseed1.x86_64"
    header = metadata.header
    assert header.entry(rpm_rs.Tag.PAYLOADCOMPRESSOR) == "gzip"
    assert header.entry(rpm_rs.Tag.PAYLOADFORMAT) == "cpio"
    assert not header.entry_is_present(rpm_rs.Tag.RPMFORMAT)  # only version 6 has it
    rpmlib = {str(one.name) for one in metadata.requires() if str(one.name).startswith("rpmlib(")}
    assert rpmlib == {
        "rpmlib(CompressedFileNames)", "rpmlib(FileDigests)", "rpmlib(PayloadFilesHavePrefix)",
    }  # fmt: skip


def test_files_have_their_modes_owners_and_flags(made: Path) -> None:
    entries = {one.path: one for one in rpm_rs.PackageMetadata.open(str(made)).file_entries()}
    modes = {path: stat.filemode(one.mode.raw_mode) for path, one in entries.items()}
    assert modes == {
        "/etc/agent": "-rw-r--r--",
        "/opt/plugins": "drwxr-xr-x",
        "/opt/plugins/bridge": "-rwxr-xr-x",
        "/opt/plugins/loopback": "-rwxr-xr-x",
        "/usr/bin/agent": "-rwxr-xr-x",
        "/usr/lib/systemd/system/agent.service": "-rw-r--r--",
    }
    assert {(one.user, one.group) for one in entries.values()} == {("root", "root")}
    assert {int(one.modified_at) for one in entries.values()} == {BUILT}
    kept = rpm_rs.FileFlags.CONFIG | rpm_rs.FileFlags.NOREPLACE
    assert {path for path, one in entries.items() if one.flags} == {"/etc/agent"}
    assert entries["/etc/agent"].flags == kept
    assert entries["/usr/bin/agent"].size == len(orders.PROGRAM)


def test_dependencies_and_scripts(made: Path) -> None:
    metadata = rpm_rs.PackageMetadata.open(str(made))
    flags = rpm_rs.DependencyFlags
    requires = {str(one.name): one for one in metadata.requires()}
    assert {"iptables", "socat", "plugins", "/bin/sh"} <= requires.keys()
    assert requires["iptables"].version == "1.4.21"
    assert requires["iptables"].flags == flags.GREATER | flags.EQUAL
    assert requires["plugins"].flags == flags.LESS
    header = metadata.header
    assert header.entry(rpm_rs.Tag.POSTIN) == orders.SCRIPT
    assert header.entry(rpm_rs.Tag.POSTUN) == orders.SCRIPT
    assert not header.entry_is_present(rpm_rs.Tag.PREUN)


def test_it_says_what_it_was_made_of(made: Path) -> None:
    metadata = rpm_rs.PackageMetadata.open(str(made))
    program = hashlib.sha256(orders.PROGRAM).hexdigest()
    assert f"\nagent sha256:{program}\n" in metadata.description
    assert metadata.vendor == "airseed"
    assert metadata.header.entry(rpm_rs.Tag.RPMVERSION) == builder()
    assert metadata.build_host == "localhost"  # not this machine's name


def test_the_site_signed_header_and_payload(made: Path, key: VendorKey) -> None:
    keys = load_keys(key.public)
    with made.open("rb") as file:
        head = read_head(file)
        assert verify_signature(head, keys) == key.fingerprint
        assert verify_payload(head, file, keys)
    assert str(read_nevra(head)) == "agent-1.18.5-0.airseed1.x86_64"
    assert signature_of(made).startswith(b"\x89")
    content = bytearray(made.read_bytes())
    content[-3] ^= 1
    made.write_bytes(content)
    with made.open("rb") as file, pytest.raises(VerificationError):
        verify_payload(read_head(file), file, keys)


def test_the_signature_is_found_again(made: Path, key: VendorKey, tmp_path: Path) -> None:
    """With it the same RPM is built by somebody who has no key."""
    signature = signature_of(made)
    build(
        orders.order(key.fingerprint), orders.places(tmp_path), tmp_path / "again",
        lambda _: signature,
    )  # fmt: skip
    assert (tmp_path / "again").read_bytes() == made.read_bytes()
    other = build_package(PackageRecipe(nevra="a-1-1.noarch"), None, tmp_path).path
    with pytest.raises(VerificationError) as caught:
        signature_of(other)
    assert caught.value.fault.what == "its header is not signed by an RSA key"


def test_nothing_of_the_machine_gets_in(key: VendorKey, tmp_path: Path) -> None:
    """Another process, locale, time zone, umask, home, folder, and times of the files."""
    (tmp_path / "key").write_bytes(key.secret)
    tools = str(Path(orders.__file__).parent)
    root = str(Path(__file__).parents[2])
    digests = set()
    for number, (umask, time, more) in enumerate(
        [
            ("022", "1", {"LC_ALL": "C", "TZ": "UTC"}),
            ("077", "1600000000", {"LC_ALL": "C.UTF-8", "TZ": "Pacific/Kiritimati", "USER": "x"}),
            ("000", "2000000000", {"LC_ALL": "tr_TR.UTF-8", "TZ": "America/New_York"}),
        ]
    ):
        folder = tmp_path / ("deep" * number + "folder")
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([tools, root]),
            "PYTHONHASHSEED": str(number),
            "HOME": str(folder),
            "SOURCE_DATE_EPOCH": time,
            **more,
        }
        subprocess.run(
            [sys.executable, "-c", ONE, str(folder), umask, time, str(tmp_path / "key")],
            env=env,
            cwd=tmp_path,
            check=True,
        )
        digests.add(hashlib.sha256((folder / "rpm").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_file_that_is_gone_is_named(key: VendorKey, tmp_path: Path) -> None:
    places = orders.places(tmp_path)
    places["/usr/bin/agent"].unlink()
    with pytest.raises(StorageError) as caught:
        build(orders.order(key.fingerprint), places, tmp_path / "rpm", key.sign)
    assert caught.value.fault.where == "agent-1.18.5-0.airseed1.x86_64"
    assert "No such file" in caught.value.fault.what
    del places["/usr/bin/agent"]
    with pytest.raises(StorageError) as lacking:
        build(orders.order(key.fingerprint), places, tmp_path / "rpm", key.sign)
    assert "nothing was fetched for /usr/bin/agent" in lacking.value.fault.what


def test_little_memory_is_taken(key: VendorKey, tmp_path: Path) -> None:
    """A program is streamed; only what the compressor leaves of it is held."""
    (tmp_path / "key").write_bytes(key.secret)
    text = f"""
import resource
from pathlib import Path
import orders
from builder.rpm.build import build
from builder.secrets import signing
folder = Path({str(tmp_path)!r})
places = orders.places(folder)
with places["/usr/bin/agent"].open("wb") as file:
    file.truncate(300 << 20)
key = signing.read((folder / "key").read_bytes())
order = orders.order(key.fingerprint)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
build(order, places, folder / "rpm", key.sign)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    tools = str(Path(orders.__file__).parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([tools, str(Path(__file__).parents[2])])}
    done = subprocess.run(
        [sys.executable, "-c", text], env=env, check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 40 << 10  # KiB, most of them rpm-rs itself
