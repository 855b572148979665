"""Real servers, filled by real tools, that airseed and other real tools are then tried with.

Needs what ``tests/interop/setup.sh`` installs; ``make interop`` is the door.
"""
