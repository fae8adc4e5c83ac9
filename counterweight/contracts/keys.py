"""API keys: what their bearer may do."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from counterweight.contracts.base import Name, Request, Timestamp, View

Scope = Literal["read", "submit", "admin"]
"""Each may do what the ones before it may: look; upload and train; manage keys."""


class NewKey(Request):
    """An API key to make."""

    name: Name
    scope: Scope = "submit"
    project: str | None = Field(
        default=None,
        description="Whose key it is; your own project's when left out. Only an admin of the default project may name another.",
    )
    # JSON has no dates: this one field is read from text.
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        default=None, description="When it stops working; never when left out."
    )


class KeyView(View):
    """An API key as the service answers it; the key itself is never told again."""

    id: str
    object: Literal["api_key"] = "api_key"
    project: str
    name: str
    scope: Scope
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None
    is_active: bool


class NewKeyView(KeyView):
    """A key just made, with the secret that is told this once."""

    key: str


def is_active(expires_at: datetime | None, revoked_at: datetime | None, now: datetime) -> bool:
    """Whether a key with these dates works at `now`."""
    return revoked_at is None and (expires_at is None or now < expires_at)
