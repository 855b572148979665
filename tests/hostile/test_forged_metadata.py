"""Metadata that a mirror changes at random: whatever counts for a node is found."""

from __future__ import annotations

import os
import random
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from forged import forge, of_package

from builder.lab.build_cache import BuildCache
from builder.lab.openpgp import generate
from builder.lab.packages import PackageRecipe
from builder.lab.repositories import RepositoryRecipe, build_repository
from builder.model.digest import Digest
from builder.model.rpm import Nevra
from builder.rpm.compression import unpack
from builder.rpm.header import read_head
from builder.rpm.recheck import verify_repodata
from builder.rpm.repodata import MetadataFiles, parse_repomd
from builder.rpm.subset import Rpm, metadata_file, read_packages, write_subset

if TYPE_CHECKING:
    from pathlib import Path

CAMPAIGN = int(os.environ.get("AIRSEED_HOSTILE", "10000")) // 20
SAMPLE = 25
RECIPES = tuple(
    PackageRecipe(
        nevra=f"p{number}-{number % 3}:1.{number}-1.x86_64",
        requires=(f"p{(number + 1) % 5}", f"cap{number} >= 1:2-3", "/bin/sh"),
        provides=(f"virtual{number} = 2:1-1", f"cap{(number + 2) % 5} = 1:3-1"),
        conflicts=(f"enemy{number} < 2",),
        obsoletes=(f"old{number} <= 1-1",),
        files=(f"/usr/bin/p{number}", f"/etc/p{number}.conf"),
    )
    for number in range(5)
)


def change(chance: random.Random, text: str) -> str:
    """Drop, add or bend one dependency or file of what is said of a package."""
    entries = [*re.finditer(r"\s*<(?:rpm:entry|file)[^\n]*", text)]
    entry = chance.choice(entries)
    line = entry[0]
    match chance.choice(("drop", "add", "bend", "rename")):
        case "drop":
            new = ""
        case "add":
            new = line + re.sub(r'name="[^"]*"|>/[^<]*<', _another, line)
        case "bend" if 'ver="' in line:
            new = re.sub(r'ver="[^"]*"', 'ver="0.0.1"', line)
        case _:
            new = re.sub(r'name="[^"]*"|>/[^<]*<', _another, line)
    return text[: entry.start()] + new + text[entry.end() :]


def _another(match: re.Match[str]) -> str:
    return 'name="other"' if match[0].startswith("name") else ">/usr/bin/other<"


def campaign(folder: Path, seeds: range) -> None:
    cellar = BuildCache(folder / "cellar")
    key = generate("Key <key@example.invalid>", created=1_500_000_000)
    files = build_repository(cellar, RepositoryRecipe(packages=RECIPES), key=key)
    repomd = parse_repomd(files["repodata/repomd.xml"].read_bytes())
    plain = {}
    for kind in ("primary", "filelists", "other"):
        record = repomd.need(kind, where="")
        plain[kind] = folder / f"{kind}.xml"
        unpack(files[record.href], plain[kind], record)
    rpms, heads = [], {}
    for said in read_packages(plain["primary"], "os"):
        rpm = Rpm(
            nevra=Nevra.parse(said.nevra()), digest=Digest(said.pkgId), size=said.size_package
        )
        with files[said.location_href].open("rb") as file:
            heads[rpm.digest] = read_head(file)
        rpms.append(rpm)
    whole = folder / "whole"
    whole.mkdir()
    write_subset(MetadataFiles(name="os", **plain), rpms, whole)
    assert verify_repodata(whole, rpms, heads=heads).faults == []
    for seed in seeds:
        chance = random.Random(seed)
        place = folder / "changed"
        shutil.copytree(whole, place)
        name = f"p{chance.randrange(5)}"

        def mutate(text: str, chance: random.Random = chance) -> str:
            return change(chance, text)

        before = _texts(place)
        forge(place, "primary", of_package(name, mutate))
        # a file that primary alone leaves out is still in filelists, which yum reads, too
        harmless = _essence(before, name) == _essence(_texts(place), name)
        found = verify_repodata(place, rpms, heads=heads).faults
        assert found or harmless, f"seed {seed}"
        shutil.rmtree(place)


def _texts(folder: Path) -> list[object]:
    return read_packages(metadata_file(folder, "primary"), "os", files=True)


def _essence(packages: list[object], name: str) -> set[object]:
    found = next(one for one in packages if getattr(one, "name", "") == name)
    essence: set[object] = set()
    for kind in ("provides", "requires", "conflicts", "obsoletes"):
        for entry in getattr(found, kind):
            essence.add((kind, *entry[:5]))
    essence.update(
        ("file", entry[2]) for entry in getattr(found, "files", ()) if entry[2] == "other"
    )
    return essence


def test_a_change_that_counts_is_found(tmp_path: Path) -> None:
    campaign(tmp_path, range(SAMPLE))


@pytest.mark.campaign
def test_many_changes_that_count_are_found(tmp_path: Path) -> None:
    campaign(tmp_path, range(1000, 1000 + CAMPAIGN))
