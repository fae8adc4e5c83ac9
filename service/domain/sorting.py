"""The order of a list of jobs, and where in it the next page begins."""

import base64
import json
import math
from dataclasses import dataclass

from counterweight.contracts.ids import is_id
from service.domain.errors import Invalid
from service.domain.fields import SORTED, Field, field_of, spelled

MAX_LENGTH = 300


@dataclass(frozen=True)
class Order:
    """By `field`, jobs without it last; equal ones by when they were made, in the same direction."""

    field: Field
    is_descending: bool


@dataclass(frozen=True)
class Place:
    """Where a job stands in an order: its value of the field, None where it has none, and its id."""

    value: str | float | None
    job_id: str


NEWEST_FIRST = Order(Field("created_at"), is_descending=True)


def parse(text: str) -> Order:
    """Return the order that `name`, `-created_at` or `-metrics."test/mcc"` means; Invalid for what means none."""
    name = text.removeprefix("-")
    field = field_of(name) if len(name) <= MAX_LENGTH else None
    if field is None or field.name not in SORTED:
        message = f"{text[:60]!r} is no order; choose one of {spelled(SORTED)}, with a `-` before it for the largest first"
        raise Invalid.at("/sort", "bad_sort", message)
    return Order(field, is_descending=text.startswith("-"))


def cursor_at(order: Order, place: Place) -> str:
    """Return the cursor of the page that follows `place`: opaque to clients, so that it may change."""
    return base64.urlsafe_b64encode(json.dumps([_signature(order), place.value, place.job_id]).encode()).decode().rstrip("=")


def place_before(cursor: str, order: Order) -> Place:
    """Return the place a cursor was made from; Invalid for a text that is no cursor of this list in this order."""
    try:
        signature, value, job_id = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if signature == _signature(order) and is_id("job", job_id):
            return Place(None if value is None else _checked(order.field, value), job_id)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        pass
    message = "`after` is not a cursor of this list in this order; pass the `next` of the page before, unchanged"
    raise Invalid.at("/after", "bad_cursor", message)


def _signature(order: Order) -> str:
    return f"{'-' if order.is_descending else ''}{order.field.name}.{order.field.key}"


def _checked(field: Field, value: object) -> str | float:
    """Return a value of this field; ValueError for one that a client made up: it must not reach the database."""
    if isinstance(value, str) and not (field.is_numeric or field.name == "created_at" or "\0" in value):
        value.encode()  # UnicodeEncodeError, a ValueError, for half a surrogate pair.
        return value
    if isinstance(value, int | float) and field.is_numeric and math.isfinite(value):
        if field.name == "priority" and value not in range(101):
            raise ValueError("no job has such a priority")
        return value if field.name == "priority" else float(value)
    raise ValueError("not a value of this field")
