"""What a request to a registry is about, and what its token has to allow.

https://distribution.github.io/distribution/spec/auth/scope/
"""

from __future__ import annotations

from dataclasses import dataclass

from builder.errors import AirseedError
from builder.model.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Name a repository and what is to be done with it, or the list of all repositories."""

    host: str
    path: str = ""
    """Of the repository; empty for the list."""
    actions: str = "pull"
    """Separated by commas, such as ``pull,push``."""

    @classmethod
    def of(cls, repository: str, actions: str = "pull") -> Scope:
        """Read ``host[:port]/path``; raise AirseedError for anything else."""
        try:
            reference = Reference.parse(repository)
        except ValueError as error:
            raise AirseedError(str(error), where=repository) from error
        if reference.tag != "latest" or reference.digest or repository.endswith(":latest"):
            raise AirseedError(
                "this is a reference",
                where=repository,
                expected="a repository without tag and digest",
            )
        return cls(host=reference.host, path=reference.path, actions=actions)

    @property
    def repository(self) -> str:
        return f"{self.host}/{self.path}"

    def covers(self, wanted: str) -> bool:
        """Tell whether a token for this scope is enough where a registry wants another."""
        (own, _, allowed), (other, _, asked) = str(self).rpartition(":"), wanted.rpartition(":")
        return own == other and set(asked.split(",")) <= set(allowed.split(","))

    def __str__(self) -> str:
        return f"repository:{self.path}:{self.actions}" if self.path else "registry:catalog:*"
