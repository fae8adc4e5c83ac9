"""A trainer process: trains one cohort and reports over the pipe."""

from multiprocessing.connection import Connection

from counterweight.contracts.messages import Cancel, TrainerTask
from workers import pipe


def nothing() -> None:
    """End at once; starting it starts the fork server."""


def main(connection: Connection, task_json: str) -> None:
    """Train the task's members and send each message as it comes."""
    # Imported here and not above: the agent, which starts this process and so reads this file, has no use for torch.
    from workers.training.trainer import run  # noqa: PLC0415

    task = TrainerTask.model_validate_json(task_json)
    cancelled: set[str] = set()
    pipe.become_child(connection, lambda message: cancelled.add(Cancel.model_validate_json(message).job_id))
    for message in run(task, cancelled.__contains__):
        connection.send_bytes(message.model_dump_json().encode())
