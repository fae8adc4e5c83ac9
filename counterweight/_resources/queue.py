"""The queue."""

from collections.abc import Iterator

from counterweight._resources.asking import pages
from counterweight._transport import Transport
from counterweight.contracts.queue import QueuedJob, QueuePage


class Queue:
    """The project's jobs that wait."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Iterator[QueuedJob]:
        """Yield the queued jobs, the next one first: where each stands, about when it starts, and what keeps it waiting."""
        return pages(self._transport, "/queue", QueuePage, {}, limit)

    def summary(self) -> QueuePage:
        """Return how much waits and runs, the slots there are, and the project's limits, with the job that is next."""
        return self._transport.get("/queue", QueuePage, {"limit": 1})
