from __future__ import annotations

from builder.errors import did_you_mean


def test_did_you_mean_something_near() -> None:
    assert did_you_mean("regsitry", ["registry", "nodes"]) == "did you mean 'registry'?"
    assert did_you_mean("REGISTRY", ["registry", "nodes"]) == "did you mean 'registry'?"
    assert did_you_mean("zzz", ["registry", "nodes"]) is None
    images = ["passe", "k8s.gcr.io/pause:3.2", f"quay.io/calico/node@sha256:{'0' * 64}"]
    for asked in ("pause", "pause:3.2"):
        assert did_you_mean(asked, images) == "did you mean 'k8s.gcr.io/pause:3.2'?"
    assert did_you_mean("node", images) == f"did you mean {images[2]!r}?"
    assert did_you_mean(["a"], ["registry"]) is None
