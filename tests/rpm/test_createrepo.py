from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import os
from builder.rpm.createrepo import createrepo
before = dict(os.environ)
module = createrepo()
assert module is createrepo()
assert dict(os.environ) == before, "the environment is as it was"
print(module.__name__)
"""


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: text for name, text in os.environ.items() if name != "RPM_CONFIGDIR"}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        env={**inherited, **environment},
    )


def test_it_is_imported_without_a_word_about_rpms_configuration() -> None:
    done = run()
    assert (done.stdout, done.stderr, done.returncode) == ("createrepo_c\n", "", 0)


def test_a_configuration_of_the_users_own_is_left_alone() -> None:
    assert run(RPM_CONFIGDIR="/etc").stdout == "createrepo_c\n"


def test_the_heavy_library_is_loaded_only_when_it_is_needed() -> None:
    script = (
        "import sys, builder.rpm.subset, builder.rpm.recheck; print('createrepo_c' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
