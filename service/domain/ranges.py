"""The part of a file that a `Range` header asks for (RFC 9110, section 14): one, or the whole."""

import re

from service.domain.errors import RangeNotSatisfiable

# Eighteen digits are more than any file has bytes, and no work to read.
_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


def asked_span(header: str | None, size: int) -> range | None:
    """Return the bytes that are asked for; None for all of the file.

    What is no single range of bytes is passed over, as the standard allows: several would let a few bytes of request cost the file
    many times over. RangeNotSatisfiable when none of the range lies in the file.
    """
    found = _ONE_RANGE.fullmatch(header or "")
    if found is None:
        return None
    first, last = found.groups()
    if first:
        if last and int(last) < int(first):
            return None
        span = range(int(first), min(int(last), size - 1) + 1 if last else size)
    elif last:
        span = range(max(0, size - int(last)), size)
    else:
        return None
    if not span:
        raise RangeNotSatisfiable(f"the file has {size} bytes, and {(header or '')[:60]!r} asks for none of them", size)
    return span
