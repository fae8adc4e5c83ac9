"""A reader process: reads one uploaded file, under limits, and reports over the pipe."""

import hashlib
from multiprocessing.connection import Connection
from pathlib import Path

from counterweight.contracts.messages import Ingested, IngestTask
from counterweight.crashpoints import crashpoint
from workers import pipe

CPU_S = 3600
LARGEST_FILE_BYTES = 64 * 2**30


def main(connection: Connection, task_json: str) -> None:
    """Read the task's file and send the one answer."""
    # Imported here and not above: the agent, which starts this process and so reads this file, has no use for DuckDB.
    from workers.ingest import limits, reader  # noqa: PLC0415

    task = IngestTask.model_validate_json(task_json)
    pipe.become_child(connection, lambda _message: None)
    limits.apply(memory_limit_mb=task.memory_limit_mb, cpu_seconds=CPU_S, largest_file_bytes=LARGEST_FILE_BYTES)
    crashpoint("ingest.begun")
    answer = reader.ingest(task)
    crashpoint("ingest.read")
    if isinstance(answer, Ingested):
        answer = answer.model_copy(update={"table_sha256": _digest(Path(task.folder) / answer.table)})
    connection.send_bytes(answer.model_dump_json().encode())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
