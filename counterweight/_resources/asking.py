"""What resources have in common when they ask: documents given in one of several ways, merge patches, lists page by page."""

import json
import math
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from counterweight._transport import Query, Transport
from counterweight.contracts.base import View, said
from counterweight.contracts.pages import Page

Item = TypeVar("Item", bound=View)

PAGE_SIZE = 200


def document(given: BaseModel | str | None, kind: type[BaseModel], fields: dict[str, Any]) -> str:
    """Return the JSON of what the caller gave in one of the ways it can be given."""
    if given is not None and fields:
        by_name = ", dataset_id=…" if "dataset_id" in kind.model_fields and isinstance(given, str) else ""
        raise TypeError(f"give a {kind.__name__} or its fields ({', '.join(fields)}{by_name}), not both")
    if isinstance(given, str):
        return given
    # Fields go as they are, for the server to judge: it says what is wrong with one, and the way out.
    return to_json(said(fields if given is None else given), inf_nan_mode="strings").decode()


def changes(given: dict[str, Any]) -> str:
    """Return the merge patch that changes what is not None."""
    return json.dumps({field: value for field, value in given.items() if value is not None})


def dry(is_dry_run: bool) -> Query:
    return {"dry_run": "true" if is_dry_run else None}


def pages(transport: Transport, path: str, page_kind: type[Page[Item]], query: Query, limit: int | None) -> Iterator[Item]:
    left, after = math.inf if limit is None else limit, None
    while left > 0:
        page = transport.get(path, page_kind, {**query, "limit": int(min(left, PAGE_SIZE)), "after": after})
        yield from page.data
        left, after = left - len(page.data), page.next
        if after is None:
            return
