"""Machines that boot from airseed's seeds and become a real cluster, without a hypervisor.

A machine is a systemd-nspawn container that boots systemd and cloud-init; see ``machine.py``. Needs
what ``tests/e2e/setup.sh`` makes; ``make e2e`` is the door.
"""
