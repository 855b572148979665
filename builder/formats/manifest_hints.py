"""What helps against a manifest that is none, or not yet."""

from __future__ import annotations

from typing import Any

from builder.formats.events import PRINTED, PRINTED_KEYS, template_hint

_KUSTOMIZE = "`kustomize build FOLDER` renders manifests"
RENDERED = {"kustomize.config.k8s.io": _KUSTOMIZE, "helm.cattle.io": "`helm template` renders it"}
_PLACEHOLDER = frozenset("{}$<>%")


def of_image(image: str) -> str | None:
    if image != image.strip():
        return "leave out the white space around it; |- and >- leave out a block's last line break"
    if "://" in image:
        return f"leave out the scheme: {image.partition('://')[2]}"
    if not _PLACEHOLDER & {*image}:
        return None
    return (
        template_hint(image)
        if "{{" in image
        else "fill in placeholders first, with envsubst for example"
    )


def of_printed(value: Any) -> str | None:
    """Return what helps against words around a manifest, for which kubectl refuses it."""
    return PRINTED if isinstance(value, dict) and PRINTED_KEYS & {*value} else None


def of_other(value: Any) -> str | None:
    if isinstance(value, str) and value.startswith("<"):
        return "it looks like a web page: a login or error page, or the page around a file"
    if not isinstance(value, dict) or "kind" in value:
        return None
    if {"resources", "bases", "patches"} & {*value}:
        return f"of kustomize? {_KUSTOMIZE}"
    return "of a Helm chart? `helm template NAME CHART -f VALUES` renders manifests"
