"""Where the bundle is found, and that nothing of it is used unchecked."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from typing import TYPE_CHECKING

import pytest

from builder.bundle import delta, tar
from builder.bundle.reader import open_bundle
from builder.bundle.source import Supply
from builder.bundle.writer import write
from builder.pipeline.serve import serve
from builder.report import Silent
from builder.sources.earlier import contents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import sandboxes
    from conftest import Machine

    from builder.model.digest import Digest


@pytest.fixture
def bundled(machine: Machine, sample: sandboxes.Sample) -> Machine:
    """Return a machine whose seed wants the bundle that the real pipeline made."""
    machine.set(
        SUMS=hashlib.sha256(sample.layout.sums).hexdigest(),
        MADE_BYTES=str(max(map(len, sample.layout.made))),
        REPOSITORIES=" ".join(
            sorted(
                {
                    extent.path.split("/")[1]
                    for extent in sample.layout.extents
                    if "repodata" in extent.path
                }
            )
        ),
        PACKAGES="kubeadm-1.18.5-0 docker-ce-3:19.03.9-3.el7",
    )
    return machine


def attach(machine: Machine, bundle: Path, name: str = "vdb") -> Path:
    """Make a file the block device NAME."""
    (machine.root / "sys/class/block" / name).mkdir(parents=True)
    disk = machine.root / "dev" / name
    disk.parent.mkdir(exist_ok=True)
    disk.symlink_to(bundle)
    return disk


@pytest.fixture
def site(sample: sandboxes.Sample, tmp_path: Path) -> Iterator[str]:
    """Serve the unpacked bundle by a plain web server."""
    folder = tmp_path / "site"
    with tarfile.open(sample.bundle) as tar:
        tar.extractall(folder, filter="data")
    with served(folder) as url:
        yield url


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder by a plain web server."""
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    serve.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def offered(sample: sandboxes.Sample) -> Iterator[str]:
    """Serve the bundle by airseed itself."""
    with serve([sample.bundle], address=("127.0.0.1", 0)) as serving:
        yield serving.url


def unpack(machine: Machine, sample: sandboxes.Sample) -> Path:
    folder = machine.root / "opt/airseed/bundle"
    with tarfile.open(sample.bundle) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("way", ["folder", "disk", "url", "serve", "serve several"])
def test_packages_and_images_arrive(
    bundled: Machine, sample: sandboxes.Sample, site: str, offered: str, way: str
) -> None:
    if way == "folder":
        unpack(bundled, sample)
    elif way == "disk":
        other = bundled.folder / "other"
        other.write_bytes(b"\xeb\x63" + bytes(4096))
        attach(bundled, other, "sda")
        attach(bundled, sample.bundle)
    elif way == "url":
        bundled.set(PAYLOAD_URL=f"{site}/")
    elif way.startswith("serve"):
        bundled.set(PAYLOAD_URL=f"{offered}{'/bundles/bundle' if 'several' in way else ''}")
    ran = bundled.boot("packages", "images")
    assert ran.returncode == 0, ran.stdout
    (yum,) = bundled.called("yum")
    assert yum[1:6] == [
        "-y",
        "--disablerepo=*",
        "--enablerepo=airseed-*",
        "--disableexcludes=all",
        "--setopt=skip_missing_names_on_install=False",
    ]
    # what holds yum's lock may never end
    assert yum[6] == "--setopt=exit_on_lock=True"
    assert yum[7:] == ["install", "kubeadm-1.18.5-0", "docker-ce-3:19.03.9-3.el7"]
    loaded = (bundled.root / "images").read_text().split()[::2]
    assert sorted(loaded) == sorted(
        name.removeprefix("docker.io/").removeprefix("library/")
        for image in sample.lock.images
        if "worker" in image.roles
        for name in [f"{image.reference.repository}:{image.reference.tag}"]
    )
    # loaded once: a second run has nothing to do
    assert bundled.boot("packages", "images").returncode == 0
    assert len(bundled.called("docker", "load")) == 1
    assert len(bundled.called("yum")) == 1
    assert not (bundled.state / "payload/images").exists()


def test_repositories_are_the_bundles(bundled: Machine, sample: sandboxes.Sample) -> None:
    attach(bundled, sample.bundle)
    assert bundled.boot("packages").returncode == 0
    text = (bundled.root / "etc/yum.repos.d/airseed.repo").read_text()
    first = text.split("\n\n")[0].splitlines()
    base = f"file://{bundled.state}/payload"
    assert first == [
        "[airseed-centos-7.6-extras]",
        "name=airseed bundle, centos-7.6-extras",
        f"baseurl={base}/yum/centos-7.6-extras",
        "enabled=0",
        "gpgcheck=1",
        f"gpgkey={base}/keys/centos-7.asc {base}/keys/docker-ce.asc {base}/keys/google-rpm.asc",
        "metadata_expire=1",
    ]
    for extent in sample.layout.extents:
        if extent.path.startswith("yum/"):
            content = (bundled.state / "payload" / extent.path).read_bytes()
            assert hashlib.sha256(content).hexdigest() == extent.digest.hex


@pytest.mark.parametrize("cut", [False, True])
def test_what_another_yum_holds_is_left_to_it(
    bundled: Machine, sample: sandboxes.Sample, cut: bool
) -> None:
    """Its locks are not what a power cut has left."""
    attach(bundled, sample.bundle)
    if cut:
        bundled.write("var/lib/airseed/yum-runs", "")
    bundled.environment["AIRSEED_YUM_PATIENCE"] = "1"
    pid = bundled.write("var/run/yum.pid", "4711")
    lock = bundled.write("var/lib/rpm/.rpm.lock", "")
    bundled.write("proc/4711/cmdline", "/usr/bin/python\0/usr/bin/yum\0-y\0update\0")
    assert bundled.boot("packages").returncode == 1
    said = "another program has been installing packages for too long"
    assert bundled.result["message"] == said
    assert bundled.result["hint"].startswith("ps -f -p $(cat /var/run/yum.pid) shows it")
    assert pid.exists()
    assert lock.exists()
    assert bundled.called("yum") == []
    # after a power cut that number is some other program's
    bundled.write("proc/4711/cmdline", "/usr/sbin/sshd\0-D\0")
    assert bundled.boot("packages").returncode == 0, bundled.result
    assert pid.exists() != cut


def test_what_is_fetched_is_told_while_it_comes(
    bundled: Machine, sample: sandboxes.Sample, site: str
) -> None:
    """A slow server is no silence: what comes, from where, and how far it is."""
    bundled.set(PAYLOAD_URL=f"{site}/")
    taken = 'working() { say "working: $1"; }; payload_list keys/ >$R/keys; take_payload <$R/keys'
    ran = bundled.source(taken, "payload")
    assert ran.returncode == 0, ran.stdout
    count = len(list((bundled.state / "payload/keys").iterdir()))
    assert ran.stdout.splitlines() == [
        f"working: {count} files to come from {site}",
        *(f"file {number} of {count} has 0 MiB" for number in range(1, count + 1)),
        "working: ",
    ]


def test_another_bundle_is_refused(bundled: Machine, sample: sandboxes.Sample) -> None:
    attach(bundled, sample.bundle)
    bundled.set(SUMS="1" * 64)
    ran = bundled.boot("packages")
    assert ran.returncode == 1
    assert bundled.result["message"] == (
        f"this is not the bundle that the seed names, or it is damaged: {bundled.root}/dev/vdb"
    )
    assert bundled.result["state"] == "failed"
    assert "1" * 64 in bundled.result["hint"]


def test_no_bundle_at_all(bundled: Machine) -> None:
    assert bundled.boot("packages").returncode == 1
    assert bundled.result["message"].startswith("no bundle was found: none in ")
    assert bundled.result["hint"].startswith("attach bundle.tar as a disk")


@pytest.mark.parametrize("kind", ["yum/", "images/blobs"])
def test_a_flipped_bit_is_found(bundled: Machine, sample: sandboxes.Sample, kind: str) -> None:
    """Neither a package nor a layer with another digest reaches yum or docker."""
    listed = sample.layout.extent("images/worker/linux-amd64/blobs").content
    assert isinstance(listed, bytes)
    used = {f"images/{path}" for path in listed.decode().split()}
    used |= {extent.path for extent in sample.layout.extents if extent.path.startswith("yum/")}
    extent = max(
        (
            extent
            for extent in sample.layout.extents
            if extent.path in used and extent.path.startswith(kind)
        ),
        key=lambda extent: extent.size,
    )
    damaged = bundled.folder / "damaged.tar"
    content = bytearray(sample.bundle.read_bytes())
    content[extent.offset + extent.size // 2] ^= 1
    damaged.write_bytes(content)
    attach(bundled, damaged)
    ran = bundled.boot("packages" if kind == "yum/" else "images")
    assert ran.returncode == 1
    assert bundled.result["message"].startswith(f"{extent.path}, from {bundled.root}/dev/vdb, is")
    assert bundled.called("yum") == bundled.called("docker", "load") == []
    # the mended disk is enough
    (bundled.root / "dev/vdb").unlink()
    (bundled.root / "dev/vdb").symlink_to(sample.bundle)
    assert bundled.boot("packages", "images").returncode == 0


def test_a_copy_torn_by_a_power_cut_is_made_again(
    bundled: Machine, sample: sandboxes.Sample
) -> None:
    attach(bundled, sample.bundle)
    assert bundled.boot("packages").returncode == 0
    (bundled.root / "rpms").unlink()
    torn = sorted((bundled.state / "payload/yum").rglob("*.rpm"))
    torn[0].write_bytes(b"")
    torn[1].unlink()
    assert bundled.boot("packages").returncode == 0
    assert torn[0].stat().st_size > 0 < torn[1].stat().st_size


def test_a_cut_transaction_is_completed_and_checked(
    bundled: Machine, sample: sandboxes.Sample
) -> None:
    attach(bundled, sample.bundle)
    bundled.write("var/lib/airseed/yum-runs", "")
    bundled.write("var/lib/rpm/__db.001", "stale")
    bundled.write("rpms", "kubeadm-1.18.5-0\nlibseccomp-2.3.1-3.el7.x86_64\n")
    bundled.write("damaged", "libseccomp-2.3.1-3.el7.x86_64\n")
    ran = bundled.boot("packages")
    assert ran.returncode == 0, (bundled.state / "log/packages.log").read_text()
    assert [call[-1] for call in bundled.called("yum")] == [
        "docker-ce-3:19.03.9-3.el7",
        "libseccomp-2.3.1-3.el7.x86_64",
    ]
    assert "reinstall" in bundled.called("yum")[1]
    assert not (bundled.root / "var/lib/rpm/__db.001").exists()
    assert not (bundled.state / "yum-runs").exists()


def test_a_database_that_rpm_cannot_rebuild_is_used_as_it_is(
    bundled: Machine, sample: sandboxes.Sample
) -> None:
    attach(bundled, sample.bundle)
    bundled.write("var/lib/airseed/yum-runs", "")
    bundled.write("var/lib/rpmrebuilddb.17/Packages", "half")
    bundled.stand_in("rpm", '[ "$1" != --rebuilddb ] || exit 1')
    assert bundled.boot("packages").returncode == 0, bundled.result
    assert "can't be rebuilt" in (bundled.state / "log/packages.log").read_text()
    assert not list(bundled.root.glob("var/lib/rpmrebuilddb.*"))


STORES = {
    "docker": ("image", "overlay2"),
    "containerd": ("io.containerd.metadata.v1.bolt", "io.containerd.snapshotter.v1.overlayfs"),
}
LOADS = {
    "docker": ("docker", "load"),
    "containerd": ("ctr", "--namespace", "k8s.io", "images", "import"),
}


@pytest.mark.parametrize("mark", ["images-load", "images-return"])
@pytest.mark.parametrize("runtime", STORES)
def test_images_whose_loading_was_cut_off_are_loaded_into_an_empty_store(
    bundled: Machine, sample: sandboxes.Sample, runtime: str, mark: str
) -> None:
    """Layers outlive their images, and would be taken for good with files that are empty."""
    bundled.set(RUNTIME=runtime)
    attach(bundled, sample.bundle)
    assert bundled.boot("images").returncode == 0, bundled.result
    names = sorted((bundled.root / "images").read_text().splitlines())
    bundled.write(f"var/lib/airseed/{mark}", "")
    for part in STORES[runtime]:
        bundled.write(f"var/lib/{runtime}/{part}/layer/file", "")
    (bundled.root / "images").write_text("")
    assert bundled.boot("images").returncode == 0, bundled.result
    for part in STORES[runtime]:
        assert not list((bundled.root / f"var/lib/{runtime}").glob(f"{part}*"))
    assert len(bundled.called(*LOADS[runtime])) == 2
    assert sorted((bundled.root / "images").read_text().splitlines()) == names
    assert not [*bundled.state.glob("images-*")]
    calls = [call[0] for call in bundled.calls]
    assert "sync" in calls[calls.index(LOADS[runtime][0]) :], "not on disk when the mark goes"
    assert bundled.boot("images").returncode == 0
    assert len(bundled.called(*LOADS[runtime])) == 2


@pytest.mark.parametrize("runtime", STORES)
def test_a_store_with_containers_is_not_emptied(
    bundled: Machine, sample: sandboxes.Sample, runtime: str
) -> None:
    bundled.set(RUNTIME=runtime)
    attach(bundled, sample.bundle)
    bundled.write("var/lib/airseed/images-load", "")
    bundled.write("containers", "17\n")
    bundled.write(f"var/lib/{runtime}/{STORES[runtime][0]}/layer/file", "")
    assert bundled.boot("images").returncode == 0, bundled.result
    assert not (bundled.root / "var/lib/airseed/images-load").exists()
    assert (bundled.root / f"var/lib/{runtime}/{STORES[runtime][0]}/layer/file").exists()


def test_containerd_takes_the_same_subset(bundled: Machine, sample: sandboxes.Sample) -> None:
    attach(bundled, sample.bundle)
    bundled.set(RUNTIME="containerd", IMAGES="control-plane")
    assert bundled.boot("images").returncode == 0, bundled.result
    names = {line.split()[0] for line in (bundled.root / "images").read_text().splitlines()}
    assert "k8s.gcr.io/kube-apiserver:v1.18.5" in names
    assert bundled.boot("images").returncode == 0
    assert len(bundled.called("ctr", "--namespace", "k8s.io", "images", "import")) == 1


@pytest.mark.parametrize("way", ["folder", "disk", "url"])
def test_a_delta_is_refused_unless_it_was_put_together(
    bundled: Machine, sample: sandboxes.Sample, tmp_path: Path, way: str
) -> None:
    layer = max((b for b in sample.lock.blobs if b.is_layer), key=lambda blob: blob.size)
    layout = delta.without(sample.layout, {layer.digest})
    made = tmp_path / "delta.tar"
    with open_bundle(sample.bundle) as bundle:
        write(layout, made, lambda _: Supply(sources=()), Silent(), near=contents(bundle))
    folder = bundled.root / "opt/airseed/bundle" if way == "folder" else tmp_path / "delta"
    if way != "disk":
        with tarfile.open(made) as tar:
            tar.extractall(folder, filter="data")
    server = contextlib.nullcontext("")
    if way == "disk":
        attach(bundled, made)
    elif way == "url":
        server = served(folder)
    with server as url:
        bundled.set(PAYLOAD_URL=url, IMAGES=layer_role(sample, layer.digest))
        ran = bundled.boot("images")
        assert ran.returncode == 1
        assert (
            " is a delta, which leaves out what was there before it, such as "
            in (bundled.result["message"])
        )
        assert layer.path in bundled.result["message"]
        assert bundled.called("docker", "load") == []
        if way != "disk":  # what was there before it
            with tarfile.open(sample.bundle) as tar:
                tar.extract(layer.path, folder, filter="data")
            assert bundled.boot("images").returncode == 0


def layer_role(sample: sandboxes.Sample, digest: Digest) -> str:
    """Return a role that needs a layer."""
    return next(
        role
        for image in sample.lock.images
        for role in image.roles
        if any(digest in manifest.layers for manifest in image.manifests)
    )


class Hostile(http.server.SimpleHTTPRequestHandler):
    """Serve a bundle, but for one file: without an end, or by drips, or larger than it says."""

    protocol_version = "HTTP/1.1"
    which = ""
    how = ""
    sent = 0

    def do_GET(self) -> None:
        if not self.path.endswith(self.which):
            super().do_GET()
            return
        self.send_response(302 if self.how == "redirect" else 200)
        if self.how == "redirect":
            self.send_header("Location", "/nowhere")
        if self.how == "large":
            self.send_header("Content-Length", str(1 << 40))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                if self.how == "drip":
                    self.wfile.write(b"1\r\n0\r\n")
                    time.sleep(0.5)
                else:
                    block = bytes(1 << 16)
                    self.wfile.write(
                        block if self.how == "large" else b"10000\r\n" + block + b"\r\n"
                    )
                    type(self).sent += len(block)

    def log_message(self, *words: object) -> None:
        pass


@contextlib.contextmanager
def hostile(folder: Path, which: str, how: str) -> Iterator[tuple[str, type[Hostile]]]:
    kind = type("Kind", (Hostile,), {"which": which, "how": how, "sent": 0})
    serve = functools.partial(kind, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", kind
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("how", ["endless", "large", "drip", "redirect"])
@pytest.mark.parametrize("which", ["SHA256SUMS", "cluster.lock", ".rpm", "repomd.xml"])
def test_who_serves_a_bundle_decides_neither_its_size_nor_its_speed(
    bundled: Machine, sample: sandboxes.Sample, tmp_path: Path, which: str, how: str
) -> None:
    folder = unpack(bundled, sample).rename(tmp_path / "site")
    bundled.environment["AIRSEED_PAYLOAD_PATIENCE"] = "2"
    began = time.monotonic()
    with hostile(folder, which, how) as (url, server):
        bundled.set(PAYLOAD_URL=url)
        assert bundled.boot("packages").returncode == 1
        assert time.monotonic() - began < 60
        assert server.sent < 40 << 20
    stored = sum(p.stat().st_size for p in bundled.state.rglob("*") if p.is_file())
    assert stored < 3 * sample.layout.size
    largest = max(map(len, sample.layout.made))
    assert all(p.stat().st_size <= largest + 1024 for p in bundled.state.rglob("SHA256SUMS*"))
    message = bundled.result["message"]
    if which == "SHA256SUMS":
        assert message.startswith(("no bundle was found", "this is not the bundle"))
    else:
        assert f", from {url}, is missing or not what SHA256SUMS says" in message


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Lead to where everything is instead."""

    to = ""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"{self.to}{self.path}")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.mark.parametrize("to", ["there", "file", "round"])
def test_who_serves_a_bundle_may_lead_to_another_server(
    bundled: Machine, site: str, tmp_path: Path, to: str
) -> None:
    kind = type("Kind", (Elsewhere,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    url = f"http://127.0.0.1:{server.server_port}"
    kind.to = {"there": site, "file": f"file://{tmp_path}/site", "round": url}[to]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    bundled.set(PAYLOAD_URL=url)
    ran = bundled.boot("packages")
    server.shutdown()
    thread.join()
    server.server_close()
    assert (ran.returncode == 0) is (to == "there"), bundled.result


@pytest.mark.parametrize("how", ["sparse", "large"])
@pytest.mark.parametrize("which", ["SHA256SUMS", "cluster.lock", ".rpm", "repomd.xml", "DELTA.txt"])
def test_who_made_a_disk_decides_no_size(
    bundled: Machine, sample: sandboxes.Sample, tmp_path: Path, which: str, how: str
) -> None:
    """A member of another size than the bundle's, with data or with none but what it claims."""
    content = bytearray(sample.bundle.read_bytes())
    if which == "DELTA.txt":
        content[next(e.offset for e in sample.layout.extents if e.path.endswith(".rpm"))] ^= 1
        begin = end = next(e.offset for e in sample.layout.extents if e.path == "SHA256SUMS") - 512
        path = which
    else:
        extent = next(e for e in sample.layout.extents if e.path.endswith(which))
        begin, end = extent.offset - 512, extent.offset + -(-extent.size // 512) * 512
        path = extent.path
    huge = tmp_path / "huge" / path
    huge.parent.mkdir(parents=True)
    with huge.open("wb") as file:
        file.truncate(1 << 40 if how == "sparse" else 96 << 20)
    ways = ["--sparse"] if how == "sparse" else []
    command = ["tar", "--format=gnu", "-b1", *ways, "-C", tmp_path / "huge", "-cf", "-", path]
    member = subprocess.run(command, check=True, capture_output=True).stdout[:-1024]
    huge.unlink()
    disk = tmp_path / "disk.tar"
    disk.write_bytes(content[:begin] + member + content[end:])
    attach(bundled, disk)
    largest = max(extent.size for extent in sample.layout.extents) + 65536 + 1024
    seen = bundled.folder / "seen"
    bundled.stand_in(
        "sha256sum",
        f"find '{bundled.state}' -type f -size +{largest}c >>'{seen}'\n"
        f"[ ! -s '{seen}' ] || exit 1\nexec {shutil.which('sha256sum')} \"$@\"",
    )
    assert bundled.boot("packages").returncode == 1
    assert not seen.read_text()
    message = bundled.result["message"]
    if which == "SHA256SUMS":
        assert message.startswith("this is not the bundle")
    else:
        assert f", from {bundled.root}/dev/vdb, is missing or not what SHA256SUMS says" in message


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_who_made_a_disk_decides_no_memory(
    bundled: Machine, sample: sandboxes.Sample, site: str, kind: bytes
) -> None:
    """A name or a pax header of a GiB, which tar would keep whole."""
    offset, size = next(e.header for e in sample.layout.extents if e.path == "SHA256SUMS"), 1 << 30
    content = sample.bundle.read_bytes()
    head = bytearray(tar.header("x", size))
    head[156:157] = kind
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + 8 * ord(" ") + sum(head[156:]))
    disk, seen = bundled.folder / "disk.tar", bundled.folder / "seen"
    with disk.open("wb") as file:
        file.write(content[:offset] + head)
        file.seek(size, os.SEEK_CUR)
        file.write(content[offset:])
    attach(bundled, disk)
    program = bundled.folder / "measured.py"
    program.write_text(
        "import resource, subprocess, sys\n"
        f"code = subprocess.run([{shutil.which('tar')!r}, *sys.argv[1:]]).returncode\n"
        "largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        f"print(largest, file=open({str(seen)!r}, 'a'))\n"
        "sys.exit(code)\n"
    )
    bundled.stand_in("tar", f"exec {sys.executable} '{program}' \"$@\"")
    bundled.set(PAYLOAD_URL=site)
    assert bundled.boot("packages").returncode == 0, bundled.result
    assert max(map(int, seen.read_text().split())) < 512 << 10


def test_who_made_a_disk_decides_no_time(
    bundled: Machine, sample: sandboxes.Sample, site: str
) -> None:
    """Millions of small members, each of which tar looks at, before the one that is wanted."""
    attach(bundled, sample.bundle)
    bundled.stand_in(
        "timeout", '[ "$2" != tar ] || exit 124\nexec "$(dirname "$0")/../centos/timeout" "$@"'
    )
    bundled.set(PAYLOAD_URL=site)
    assert bundled.boot("packages").returncode == 0, bundled.result
    limits = [call[1] for call in bundled.called("timeout") if call[2] == "tar"]
    assert limits == [str(60 + max(map(len, sample.layout.made)) // 16384)]


@pytest.mark.parametrize("broken", ["folder", "disk", "two"])
def test_what_one_place_does_not_have_whole_the_next_one_has(
    bundled: Machine, sample: sandboxes.Sample, site: str, broken: str
) -> None:
    """A torn copy in the image, then a disk with a bad block, then the web server."""
    bad = [extent for extent in sample.layout.extents if extent.path.endswith(".rpm")][-1]
    blob = max((e for e in sample.layout.extents if "/blobs/" in e.path), key=lambda e: e.size)
    if broken in {"folder", "two"}:
        (unpack(bundled, sample) / bad.path).write_bytes(b"torn")
        (bundled.root / "opt/airseed/bundle" / blob.path).unlink()
    if broken in {"disk", "two"}:
        content = bytearray(sample.bundle.read_bytes())
        for extent in (bad, blob):
            content[extent.offset] ^= 1
        (bundled.folder / "bad.tar").write_bytes(content)
        attach(bundled, bundled.folder / "bad.tar")
    elif broken == "folder":
        attach(bundled, sample.bundle)
    bundled.set(PAYLOAD_URL=site, IMAGES=layer_role(sample, blob.digest))
    assert bundled.boot("packages", "images").returncode == 0, bundled.result
    log = (bundled.state / "log/packages.log").read_text()
    last = f"{bundled.root}/dev/vdb (disk)" if broken == "folder" else f"{site} (url)"
    assert f"going on with {last}\n" in log
    assert len(bundled.called("docker", "load")) == 1
