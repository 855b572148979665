"""The README.txt of a bundle: part of format 1, so not one byte of it may ever change."""

from __future__ import annotations

MAGIC = "airseed offline bundle, format 1"
"""The first line; by it and the tar header before it a node recognises a raw disk."""

README = f"""{MAGIC}

This is a plain, uncompressed tar with all that a Kubernetes cluster is made of. Nothing here
needs the program that made it. It may also be attached to a machine as a read-only disk, as it
is: "tar -xf /dev/vdb" unpacks it.

  cluster.lock   what is inside and where it came from; one artifact a line
  SHA256SUMS     digests of all files but itself
  keys/          the public keys that signed the packages
  manifests/     what to give to "kubectl apply -f"
  files/         other files
  yum/           one yum repository a folder
  images/        container images: an OCI layout and a docker archive over the same blobs

Check (unpacked, in this folder):

  sha256sum --quiet -c SHA256SUMS

Packages: put this into /etc/yum.repos.d/NAME.repo for each folder below yum/ and run
"yum --disablerepo='*' --enablerepo=NAME install ...":

  [NAME]
  name=NAME
  baseurl=file:///WHERE/yum/NAME
  gpgcheck=1
  gpgkey=file:///WHERE/keys/KEY

Images, all of them:

  tar -cf - -C images . | docker load
  tar -cf - -C images . | ctr --namespace k8s.io images import -

Images of one role and platform (see the folders in images/), with docker or ctr as above:

  cd images
  tar -cf - -C worker/linux-amd64 manifest.json index.json -C ../.. oci-layout \\
      -T worker/linux-amd64/blobs | docker load
""".encode()
