"""A filter of jobs as a condition of the database: the same jobs on SQLite and on PostgreSQL."""

import operator
from collections.abc import Callable
from typing import Any, assert_never

from sqlalchemy import and_, exists, not_, or_
from sqlalchemy.sql.elements import ColumnElement

from service.domain.fields import Operator, Period
from service.domain.filters import Comparison, Condition, Junction, Not
from service.persistence.fields import by_code_point, column_of, is_optional
from service.persistence.tables import FinalMetric, Job

_COMPARE: dict[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def condition(wanted: Condition) -> ColumnElement[bool]:
    """Return what holds of exactly the jobs that meet `wanted`: true or false of each job, never unknown."""
    match wanted:
        case Comparison():
            return _comparison(wanted)
        case Not(inner):
            return not_(condition(inner))
        case Junction(link, parts):
            return (and_ if link == "AND" else or_)(*map(condition, parts))
        case _:
            assert_never(wanted)


def _comparison(wanted: Comparison) -> ColumnElement[bool]:
    if wanted.field.name == "metrics":
        measured = (FinalMetric.job_id == Job.id) & (FinalMetric.name == wanted.field.key)
        return exists().where(measured, _compared(FinalMetric.value.expression, wanted)).correlate(Job)
    column = column_of(wanted.field)
    compared = _compared(column, wanted)
    # What is null would make the whole unknown, and its opposite too.
    return and_(column.is_not(None), compared) if is_optional(wanted.field) else compared


def _compared(column: ColumnElement[Any], wanted: Comparison) -> ColumnElement[bool]:
    periods = [value for value in wanted.values if isinstance(value, Period)]
    if wanted.operator in ("=", "!="):
        one_of = or_(*(_within(column, period) for period in periods)) if periods else column.in_(wanted.values)
        return one_of if wanted.operator == "=" else not_(one_of)
    if periods:
        return _beside(column, wanted.operator, periods[0])
    return _COMPARE[wanted.operator](column if wanted.field.is_numeric else by_code_point(column), wanted.values[0])


def _beside(column: ColumnElement[Any], comparison: Operator, period: Period) -> ColumnElement[bool]:
    """What comes after a day, or up to it, is told from where the day ends."""
    ends: dict[Operator, ColumnElement[bool]] = {
        "<": column < period.start,
        "<=": column < period.end,
        ">": column >= period.end,
        ">=": column >= period.start,
    }
    return ends[comparison]


def _within(column: ColumnElement[Any], period: Period) -> ColumnElement[bool]:
    return and_(column >= period.start, column < period.end)
