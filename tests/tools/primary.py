"""primary.xml and filelists.xml, written as text: any dependency, no RPM behind them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from builder.model.rpm import Nevra

_COMMON = "http://linux.duke.edu/metadata/common"
_RPM = "http://linux.duke.edu/metadata/rpm"
_FILELISTS = "http://linux.duke.edu/metadata/filelists"
_FLAGS = {">=": "GE", "=": "EQ", "<": "LT", "<=": "LE", ">": "GT"}


@dataclass(frozen=True, kw_only=True)
class P:
    """Describe one package of a primary.xml; dependencies read ``name [>= [epoch:]version]``."""

    nevra: str
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    obsoletes: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    """Files that only filelists.xml has."""
    href: str | None = None
    checksum: str = "sha256"

    @property
    def pkgid(self) -> str:
        return hashlib.new(self.checksum, self.nevra.encode()).hexdigest()

    def primary(self) -> str:
        name = Nevra.parse(self.nevra)
        provides = (f"{name.name} = {name.epoch}:{name.version}-{name.release}", *self.provides)
        kinds = {
            "provides": provides,
            "requires": self.requires,
            "conflicts": self.conflicts,
            "obsoletes": self.obsoletes,
            "recommends": self.recommends,
        }
        depends = "".join(
            f"<rpm:{kind}>{''.join(map(_entry, entries))}</rpm:{kind}>"
            for kind, entries in kinds.items()
        )
        files = "".join(f"<file>{file}</file>" for file in self.files)
        href = self.href or f"Packages/{name.filename}"
        return (
            f'<package type="rpm"><name>{name.name}</name><arch>{name.arch}</arch>'
            f'<version epoch="{name.epoch}" ver="{name.version}" rel="{name.release}"/>'
            f'<checksum type="{self.checksum}" pkgid="YES">{self.pkgid}</checksum>'
            "<summary>s</summary><description>d</description><packager/><url/>"
            '<time file="1500000000" build="1"/><size package="1000" installed="1" archive="1"/>'
            f"<location href={quoteattr(href)}/><format><rpm:license>x</rpm:license>"
            f"{depends}{files}</format></package>"
        )

    def filelists(self) -> str:
        name = Nevra.parse(self.nevra)
        files = "".join(f"<file>{file}</file>" for file in (*self.files, *self.hidden))
        return (
            f'<package pkgid="{self.pkgid}" name="{name.name}" arch="{name.arch}"><version'
            f' epoch="{name.epoch}" ver="{name.version}" rel="{name.release}"/>{files}</package>'
        )


def _entry(text: str) -> str:
    words = text.split(" ")
    if text.startswith("(") or len(words) == 1:
        return f"<rpm:entry name={quoteattr(text)}/>"
    epoch, _, rest = words[2].rpartition(":")
    version, _, release = rest.partition("-")
    more = f' rel="{release}"' if release else ""
    return (
        f'<rpm:entry name="{words[0]}" flags="{_FLAGS[words[1]]}" epoch="{epoch or 0}"'
        f' ver="{version}"{more}/>'
    )


def write_primary(packages: tuple[P, ...]) -> str:
    head = f'<metadata xmlns="{_COMMON}" xmlns:rpm="{_RPM}" packages="{len(packages)}">'
    return f"{head}{''.join(one.primary() for one in packages)}</metadata>"


def write_filelists(packages: tuple[P, ...]) -> str:
    inner = "".join(one.filelists() for one in packages)
    return f'<filelists xmlns="{_FILELISTS}">{inner}</filelists>'
