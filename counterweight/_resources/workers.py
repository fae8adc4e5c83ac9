"""Workers."""

from collections.abc import Iterator

from counterweight._resources.asking import pages
from counterweight._transport import Transport
from counterweight.contracts.pages import Page
from counterweight.contracts.workers import WorkerView


class Workers:
    """The processes that train."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Iterator[WorkerView]:
        """Yield the workers that live, with their devices, what they train and when they last showed that they live."""
        return pages(self._transport, "/workers", Page[WorkerView], {}, limit)

    def drain(self, worker_id: str) -> WorkerView:
        """Let a worker finish what it has and take no more; the key must be an admin's of the default project."""
        return self._transport.post(f"/workers/{worker_id}/drain", WorkerView)
