"""Where something comes from, as people write it: a URL, or a path beside their document."""


def is_url(source: str) -> bool:
    """Tell a URL from a local path; both may stand where a source is asked for."""
    return source.startswith(("https://", "http://"))
