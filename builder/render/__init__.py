"""Rendering: what a cluster is, as the files that its nodes boot from. Pure functions of values."""
