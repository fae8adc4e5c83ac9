"""The database that reads and writes tables, shut in: the job's folder, the one source, and no way to change that."""

from pathlib import Path

import duckdb

from counterweight.contracts.messages import IngestTask

_HARMFUL_OPTIMIZERS = (
    "in_clause",  # makes a join of each list of missing words: 50 ms to plan, for every column
    "common_subexpressions",  # compares expressions pair by pair: minutes for thousands of columns
    "statistics_propagation",  # believes the file: isnan() is false where a Parquet footer, which leaves NaN out, says max = 4
)


def connect(task: IngestTask, spill: Path) -> duckdb.DuckDBPyConnection:
    """Return a database in memory that can see nothing but the task's folder and its source."""
    database = duckdb.connect(":memory:")
    database.execute(f"SET memory_limit = '{task.memory_limit_mb}MiB'")
    database.execute(f"SET threads = {max(task.threads, 1)}")
    database.execute(f"SET temp_directory = {quoted(str(spill))}")
    database.execute("SET enable_progress_bar = false")
    database.execute(f"SET disabled_optimizers = {quoted(','.join(_HARMFUL_OPTIMIZERS))}")
    database.execute("SET autoinstall_known_extensions = false")
    database.execute("SET autoload_known_extensions = false")
    database.execute(f"SET allowed_directories = [{quoted(task.folder)}]")
    database.execute(f"SET allowed_paths = [{quoted(task.source)}]")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


def quoted(text: str) -> str:
    """Return a string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def named(name: str) -> str:
    """Return a column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
