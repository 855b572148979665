"""A small RPM library: repodata, closure by libsolv, keys and signatures."""
