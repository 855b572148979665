r"""The text files of the bundle's images folder, and the check that its image graphs are whole.

The folder is an OCI layout (``oci-layout``, ``index.json``) and a docker archive
(``manifest.json``) over the same ``blobs/``, so a tar of it loads with ``docker load`` as well as
with ``ctr images import``. A node that needs one role's images only makes such a tar from a
subset's three files, on plain tar; part of bundle format 1, so it stays as it is::

    cd images
    tar -cf - -C worker/linux-amd64 manifest.json index.json -C ../.. oci-layout \
        -T worker/linux-amd64/blobs | docker load

There is one subset a role and platform: a docker archive holds one platform of an image only.
Specifications: OCI image-spec 1.1 image-layout.md; docker image specification 1.2, "combined
image JSON + filesystem changeset format".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from builder.model.artifact import Image, ImageManifest
    from builder.model.digest import Digest
    from builder.model.platform import Platform
    from builder.model.reference import Reference

_CONTAINERD_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"


def render(
    images: Iterable[Image], platforms: Sequence[Platform], hops: Sequence[str] = ()
) -> dict[str, bytes]:
    """Return all text files of the images folder, by their path in it.

    ``platforms`` are the lock's; the first one (or an image's own first, where it lacks that) is
    what the docker archive of the whole folder holds. The releases of the lock's ``hops`` have
    subsets of their own, the last one those that stand for a lock without any.
    """
    ordered = sorted(images, key=lambda image: image.name)
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _index(ordered),
        "manifest.json": _archive(
            [(image, _part(image, platforms[:1]) or image.manifests[0]) for image in ordered]
        ),
    }
    if signed := [image for image in ordered if image.signatures]:
        files["signatures.json"] = _signatures(signed)
    for hop in hops or ("",):
        those = [image for image in ordered if not image.hops or hop in image.hops]
        for role in sorted({role for image in those for role in image.roles}):
            prefix = f"{hop}/" if hop in hops[:-1] else ""
            for platform in platforms:
                files |= _subset(f"{prefix}{subset(role, platform)}", those, role, platform)
    return files


def _subset(
    folder: str, images: Iterable[Image], role: str, platform: Platform
) -> dict[str, bytes]:
    chosen = [
        (image, part)
        for image in images
        if role in image.roles and (part := _part(image, (platform,))) is not None
    ]
    return {
        f"{folder}/manifest.json": _archive(chosen),
        f"{folder}/index.json": _index([image for image, _ in chosen]),
        f"{folder}/blobs": _blobs(chosen),
    }


def subset(role: str, platform: Platform) -> str:
    """Return the folder of one role's and platform's subset, such as ``worker/linux-amd64``."""
    return f"{role}/{str(platform).replace('/', '-')}"


def path_of(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def names(reference: Reference) -> tuple[str, ...]:
    """Return the names under which an image is looked up on a node.

    A reference with a digest has two: containerd asks by digest alone, docker by tag.
    """
    names = [str(reference.tagged)]
    if reference.digest:
        names.append(f"{reference.repository}@{reference.digest}")
    return tuple(names)


def _part(image: Image, platforms: Sequence[Platform]) -> ImageManifest | None:
    """Return an image's manifest for the first of these platforms that it has."""
    for platform in platforms:
        for part in image.manifests:
            if part.platform == platform:
                return part
    return None


def _index(images: Sequence[Image]) -> bytes:
    """Render an OCI layout's index.json: each image's top index or manifest under its name."""
    entries = [
        {
            "mediaType": image.media_type,
            "digest": str(image.digest),
            "size": image.size,
            "annotations": {_CONTAINERD_NAME: name, _REF_NAME: name},
        }
        for image in images
        for name in names(image.reference)
    ]
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        }
    )


def signature_tag(image: Digest) -> str:
    """Return the tag under which cosign keeps the signatures of an index or manifest."""
    return f"sha256-{image.hex}.sig"


def _signatures(images: Sequence[Image]) -> bytes:
    """Render an index of all signatures under the names that cosign looks for.

    They are no part of index.json: nothing loads them into an engine.
    """
    entries = [
        {
            "mediaType": MANIFEST_TYPES[0],
            "digest": str(signature.digest),
            "size": signature.size,
            "annotations": {
                _REF_NAME: f"{image.reference.repository}:{signature_tag(image.digest)}"
            },
        }
        for image in images
        for signature in image.signatures
    ]
    return _json({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries})


def _archive(chosen: Sequence[tuple[Image, ImageManifest]]) -> bytes:
    """Render a docker archive's manifest.json."""
    return _json(
        [
            {
                "Config": path_of(part.config),
                "RepoTags": [name for name in names(image.reference) if "@" not in name],
                "Layers": [path_of(layer) for layer in part.layers],
            }
            for image, part in chosen
        ]
    )


def _blobs(chosen: Sequence[tuple[Image, ImageManifest]]) -> bytes:
    """List the blobs of a subset, a path a line."""
    digests = {
        digest
        for image, part in chosen
        for digest in (image.digest, part.digest, part.config, *part.layers)
    }
    return "".join(f"{path_of(digest)}\n" for digest in sorted(digests)).encode()


def _json(document: Any) -> bytes:
    """Write canonical JSON: sorted keys, no spaces, one line."""
    return (json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n").encode()
