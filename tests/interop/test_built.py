"""RPMs that airseed built and signed: what rpm, dnf, createrepo_c and systemd make of them."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest
from interop.programs import run
from interop.workdir import Workdir
from published import pack, publish

from builder.lab.random_bytes import program, random_bytes
from builder.rpm.subset import read_packages

if TYPE_CHECKING:
    from pathlib import Path

    from interop.upstream import RealUpstream

    from builder.model.artifact import Package

pytestmark = pytest.mark.interop
RELEASE = "1.18.5"
REPOSITORY = "kubernetes-built-el7"
DROP_IN = """\
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
--kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/sysconfig/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS \
$KUBELET_EXTRA_ARGS
"""
PLUGINS = ("bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap")


@pytest.fixture(scope="module")
def workdir(real: RealUpstream, scratch: Path) -> Workdir:
    """Lock and bundle a cluster whose packages are built, of programs that say what they are."""
    made = scratch / "programs"
    (made / "plugins").mkdir(parents=True)
    (made / "tools").mkdir()
    places = {name: made / name for name in ("kubeadm", "kubelet", "kubectl")}
    places |= {name: made / "plugins" / name for name in PLUGINS}
    places["crictl"] = made / "tools" / "crictl"
    for name, path in places.items():
        path.write_bytes(program("amd64") + random_bytes(name, 3 << 20))
        path.chmod(0o755)
    files = {name: places[name] for name in ("kubeadm", "kubelet", "kubectl")}
    files["cni-plugins"] = pack(made / "plugins.tgz", made / "plugins")
    files["crictl"] = pack(made / "tools.tgz", made / "tools")
    catalog = scratch / "built-catalog"
    publish(real.www / "dl", f"{real.servers.plain}/dl", catalog, RELEASE, files)
    workdir = Workdir(real, scratch / "built")
    workdir.write()
    path = workdir.folder / "cluster.yaml"
    text = path.read_text("utf-8")
    built = f"kubernetes: {{version: {RELEASE}, packages: built}}"
    assert re.search(rf"^kubernetes: {RELEASE}", text, re.MULTILINE)
    path.write_text(re.sub(rf"(?m)^kubernetes: {RELEASE}", built, text), "utf-8")
    workdir("secrets")
    workdir("lock", "--catalog", str(real.catalog), "--catalog", str(catalog))
    workdir("bundle")
    workdir("verify")
    return workdir


@pytest.fixture(scope="module")
def unpacked(workdir: Workdir) -> Path:
    return workdir.unpack()


@pytest.fixture(scope="module")
def built(workdir: Workdir) -> dict[str, Package]:
    found = {one.nevra.name: one for one in workdir.lock.packages if one.built}
    assert set(found) == {"kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"}
    return found


@pytest.fixture(scope="module")
def database(unpacked: Path, scratch: Path, env: dict[str, str]) -> Path:
    """Import the site's key and no other."""
    folder = scratch / "built-rpmdb"
    folder.mkdir()
    run("rpmkeys", "--dbpath", folder, "--import", unpacked / "keys/site-packages.asc", env=env)
    return folder


def rpm(env: dict[str, str], *words: str | Path) -> list[str]:
    return run("rpm", *words, env=env).stdout.splitlines()


def test_rpmkeys_takes_them_with_the_sites_key(
    built: dict[str, Package], unpacked: Path, database: Path, env: dict[str, str]
) -> None:
    for package in built.values():
        path = unpacked / package.path
        output = run("rpmkeys", "--dbpath", database, "-K", path, env=env).stdout
        assert output == f"{path}: digests signatures OK\n"
        output = run("rpmkeys", "--dbpath", database, "-Kv", path, env=env).stdout
        key = package.keys[0].lower()[-8:]
        assert f"Header V4 RSA/SHA256 Signature, key ID {key}: OK" in output
        assert "Header SHA256 digest: OK" in output
        assert "Payload SHA256 digest: OK" in output


def test_rpmkeys_refuses_what_was_changed(
    built: dict[str, Package], unpacked: Path, database: Path, env: dict[str, str], tmp_path: Path
) -> None:
    content = bytearray((unpacked / built["kubectl"].path).read_bytes())
    content[-1000] ^= 1
    (tmp_path / "kubectl.rpm").write_bytes(content)
    output = run(
        "rpmkeys", "--dbpath", database, "-K", tmp_path / "kubectl.rpm", env=env, check=False
    )
    assert output.returncode != 0
    assert "DIGESTS" in output.stdout


def test_rpm_reads_dependencies_scripts_and_files(
    built: dict[str, Package], unpacked: Path, env: dict[str, str]
) -> None:
    def ask(name: str, *words: str) -> list[str]:
        output = rpm(env, "-qp", "--nosignature", *words, unpacked / built[name].path)
        return [line for line in output if not line.startswith("rpmlib(")]

    assert ask("kubelet", "--requires") == [
        *["/bin/sh"] * 3,  # one for each script
        f"config(kubelet) = {RELEASE}-0.airseed1",
        "conntrack",
        "ebtables",
        "ethtool",
        "iproute",
        "iptables >= 1.4.21",
        "kubernetes-cni >= 0.8.6",
        "socat",
        "util-linux",
    ]
    assert [line for line in ask("kubeadm", "--requires") if line != "/bin/sh"] == [
        "cri-tools >= 1.13.0",
        "kubectl >= 1.13.0",
        "kubelet >= 1.13.0",
        "kubernetes-cni >= 0.8.6",
    ]
    assert ask("kubernetes-cni", "--requires") == ["kubelet"]
    assert ask("kubectl", "--requires") == ask("cri-tools", "--requires") == []
    assert [line for line in ask("kubelet", "--scripts") if "scriptlet" in line] == [
        "postinstall scriptlet:",
        "preuninstall scriptlet:",
        "postuninstall scriptlet:",
    ]
    assert ask("kubectl", "--scripts") == []
    assert ask("kubelet", "--configfiles") == ["/etc/sysconfig/kubelet"]
    assert ask("kubeadm", "-l") == [
        "/usr/bin/kubeadm",
        "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
    ]
    assert ask("kubelet", "-l") == [
        "/etc/kubernetes",
        "/etc/kubernetes/manifests",
        "/etc/sysconfig/kubelet",
        "/usr/bin/kubelet",
        "/usr/lib/systemd/system/kubelet.service",
    ]
    assert ask("kubernetes-cni", "-l") == [
        "/opt/cni", "/opt/cni/bin", *(f"/opt/cni/bin/{name}" for name in PLUGINS)
    ]  # fmt: skip


def test_shell_takes_the_scripts(
    built: dict[str, Package], unpacked: Path, env: dict[str, str], tmp_path: Path
) -> None:
    for name in ("kubeadm", "kubelet"):
        for tag in ("POSTIN", "PREUN", "POSTUN"):
            output = rpm(
                env, "-qp", "--nosignature", "--qf", f"%{{{tag}}}", unpacked / built[name].path
            )
            path = tmp_path / f"{name}-{tag}"
            path.write_text("\n".join(output), "utf-8")
            run("sh", "-n", path, env=env)


@pytest.fixture(scope="module")
def root(unpacked: Path, workdir: Workdir, scratch: Path, env: dict[str, str]) -> Path:
    """Let dnf install the whole set into an empty root, with gpgcheck and the bundle's keys."""
    folder = scratch / "built-root"
    (folder / "root").mkdir(parents=True)
    (folder / "dnf.conf").write_text("[main]\n", "utf-8")
    words = ["--config", str(folder / "dnf.conf"), "--installroot", str(folder / "root")]
    words += ["--setopt=reposdir=/nonexistent", f"--setopt=cachedir={folder / 'cache'}"]
    words += ["--releasever=7", "--forcearch=x86_64", "--assumeyes"]
    keys = " ".join(f"file://{key}" for key in sorted((unpacked / "keys").iterdir()))
    for repository in sorted((unpacked / "yum").iterdir()):
        name = repository.name
        words += [f"--repofrompath={name},file://{repository}", f"--repo={name}"]
        words += [f"--setopt={name}.gpgcheck=1", f"--setopt={name}.gpgkey={keys}"]
    names = [str(one.nevra) for one in workdir.lock.packages if one.built]
    output = run("dnf", *words, "install", *names, env=env).stdout
    assert "Complete!" in output
    return folder / "root"


def test_dnf_installs_them(root: Path, built: dict[str, Package], env: dict[str, str]) -> None:
    there = rpm(env, "--root", root, "-qa")
    assert {f"{one.nevra}" for one in built.values()} <= {*there}
    assert {line.rpartition("-")[0].rpartition("-")[0] for line in there} >= {
        "conntrack-tools", "ebtables", "ethtool", "iproute", "iptables", "socat", "util-linux",
    }  # fmt: skip
    verified = run("rpm", "--root", root, "-V", *built, env=env, check=False)
    assert (verified.returncode, verified.stdout) == (0, "")
    for path in ("usr/bin/kubelet", "opt/cni/bin/bridge", "usr/bin/crictl"):
        assert stat.S_IMODE((root / path).stat().st_mode) == 0o755
        output = run(root / path, env={**env, "PATH": "/"}, check=False)  # found by its full name
        assert "airseed lab" in output.stdout
    assert (root / "etc/sysconfig/kubelet").read_text() == "KUBELET_EXTRA_ARGS=\n"
    assert (root / "etc/kubernetes/manifests").is_dir()


def test_without_the_sites_key_dnf_takes_nothing(
    unpacked: Path, built: dict[str, Package], env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "dnf.conf").write_text("[main]\n", "utf-8")
    name = REPOSITORY
    output = run(
        "dnf", "--config", tmp_path / "dnf.conf", "--installroot", tmp_path / "root",
        "--setopt=reposdir=/nonexistent", f"--setopt=cachedir={tmp_path / 'cache'}",
        "--releasever=7", "--forcearch=x86_64", "--assumeyes",
        f"--repofrompath={name},file://{unpacked / 'yum' / name}", f"--repo={name}",
        f"--setopt={name}.gpgcheck=1",
        f"--setopt={name}.gpgkey=file://{unpacked / 'keys/docker-ce.asc'}",
        "install", str(built["kubectl"].nevra), env=env, check=False,
    )  # fmt: skip
    assert output.returncode != 0
    assert "GPG" in output.stdout


def test_systemd_takes_the_units(root: Path, env: dict[str, str]) -> None:
    unit = root / "usr/lib/systemd/system/kubelet.service"
    assert "StartLimitInterval=0" in unit.read_text().partition("[Service]")[2]  # systemd 219
    output = run(
        "systemd-analyze", f"--root={root}", "--man=no", "--recursive-errors=no", "verify",
        "/usr/lib/systemd/system/kubelet.service", env=env, check=False,
    )  # fmt: skip
    faults = [line for line in output.stdout.splitlines() if "kubelet" in line]
    assert faults == []
    drop = (unit.parent / "kubelet.service.d" / "10-kubeadm.conf").read_text()
    lines = [line for line in drop.splitlines() if line.startswith(("ExecStart", "Env"))]
    assert lines == DROP_IN.splitlines()


def test_createrepo_describes_them_as_the_bundle_does(
    unpacked: Path, built: dict[str, Package], env: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    shutil.copytree(unpacked / "yum" / REPOSITORY / "Packages", folder / "Packages")
    run("createrepo_c", "--quiet", "--general-compress-type", "gz", folder, env=env)
    (theirs,) = (folder / "repodata").glob("*primary.xml.gz")
    (ours,) = (unpacked / "yum" / REPOSITORY / "repodata").glob("*primary.xml.gz")

    def facts(path: Path) -> dict[str, Any]:
        return {
            one.name: (
                one.pkgId,
                one.nevra(),
                one.location_href,
                one.size_package,
                one.size_installed,
                one.rpm_header_start,
                one.rpm_header_end,
                sorted(one.requires, key=str),
                sorted(one.provides, key=str),
                one.summary,
                one.rpm_license,
                one.rpm_vendor,
                sorted(one.files, key=str),
            )
            for one in read_packages(path, REPOSITORY, files=True)
        }

    assert facts(ours) == facts(theirs)
    for package in built.values():
        content = (unpacked / package.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == package.digest.hex
