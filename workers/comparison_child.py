"""A process that compares the arms of one study, and reports over the pipe."""

import os
import resource
from multiprocessing.connection import Connection

from counterweight.contracts.messages import ComparisonTask
from workers import pipe

CPU_S = 4 * 3600
NICENESS = 5
"""Trainers go first: somebody waits longer for these."""


def main(connection: Connection, task_json: str) -> None:
    """Compare, and send the one answer."""
    # Imported here and not above: the agent, which starts this process and so reads this file, has no use for numpy or pyarrow.
    from workers.comparison import run  # noqa: PLC0415

    task = ComparisonTask.model_validate_json(task_json)
    pipe.become_child(connection, lambda _message: None)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    connection.send_bytes(run(task).model_dump_json().encode())
