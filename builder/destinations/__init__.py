"""Where the content of a bundle can go: one file per kind of place."""
