"""The words in which an unsatisfiable set is explained; test_closure shows them at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from primary import P

from builder.errors import ClosureError, Fault
from builder.rpm import base
from builder.rpm.closure import PackageRequest, solve
from builder.rpm.problems import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.rpm.repodata import MetadataFiles

    Feed = Callable[..., MetadataFiles]


def failure(requests: list[str], *metadata: MetadataFiles) -> ClosureError:
    with pytest.raises(ClosureError) as caught:
        solve(
            [PackageRequest(text=text) for text in requests],
            arch="x86_64",
            metadata=metadata,
            base=base.empty(),
        )
    return caught.value


def test_text_of_others_is_made_printable_and_short() -> None:
    assert plain("a\x1b[2Jb\nc\u202ed") == "a\ufffd[2Jb\ufffdc\ufffdd"
    assert plain("\u00e4\u00f6 \u4e2d") == "\u00e4\u00f6 \u4e2d"
    assert len(plain("x" * 10_000)) == 400


def test_of_many_versions_the_newest_are_named(feed: Feed) -> None:
    many = [P(nevra=f"kubelet-1.{minor}.0-0.x86_64") for minor in (9, 10, 2, 11, 1, 18, 3, 4)]
    error = failure(["kubelet-1.99.0-0"], feed("k", *many))
    assert error.hint == (
        "kubelet is there as 1.18.0-0 (k), 1.11.0-0 (k), 1.10.0-0 (k), 1.9.0-0 (k), 1.4.0-0 (k),"
        " 1.3.0-0 (k) and 2 more"
    )


def test_a_provide_in_the_wrong_version_names_who_has_it(feed: Feed) -> None:
    app = P(nevra="app-1-1.noarch", requires=("libx = 3",))
    lib = P(nevra="lib-1-1.noarch", provides=("libx = 2",))
    assert failure(["app"], feed("os", app, lib)).faults == (
        Fault(
            where="app",
            what="nothing provides libx = 3 needed by app-1-1.noarch",
            hint="libx is there as lib-1-1.noarch (os); searched: os, and the base",
        ),
    )


def test_several_causes_are_counted_and_all_listed(feed: Feed) -> None:
    one = P(nevra="one-1-1.noarch", requires=("no-one",))
    two = P(nevra="two-1-1.noarch", requires=("no-two",))
    error = failure(["one", "two"], feed("os", one, two))
    assert str(error) == "the packages can't be installed: 2 problems"
    assert error.hint is None
    assert {(fault.where, fault.what) for fault in error.faults} == {
        ("one", "nothing provides no-one needed by one-1-1.noarch"),
        ("two", "nothing provides no-two needed by two-1-1.noarch"),
    }


def test_a_conflict_far_down_shows_both_ends_and_the_way(feed: Feed) -> None:
    metadata = feed(
        "os",
        P(nevra="app-1-1.noarch", requires=("middle",)),
        P(nevra="middle-1-1.noarch", requires=("podman",)),
        P(nevra="podman-1-1.noarch", conflicts=("docker",)),
        P(nevra="docker-1-1.noarch"),
    )
    assert failure(["app", "docker"], metadata).faults == (
        Fault(
            where="app, docker",
            what="package podman-1-1.noarch conflicts with docker provided by docker-1-1.noarch",
            hint="on the way: app-1-1.noarch requires middle; middle-1-1.noarch requires podman",
        ),
    )


def test_names_of_strangers_cannot_paint_the_terminal(feed: Feed) -> None:
    app = P(nevra="app-1-1.noarch", requires=("evil\u202ename",))
    [fault] = failure(["app"], feed("os", app)).faults
    assert fault.what == "nothing provides evil\ufffdname needed by app-1-1.noarch"
