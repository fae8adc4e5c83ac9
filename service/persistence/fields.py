"""What jobs are filtered and sorted by, as columns of the database."""

from typing import Any

from sqlalchemy import JSON, String, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from service.domain.fields import Comparable, Field
from service.persistence.tables import Job


class by_code_point(FunctionElement[str]):
    """A text that is ordered by its characters' codes, as SQLite does; PostgreSQL would follow the language of its installation."""

    type = String()
    inherit_cache = True


@compiles(by_code_point)
def _as_it_is(element: by_code_point, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(by_code_point, "postgresql")
def _collated(element: by_code_point, compiler: SQLCompiler, **options: Any) -> str:
    return f'({compiler.process(element.clauses, **options)} COLLATE "C")'


def column_of(field: Field) -> ColumnElement[Any]:
    """Return what a job has in `field`, null where it has none. Metrics have a table of their own, and are not found here."""
    if field.name == "labels":
        label: ColumnElement[str] = type_coerce(Job.labels, JSON())[field.key].as_string()
        return label
    columns: dict[Comparable, ColumnElement[Any]] = {
        "state": Job.state.expression,
        "name": Job.name.expression,
        "created_at": Job.created_at.expression,
        "dataset_id": Job.dataset_id.expression,
        "study_id": Job.study_id.expression,
        "cohort_id": Job.cohort_id.expression,
        "priority": Job.priority.expression,
        "loss.kind": Job.loss_kind.expression,
        "loss.gamma": Job.loss_gamma.expression,
        "learner.kind": Job.learner_kind.expression,
    }
    return columns[field.name]


def is_optional(field: Field) -> bool:
    """Whether there are jobs without a value."""
    return field.name in ("study_id", "cohort_id", "loss.gamma", "labels", "metrics")
