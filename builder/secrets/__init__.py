"""Secrets: make and keep the few values that let a node into its cluster. Owns cryptography."""
