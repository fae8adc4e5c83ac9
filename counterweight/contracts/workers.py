"""Workers: the processes that train, each with its slots."""

from typing import Literal

from counterweight.contracts.base import Timestamp, View

WorkerState = Literal["ready", "blocked", "draining", "drained", "silent"]
"""Takes work; would, but cannot start any; finishes what it has and takes no more; has none left; has not shown lately that it lives."""


class WorkerSlot(View):
    """Room for one trainer: where, with how many processor threads, and the memory that it may count on; null where unknown."""

    device: str
    threads: int
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None


class WorkerView(View):
    """A worker as the service answers it. `busy` counts slots that train; `jobs` are those of the caller's project.

    `blocked_by` is what keeps it from starting jobs, such as a cluster that does not answer; null where nothing does.
    """

    id: str
    object: Literal["worker"] = "worker"
    state: WorkerState
    host: str
    devices: list[WorkerSlot]
    busy: int
    jobs: list[str]
    started_at: Timestamp
    heartbeat_at: Timestamp
    draining_since: Timestamp | None
    blocked_by: str | None = None
