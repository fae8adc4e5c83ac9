"""The transaction of a request that writes."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from counterweight.crashpoints import crashpoint
from service.persistence.database import Database


@contextmanager
def transaction(database: Database) -> Iterator[Session]:
    """Commit what is written in the block, durably, when it ends."""
    crashpoint("write.before_begin")
    with database.write() as session:
        yield session
        crashpoint("write.before_commit")
    crashpoint("write.committed")
