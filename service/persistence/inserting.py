"""Writing rows without making objects of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Dialect, TextClause, bindparam, insert, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from service.persistence.tables import Table
from service.persistence.types import Stored


def add_rows(session: Session, table: type[Table], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, each given as the same columns, at once. What was done to objects of the session is not written before them."""
    if not rows:
        return
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        full = [{**_defaults(table), **row} for row in rows]
        connection.execute(_of_any_number(table, tuple(full[0])), {"rows": plain(table, full, connection.dialect)})
    else:
        connection.execute(insert(table), list(rows))


def plain(table: type[Table], rows: Sequence[Mapping[str, Any]], dialect: Dialect) -> list[dict[str, Any]]:
    """Return rows as JSON values, for `jsonb_populate_recordset`."""
    columns = table.__table__.columns
    return [{name: _plain(columns[name].type, value, dialect) for name, value in row.items()} for row in rows]


def _plain(kind: TypeEngine[Any], value: Any, dialect: Dialect) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return kind.process_bind_param(value, dialect) if isinstance(kind, Stored) else value


@cache
def _of_any_number(table: type[Table], columns: tuple[str, ...]) -> TextClause:
    """Return a statement for PostgreSQL that is the same however many rows there are, and whose rows are one value.

    Rows sent as parameters are one round trip each, or another statement for each number of rows, which the driver takes apart anew.
    """
    name, listed = table.__tablename__, ", ".join(columns)
    statement = f"INSERT INTO {name} ({listed}) SELECT {listed} FROM jsonb_populate_recordset(CAST(NULL AS {name}), :rows)"
    return text(statement).bindparams(bindparam("rows", type_=JSONB))


@cache
def _defaults(table: type[Table]) -> dict[str, Any]:
    return {
        column.name: column.default.arg for column in table.__table__.columns if column.default is not None and column.default.is_scalar
    }
