"""Which version of a thing a caller means to change."""

from dataclasses import dataclass

from service.domain.errors import StaleVersion


@dataclass(frozen=True)
class Expected:
    """The versions a caller would be content with; None for any."""

    versions: frozenset[int] | None = None

    def check(self, found: int) -> None:
        """Return when `found` is one of them; StaleVersion when somebody else has changed the thing meanwhile."""
        if self.versions is not None and found not in self.versions:
            raise StaleVersion(f"it has version {found} by now, which is not what If-Match names; read it again, then decide again")


ANY = Expected()
