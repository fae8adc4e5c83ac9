"""Which jobs a page of a list holds: found by ids alone, so that sorting does not carry whole jobs around."""

from typing import Any

from sqlalchemy import Select, exists, select, true, tuple_
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from service.domain.sorting import Order, Place
from service.persistence.fields import by_code_point, column_of, is_optional
from service.persistence.tables import FinalMetric, Job


def places(session: Session, wanted: ColumnElement[bool], order: Order, after: Place | None, limit: int) -> list[Place]:
    """Return where the first `limit` jobs after `after` stand that meet `wanted`.

    Jobs that have the value come first, by value and id, then those that have none, by id: two queries, each in the order of an index.
    """
    found: list[Place] = []
    if order.field.name != "created_at" and (after is None or after.value is not None):
        found = [Place(value, job_id) for value, job_id in session.execute(with_value(wanted, order, after, limit))]
    if len(found) < limit and (order.field.name == "created_at" or is_optional(order.field)):
        start = after if after is not None and after.value is None else None
        found += [Place(None, job_id) for job_id in session.scalars(without_value(wanted, order, start, limit - len(found)))]
    return found


def with_value(wanted: ColumnElement[bool], order: Order, after: Place | None, limit: int) -> Select[Any, str]:
    """The jobs that have a value in the field."""
    value: ColumnElement[Any]
    if order.field.name == "metrics":
        value, job_id = FinalMetric.value.expression, FinalMetric.job_id.expression
        query = select(value, job_id).join(Job, Job.id == job_id).where(FinalMetric.name == order.field.key)
    else:
        value, job_id = column_of(order.field), Job.id.expression
        value = value if order.field.is_numeric else by_code_point(value)
        query = select(value, job_id)
    query = query.where(wanted, value.is_not(None))
    if after is not None:
        place, start = tuple_(value, job_id), tuple_(after.value, after.job_id)
        query = query.where(place < start if order.is_descending else place > start)
    return query.order_by(*(key.desc() if order.is_descending else key for key in (value, job_id))).limit(limit)


def without_value(wanted: ColumnElement[bool], order: Order, after: Place | None, limit: int) -> Select[str]:
    """The jobs that have none; all of them where the order is that of their ids."""
    query = select(Job.id).where(wanted, _lacks(order))
    if after is not None:
        query = query.where(Job.id < after.job_id if order.is_descending else Job.id > after.job_id)
    return query.order_by(Job.id.desc() if order.is_descending else Job.id).limit(limit)


def _lacks(order: Order) -> ColumnElement[bool]:
    if order.field.name == "created_at":
        return true()
    if order.field.name == "metrics":
        measured = FinalMetric.job_id == Job.id, FinalMetric.name == order.field.key, FinalMetric.value.is_not(None)
        return ~exists().where(*measured).correlate(Job)
    return column_of(order.field).is_(None)
