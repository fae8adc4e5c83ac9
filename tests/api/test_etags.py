"""ETags: what a client has already is not sent again, and a tag changes when something does."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from counterweight.contracts.jobs import Progress
from service.api.etags import Snapshots, snapshot
from service.persistence import events, jobs
from service.persistence.database import Database
from service.persistence.tables import DEFAULT_PROJECT, Agent, Dataset, Job
from tests.api.conftest import Api, Process
from tests.factories import make_dataset, make_job

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
NOW = datetime(2026, 1, 3, tzinfo=UTC)


def progress(epoch: int) -> Progress:
    return Progress(epoch=epoch, epochs=100, fraction=epoch / 100, eta_s=None, rows_per_s=None)


@pytest.mark.parametrize("kind", ["jobs", "datasets"])
def test_what_is_known_already_is_not_sent_again(api: Api, database: Database, kind: str) -> None:
    with database.write() as session:
        path = f"/api/v1/jobs/{make_job(session).id}" if kind == "jobs" else f"/api/v1/datasets/{make_dataset(session).id}"
    first = api.get(path)

    again = api.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert first.json()["version"] == int(first.headers["etag"].strip('"').partition("-")[0])
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


@SQLITE
@pytest.mark.parametrize(
    ("header", "status"), [("*", 304), ('"x", {tag}', 304), ("W/{tag}", 304), ('"x"', 200), ("", 200), ("nonsense", 200), ('"0"', 200)]
)
def test_any_of_several_tags_may_hold(api: Api, database: Database, header: str, status: int) -> None:
    with database.write() as session:
        path = f"/api/v1/jobs/{make_job(session).id}"
    tag = api.get(path).headers["etag"]

    assert api.get(path, headers={"If-None-Match": header.format(tag=tag)}).status_code == status


@SQLITE
def test_what_does_not_exist_is_not_unchanged(api: Api) -> None:
    answer = api.get("/api/v1/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV", headers={"If-None-Match": "*"})

    assert answer.status_code == 404


@SQLITE
def test_a_change_of_state_is_seen_at_once(api: Api, database: Database) -> None:
    with database.write() as session:
        job_id = make_job(session).id
    known = api.get(f"/api/v1/jobs/{job_id}").headers["etag"]

    api.post(f"/api/v1/jobs/{job_id}/cancel")

    answer = api.get(f"/api/v1/jobs/{job_id}", headers={"If-None-Match": known})
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")


def test_progress_changes_the_tag_once_a_second_at_most_and_is_never_missed(database: Database) -> None:
    clock = [100.0]
    shown = Snapshots(lambda: clock[0])
    with database.write() as session:
        job = make_job(session, state="running")

    def look(epoch: int) -> str:
        with database.write() as session:
            session.execute(update(Job).where(Job.id == job.id).values(progress=progress(epoch)))
        with database.read() as session:
            answer = shown.of(jobs.views(session, [jobs.get(session, DEFAULT_PROJECT, job.id)], NOW)[0])
            assert f'"epoch":{epoch},' in answer.body or clock[0] < 101
            return answer.tag

    first = look(1)
    clock[0] = 100.9
    within = look(2)
    clock[0] = 101.0
    after = look(2)
    clock[0] = 105.0

    assert first == within != after == look(2)


@SQLITE
def test_time_alone_changes_no_tag(database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="running")
    with database.read() as session:
        tags = {
            snapshot(jobs.views(session, [jobs.get(session, DEFAULT_PROJECT, job.id)], moment)[0]).tag
            for moment in (NOW, NOW.replace(hour=5))
        }

    assert len(tags) == 1


@SQLITE
def test_an_earlier_version_does_not_come_back(database: Database) -> None:
    shown = Snapshots()
    with database.write() as session:
        job = make_job(session, state="running")
    with database.read() as session:
        early = jobs.views(session, [jobs.get(session, DEFAULT_PROJECT, job.id)], NOW)[0]
    late = early.model_copy(update={"version": early.version + 1, "name": "late"})

    answers = [shown.of(view).version for view in (late, early, late)]

    assert answers == [late.version, early.version, late.version]


@SQLITE
def test_a_job_that_is_over_keeps_its_tag_while_its_worker_lives_on(api: Api, database: Database) -> None:
    with database.write() as session:
        job_id = make_job(session, state="succeeded").id
    first = api.get(f"/api/v1/jobs/{job_id}")
    with database.write() as session:
        session.execute(update(Agent).values(beat_at=datetime.now(UTC)))

    again = api.get(f"/api/v1/jobs/{job_id}")

    assert (first.headers["etag"], first.content) == (again.headers["etag"], again.content)


def test_a_poll_goes_on_from_the_tag_it_brings(server: Process) -> None:
    record = Database(server.database_url)
    with record.write() as session:
        job, dataset = make_job(session), make_dataset(session)
    path = f"/api/v1/jobs/{job.id}"
    tag = server.client.get(path).headers["etag"]
    ready = f"/api/v1/datasets/{dataset.id}"
    final = server.client.get(ready).headers["etag"]

    nothing_new = server.client.get(path, params={"wait": 0.2}, headers={"If-None-Match": tag})
    over = server.client.get(ready, params={"wait": 50}, headers={"If-None-Match": final})
    with record.write() as session:
        events.move_job(session, session.get_one(Job, job.id), "cancelled", "test", datetime.now(UTC))
        session.get_one(Dataset, dataset.id).version += 1
    news = [
        server.client.get(address, params={"wait": 50}, headers={"If-None-Match": known})
        for address, known in ((path, tag), (ready, final))
    ]
    record.close()

    assert (nothing_new.status_code, over.status_code) == (304, 304)
    assert [answer.status_code for answer in news] == [200, 200]
