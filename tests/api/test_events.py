"""The event log over HTTP: pages, and streams that begin with a snapshot, miss nothing, and say when nothing more will come."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from counterweight.contracts.jobs import JobState, Progress
from counterweight.contracts.keys import NewKey
from service.api.feed import MOST_WAITING, Feed, Frame
from service.domain.callers import Caller
from service.persistence import events, keys, studies
from service.persistence.database import Database
from service.persistence.tables import DEFAULT_PROJECT, Job
from tests.api.conftest import Api, Process
from tests.api.events import Told, everything, streaming
from tests.factories import make_agent, make_dataset, make_job, make_project, make_study

JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def record(server: Process) -> Iterator[Database]:
    database = Database(server.database_url)
    yield database
    database.close()


def _move(database: Database, job_id: str, *states: JobState) -> None:
    for state in states:
        with database.write() as session:
            job = session.get_one(Job, job_id)
            if state == "running":
                job.agent_id = make_agent(session).id
            events.move_job(session, job, state, state, datetime.now(UTC))


def _url(process: Process, *rest: str) -> str:
    return "/".join([f"{process.url}/api/v1", *rest, "events"])


def _states(frames: list[Told]) -> list[str]:
    return [frame.data["to_state"] for frame in frames if frame.event == "job"]


def test_a_stream_begins_with_a_snapshot_and_ends_when_the_job_is_over(process: Process, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
    with streaming(_url(process, "jobs", job.id)) as frames:
        first = next(frames)

        _move(database, job.id, "running", "cancelling", "cancelled")

        rest = list(frames)
    assert (first.event, first.data["id"], first.data["state"]) == ("snapshot", job.id, "queued")
    assert _states(rest) == ["running", "cancelling", "cancelled"]
    ids = [frame.id for frame in [first, *rest] if frame.id is not None]
    assert ids == sorted(set(ids))
    assert (rest[-1].event, rest[-1].data["reason"]) == ("end", "over")


def test_whoever_comes_back_gets_what_was_missed_and_nothing_twice(process: Process, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
    with streaming(_url(process, "jobs", job.id)) as frames:
        next(frames)
        _move(database, job.id, "running")
        seen = next(frames)

    _move(database, job.id, "cancelling", "cancelled")
    rest = everything(_url(process, "jobs", job.id), last_id=seen.id)

    assert (rest[0].event, rest[0].id, rest[0].data["state"]) == ("snapshot", seen.id, "cancelled")
    assert _states(rest) == ["cancelling", "cancelled"]
    assert rest[-1].event == "end"


def test_a_job_that_is_over_is_shown_and_the_stream_ended(server: Process, record: Database) -> None:
    with record.write() as session:
        job = make_job(session, state="succeeded")

    assert [frame.event for frame in everything(_url(server, "jobs", job.id))] == ["snapshot", "end"]


def test_a_job_that_is_deleted_ends_its_stream(server: Process, record: Database) -> None:
    with record.write() as session:
        job = make_job(session)
    with streaming(_url(server, "jobs", job.id)) as frames:
        next(frames)

        with record.write() as session:
            events.close_log(session, session.get_one(Job, job.id), datetime.now(UTC))

        rest = list(frames)
    assert [(frame.event, frame.data["reason"]) for frame in rest] == [("deletion", "deleted by its owner"), ("end", "deleted")]


def test_progress_is_told_without_an_id_and_is_not_in_the_log(process: Process, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="running")
    with streaming(_url(process, "jobs", job.id)) as frames:
        next(frames)
        with database.write() as session:
            session.get_one(Job, job.id).progress = Progress(epoch=3, epochs=10, fraction=0.3, eta_s=1.0, rows_per_s=5.0)

        told = next(frames)

    assert (told.event, told.id, told.data["progress"]["epoch"]) == ("progress", None, 3)
    page = httpx.get(_url(process, "jobs", job.id), headers=JSON).json()
    assert {event["type"] for event in page["data"]} == {"job"}


def test_a_study_is_followed_until_it_is_over(process: Process, database: Database) -> None:
    with database.write() as session:
        study = make_study(session)
    with streaming(_url(process, "studies", study.id)) as frames:
        first = next(frames)

        with database.write() as session:
            studies.cancel(session, DEFAULT_PROJECT, study.id, datetime.now(UTC))

        rest = list(frames)
    assert (first.event, first.data["state"]) == ("snapshot", "running")
    assert rest[-2].data["to_state"] == "cancelled"
    assert rest[-1].event == "end"


def test_a_project_is_followed_through_the_ends_of_its_jobs(process: Process, database: Database) -> None:
    with database.write() as session:
        one, other = make_job(session), make_job(session)
    with streaming(_url(process)) as frames:
        first = next(frames)
        _move(database, one.id, "cancelled")
        _move(database, other.id, "cancelled")

        told = [next(frames), next(frames)]

    assert first.data["jobs"] == {"queued": 2}
    assert [(frame.event, frame.data["subject"], frame.data["to_state"]) for frame in told] == [
        ("job", one.id, "cancelled"),
        ("job", other.id, "cancelled"),
    ]


def test_a_page_goes_on_where_the_one_before_ended(api: Api, database: Database) -> None:
    with database.write() as session:
        make_job(session)
        job = make_job(session, state="succeeded")

    first = api.get(f"/api/v1/jobs/{job.id}/events", params={"limit": 2}, headers=JSON).json()
    rest = api.get(f"/api/v1/jobs/{job.id}/events", params={"after": first["next"]}, headers=JSON).json()

    told = first["data"] + rest["data"]
    assert [event["to_state"] for event in told] == ["queued", "running", "succeeded"]
    assert [event["from_state"] for event in told] == [None, "queued", "running"]
    assert {event["subject"] for event in told} == {job.id}
    assert rest["next"] is None
    whole = api.get("/api/v1/events", params={"limit": 200}, headers=JSON).json()["data"]
    assert [event for event in whole if event["subject"] == job.id] == told
    assert [event["id"] for event in whole] == sorted(event["id"] for event in whole)


def test_events_of_another_project_are_not_shown(api: Api, database: Database) -> None:
    with database.write() as session:
        project = make_project(session)
        job = make_job(session, make_dataset(session, project_id=project.id))

    assert api.get(f"/api/v1/jobs/{job.id}/events", headers=JSON).status_code == 404
    assert api.get("/api/v1/events", headers=JSON).json()["data"] == []


@pytest.mark.parametrize("accept", [None, "text/event-stream", "*/*"])
@pytest.mark.parametrize("path", ["jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "studies/stu_01ARZ3NDEKTSV4RRFFQ69G5FAV"])
def test_what_is_not_there_has_no_stream(server: Process, accept: str | None, path: str) -> None:
    answer = httpx.get(_url(server, path), headers={} if accept is None else {"Accept": accept})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("given", ["x", "-1", "1.5", str(2**63), "²"])
def test_an_id_that_cannot_be_one_is_refused(server: Process, given: str) -> None:
    answer = httpx.get(_url(server), headers={b"Last-Event-ID": given.encode()})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/Last-Event-ID")


def test_an_id_of_another_record_begins_anew(server: Process, record: Database) -> None:
    """As after a backup was restored: the log does not go as far as the client says it has read."""
    with record.write() as session:
        job = make_job(session)
    with streaming(_url(server, "jobs", job.id), last_id=10**12) as frames:
        first = next(frames)
        _move(record, job.id, "cancelled")

        rest = list(frames)

    assert first.id is not None
    assert first.id < 10**12
    assert [frame.event for frame in rest] == ["job", "end"]


def test_an_end_of_the_server_ends_streams_with_a_word_when_to_come_back(process: Process, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
    with streaming(_url(process, "jobs", job.id)) as frames:
        next(frames)

        process.process.terminate()

        rest = list(frames)
    assert [frame.event for frame in rest] == [None]
    assert 1000 <= int(rest[0].data["retry"]) <= 3000
    assert process.process.wait(timeout=20) == 0


def test_many_who_follow_hear_of_the_same_changes(process: Process, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        made = [make_job(session, dataset) for _ in range(3)]
    begun = threading.Barrier(31, timeout=30)
    heard: dict[int, list[str]] = {}

    def follow(number: int, job_id: str) -> None:
        with streaming(_url(process, "jobs", job_id)) as frames:
            next(frames)
            begun.wait()
            heard[number] = _states(list(frames))

    threads = [threading.Thread(target=follow, args=(number, made[number % 3].id)) for number in range(30)]
    for thread in threads:
        thread.start()
    begun.wait()
    for job in made:
        _move(database, job.id, "running", "cancelling", "cancelled")
    for thread in threads:
        thread.join()

    assert list(heard.values()) == [["running", "cancelling", "cancelled"]] * 30


def test_an_event_at_the_moment_of_opening_comes_once(process: Process, database: Database) -> None:
    """Open and change at the same moment, over and over: the change is in the snapshot or comes after it, never neither, never twice."""
    with database.write() as session:
        dataset = make_dataset(session)
        made = [make_job(session, dataset) for _ in range(10)]
    for job in made:
        changing = threading.Thread(target=_move, args=(database, job.id, "cancelled"))
        changing.start()

        told = everything(_url(process, "jobs", job.id))

        changing.join()
        assert told[-1].event == "end"
        shown = [told[0].data["state"], *_states(told)]
        assert shown in (["queued", "cancelled"], ["cancelled"], ["cancelled", "cancelled"])


def test_a_client_that_falls_behind_is_cut_off_and_others_are_not() -> None:
    feed, caller = Feed(), Caller(DEFAULT_PROJECT, "read")
    with feed.following("job_1", caller) as slow, feed.following("job_2", caller) as other:
        for _ in range(MOST_WAITING + 1):
            feed.tell([("job_1", Frame(b"x"))])
        feed.tell([("job_2", Frame(b"x"))])

        assert slow.is_over
        assert not other.is_over
    assert feed.keys() == set()


def test_a_stream_of_a_revoked_key_is_let_go(database: Database, api: Api) -> None:
    service = api.app.state.service
    with database.write() as session:
        key, _ = keys.add(session, DEFAULT_PROJECT, NewKey(name="k"), datetime.now(UTC))
        other, _ = keys.add(session, DEFAULT_PROJECT, NewKey(name="k"), datetime.now(UTC))
    with (
        service.feed.following("job_1", Caller(DEFAULT_PROJECT, "read", key.id)) as revoked,
        service.feed.following("job_1", Caller(DEFAULT_PROJECT, "read", other.id)) as kept,
        service.feed.following("job_1", Caller(DEFAULT_PROJECT, "admin")) as without,
    ):
        with database.write() as session:
            keys.revoke(session, DEFAULT_PROJECT, key.id, datetime.now(UTC))

        service.feed.dismiss(service.notifier.ended_keys(service.feed.keys()))

        assert (revoked.is_over, kept.is_over, without.is_over) == (True, False, True)
