"""Deleting: what goes, and what stays because something else needs it."""

from typing import Literal

from counterweight.contracts.base import View


class Deletion(View):
    """What was deleted, or would be; `kept` names files that stay, with what needs them."""

    id: str
    object: Literal["job", "dataset", "study"]
    deleted: bool
    files: int
    bytes: int
    kept: list[str]
