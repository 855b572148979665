"""Signatures over images, as cosign makes them, checked offline with what was pinned.

A room of its own: it needs cryptography, as ``secrets`` does, but holds no secret, and the strict
JSON of ``oci``, which ``secrets`` must not know. sigstore's own library is no way: it asks for a
log's inclusion proof, which the signatures beside most images don't bring, and for a dozen others.
"""
