from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from primary import P

from builder.errors import ClosureError, Fault, UsageError, VerificationError
from builder.model.digest import Digest
from builder.model.rpm import Nevra
from builder.rpm import base, universe
from builder.rpm.closure import (
    Chosen,
    Closure,
    Location,
    PackageRequest,
    Replaced,
    check_installable,
    solve,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.rpm.repodata import MetadataFiles

    Feed = Callable[..., MetadataFiles]

BASH = P(nevra="bash-4.2.46-31.el7.x86_64", files=("/bin/sh", "/usr/bin/bash"))
NEWER = P(nevra="bash-4.2.46-34.el7.x86_64", files=("/bin/sh", "/usr/bin/bash"))
CONNTRACK = P(
    nevra="conntrack-tools-1.4.4-4.el7.x86_64",
    provides=("conntrack = 1.4.4",),
    requires=("/bin/sh",),
)
KUBE = (
    P(
        nevra="kubeadm-1.18.5-0.x86_64",
        requires=("kubelet >= 1.13.0", "kubernetes-cni >= 0.8.6"),
        href="../../pool/abc-kubeadm-1.18.5-0.x86_64.rpm",
    ),
    P(nevra="kubeadm-1.28.0-0.x86_64", requires=("kubelet >= 1.19.0",)),
    P(nevra="kubelet-1.18.5-0.x86_64", requires=("kubernetes-cni >= 0.8.6", "conntrack")),
    P(nevra="kubelet-1.28.0-0.x86_64", requires=("kubernetes-cni >= 1.2.0",)),
    P(nevra="kubernetes-cni-0.8.6-0.x86_64", requires=("kubelet",)),
    P(nevra="kubernetes-cni-0.8.7-0.x86_64", requires=("kubelet",)),
)
DOCKER = P(nevra="docker-ce-3:19.03.9-3.el7.x86_64", requires=("libcgroup >= 0.40", "/bin/sh"))


NOTHING = base.empty()


def run(
    requests: list[PackageRequest | str],
    *metadata: MetadataFiles,
    base: base.BasePackages = NOTHING,
) -> Closure:
    asked = [
        one if isinstance(one, PackageRequest) else PackageRequest(text=one) for one in requests
    ]
    return solve(asked, arch="x86_64", metadata=metadata, base=base)


def test_metadata_that_wants_memory_without_end_is_refused(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The solver writes a rule for each two packages that exclude each other."""
    monkeypatch.setattr(universe, "_MOST_PAIRS", 2_000)
    many = [P(nevra=f"kubeadm-1.{number}-0.x86_64") for number in range(45)]
    others = [
        P(nevra=f"a{number}-1-0.x86_64", provides=("x",), conflicts=("x",)) for number in range(45)
    ]
    for packages in (many, others):
        with pytest.raises(VerificationError) as caught:
            run(["kubeadm"], feed("site", *KUBE, *packages))
        assert caught.value.fault.where == "site: primary"
        assert "exclude each other without end" in caught.value.fault.what
    assert run(["bash"], feed("site", BASH, *many[:40])).packages


def names(closure: Closure) -> list[str]:
    return [str(one.nevra) for one in closure.packages]


def faults(
    requests: list[PackageRequest | str], *metadata: MetadataFiles, **more: base.BasePackages
) -> tuple[Fault, ...]:
    with pytest.raises(ClosureError) as caught:
        run(requests, *metadata, **more)
    return caught.value.faults


def test_a_cycle_with_pins_gives_reasons_places_and_digests(feed: Feed) -> None:
    closure = run(
        [
            PackageRequest(text="kubeadm-1.18.5-0", repository="kubernetes", by="kubeadm"),
            PackageRequest(text="kubelet-1.18.5-0", repository="kubernetes", by="kubeadm"),
            PackageRequest(text="kubernetes-cni-0.8.6-0", repository="kubernetes", by="kubeadm"),
        ],
        feed("os", BASH, CONNTRACK),
        feed("kubernetes", *KUBE),
    )
    found = closure.packages
    assert [(str(one.nevra), one.repository, one.requested, one.needed_by) for one in found] == [
        ("bash-4.2.46-31.el7.x86_64", "os", False, ("conntrack-tools",)),
        ("conntrack-tools-1.4.4-4.el7.x86_64", "os", False, ("kubelet",)),
        ("kubeadm-1.18.5-0.x86_64", "kubernetes", True, ("kubeadm",)),
        ("kubelet-1.18.5-0.x86_64", "kubernetes", True, ("kubeadm", "kubernetes-cni")),
        ("kubernetes-cni-0.8.6-0.x86_64", "kubernetes", True, ("kubeadm", "kubelet")),
    ]  # fmt: skip
    assert closure.packages[2] == Chosen(
        nevra=Nevra("kubeadm", 0, "1.18.5", "0", "x86_64"),
        repository="kubernetes",
        digest=Digest(KUBE[0].pkgid),
        size=1000,
        places=(
            Location(repository="kubernetes", href="../../pool/abc-kubeadm-1.18.5-0.x86_64.rpm"),
        ),
        requested=True,
        needed_by=("kubeadm",),
    )
    assert (closure.upgraded, closure.present, closure.unmatched, closure.base) == ((), (), (), ())


def test_every_place_of_the_same_rpm_is_known(feed: Feed) -> None:
    """One repository lists it twice, another has it, and a third has other bytes of that name."""
    one = P(nevra="one-1-1.noarch", href="a/one.rpm")
    again = replace(one, href="b/one.rpm")
    other = replace(one, checksum="sha512", href="c/one.rpm")
    closure = run(["one"], feed("os", one, again), feed("copy", one), feed("third", other))
    (chosen,) = closure.packages
    assert {(place.repository, place.href) for place in chosen.places} == {
        ("os", "a/one.rpm"),
        ("os", "b/one.rpm"),
        ("copy", "a/one.rpm"),
    }
    assert chosen.places[0].repository == chosen.repository


def test_a_name_that_is_nearly_right_is_proposed(feed: Feed) -> None:
    with pytest.raises(ClosureError) as caught:
        run(["kubeadn"], feed("kubernetes", *KUBE))
    assert "similar names: kubeadm" in str(caught.value.fault.hint)


def test_without_pins_the_newest_that_fits_is_taken(feed: Feed) -> None:
    closure = run(["kubeadm-1.18.5-0"], feed("os", BASH, CONNTRACK), feed("kubernetes", *KUBE))
    assert "kubernetes-cni-0.8.7-0.x86_64" in names(closure)


@pytest.mark.parametrize(
    "text",
    [
        "docker-ce",
        "docker-ce-19.03.9",
        "docker-ce-19.03.9-3.el7",
        "docker-ce-3:19.03.9-3.el7",
        "docker-ce-3:19.03.9-3.el7.x86_64",
        "3:docker-ce-19.03.9-3.el7.x86_64",
        "docker-ce.x86_64",
        "docker-ce >= 3:19",
        "engine",
        "/usr/bin/docker",
        "/usr/share/hidden",
    ],
)
def test_packages_are_named_as_yum_users_do(feed: Feed, text: str) -> None:
    docker = P(
        nevra=DOCKER.nevra,
        provides=("engine",),
        files=("/usr/bin/docker",),
        hidden=("/usr/share/hidden",),
    )
    assert names(run([text], feed("docker", docker))) == [docker.nevra]


def test_what_is_missing_is_said_with_what_was_searched(feed: Feed) -> None:
    what = "nothing provides libcgroup >= 0.40 needed by docker-ce-3:19.03.9-3.el7.x86_64"
    os = feed("os", BASH)
    assert faults(["docker-ce"], os, feed("docker", DOCKER)) == (
        Fault(where="docker-ce", what=what, hint="searched: os, docker, and the base"),
    )
    os = feed("os", BASH, P(nevra="libcgroup-0.37-7.x86_64"))
    with pytest.raises(ClosureError) as caught:
        run(["docker-ce"], os, feed("docker", DOCKER))
    assert str(caught.value) == f"the packages can't be installed: docker-ce: {what}"
    hint = "libcgroup is there as 0.37-7 (os); searched: os, docker, and the base"
    assert caught.value.hint == hint


def test_what_is_missing_further_down_shows_the_way(feed: Feed) -> None:
    app = P(nevra="app-1-1.x86_64", requires=("docker-ce",))
    assert faults(["app"], feed("all", BASH, DOCKER, app)) == (
        Fault(
            where="app",
            what="nothing provides libcgroup >= 0.40 needed by docker-ce-3:19.03.9-3.el7.x86_64",
            hint="searched: all, and the base;"
            " on the way: app-1-1.x86_64 requires docker-ce",
        ),
    )  # fmt: skip


def test_every_request_that_means_nothing_is_reported(feed: Feed) -> None:
    found = faults(
        ["kubeadm-1.18.9-0", "kube*", "nosuch",
         PackageRequest(text="bash", repository="kubernetes"),
         PackageRequest(text="bash", repository="epel")],
        feed("os", BASH), feed("kubernetes", *KUBE),
    )  # fmt: skip
    assert found == (
        Fault(
            where="kubeadm-1.18.9-0",
            what="no package matches in os, kubernetes",
            hint="kubeadm is there as 1.28.0-0 (kubernetes), 1.18.5-0 (kubernetes)",
        ),
        Fault(
            where="kube*",
            what="patterns are not read here",
            hint="a bundle needs names: which packages a pattern means changes with the repository",
        ),
        Fault(
            where="nosuch",
            what="no package matches in os, kubernetes",
            hint="check the spelling, or add its repository (repositories/ of --catalog)",
        ),
        Fault(
            where="bash",
            what="no package matches in kubernetes",
            hint="elsewhere: bash 4.2.46-31.el7 (os)",
        ),
        Fault(where="bash", what="there is no repository 'epel'", hint="there are: os, kubernetes"),
    )


def test_two_versions_of_one_package_conflict(feed: Feed) -> None:
    found = faults(["bash-4.2.46-31.el7", "bash-4.2.46-34.el7"], feed("os", BASH, NEWER))
    assert found == (
        Fault(
            where="bash-4.2.46-31.el7, bash-4.2.46-34.el7",
            what=f"cannot install both {NEWER.nevra} and {BASH.nevra}",
            hint="two of the requests, or what they need, want different versions of one package",
        ),
    )


def test_a_version_whose_needs_are_missing_is_the_cause_not_the_conflict(feed: Feed) -> None:
    found = faults(["kubelet-1.18.5-0", "kubelet-1.28.0-0"], feed("k", *KUBE, CONNTRACK, BASH))
    assert found == (
        Fault(
            where="kubelet-1.28.0-0",
            what="nothing provides kubernetes-cni >= 1.2.0 needed by kubelet-1.28.0-0.x86_64",
            hint="kubernetes-cni is there as 0.8.7-0 (k), 0.8.6-0 (k); searched: k, and the base",
        ),
    )


def test_conflicts_and_obsoletes_are_respected(feed: Feed) -> None:
    podman = P(nevra="podman-1-1.x86_64", conflicts=("docker",))
    docker = P(nevra="docker-1-1.x86_64")
    found = faults(["podman", "docker"], feed("os", podman, docker))
    assert [one.what for one in found] == [
        "package podman-1-1.x86_64 conflicts with docker provided by docker-1-1.x86_64"
    ]
    moby = P(nevra="moby-2-1.x86_64", provides=("docker = 2",), obsoletes=("docker < 2",))
    closure = run(["moby"], feed("os", moby, docker), base=base.core("os", ("docker",)))
    assert names(closure) == ["moby-2-1.x86_64"]
    assert closure.upgraded == (Replaced(old="docker-1-1.x86_64", new="moby-2-1.x86_64"),)


def test_what_came_in_the_place_of_a_package_is_taken_for_its_name(feed: Feed) -> None:
    """As yum and dnf do it: a name follows its heirs, a version that is written out does not."""
    old = P(nevra="old-1-1.x86_64")
    new = P(nevra="new-2-1.x86_64", obsoletes=("old < 2",), provides=("old = 2",))
    need = P(nevra="need-1-1.x86_64", requires=("old = 1-1",))
    foreign = P(nevra="other-2-1.i686", obsoletes=("old < 2",))
    os = feed("os", old, new, need, foreign)
    closure = run([PackageRequest(text="old", by="me")], os)
    assert names(closure) == [new.nevra]
    assert (closure.packages[0].requested, closure.packages[0].needed_by) == (True, ("me",))
    assert names(run(["old-1-1"], os)) == names(run(["old.x86_64"], os)) == [old.nevra]
    assert names(run(["old", "need"], os)) == [need.nevra, old.nevra]
    assert run(["old"], os, base=_listed(old)).present == ("old",)
    assert run(["old"], os, base=_listed(new)).present == ("old",)
    later = P(nevra="old-3-1.x86_64")
    assert names(run(["old"], feed("more", old, later, new))) == [later.nevra]


def test_what_came_in_its_place_must_be_in_the_same_repository(feed: Feed) -> None:
    old = P(nevra="old-1-1.x86_64")
    new = P(nevra="new-2-1.x86_64", obsoletes=("old < 2",))
    there, elsewhere = feed("there", old), feed("elsewhere", new)
    assert names(run([PackageRequest(text="old", repository="there")], there, elsewhere)) == [
        old.nevra
    ]


def test_rich_and_hidden_file_dependencies_are_solved(feed: Feed) -> None:
    app = P(
        nevra="app-1-1.x86_64",
        requires=("(one or two)", "(three if one)", "/usr/share/hidden", "rpmlib(X) <= 4"),
    )
    one, two = P(nevra="one-1-1.noarch"), P(nevra="two-1-1.noarch", conflicts=("app",))
    three = P(nevra="three-1-1.noarch", hidden=("/usr/share/hidden",))
    assert names(run(["app"], feed("os", app, one, two, three))) == [
        "app-1-1.x86_64",
        "one-1-1.noarch",
        "three-1-1.noarch",
    ]


def test_weak_dependencies_are_not_followed(feed: Feed) -> None:
    app = P(nevra="app-1-1.x86_64", recommends=("bash",))
    assert names(run(["app"], feed("os", app, BASH))) == ["app-1-1.x86_64"]


def test_other_architectures_come_only_when_asked_for(feed: Feed) -> None:
    small = P(nevra="lib-2-1.i686", provides=("lib(x86-32)",))
    os = feed(
        "os", small, P(nevra="lib-1-1.x86_64"), P(nevra="app-1-1.x86_64", requires=("lib(x86-32)",))
    )
    assert names(run(["lib"], os)) == ["lib-1-1.x86_64"]
    assert names(run(["lib.i686"], os)) == ["lib-2-1.i686"]
    assert names(run(["app", "lib-2-1.i686"], os)) == ["app-1-1.x86_64", "lib-2-1.i686"]
    assert faults(["app"], os)[0].where == "app"


def test_another_architecture_comes_without_its_twin(feed: Feed) -> None:
    twins = [P(nevra=f"lib-2-1.{arch}") for arch in ("i686", "x86_64")]
    user = P(nevra="user-1-1.i686", requires=("lib",))
    os = feed("os", *twins, user)
    assert names(run(["lib.i686"], os)) == ["lib-2-1.i686"]
    assert names(run(["lib.i686", "user.i686"], os)) == ["lib-2-1.i686", "user-1-1.i686"]
    assert names(run(["lib.i686", "lib.x86_64"], os)) == ["lib-2-1.i686", "lib-2-1.x86_64"]


def test_the_core_is_closed_over_its_own_repository(feed: Feed) -> None:
    os = feed(
        "os",
        BASH,
        P(nevra="yum-3-1.noarch", requires=("/bin/sh",)),
        CONNTRACK,
        P(nevra="kernel-3.10-1.x86_64"),
    )
    closure = run(
        ["conntrack"],
        feed("updates", NEWER),
        os,
        base=base.core("os", ("yum", "no-longer-there"), ("kernel",)),
    )
    assert names(closure) == [CONNTRACK.nevra]
    assert closure.base == (BASH.nevra, "kernel-3.10-1.x86_64", "yum-3-1.noarch")
    assert closure.unmatched == ("no-longer-there",)


def test_the_core_must_be_whole(feed: Feed) -> None:
    broken = P(nevra="yum-3-1.noarch", requires=("python",))
    os = feed("os", broken)
    with pytest.raises(ClosureError) as caught:
        run(["yum"], os, base=base.core("os", (), ("kernel",)))
    assert caught.value.faults == (Fault(where="base of os", what="there is no package kernel"),)
    assert faults(["yum"], os, base=base.core("os", ("yum",))) == (
        Fault(
            where="",
            what="nothing provides python needed by yum-3-1.noarch",
            hint="searched: os, and the base",
        ),
    )
    with pytest.raises(UsageError) as refused:
        run(["yum"], os, base=base.core("vault", ("yum",)))
    assert str(refused.value) == "the base is taken from the repository 'vault', which is not here"


def test_the_base_is_upgraded_only_when_something_needs_it(feed: Feed) -> None:
    needy = P(nevra="needy-1-1.x86_64", requires=("bash >= 4.2.46-34",))
    metadata = [feed("os", BASH), feed("updates", NEWER, needy)]
    core = base.core("os", ("bash",))
    closure = run(["bash", "/bin/sh", "/usr/bin/bash"], *metadata, base=core)
    assert (names(closure), closure.present) == ([], ("/bin/sh", "/usr/bin/bash", "bash"))
    closure = run(["needy"], *metadata, base=core)
    assert names(closure) == [NEWER.nevra, needy.nevra]
    assert closure.packages[0].needed_by == ("needy",)
    assert closure.upgraded == (Replaced(old=BASH.nevra, new=NEWER.nevra),)


def test_the_base_is_never_downgraded(feed: Feed) -> None:
    installed = base.packages((Nevra.parse(NEWER.nevra),))
    found = faults(["bash-4.2.46-31.el7"], feed("os", BASH, NEWER), base=installed)
    assert found == (
        Fault(
            where="bash-4.2.46-31.el7",
            what=f"cannot install both {NEWER.nevra} and {BASH.nevra}",
            hint="the base has another version, and packages of the base are never downgraded",
        ),
    )


AUDIT = tuple(
    P(nevra=f"audit-{version}-1.x86_64", requires=(f"audit-libs = {version}-1",))
    for version in (1, 2)
)
LIBRARY = tuple(P(nevra=f"audit-libs-{version}-1.x86_64") for version in (1, 2))
BINDING = P(nevra="audit-libs-python-2-1.x86_64", requires=("audit-libs = 2-1",))


def test_what_the_base_must_upgrade_along_says_why(feed: Feed) -> None:
    closure = run(
        ["audit-libs-python"],
        feed("os", AUDIT[0], LIBRARY[0]),
        feed("updates", AUDIT[1], LIBRARY[1], BINDING),
        base=base.core("os", ("audit",)),
    )
    assert {one.nevra.name: one.needed_by for one in closure.packages} == {
        "audit": ("audit-libs",),
        "audit-libs": ("audit", "audit-libs-python"),
        "audit-libs-python": ("extra",),
    }


def test_what_a_conflict_makes_the_base_upgrade_says_why(feed: Feed) -> None:
    old, new = P(nevra="tool-1-1.x86_64"), P(nevra="tool-2-1.x86_64")
    app = P(nevra="app-1-1.x86_64", conflicts=("tool < 2",))
    closure = run(["app"], feed("os", old, new, app), base=_listed(old))
    assert {one.nevra.name: one.needed_by for one in closure.packages} == {
        "app": ("extra",),
        "tool": ("app",),
    }


def test_what_keeps_the_base_whole_names_the_package_of_the_base(feed: Feed) -> None:
    yum = P(nevra="yum-3-1.noarch", requires=("grabber",))
    old = P(nevra="lib-1-1.noarch", provides=("grabber",))
    new, other = P(nevra="lib-2-1.noarch"), P(nevra="grabber-1-1.noarch")
    closure = run(["lib-2-1"], feed("os", yum, old, new, other), base=_listed(yum, old))
    assert {one.nevra.name: one.needed_by for one in closure.packages} == {
        "grabber": ("yum",),
        "lib": ("extra",),
    }


def test_what_only_holds_a_version_is_no_reason(feed: Feed) -> None:
    """A lock over an earlier one says the same as the earlier one said."""
    metadata = [feed("os", AUDIT[0], LIBRARY[0]), feed("updates", AUDIT[1], LIBRARY[1], BINDING)]
    core = base.core("os", ("audit",))
    first = run(["audit-libs-python"], *metadata, base=core)
    held = [
        PackageRequest(text=str(one.nevra), repository=one.repository, by="")
        for one in first.packages
    ]
    assert run(["audit-libs-python", *held], *metadata, base=core) == first
    newer = P(nevra="audit-libs-python-3-1.x86_64", requires=("audit-libs = 2-1",))
    metadata.append(feed("more", newer))
    assert run(["audit-libs-python", *held], *metadata, base=core) == first
    assert newer.nevra in names(run(["audit-libs-python"], *metadata, base=core))


def test_a_base_may_have_several_kernels_and_keeps_them(feed: Feed) -> None:
    kernels = [P(nevra=f"kernel-3.10-{number}.x86_64") for number in (1, 2, 3)]
    app = P(nevra="app-1-1.x86_64", requires=("kernel >= 3.10-3",))
    closure = run(["app"], feed("os", *kernels, app), base=_listed(*kernels[:2]))
    assert names(closure) == [app.nevra, kernels[2].nevra]
    assert closure.upgraded == ()


def test_packages_of_two_architectures_stay_in_step(feed: Feed) -> None:
    glibc = [
        P(nevra=f"glibc-{version}-1.{arch}", requires=(f"glibc-common = {version}-1",))
        for version in (1, 2)
        for arch in ("i686", "x86_64")
    ]
    common = [P(nevra=f"glibc-common-{version}-1.x86_64") for version in (1, 2)]
    os = feed("os", *glibc, *common)
    closure = run(["glibc-2-1.x86_64"], os, base=_listed(*glibc[:2], common[0]))
    new = ["glibc-2-1.i686", "glibc-2-1.x86_64", "glibc-common-2-1.x86_64"]
    assert names(closure) == new
    assert [one.old for one in closure.upgraded] == [name.replace("-2-", "-1-") for name in new]
    assert names(run(["glibc", "glibc.i686"], os)) == new


def test_what_only_another_architecture_has_is_said(feed: Feed) -> None:
    os = feed(
        "os",
        P(nevra="lib-1-1.i686", provides=("libx.so.1",)),
        P(nevra="app-1-1.x86_64", requires=("libx.so.1",)),
    )
    hint = "other architectures are taken only when a request names one: lib.i686"
    assert faults(["lib"], os) == (Fault(where="lib", what="no package matches in os", hint=hint),)
    assert faults(["app"], os) == (
        Fault(
            where="app",
            what="nothing provides libx.so.1 needed by app-1-1.x86_64",
            hint=f"{hint}; searched: os, and the base",
        ),
    )


def test_a_package_of_the_base_that_nobody_describes_is_blamed(feed: Feed) -> None:
    app = P(nevra="app-1-1.x86_64", requires=("/bin/sh",))
    assert faults(["app"], feed("os", BASH, app), base=_listed(NEWER)) == (
        Fault(
            where="app",
            what=f"cannot install both {NEWER.nevra} and {BASH.nevra}",
            hint=f"no repository describes the base's {NEWER.nevra}, so what it provides is"
            " unknown: add the repository that it came from",
        ),
    )


def _listed(*packages: P) -> base.BasePackages:
    return base.packages(tuple(Nevra.parse(one.nevra) for one in packages))


def test_a_list_of_packages_is_matched_without_epochs(feed: Feed) -> None:
    docker = P(nevra=DOCKER.nevra, provides=("engine",), hidden=("/usr/share/hidden",))
    app = P(nevra="app-1-1.x86_64", requires=("engine", "own-agent = 5-1", "/usr/share/hidden"))
    listed = ("docker-ce-19.03.9-3.el7.x86_64", "own-agent-5-1.x86_64")
    closure = run(
        ["app", PackageRequest(text="docker-ce", repository="all")],
        feed("all", docker, app),
        base=base.packages(tuple(map(Nevra.parse, listed))),
    )
    assert (names(closure), closure.present) == (["app-1-1.x86_64"], ("docker-ce",))
    assert closure.unmatched == ("own-agent-5-1.x86_64",)
    assert closure.base == (docker.nevra, "own-agent-5-1.x86_64")


def test_metadata_without_sha256_is_refused(feed: Feed) -> None:
    bad = P(nevra="bad-1-1.noarch", checksum="sha1")
    with pytest.raises(VerificationError) as caught:
        run(["bad"], feed("os", bad))
    assert [str(fault) for fault in caught.value.faults] == [
        "os: bad-1-1.noarch: the metadata has no SHA-256 of the RPM"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<html>log in</html>",
         "os: primary: the document begins with <html> (expected <metadata>)"),
        ("<metadata><package>", "os: primary: libsolv can't read it: "),
        ("", "os: primary: no element was found (expected <metadata>)"),
        ("<!DOCTYPE metadata [<!ENTITY a 'b'>]><metadata/>",
         "os: primary: the document is refused: it declares a document type"),
    ],
)  # fmt: skip
def test_unreadable_metadata_is_named(feed: Feed, content: str, message: str) -> None:
    os = feed("os", BASH)
    os.primary.write_text(content, "utf-8")
    with pytest.raises(VerificationError) as caught:
        run(["bash"], os)
    assert str(caught.value).startswith(message)


def test_two_repositories_of_one_name_are_refused(feed: Feed) -> None:
    with pytest.raises(UsageError) as caught:
        run(["bash"], feed("os", BASH), feed("os", BASH))
    assert str(caught.value) == "there are two repositories named 'os'"


def test_the_same_input_gives_the_same_answer(feed: Feed) -> None:
    metadata = [feed("os", BASH, NEWER, CONNTRACK), feed("kubernetes", *KUBE)]
    answers = {run(["kubeadm", "conntrack"], *metadata) for _ in range(5)}
    assert len(answers) == 1


PACKAGES = (BASH, CONNTRACK, KUBE[0], KUBE[2], KUBE[4])


def proof(metadata: MetadataFiles, missing: P | None = None, **more: object) -> list[Fault]:
    locked = [Nevra.parse(one.nevra) for one in PACKAGES if one is not missing]
    options = {"base": base.empty(), **more}
    return check_installable(locked, arch="x86_64", metadata=[metadata], **options)  # type: ignore[arg-type]


def test_a_closure_proves_itself(feed: Feed) -> None:
    assert proof(feed("bundle", *PACKAGES)) == []


@pytest.mark.parametrize("missing", [BASH, CONNTRACK, KUBE[2], KUBE[4]])
def test_taking_one_package_away_fails_the_proof(feed: Feed, missing: P) -> None:
    left = [one for one in PACKAGES if one is not missing]
    assert any("needed by" in str(fault) for fault in proof(feed("bundle", *left), missing))


def test_what_the_lock_forgot_is_named(feed: Feed) -> None:
    assert proof(feed("bundle", *PACKAGES), CONNTRACK) == [
        Fault(where=CONNTRACK.nevra, what="the transaction needs it, but the lock does not name it")
    ]


def test_upstream_describes_the_base_but_gives_nothing(feed: Feed) -> None:
    left = feed("bundle", *PACKAGES[1:])
    os = feed("os", BASH, NEWER)
    core = base.core("os", ("bash",))
    assert proof(left, BASH, base=core, described_by=[os]) == []
    assert proof(left, BASH, base=base.empty(), described_by=[os])[0].what == (
        "nothing provides /bin/sh needed by conntrack-tools-1.4.4-4.el7.x86_64"
    )


@pytest.mark.parametrize("text", ["((((a or b", "(a if b else c and)", "(", "()", "(a >= foo b)"])
def test_a_requirement_that_cannot_be_read_is_not_passed_over(feed: Feed, text: str) -> None:
    odd = P(nevra="odd-1-1.noarch", requires=(text, "(bash or zsh)"))
    os = feed("os", odd, BASH, P(nevra="other-1-1.noarch", requires=("(bash or zsh)",)))
    with pytest.raises(VerificationError) as caught:
        run(["odd"], os)
    assert caught.value.faults == (
        Fault(where="os: odd-1-1.noarch", what=f"its requirement {text} is not well-formed"),
    )
    assert names(run(["other"], os)) == [BASH.nevra, "other-1-1.noarch"]


SETUP = P(nevra="setup-1-1.noarch", requires=("skeleton",))
SKELETON = P(nevra="skeleton-1-1.noarch", requires=("libx",))
GIVEN = P(nevra="libx-1-1.x86_64", provides=("libx.so",))
BRINGER = P(nevra="idle-1-1.noarch", requires=("other",))
BROUGHT = P(nevra="other-1-1.noarch")
ASKING = P(nevra="tool-1-1.noarch", requires=("libx.so",))


def relied_on(closure: Closure) -> list[str]:
    return [str(one.nevra) for one in closure.relied_on]


def test_what_the_answer_relies_on_leads_up_to_the_group(feed: Feed) -> None:
    """What a library provides counts, and by whose requirements it came into the base."""
    core = base.core("os", ("setup", "idle"))
    os = feed("os", SETUP, SKELETON, GIVEN, BRINGER, BROUGHT, ASKING)
    closure = run(["tool"], os, base=core)
    assert names(closure) == ["tool-1-1.noarch"]
    assert relied_on(closure) == ["libx-1-1.x86_64", "setup-1-1.noarch", "skeleton-1-1.noarch"]
    # a request that the base fulfils
    closure = run(["other"], os, base=core)
    assert (names(closure), relied_on(closure)) == ([], ["idle-1-1.noarch", "other-1-1.noarch"])


def test_of_a_list_it_is_known_that_its_packages_are_there(feed: Feed) -> None:
    there = (Nevra.parse(GIVEN.nevra), Nevra.parse("unknown-1-1.noarch"))
    os = feed("os", SETUP, SKELETON, GIVEN, ASKING)
    assert relied_on(run(["tool"], os, base=base.packages(there))) == ["libx-1-1.x86_64"]
    assert relied_on(run(["unknown"], os, base=base.packages(there))) == []
    assert relied_on(run(["tool"], os)) == []
