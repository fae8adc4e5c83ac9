"""Trainers as processes of this host, forked from a server that has imported torch already."""

import contextlib
import multiprocessing
import threading
from collections.abc import Sequence

from counterweight.contracts.messages import TrainerTask
from service.persistence.queue import Claim
from workers import rank_child, trainer_child
from workers.processes import HostProcess, TrainerProcess

PRELOAD = ["workers.warm"]


class LocalBackend:
    """Starts trainers in tens of milliseconds."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)

    def warm_up(self) -> None:
        """Start the fork server now, so that the first job does not wait for its imports."""
        threading.Thread(target=self._warm_up, daemon=True, name="warm-up").start()

    def _warm_up(self) -> None:
        # It breaks off when the agent is told to stop before the fork server is up.
        with contextlib.suppress(EOFError, OSError):
            process = self._context.Process(target=trainer_child.nothing)
            process.start()
            process.join()

    def obstacle(self) -> str | None:
        return None

    def start(self, task: TrainerTask, claims: Sequence[Claim]) -> TrainerProcess:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=rank_child.main_of(task), args=(theirs, task.model_dump_json()), daemon=False)
        process.start()
        theirs.close()
        return TrainerProcess(HostProcess(process), ours)

    def close(self) -> None:
        """Killing a process waits for its end."""
