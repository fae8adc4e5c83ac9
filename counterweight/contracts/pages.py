"""A page of a list: keyset, stable, never an offset."""

from typing import Generic, TypeVar

from counterweight.contracts.base import View

Item = TypeVar("Item")


class Page(View, Generic[Item]):
    """Some of the items, newest first, and the cursor of the next page (null on the last)."""

    data: list[Item]
    next: str | None = None
