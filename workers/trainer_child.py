"""A trainer process: trains one cohort and reports over the pipe."""

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from counterweight.contracts.messages import TRAINER_ORDER, Cancel, Log, Succeeded, TrainerMessage, TrainerTask
from counterweight.crashpoints import crashpoint
from workers import pipe

if TYPE_CHECKING:
    from workers.training.ranks import Ranks


def nothing() -> None:
    """End at once; starting it starts the fork server."""


def main(connection: Connection, task_json: str) -> None:
    """Train the task's members by itself."""
    # Imported here and not above: the agent, which starts this process and so reads this file, has no use for torch.
    from workers.training.ranks import ALONE  # noqa: PLC0415

    pipe.lead_group()
    train(connection, TrainerTask.model_validate_json(task_json), ALONE)


def train(connection: Connection, task: TrainerTask, ranks: "Ranks") -> None:
    """Train the task's members, as the first of the ranks; send each message as it comes, and heed the agent's."""
    from workers.training.telling import crash_lines  # noqa: PLC0415
    from workers.training.trainer import run  # noqa: PLC0415

    cancelled: set[str] = set()
    leaving: set[str] = set()

    def heed(message: bytes) -> None:
        order = TRAINER_ORDER.validate_json(message)
        (cancelled if isinstance(order, Cancel) else leaving).add(order.job_id)

    pipe.listen(connection, heed)

    def told() -> Iterator[TrainerMessage]:
        try:
            yield from run(task, cancelled.__contains__, is_leaving=leaving.__contains__, ranks=ranks)
        except Exception as error:
            for member in task.members:
                for line in crash_lines(error):
                    yield Log(job_id=member.job_id, level="error", message=line, time=time.time())
            raise

    for number, message in enumerate(told(), start=1):
        numbered = message.model_copy(update={"number": number}) if isinstance(message, Log) else message
        if isinstance(message, Succeeded):
            crashpoint("finish.before_report")
        connection.send_bytes(numbered.model_dump_json().encode())
