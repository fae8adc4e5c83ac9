"""Merge patches of what can be changed: what is left out stays, and what is null goes (RFC 7396)."""

from collections.abc import Mapping

from service.domain.errors import Invalid

MOST_LABELS = 64


def merged_labels(before: Mapping[str, str], changes: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return the labels after a patch; Invalid when they have become too many."""
    if changes is None:
        return {}
    after = {key: value for key, value in {**before, **changes}.items() if value is not None}
    if len(after) > MOST_LABELS:
        raise Invalid.at("/labels", "invalid", f"that would make {len(after)} labels, and {MOST_LABELS} is the most; remove some with null")
    return after
