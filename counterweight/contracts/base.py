"""The two kinds of contract: what a user sends, and what the service answers."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints


class Request(BaseModel):
    """Something a user writes: unknown fields are refused, so that a typo is never silently ignored; so are `"2"` and `true` for 2."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class View(BaseModel):
    """Something the service answers: clients must ignore fields they do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True, from_attributes=True)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
"""A moment in UTC, written as RFC 3339 with `Z`."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
LabelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Labels = Annotated[dict[LabelKey, Annotated[str, StringConstraints(max_length=200)]], Field(max_length=64)]

LabelChanges = Annotated[dict[LabelKey, Annotated[str, StringConstraints(max_length=200)] | None] | None, Field(max_length=128)]
"""Labels to set, and with null those to remove; null instead of all of them removes all."""
