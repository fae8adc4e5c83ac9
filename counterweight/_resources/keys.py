"""API keys."""

from collections.abc import Iterator
from typing import Any

from counterweight._resources.asking import document, pages
from counterweight._transport import Transport
from counterweight.contracts.keys import KeyView, NewKey, NewKeyView
from counterweight.contracts.pages import Page


class Keys:
    """API keys; the caller's own must be an admin's."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, new: NewKey | str | None = None, **fields: Any) -> NewKeyView:
        """Make a key, given as a NewKey, as its JSON or as its fields. The answer holds the secret, this once."""
        return self._transport.post("/api-keys", NewKeyView, document(new, NewKey, fields))

    def list(self, *, limit: int | None = None) -> Iterator[KeyView]:
        return pages(self._transport, "/api-keys", Page[KeyView], {}, limit)

    def revoke(self, key_id: str) -> KeyView:
        """End a key at once, for good."""
        return self._transport.delete(f"/api-keys/{key_id}", KeyView)
