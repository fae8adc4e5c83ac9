"""Metric histories: whole where they fit, else thinned without losing what matters."""

import csv
import io

import pyarrow as pa
import pytest

from service.api import histories
from service.persistence.database import Database
from tests.api.conftest import Api
from tests.factories import add_points, make_job

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_short_history_is_answered_whole(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="running")
        add_points(session, job, "train/loss", [0.5, 0.25])

    [series] = api.get(f"/api/v1/jobs/{job.id}/metrics").json()["series"]

    assert series == {
        "name": "train/loss",
        "count": 2,
        "columns": ["step", "epoch", "time", "value"],
        "points": [[10, 1, 1001.0, 0.5], [20, 2, 1002.0, 0.25]],
        "reduced": False,
    }


@SQLITE
def test_series_come_by_name_and_only_those_asked_for(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="running")
        for name in ("train/loss", "validation/log_loss", "a"):
            add_points(session, job, name, [1.0])

    def names(**params: str) -> list[str]:
        return [series["name"] for series in api.get(f"/api/v1/jobs/{job.id}/metrics", params=params).json()["series"]]

    assert names() == ["a", "train/loss", "validation/log_loss"]
    assert names(names="validation/log_loss,a,unknown") == ["a", "validation/log_loss"]


@SQLITE
def test_epochs_can_be_cut_out(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="running")
        add_points(session, job, "x", [float(value) for value in range(10)])

    [series] = api.get(f"/api/v1/jobs/{job.id}/metrics", params={"from_epoch": 3, "to_epoch": 5}).json()["series"]

    assert [epoch for _, epoch, _, _ in series["points"]] == [3, 4, 5]


@pytest.mark.parametrize("points", [2, 5, 99])
def test_a_thinned_history_keeps_first_last_lowest_and_highest(api: Api, database: Database, points: int) -> None:
    values = [float((7 * step) % 101) for step in range(1000)]
    values[313], values[617] = -50.0, 500.0
    with database.write() as session:
        job = make_job(session, state="running")
        add_points(session, job, "x", values)

    [series] = api.get(f"/api/v1/jobs/{job.id}/metrics", params={"points": points}).json()["series"]

    epochs = [epoch for _, epoch, _, _ in series["points"]]
    assert {1, 314, 618, 1000} <= set(epochs)
    assert epochs == sorted(set(epochs))
    assert len(epochs) <= max(points, 4)
    assert (series["reduced"], series["count"]) == (True, 1000)


@SQLITE
def test_a_history_of_just_the_points_asked_for_is_whole(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="running")
        add_points(session, job, "x", [float(step % 3) for step in range(50)])

    [series] = api.get(f"/api/v1/jobs/{job.id}/metrics", params={"points": 50}).json()["series"]

    assert (len(series["points"]), series["reduced"]) == (50, False)


@SQLITE
def test_a_job_without_metrics_has_no_series(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)

    assert api.get(f"/api/v1/jobs/{job.id}/metrics").json() == {"series": []}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "query", ["points=1", "points=10001", "points=x", "from_epoch=-1", "to_epoch=99999999999", "names=%00", "epochs=3"]
)
def test_what_cannot_be_meant_is_refused(api: Api, database: Database, query: str) -> None:
    with database.write() as session:
        job = make_job(session)

    assert api.get(f"/api/v1/jobs/{job.id}/metrics?{query}").status_code == 422


def _a_long_history(database: Database) -> str:
    with database.write() as session:
        job = make_job(session, state="running")
        add_points(session, job, "train/loss", [1 / (step + 1) for step in range(3)])
        add_points(session, job, "=SUM(A1)", [float(step) for step in range(5)])
        return job.id


def test_csv_gives_all_points_and_no_spreadsheet_a_formula(api: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "PAGE_POINTS", 2)

    answer = api.get(f"/api/v1/jobs/{_a_long_history(database)}/metrics?points=2", headers={"Accept": "text/csv"})

    rows = list(csv.reader(io.StringIO(answer.text)))
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert rows[0] == ["series", "step", "epoch", "time", "value"]
    assert [row[0] for row in rows[1:]] == ["'=SUM(A1)"] * 5 + ["train/loss"] * 3
    assert rows[-1] == ["train/loss", "30", "3", "1003.0", repr(1 / 3)]


def test_arrow_gives_all_points(api: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "PAGE_POINTS", 2)

    answer = api.get(f"/api/v1/jobs/{_a_long_history(database)}/metrics", headers={"Accept": histories.ARROW})

    with pa.ipc.open_stream(answer.content) as stream:
        table = stream.read_all()
    assert answer.headers["content-type"] == histories.ARROW
    assert table.column("series").to_pylist() == ["=SUM(A1)"] * 5 + ["train/loss"] * 3
    assert table.column("value").to_pylist()[-1] == 1 / 3
    assert [str(kind) for kind in table.schema.types] == ["string", "int64", "int32", "double", "double"]


@SQLITE
@pytest.mark.parametrize("form", ["text/csv", histories.ARROW])
def test_only_the_series_asked_for_are_sent_in_every_form(api: Api, database: Database, form: str) -> None:
    job_id = _a_long_history(database)

    whole, one, none = (
        api.get(f"/api/v1/jobs/{job_id}/metrics", params=names, headers={"Accept": form})
        for names in ({}, {"names": "train/loss"}, {"names": "unknown"})
    )

    assert b"SUM" in whole.content
    assert b"SUM" not in one.content
    assert len(none.content) < len(one.content)


@SQLITE
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("text/*", "text/csv"),
        ("application/vnd.apache.arrow.stream, application/json;q=0.9", histories.ARROW),
        ("TEXT/CSV", "text/csv"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
    ],
)
def test_the_form_liked_best_is_sent(api: Api, database: Database, accept: str, kind: str) -> None:
    answer = api.get(f"/api/v1/jobs/{_a_long_history(database)}/metrics", headers={"Accept": accept})

    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)


@SQLITE
@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "nonsense", "text/csv;q=x"])
def test_a_form_that_is_not_there_is_refused(api: Api, database: Database, accept: str) -> None:
    answer = api.get(f"/api/v1/jobs/{_a_long_history(database)}/metrics", headers={"Accept": accept})

    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
