"""Where a bundle goes: every lock of a folder has one of its own."""

from pathlib import Path

from builder.pipeline import bundle


def test_every_lock_has_a_bundle_of_its_own() -> None:
    assert bundle.beside(Path("site/cluster.lock")) == Path("site/bundle.tar")
    assert bundle.beside(Path("site/prod.lock")) == Path("site/prod.tar")
    assert bundle.beside(Path("site/dev.lock")) != bundle.beside(Path("site/prod.lock"))
