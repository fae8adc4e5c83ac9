"""Lists of jobs: the same jobs in the same order on both databases, each once, and found through an index."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from counterweight.contracts.ids import new_id
from service.domain import filters, sorting
from service.persistence import filters as conditions
from service.persistence import jobs
from service.persistence.database import Database
from service.persistence.sorting import with_value, without_value
from service.persistence.tables import DEFAULT_PROJECT, FinalMetric, Job
from tests.api.conftest import Api
from tests.factories import START, make_dataset, make_job, make_project

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
AP = "test/average_precision"


def make_jobs(session: Session) -> str:
    """Five jobs, a day apart, and a foreign one; return their dataset's id."""
    dataset = make_dataset(session)
    focal = {"kind": "focal", "gamma": 2}
    made: dict[str, dict[str, Any]] = {
        "a": {"labels": {"team": "risk"}, "priority": 10},
        "B": {"labels": {"team": "Ops", "x.y-z": "q \"uo'te"}, "state": "running"},
        "c": {"loss": focal, "state": "succeeded", "learner": {"kind": "linear"}},
        "é": {"loss": focal | {"gamma": 0.5}, "state": "succeeded", "priority": 90},
        "d": {"state": "succeeded", "labels": {"team": "risk"}},
    }
    values = {"c": 0.75, "é": None, "d": 0.5}
    for day, (name, facts) in enumerate(made.items()):
        job = make_job(session, dataset, name=name, now=START + timedelta(days=day), **facts)
        job.cohort_id = "coh_1" if name in "cé" else None
        if name in values:
            session.add(FinalMetric(job_id=job.id, name=AP, value=values[name]))
            session.add(FinalMetric(job_id=job.id, name="test/mcc", value=0.1))
    make_job(session, make_dataset(session, project_id=make_project(session).id), name="foreign", labels={"team": "risk"})
    return dataset.id


def names(session: Session, filter: str = "", sort: str = "created_at", limit: int = 200) -> str:
    """The names of all pages, in order."""
    order, after, found = sorting.parse(sort), None, ""
    while True:
        page, after = jobs.page(session, DEFAULT_PROJECT, filters.parse(filter), order, after, limit)
        found += "".join(job.name for job in page)
        if after is None:
            return found
        after = sorting.place_before(sorting.cursor_at(order, after), order)


FILTERS = {
    "": "aBcéd",
    "state = running": "B",
    "state != running": "acéd",
    "state IN (running, queued)": "aB",
    "name = c": "c",
    "name > B": "acéd",
    "name <= a": "aB",
    "name > z": "é",
    'name = "\' OR 1=1 --"': "",
    "created_at = 2026-01-03": "B",
    "created_at != 2026-01-03": "acéd",
    "created_at > 2026-01-03": "céd",
    "created_at <= 2026-01-03": "aB",
    "created_at < 2026-01-03": "a",
    "created_at >= 2026-01-03": "Bcéd",
    "created_at IN (2026-01-02, 2026-01-06)": "ad",
    "created_at = 2026-01-02T03:04:05.000Z": "a",
    "created_at > 2026-01-02T04:04:05+01:00": "Bcéd",
    "dataset_id = {dataset}": "aBcéd",
    "dataset_id != {dataset}": "",
    "study_id = stu_1": "",
    "study_id != stu_1": "",
    "cohort_id = coh_1": "cé",
    "cohort_id != coh_1": "",
    "loss.kind = focal": "cé",
    "loss.gamma = 2": "c",
    "loss.gamma < 1.5": "é",
    "loss.gamma IN (0.5, 2)": "cé",
    "loss.gamma != 2": "é",
    "learner.kind = linear": "c",
    "labels.team = risk": "ad",
    "labels.team != risk": "B",
    "labels.team < a": "B",
    "labels.team IN (Ops, risk)": "aBd",
    "labels.x.y-z = 'q \"uo\\'te'": "B",
    "labels.none = x": "",
    'metrics."test/average_precision" > 0.5': "c",
    'metrics."test/average_precision" >= 0.5': "cd",
    'metrics."test/average_precision" != 0.5': "c",
    'metrics."test/average_precision" IN (0.5, 0.75)': "cd",
    "metrics.test/mcc = 0.1 AND metrics.test/average_precision = 0.5": "d",
    "metrics.nothing > 0": "",
    "labels.team = risk AND state = queued": "a",
    "labels.team = risk OR loss.kind = focal AND learner.kind = linear": "acd",
    "(labels.team = risk OR loss.kind = focal) AND state = succeeded": "céd",
    "NOT labels.team = risk": "Bcé",
    "NOT (labels.team != risk)": "acéd",
    "NOT metrics.test/average_precision > 0.5": "aBéd",
    "NOT NOT labels.team = risk": "ad",
}


def test_a_filter_keeps_what_meets_it_and_its_not_exactly_the_rest(database: Database) -> None:
    with database.write() as session:
        dataset_id = make_jobs(session)
    asked = {text.replace("{dataset}", dataset_id): kept for text, kept in FILTERS.items()}

    with database.read() as session:
        found = {text: names(session, text) for text in asked}
        rest = {text: names(session, f"NOT ({text})") for text in asked if text}

    assert found == asked
    assert rest == {text: "".join(name for name in "aBcéd" if name not in asked[text]) for text in rest}


SORTS = {
    "created_at": "aBcéd",
    "-created_at": "décBa",
    "name": "Bacdé",
    "-name": "édcaB",
    "priority": "aBcdé",
    "-priority": "édcBa",
    "state": "aBcéd",
    "loss.kind": "aBdcé",
    "learner.kind": "caBéd",
    "dataset_id": "aBcéd",
    "loss.gamma": "écaBd",
    "-loss.gamma": "cédBa",
    "labels.team": "Badcé",
    "-labels.team": "daBéc",
    'metrics."test/average_precision"': "dcaBé",
    '-metrics."test/average_precision"': "cdéBa",
    "metrics.nothing": "aBcéd",
}


def test_pages_of_any_size_hold_each_job_once_in_order_and_last_what_has_no_value(database: Database) -> None:
    with database.write() as session:
        make_jobs(session)

    with database.read() as session:
        found = {(sort, limit): names(session, sort=sort, limit=limit) for sort in SORTS for limit in (1, 2, 3, 5)}

    assert found == {(sort, limit): SORTS[sort] for sort, limit in found}


def test_a_filter_and_an_order_go_together(database: Database) -> None:
    with database.write() as session:
        make_jobs(session)

    with database.read() as session:
        assert names(session, "state = succeeded", "-metrics.test/average_precision", 2) == "cdé"
        assert names(session, "metrics.test/mcc > 0", "name", 1) == "cdé"


def test_a_list_is_filtered_sorted_and_paged_over_http(api: Api, database: Database) -> None:
    with database.write() as session:
        make_jobs(session)
    asked = {"filter": "NOT state = queued", "sort": '-metrics."test/average_precision"', "limit": 3}

    first = api.get("/api/v1/jobs", params=asked).json()
    second = api.get("/api/v1/jobs", params=asked | {"after": first["next"]}).json()

    assert "".join(job["name"] for page in (first, second) for job in page["data"]) == "cdéB"
    assert second["next"] is None


@SQLITE
@pytest.mark.parametrize(
    "sort", ["", "-", "foo", "--name", "study_id", "cohort_id", "labels.", "metrics", "name,state", "metrics." + "x" * 400]
)
def test_an_unknown_order_is_refused(api: Api, sort: str) -> None:
    answer = api.get("/api/v1/jobs", params={"sort": sort})

    assert (answer.status_code, answer.json()["code"], answer.json()["errors"][0]["pointer"]) == (422, "bad_sort", "/sort")


def test_a_cursor_fits_only_the_order_it_is_of(api: Api) -> None:
    job_id = new_id("job", START)
    made_up: dict[str, list[Any]] = {
        "name": [None, 1, "\0", "\ud800", ["x"], {}],
        "priority": ["x", 10**30, 101, -1, 1e300],
        "metrics.test/mcc": ["x", 10**400, float("inf"), float("nan")],
        "-created_at": ["x"],
    }
    cursors = {
        sorting.cursor_at(sorting.parse(sort), sorting.Place(value, job_id)): sort for sort, values in made_up.items() for value in values
    }
    cursors[sorting.cursor_at(sorting.parse("name"), sorting.Place("x", job_id))] = "-name"
    cursors[sorting.cursor_at(sorting.parse("name"), sorting.Place("x", "job_1"))] = "name"

    answers = {
        (sort, cursor): api.get("/api/v1/jobs", params={"sort": sort, "after": cursor}).status_code for cursor, sort in cursors.items()
    }

    nothing = sorting.cursor_at(sorting.parse("name"), sorting.Place(None, job_id))
    assert answers.pop(("name", nothing)) == 200
    assert {sort_and_cursor: status for sort_and_cursor, status in answers.items() if status != 422} == {}


def test_long_names_make_pages_too(api: Api, database: Database) -> None:
    with database.write() as session:
        for _ in range(2):
            make_job(session, name="\U0001f600" * 200)

    first = api.get("/api/v1/jobs", params={"sort": "name", "limit": 1}).json()

    assert len(api.get("/api/v1/jobs", params={"sort": "name", "after": first["next"]}).json()["data"]) == 1


def _many(database: Database) -> None:
    """Enough jobs, one in five of ours, for an index to be worth its while."""
    with database.write() as session:
        model, other = make_job(session, state="succeeded"), make_project(session).id
        row = {column.key: getattr(model, column.key) for column in Job.__mapper__.column_attrs}
        ids = [new_id("job", START + timedelta(hours=hour)) for hour in range(2000)]
        states = ["failed" if hour % 50 == 0 else "succeeded" for hour in range(2000)]
        projects = [DEFAULT_PROJECT if hour % 5 == 0 else other for hour in range(2000)]
        made = zip(ids, states, projects, strict=True)
        session.execute(insert(Job), [row | {"id": job_id, "state": state, "project_id": project} for job_id, state, project in made])
        session.execute(
            insert(FinalMetric),
            [{"job_id": job_id, "name": name, "value": n / 2000} for n, job_id in enumerate(ids) for name in (AP, "test/mcc", "test/f1")],
        )
    if not database.is_sqlite:  # PostgreSQL counts by itself now and then; nobody tells SQLite to.
        with database.writer.connect() as connection:
            connection.execute(text("ANALYZE"))
            connection.commit()


def _plan(session: Session, query: Any) -> str:
    """What the database would do."""
    dialect = session.get_bind().dialect
    compiled = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if dialect.name == "sqlite" else "EXPLAIN"
    escaped = str(compiled).replace("%%", "%")
    return "\n".join(str(row) for row in session.connection().exec_driver_sql(f"{explain} {escaped}"))


def test_lists_are_found_through_an_index(database: Database) -> None:
    _many(database)
    project = Job.project_id == DEFAULT_PROJECT
    failed = filters.parse("state = failed")
    assert failed is not None
    best = sorting.parse('-metrics."test/average_precision"')
    middle = sorting.Place(0.5, new_id("job", START))
    with database.read() as session:
        plans = {
            "newest": _plan(session, without_value(project, sorting.NEWEST_FIRST, None, 51)),
            "state": _plan(session, without_value(project & conditions.condition(failed), sorting.NEWEST_FIRST, None, 51)),
            "metric": _plan(session, with_value(project, best, None, 51)),
            "next by metric": _plan(session, with_value(project, best, middle, 51)),
        }

    # The keys' own index is in the same order as the newest of all projects.
    indexes = {"newest": ("ix_jobs_project_newest", "pk_jobs"), "state": ("ix_jobs_project_state",), "metric": ("ix_final_metrics_order",)}
    for name, plan in plans.items():
        assert any(index in plan for index in indexes[name.removeprefix("next by ")]), f"{name}:\n{plan}"
        assert not any(costly in plan for costly in ("Seq Scan", "Sort", "TEMP B-TREE")), f"{name}:\n{plan}"
