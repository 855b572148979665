"""cloud-init's documents of one node: user-data, meta-data and network-config.

User-data only lays files down and starts one systemd unit; everything else is done by the scripts
of ``cloudinit-templates/node``, which can be retried, survive a power cut and are seen to fail.
"""
