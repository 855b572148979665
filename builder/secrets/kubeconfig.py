"""A kubeconfig as text, with everything inside; the names in it are those of kubeadm's own."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.model.secrets import ClusterAuthority
    from builder.secrets.client import MintedCertificate


def text(
    *, cluster: str, server: str, user: str, authority: ClusterAuthority, client: MintedCertificate
) -> str:
    """Write the kubeconfig of one user of one cluster; ``server`` is a URL."""
    context = f"{user}@{cluster}"
    return f"""\
apiVersion: v1
kind: Config
clusters:
- name: {_quoted(cluster)}
  cluster:
    server: {_quoted(server)}
    certificate-authority-data: {_encoded(authority.certificate)}
users:
- name: {_quoted(user)}
  user:
    client-certificate-data: {_encoded(client.certificate)}
    client-key-data: {_encoded(client.key)}
contexts:
- name: {_quoted(context)}
  context:
    cluster: {_quoted(cluster)}
    user: {_quoted(user)}
current-context: {_quoted(context)}
preferences: {{}}
"""


def _quoted(value: str) -> str:
    """Quote a scalar: text in JSON is text in YAML, as long as every character is printable."""
    return json.dumps(value, ensure_ascii=False)


def _encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
