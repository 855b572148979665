"""Text to model and back: strict YAML readers, the canonical lock writer (owns pyyaml)."""
