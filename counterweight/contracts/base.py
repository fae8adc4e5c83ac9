"""The two kinds of contract: what a user sends, and what the service answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints


class Request(BaseModel):
    """Something a user writes: unknown fields are refused, so that a typo is never silently ignored; so are `"2"` and `true` for 2."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


NAMES_OF_MEMBERS = ("kind", "policy")
"""Fields that say which member of a union a value is."""


def said(value: Any) -> Any:
    """Return of the models in a value what was set of them, and what says which member of a union they are.

    What was left out is the service's to choose: it hangs on the rest, and a default sent along would be taken for a wish.
    """
    if isinstance(value, BaseModel):
        names = [name for name in type(value).model_fields if name in value.model_fields_set or name in NAMES_OF_MEMBERS]
        return {name: said(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: said(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [said(inner) for inner in value]
    return value


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
