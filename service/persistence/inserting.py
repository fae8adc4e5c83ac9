"""Writing rows without making objects of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from service.persistence.tables import Table


def add_rows(session: Session, table: type[Table], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, given as their columns, in one statement. What was done to objects of the session is not written before them."""
    session.connection().execute(insert(table), list(rows))
