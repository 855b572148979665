"""``inspect --sbom``: complete, the same everywhere, and valid for the formats' own validators."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.cli.root import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes import Sample

FORMS = ("spdx", "cyclonedx")
CYCLONEDX = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(str(wrong) if wrong else 0)
"""


def bill_text(capsys: pytest.CaptureFixture[str], place: Path, form: str) -> str:
    assert run(["inspect", str(place), "--sbom", form]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return str(out)


def validator_fault(text: str, form: str, tmp_path: Path) -> str:
    """Ask the format's own validator; return what it says, nothing if all is well."""
    if form == "cyclonedx":
        words, content = [sys.executable, "-c", CYCLONEDX], text
    else:
        place = tmp_path / "bill.spdx.json"
        place.write_text(text, "utf-8")
        validator = Path(sys.executable).with_name("pyspdxtools")
        words, content = [str(validator), "-i", str(place), "--version", "SPDX-2.3"], ""
    done = subprocess.run(words, input=content, capture_output=True, text=True, check=False)
    return f"{done.stdout}{done.stderr}".strip() or ("" if done.returncode == 0 else "failed")


def components(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in found:
        yield one
        yield from components(one.get("components", []))


@pytest.mark.parametrize("form", FORMS)
def test_it_is_valid_and_the_same_from_everywhere(
    sample: Sample,
    unpacked: Path,
    form: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    places = (sample.folder / "cluster.lock", sample.bundle, unpacked)
    texts = {bill_text(capsys, place, form) for place in places}
    assert len(texts) == 1
    text = texts.pop()
    assert validator_fault(text, form, tmp_path) == ""
    # under another locale and time zone, in a process of its own
    more = {"LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7"}
    words = [sys.executable, "-m", "builder", "inspect", str(sample.bundle), "--sbom", form]
    done = subprocess.run(words, env={**os.environ, **more}, capture_output=True, check=True)
    assert done.stdout.decode() == text
    assert text.isascii()


@pytest.mark.parametrize("form", FORMS)
def test_the_validators_refuse_what_is_wrong(
    sample: Sample, form: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good = json.loads(bill_text(capsys, sample.bundle, form))
    bad = json.loads(json.dumps(good))
    if form == "cyclonedx":
        bad["components"][0]["hashes"][0]["content"] = "short"
    else:
        bad["packages"][1]["licenseDeclared"] = "LicenseRef-unheard-of"
    assert validator_fault(json.dumps(bad), form, tmp_path)
    assert not validator_fault(json.dumps(good), form, tmp_path)


def test_cyclonedx_has_everything(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    lock = sample.lock
    bill = json.loads(bill_text(capsys, sample.bundle, "cyclonedx"))
    found = list(components(bill["components"]))
    digests = {(one["bom-ref"], one["hashes"][0]["content"]) for one in found}
    assert digests == {
        *((f"package:{package.path}", package.digest.hex) for package in lock.packages),
        *((f"image:{image.name}", image.digest.hex) for image in lock.images),
        *(
            (f"platform:{image.name} ({part.platform})", part.digest.hex)
            for image in lock.images
            for part in image.manifests
            if part.digest != image.digest
        ),
        *((f"file:{file.path}", file.digest.hex) for file in lock.files),
    }
    assert len(found) == len({one["bom-ref"] for one in found})
    known = {one["bom-ref"] for one in found} | {"cluster"}
    for line in bill["dependencies"]:
        assert {line["ref"], *line.get("dependsOn", [])} <= known
    needs = {line["ref"]: line.get("dependsOn", []) for line in bill["dependencies"]}
    [docker] = [key for key in needs if "/docker-ce-19" in key]
    assert docker in needs["cluster"]
    assert any("/libcgroup-" in key for key in needs[docker])
    assert not any("/libcgroup-" in key for key in needs["cluster"])


def test_spdx_has_everything(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    bill = json.loads(bill_text(capsys, sample.bundle, "spdx"))
    cyclone = json.loads(bill_text(capsys, sample.bundle, "cyclonedx"))
    packages = {one["SPDXID"]: one for one in bill["packages"]}
    assert len(packages) == len(bill["packages"])
    found = {
        (one["externalRefs"][0]["referenceLocator"], one["checksums"][0]["checksumValue"])
        for one in packages.values()
        if "externalRefs" in one
    }
    expected = list(components(cyclone["components"]))
    assert found == {(one["purl"], one["hashes"][0]["content"]) for one in expected}
    relations = {
        (one["spdxElementId"], one["relationshipType"], one["relatedSpdxElement"])
        for one in bill["relationships"]
    }
    assert {name for pair in relations for name in (pair[0], pair[2])} == {
        "SPDXRef-DOCUMENT", *packages
    }  # fmt: skip
    assert len(relations) == len(bill["relationships"])


def test_licences_are_quoted(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    """The lab's RPMs say ``ASL 2.0``, in Fedora's words, which SPDX does not know."""
    bill = json.loads(bill_text(capsys, sample.bundle, "spdx"))
    texts = {one["licenseId"]: one["extractedText"] for one in bill["hasExtractedLicensingInfos"]}
    rpms = [one for one in bill["packages"] if one.get("primaryPackagePurpose") == "INSTALL"]
    assert rpms
    assert {texts[one["licenseDeclared"]] for one in rpms} == {"ASL 2.0"}


@pytest.mark.parametrize("form", FORMS)
def test_a_lock_alone_gives_all_but_licences(
    sample: Sample, form: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copy(sample.folder / "cluster.lock", tmp_path)
    text = bill_text(capsys, tmp_path / "cluster.lock", form)
    assert validator_fault(text, form, tmp_path) == ""
    assert "ASL" not in text
    whole = json.loads(bill_text(capsys, sample.bundle, form))
    alone = json.loads(text)
    key = "components" if form == "cyclonedx" else "packages"
    assert len(alone[key]) == len(whole[key])


def test_package_urls_are_canonical(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    from packageurl import PackageURL

    bill = json.loads(bill_text(capsys, sample.bundle, "cyclonedx"))
    for one in components(bill["components"]):
        assert PackageURL.from_string(one["purl"]).to_string() == one["purl"]
    [docker] = [one for one in bill["components"] if one["name"] == "docker-ce"]
    assert docker["purl"] == (
        "pkg:rpm/centos/docker-ce@19.03.9-3.el7?arch=x86_64&distro=centos-7.6&epoch=3"
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_time_is_the_one_that_is_given(
    sample: Sample, form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    text = bill_text(capsys, sample.bundle, form)
    assert text.count("2020-09-13T12:26:40Z") == 1
    assert validator_fault(text, form, tmp_path) == ""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert run(["inspect", str(sample.bundle), "--sbom", form]) == 2
    assert capsys.readouterr().err == (
        "error: SOURCE_DATE_EPOCH: is not a time\n  expected seconds since 1970\n"
    )


def test_damaged_metadata_is_named(
    unpacked: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = tmp_path / "damaged"
    shutil.copytree(unpacked, place)
    primary = next(place.glob("yum/docker*/repodata/*primary.xml.gz"))
    content = bytearray(primary.read_bytes())
    content[40] ^= 1
    primary.write_bytes(content)
    assert run(["inspect", str(place), "--sbom", "spdx"]) == 1
    name = primary.relative_to(place)
    assert capsys.readouterr().err.startswith(f"error: {name}: is damaged\n")


def test_two_questions_at_once(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(sample.bundle), "--sbom", "spdx", "--why", "socat"]) == 2
    assert capsys.readouterr().err.startswith("error: --why and --sbom cannot be combined\n")
