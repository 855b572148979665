"""Digests, references, NEVRAs and platforms: what is read, and how it is written."""

from __future__ import annotations

import pytest

from builder.errors import DocumentError
from builder.model.artifact import Image
from builder.model.digest import Digest
from builder.model.image_names import ImageNames
from builder.model.platform import Platform
from builder.model.reference import Reference
from builder.model.rpm import Nevra

SHA = "ab" * 32


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.25", "docker.io/library/nginx:1.25"),
        ("calico/node:v3.18.6", "docker.io/calico/node:v3.18.6"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("k8s.gcr.io/pause:3.2", "k8s.gcr.io/pause:3.2"),
        ("localhost/a", "localhost/a:latest"),
        ("reg:5000/a/b:1", "reg:5000/a/b:1"),
        ("[fd00::1]:5000/a:1", "[fd00::1]:5000/a:1"),
        (f"a.io/b@sha256:{SHA}", f"a.io/b@sha256:{SHA}"),
        (f"a.io/b:1@sha256:{SHA}", f"a.io/b:1@sha256:{SHA}"),
    ],
)
def test_references_as_docker_reads_them(text: str, whole: str) -> None:
    assert str(Reference.parse(text)) == whole
    assert Reference.parse(whole) == Reference.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "A/b",
        "a.io/B",
        "a.io/b:",
        "a.io/b@",
        "a.io/b@sha256:12",
        "a.io/../b",
        "a.io//b",
        "a.io/b c",
        "https://a.io/b",
        "-a.io/b",
        f"a.io/{'x' * 256}",
        f"a.io/b:{'x' * 129}",
        "a.io/b:1\n",
        SHA,
        f"{SHA}@sha256:{SHA}",
    ],
)
def test_other_texts_are_no_references(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Reference.parse(text)


def test_a_digest_of_another_kind_is_told_with_the_way_out() -> None:
    text = f"a.io/b:1@sha512:{'ab' * 64}"
    with pytest.raises(ValueError, match="is no sha256: say its tag, or its sha256 instead"):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("registry", "mapped"),
    [
        ("reg.local:5000", "reg.local:5000/calico/node:v3"),
        ("reg.local/k8s", "reg.local/k8s/calico/node:v3"),
        ("reg.local/k8s/", "reg.local/k8s/calico/node:v3"),
    ],
)
def test_the_one_mapping_of_names(registry: str, mapped: str) -> None:
    assert ImageNames(registry).name(Reference.parse("docker.io/calico/node:v3")) == mapped


def image(name: str, digest: str) -> Image:
    return Image(
        reference=Reference.parse(name),
        digest=Digest(digest),
        size=1,
        media_type="",
        sources=(),
        manifests=(),
        roles=(),
        needed_by=(),
    )


@pytest.mark.parametrize("registry", [None, "reg.local:5000/k8s"])
def test_no_node_has_an_image_by_its_digest(registry: str | None) -> None:
    """Neither what is loaded from a file nor what is pushed out of one keeps it."""
    where = registry or "a.io"
    names = ImageNames(registry)
    assert names.name(Reference.parse(f"a.io/b:1@sha256:{SHA}")) == f"{where}/b:1"
    assert names.name(Reference.parse(f"a.io/b@sha256:{SHA}")) == f"{where}/b:digest-abababababab"


def test_what_is_pushed_has_a_name_in_the_archive_and_a_tag() -> None:
    images = [image(f"a.io/b:1@sha256:{SHA}", SHA), image(f"nginx@sha256:{SHA}", SHA)]
    assert ImageNames("r.io/k").images_map([*images, image("a.io/b:1", SHA)]) == (
        "a.io/b:1 r.io/k/b:1\n"
        "docker.io/library/nginx:digest-abababababab r.io/k/library/nginx:digest-abababababab\n"
    )


@pytest.mark.parametrize("registry", [None, "r.io"])
def test_one_name_is_one_image_only(registry: str | None) -> None:
    first, other = image("a.io/b:1", SHA), image(f"a.io/b:1@sha256:{'c' * 64}", "c" * 64)
    ImageNames(registry).refuse_clashes([first, image(f"a.io/b:1@sha256:{SHA}", SHA)])
    with pytest.raises(DocumentError) as caught:
        ImageNames(registry).refuse_clashes([first, other])
    (fault,) = caught.value.faults
    name = f"{registry or 'a.io'}/b:1"
    assert fault.what == f"a.io/b:1 and a.io/b:1@sha256:{'c' * 64} would both be {name}"


def test_the_same_image_in_another_repository() -> None:
    reference = Reference.parse(f"k8s.gcr.io/pause:3.2@sha256:{SHA}")
    assert str(reference.at("r.io/x/pause")) == f"r.io/x/pause:3.2@sha256:{SHA}"


@pytest.mark.parametrize(
    ("text", "whole", "filename"),
    [
        ("socat-1.7-2.el7.x86_64", "socat-1.7-2.el7.x86_64", "socat-1.7-2.el7.x86_64.rpm"),
        ("docker-ce-3:19.03.9-3.el7.x86_64",) * 2 + ("docker-ce-19.03.9-3.el7.x86_64.rpm",),
        (
            "3:docker-ce-19.03.9-3.el7.x86_64",
            "docker-ce-3:19.03.9-3.el7.x86_64",
            "docker-ce-19.03.9-3.el7.x86_64.rpm",
        ),
        ("a-0:1-1.noarch", "a-1-1.noarch", "a-1-1.noarch.rpm"),
        ("libstdc++-4~rc1^git-1.i686",) * 2 + ("libstdc++-4~rc1^git-1.i686.rpm",),
    ],
)
def test_nevras_as_yum_prints_them(text: str, whole: str, filename: str) -> None:
    found = Nevra.parse(text)
    assert (str(found), found.filename) == (whole, filename)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a-1",
        "a-1-1",
        "a-1-1.",
        "../a-1-1.noarch",
        "a/b-1-1.noarch",
        "a-1-1.no arch",
        "a-x:1-1.noarch",
        "a-12345678901:1-1.noarch",
        "a-1-1/../x.noarch",
        f"{'a' * 600}-1-1.noarch",
        "a-1-1.noarch\n",
        "a-\u0661:1-1.noarch",
    ],
)
def test_other_texts_are_no_nevras(text: str) -> None:
    with pytest.raises(ValueError, match="NEVRA"):
        Nevra.parse(text)


def test_digests() -> None:
    digest = Digest.of(b"hello")
    assert str(digest) == (
        "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    )
    assert Digest.parse(str(digest)) == digest
    assert digest.short == "2cf24dba5fb0"
    for text in ("", SHA, f"sha512:{SHA}", f"sha256:{SHA.upper()}", f"sha256:{SHA}0", "sha256:"):
        with pytest.raises(ValueError, match=r".+"):
            Digest.parse(text)


def test_platforms() -> None:
    assert Platform.parse("linux/amd64") == Platform("linux", "amd64")
    assert str(Platform.parse("linux/arm64/v8")) == "linux/arm64/v8"
    assert (Platform("linux", "amd64").rpm, Platform("linux", "arm64").rpm) == ("x86_64", "aarch64")
    for text in ("", "linux", "linux/", "Linux/amd64", "linux/amd64/v8/x", "linux/amd64\n"):
        with pytest.raises(ValueError, match="is not a platform"):
            Platform.parse(text)
