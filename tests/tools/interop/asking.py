"""Ask dnf what it would install: run by Debian's own Python, which has dnf's modules.

``/usr/bin/python3 asking.py QUESTION ANSWERS``, both JSON. One process for all sets, since dnf
reads thousands of packages once then; each set is solved from the start, as ``dnf install``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def prepare(question: dict[str, Any]) -> Any:
    """Read repositories and what is installed."""
    import dnf  # type: ignore[import-not-found]  # Debian's Python alone has it

    base = dnf.Base()
    conf = base.conf
    conf.installroot = question["root"]
    conf.cachedir = conf.persistdir = conf.logdir = question["cache"]
    conf.reposdir, conf.pluginpath, conf.varsdir = [], [], []
    conf.plugins = False
    conf.module_platform_id = "platform:el7"
    conf.install_weak_deps = False  # yum of EL7 knows none
    conf.installonly_limit = 0
    conf.substitutions.update({"releasever": "7", "arch": "x86_64", "basearch": "x86_64"})
    for name, folder in question["repositories"].items():
        base.repos.add_new_repo(name, conf, baseurl=[f"file://{folder}"])
    base.fill_sack(load_system_repo=True)
    return base


def ask(base: Any, names: list[str]) -> dict[str, Any]:
    """Solve one set; return what comes and what goes, or why nothing does."""
    import dnf.exceptions  # type: ignore[import-not-found]

    base.reset(goal=True)
    try:
        base.install_specs(names)
        base.resolve()
    except (dnf.exceptions.MarkingErrors, dnf.exceptions.DepsolveError) as error:
        return {"refused": str(error)}
    return {
        "comes": sorted(str(one) for one in base.transaction.install_set),
        "goes": sorted(str(one) for one in base.transaction.remove_set),
    }


def main(question: str, answers: str) -> None:
    """Answer everything."""
    asked = json.loads(Path(question).read_text("utf-8"))
    base = prepare(asked)
    found = [ask(base, names) for names in asked["sets"]]
    Path(answers).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
