"""Who asks, and what they may do."""

from dataclasses import dataclass
from typing import ClassVar, get_args

from counterweight.contracts.keys import Scope

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""From the narrowest to the widest; each includes those before it."""


@dataclass(frozen=True)
class Caller:
    """Whose project a request is about; `key_id` is None where the service is open."""

    project_id: str
    scope: Scope
    key_id: str | None = None

    def may(self, wanted: Scope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(wanted)


@dataclass(frozen=True)
class Trainer:
    """A trainer that runs elsewhere: it may send and read the mail of its own channel, and nothing else."""

    channel: str
    scope: ClassVar[str] = "trainer"
