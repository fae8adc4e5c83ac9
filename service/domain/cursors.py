"""Where the next page of a list begins: opaque to clients, so that it may change."""

import base64
import binascii

from counterweight.contracts.ids import is_id
from service.domain.errors import Invalid


def cursor_after(last_id: str) -> str:
    """Return the cursor of the page that follows `last_id`."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def id_before(cursor: str, prefix: str) -> str:
    """Return the id a cursor was made from; Invalid for a text that is no cursor of this list."""
    try:
        last_id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        last_id = ""
    if not is_id(prefix, last_id):
        raise Invalid.at("/after", "bad_cursor", "`after` is not a cursor of this list; pass the `next` of the page before, unchanged")
    return last_id
