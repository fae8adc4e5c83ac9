"""Ids that sort by the time they were made: a prefix that tells the kind, then a ULID."""

import re
import secrets
from datetime import datetime

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(prefix: str, now: datetime) -> str:
    """Return `prefix_` and 26 characters: 48 bits of milliseconds, then 80 random bits (ulid/spec)."""
    number = (int(now.timestamp() * 1000) << 80) | secrets.randbits(80)
    return f"{prefix}_" + "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def is_id(prefix: str, text: str) -> bool:
    """Whether `text` could be an id that `new_id(prefix, …)` made; nothing else is worth asking the database for."""
    return re.fullmatch(f"{prefix}_[{_CROCKFORD}]{{26}}", text) is not None
