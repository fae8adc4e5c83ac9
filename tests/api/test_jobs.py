"""Jobs over HTTP: submitting, showing, listing, cancelling."""

import re
from typing import Any

import pytest
from sqlalchemy import event, select

from counterweight.contracts.jobs import JobState, Position
from service.persistence.database import Database
from service.persistence.tables import Attempt, Event, FinalMetric, Job, Series
from tests.api.conftest import Api
from tests.factories import make_agent, make_dataset, make_job

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@SQLITE
def test_a_job_needs_only_a_dataset(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    answer = api.submit(dataset.id)

    job = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == job["links"]["self"] == f"/api/v1/jobs/{job['id']}"
    assert (job["state"], job["phase"], job["is_terminal"], job["allowed_actions"]) == ("queued", "waiting", False, ["cancel", "pause"])
    assert job["dataset"] == {"id": dataset.id, "sha256": dataset.sha256}


def test_a_submitted_job_reads_back_the_same(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    submitted = api.submit(dataset.id, loss={"kind": "focal", "gamma": 1.5, "alpha": "balanced"}, labels={"team": "risk"}).json()

    read = api.get(f"/api/v1/jobs/{submitted['id']}").json()

    assert read | {"usage": None} == submitted | {"usage": None}


@SQLITE
def test_the_resolved_loss_is_shown(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, classes={"good": 900, "bad": 100})

    loss = api.submit(dataset.id, loss={"kind": "balanced_cross_entropy"}).json()["loss"]

    assert loss["resolved"]["weights"]["bad"] == pytest.approx(9 * loss["resolved"]["weights"]["good"])
    assert loss["notes"]


@SQLITE
def test_a_submission_is_in_the_event_log(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    job_id = api.submit(dataset.id).json()["id"]

    with database.read() as session:
        logged = session.scalars(select(Event).where(Event.subject == job_id)).one()

    assert (logged.kind, logged.from_state, logged.to_state) == ("job", None, "queued")


@SQLITE
@pytest.mark.parametrize(("sent", "kept"), [(TRACE, TRACE), ("nonsense", None), (TRACE.upper(), None)])
def test_the_trace_is_kept_with_the_job(api: Api, database: Database, sent: str, kept: str | None) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    job_id = api.submit(dataset.id, headers={"traceparent": sent}).json()["id"]

    with database.read() as session:
        assert session.get_one(Job, job_id).traceparent == kept


@SQLITE
def test_the_device_asked_for_is_told_to_the_queue(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    job_id = api.submit(dataset.id, resources={"device": "cuda"}).json()["id"]

    with database.read() as session:
        assert session.get_one(Job, job_id).device == "cuda"


@SQLITE
def test_a_dataset_still_being_read_asks_to_come_again(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, state="processing")

    answer = api.submit(dataset.id)

    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (409, "dataset_not_ready", "1")


@SQLITE
def test_a_failed_dataset_tells_why(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, state="failed")

    answer = api.submit(dataset.id)

    assert (answer.status_code, answer.json()["code"]) == (422, "dataset_failed")
    assert "line 3 has 2 cells, not 5" in answer.json()["detail"]


@SQLITE
def test_a_mismatch_is_a_problem_with_its_pointer(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, classes={"good": 900, "bad": 2})

    answer = api.submit(dataset.id)

    assert (answer.status_code, answer.json()["code"]) == (422, "class_too_rare")
    assert answer.json()["errors"][0]["pointer"] == "/split"


@SQLITE
def test_a_refused_job_leaves_nothing(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, target=None)

    api.submit(dataset.id)

    assert api.get("/api/v1/jobs").json()["data"] == []


def test_a_running_job_shows_how_far_it_is(api: Api, database: Database) -> None:
    with database.write() as session:
        agent = make_agent(session)
        job = make_job(session, state="running", agent=agent)
        session.add(Series(job_id=job.id, name="validation/log_loss", value=0.5, best=0.4, best_epoch=3, goal="min"))

    shown = api.get(f"/api/v1/jobs/{job.id}").json()

    assert shown["latest"] == {"validation/log_loss": {"value": 0.5, "best": 0.4, "best_epoch": 3, "goal": "min"}}
    assert (shown["attempt"]["number"], shown["attempt"]["worker"]) == (1, agent.id)
    assert shown["attempt"]["heartbeat_at"].endswith("Z")
    assert shown["queue"]["position"] is None
    assert shown["usage"]["run_s"] > 0


@SQLITE
def test_a_finished_job_shows_its_metrics(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="succeeded")
        session.add(FinalMetric(job_id=job.id, name="test/mcc", value=None, low=None, high=None, reason="no_positive"))

    shown = api.get(f"/api/v1/jobs/{job.id}").json()

    assert (shown["is_terminal"], shown["allowed_actions"]) == (True, ["retry", "delete"])
    assert shown["metrics"] == {"test/mcc": {"value": None, "low": None, "high": None, "reason": "no_positive"}}


def test_the_position_counts_the_jobs_ahead(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        make_job(session, dataset, state="running")
        last, first, second = (make_job(session, dataset, priority=priority).id for priority in (10, 90, 50))

    positions = {job["id"]: job["queue"]["position"] for job in api.get("/api/v1/jobs").json()["data"]}

    assert (positions[first], positions[second], positions[last]) == (0, 1, 2)
    assert api.get(f"/api/v1/jobs/{last}").json()["queue"]["position"] == 2


@SQLITE
def test_a_list_costs_the_same_number_of_queries_at_any_length(api: Api, database: Database) -> None:
    def queries() -> int:
        seen: list[str] = []
        listener = lambda _c, _cursor, statement, *_: seen.append(statement)  # noqa: E731
        event.listen(database._reader, "before_cursor_execute", listener)
        assert api.get("/api/v1/jobs").status_code == 200
        event.remove(database._reader, "before_cursor_execute", listener)
        return len(seen)

    with database.write() as session:
        make_job(session)
        make_job(session, state="running")
    with_two = queries()
    with database.write() as session:
        for _ in range(5):
            make_job(session)
            make_job(session, state="running")

    assert queries() == with_two


def test_pages_hold_each_job_once_newest_first(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        made = [make_job(session, dataset).id for _ in range(5)]

    first = api.get("/api/v1/jobs", params={"limit": 3}).json()
    second = api.get("/api/v1/jobs", params={"limit": 3, "after": first["next"]}).json()

    assert [job["id"] for page in (first, second) for job in page["data"]] == made[::-1]
    assert second["next"] is None


@SQLITE
def test_a_wrong_filter_tells_the_column(api: Api) -> None:
    answer = api.get("/api/v1/jobs", params={"filter": "state = runing"})

    assert (answer.status_code, answer.json()["code"]) == (422, "bad_filter")
    assert "column 9" in answer.json()["detail"]


def test_a_queued_job_is_cancelled_at_once(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)

    answer = api.post(f"/api/v1/jobs/{job.id}/cancel")

    assert (answer.status_code, answer.json()["state"], answer.json()["is_terminal"]) == (202, "cancelled", True)
    assert answer.json()["version"] > job.version


@SQLITE
def test_a_running_job_is_told_to_stop(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="running")

    answer = api.post(f"/api/v1/jobs/{job.id}/cancel")

    assert (answer.status_code, answer.json()["state"], answer.json()["is_terminal"]) == (202, "cancelling", False)


@SQLITE
@pytest.mark.parametrize("state", ["cancelling", "succeeded", "failed", "cancelled"])
def test_there_is_nothing_to_cancel_in_other_states(api: Api, database: Database, state: JobState) -> None:
    with database.write() as session:
        job = make_job(session, state=state)

    answer = api.post(f"/api/v1/jobs/{job.id}/cancel")

    allowed = [] if state == "cancelling" else ["retry", "delete"]
    assert (answer.status_code, answer.json()["code"], answer.json()["allowed_actions"]) == (409, "wrong_state", allowed)


@SQLITE
def test_transitions_tell_the_whole_story(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="succeeded")

    told = api.get(f"/api/v1/jobs/{job.id}/transitions").json()

    assert [(step["from_state"], step["to_state"]) for step in told["data"]] == [
        (None, "queued"),
        ("queued", "running"),
        ("running", "succeeded"),
    ]


@SQLITE
def test_attempts_tell_how_each_try_ended(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="failed")

    [attempt] = api.get(f"/api/v1/jobs/{job.id}/attempts").json()["data"]

    assert (attempt["number"], attempt["outcome"]) == (1, "failed")
    assert attempt["ended_at"] is not None


@SQLITE
def test_an_attempt_tells_between_which_steps_it_trained(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="failed")
        session.flush()
        attempt = session.get_one(Attempt, (job.id, 1))
        attempt.began, attempt.kept = Position(step=1200), Position(step=7, is_refit=True)
        attempt.reached = Position(step=30, is_refit=True)

    [told] = api.get(f"/api/v1/jobs/{job.id}/attempts").json()["data"]
    page = api.get(f"/ui/jobs/{job.id}").text

    assert told["began"] == {"step": 1200, "is_refit": False}
    assert (told["reached"], told["kept"]) == ({"step": 30, "is_refit": True}, {"step": 7, "is_refit": True})
    assert '1,200 – refit 30 <span class="faint">kept up to refit 7</span>' in page


@SQLITE
@pytest.mark.parametrize(
    ("outcome", "kept", "told"),
    [
        (None, None, ""),
        (None, Position(step=300), ' <span class="faint">kept up to 300</span>'),
        ("crashed", Position(step=415), ' <span class="faint">kept up to 415</span>'),
        ("crashed", None, ' <span class="faint">nothing kept</span>'),
        ("succeeded", Position(step=300), ""),
        ("succeeded", None, ""),
    ],
)
def test_an_attempt_tells_what_is_kept_unless_it_succeeded(
    api: Api, database: Database, outcome: str | None, kept: Position | None, told: str
) -> None:
    with database.write() as session:
        job = make_job(session, state="failed")
        session.flush()
        attempt = session.get_one(Attempt, (job.id, 1))
        attempt.reached, attempt.kept, attempt.outcome = Position(step=415), kept, outcome

    assert f'<td class="steps">0 – 415{told}</td>' in re.sub(r"\s*\n\s*", "", api.get(f"/ui/jobs/{job.id}").text)


@SQLITE
@pytest.mark.parametrize(
    ("value", "refit", "shown", "told"),
    [
        (0.25, False, "0.250", "of the model that was kept"),
        (0.25, True, "0.250", "before it was trained again"),
        (None, False, "—", "of the model"),
    ],
)
def test_pages_show_the_validation_metric_of_the_model_that_was_kept(
    api: Api, database: Database, value: float | None, refit: bool, shown: str, told: str
) -> None:
    with database.write() as session:
        job = make_job(session, state="succeeded", training={"refit": refit})
        session.flush()
        name = "validation/average_precision"
        session.add(Series(job_id=job.id, name=name, value=0.5, best=0.75, best_epoch=4, goal="max"))
        session.add(FinalMetric(job_id=job.id, name=name, value=value))

    row, tile = api.get("/ui/jobs").text, api.get(f"/ui/jobs/{job.id}").text

    assert f'<span class="{"value" if value else "missing"}">{shown}</span></td>' in row
    assert "0.750" not in row
    assert f'<span class="big">{shown}</span> <span class="faint">{told}' in tile


@SQLITE
def test_a_job_without_evaluation_says_when_there_will_be_one(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)

    answer = api.get(f"/api/v1/jobs/{job.id}/evaluation")

    assert answer.status_code == 404
    assert "when a job succeeds" in answer.json()["detail"]


@SQLITE
@pytest.mark.parametrize("path", ["", "/metrics", "/evaluation", "/transitions", "/attempts"])
def test_an_unknown_job_is_not_found(api: Api, path: str) -> None:
    assert api.get(f"/api/v1/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV{path}").status_code == 404


def test_the_factory_makes_every_state(api: Api, database: Database) -> None:
    states: list[Any] = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
    with database.write() as session:
        for state in states:
            make_job(session, state=state)

    assert [job["state"] for job in api.get("/api/v1/jobs").json()["data"]] == states[::-1]
