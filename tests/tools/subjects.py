"""What made-up locks are about."""

from __future__ import annotations

from builder.model.lock import Subject
from builder.model.platform import Platform

AMD64 = Platform("linux", "amd64")
SUBJECT = Subject(
    cluster="lab",
    kubernetes="1.18.5",
    os="centos 7.6",
    base="core",
    runtime="docker 19.03.9",
    cni="calico 3.18.6",
    platforms=(AMD64,),
)
