"""A reader process: reads one uploaded file, under limits, and reports over the pipe."""

from multiprocessing.connection import Connection

from counterweight.contracts.messages import IngestTask
from workers import pipe


def main(connection: Connection, task_json: str) -> None:
    """Read the task's file and send the one answer."""
    # Imported here and not above: the agent, which starts this process and so reads this file, has no use for DuckDB.
    from workers.ingest import limits, reader  # noqa: PLC0415

    task = IngestTask.model_validate_json(task_json)
    pipe.become_child(connection, lambda _message: None)
    limits.apply(task)
    connection.send_bytes(reader.ingest(task).model_dump_json().encode())
