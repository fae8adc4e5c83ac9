"""The queue: who gets what, who may write, and what becomes of work whose holder is gone."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from service.domain.errors import LostClaim
from service.persistence import agents, attempts, events, queue
from service.persistence.database import DATABASE_AWAY, Database
from service.persistence.tables import Agent, Attempt, Dataset, Event, Job
from tests.factories import make_dataset, make_job

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AFTER_ANY_WAIT = NOW + timedelta(days=1)
ANYWHERE = ("auto", "cpu")


def _agent(session: Session, agent_id: str, home: str = "home") -> str:
    row = Agent(id=agent_id, home_id=home, host="here", devices=["cpu"], beat=0, beat_at=NOW, started_at=NOW)
    agents.register(session, row)
    session.flush()
    return agent_id


def _claim(session: Session, agent_id: str, now: datetime = NOW) -> queue.Claim:
    claimed = queue.claim_cohort(session, agent_id, ANYWHERE, now)
    assert claimed is not None
    return claimed.claims[0]


def test_the_highest_priority_goes_first_and_then_the_oldest(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), _agent(session, "agt_1")
        young = make_job(session, dataset=dataset, now=NOW)
        old = make_job(session, dataset=dataset, now=NOW - timedelta(hours=1))
        urgent = make_job(session, dataset=dataset, priority=90, now=NOW)

        order = [_claim(session, agent).id for _ in range(3)]

        assert order == [urgent.id, old.id, young.id]
        assert queue.claim_cohort(session, agent, ANYWHERE, NOW) is None


def test_a_job_for_a_gpu_waits_for_one(database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
        job.device = "cuda"
        agent = _agent(session, "agt_1")

        assert queue.claim_cohort(session, agent, ANYWHERE, NOW) is None
        assert queue.claim_cohort(session, agent, ("auto", "cuda"), NOW) is not None


def test_two_agents_asking_at_once_get_different_jobs(database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        jobs = {make_job(session, dataset=dataset).id for _ in range(2)}
        one, other = _agent(session, "agt_1"), _agent(session, "agt_2")

    if database.is_sqlite:
        with database.write() as session:
            claimed = {_claim(session, one).id, _claim(session, other).id}
    else:
        with database.write() as first, database.write() as second:
            claimed = {_claim(first, one).id, _claim(second, other).id}

    assert claimed == jobs


def test_each_claim_opens_an_attempt_under_a_higher_fence(database: Database) -> None:
    with database.write() as session:
        job, agent = make_job(session), _agent(session, "agt_1")
        first = _claim(session, agent)
        attempts.crash(session, job, 1, "its process ended", NOW)
        second = _claim(session, agent, AFTER_ANY_WAIT)

        found = session.scalars(select(Attempt).where(Attempt.job_id == job.id).order_by(Attempt.number)).all()

        assert second.fence > first.fence
        assert [(attempt.number, attempt.outcome) for attempt in found] == [(1, "crashed"), (2, None)]


def test_an_old_claim_locks_nothing(database: Database) -> None:
    with database.write() as session:
        make_job(session)
        old = _claim(session, _agent(session, "agt_1"))
        agents.retire(session, "agt_1", "lost", NOW)
        new = _claim(session, _agent(session, "agt_2"))

        assert queue.lock(session, Job, new).agent_id == "agt_2"
        with pytest.raises(LostClaim):
            queue.lock(session, Job, old)


def test_an_agent_that_was_declared_lost_is_told_so_at_its_next_beat(database: Database) -> None:
    with database.write() as session:
        _agent(session, "agt_1")
        before = agents.beat(session, "agt_1", NOW)

        agents.retire(session, "agt_1", "lost", NOW)

        assert before
        assert not agents.beat(session, "agt_1", NOW)


def test_a_lost_agents_work_goes_back_and_does_not_count_as_a_crash(database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
        _claim(session, _agent(session, "agt_1"))

        returned = agents.retire(session, "agt_1", "lost", NOW)

        assert returned == [job.id]
        assert (job.state, job.agent_id, job.crashes) == ("queued", None, 0)


def test_a_job_that_was_told_to_stop_ends_cancelled_when_its_agent_is_lost(database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
        _claim(session, _agent(session, "agt_1"))
        events.move_job(session, job, "cancelling", "cancelled by its owner", NOW)

        agents.retire(session, "agt_1", "lost", NOW)

        assert session.scalar(select(Job.state)) == "cancelled"


def test_a_job_that_loses_twenty_agents_ends(database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
        for number in range(attempts.MAX_LOST_WORKERS):
            assert job.state == "queued"
            _claim(session, _agent(session, f"agt_{number}"), AFTER_ANY_WAIT)
            agents.retire(session, f"agt_{number}", "lost", NOW)

        assert job.state == "failed"
        assert job.error is not None
        assert job.error.failure_class == "lost_worker"


def test_a_job_whose_process_dies_every_time_ends_after_its_attempts(database: Database) -> None:
    with database.write() as session:
        job, agent = make_job(session), _agent(session, "agt_1")
        for _ in range(job.spec.limits.max_attempts):
            assert job.state == "queued"
            _claim(session, agent, AFTER_ANY_WAIT)
            attempts.crash(session, job, 1, "its process was killed by signal 9 (SIGKILL)", NOW)

        assert job.state == "failed"
        assert job.error is not None
        assert "SIGKILL" in job.error.detail
        assert session.scalars(select(Event.to_state).where(Event.subject == job.id)).all()[-1] == "failed"


def test_a_file_whose_reader_dies_every_time_ends_failed(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session, state="processing"), _agent(session, "agt_1")
        for _ in range(queue.MAX_INGEST_CRASHES):
            assert dataset.state == "processing"
            claimed = queue.claim_dataset(session, agent)
            assert claimed is not None
            queue.crash_dataset(session, queue.lock(session, Dataset, claimed[0]), "its process ended", NOW)

        assert dataset.state == "failed"
        assert dataset.error is not None
        assert dataset.error.code == "ingest_crashed"


def test_a_file_being_read_is_not_given_to_a_second_reader(database: Database) -> None:
    with database.write() as session:
        make_dataset(session, state="processing")
        agent = _agent(session, "agt_1")

        first, second = queue.claim_dataset(session, agent), queue.claim_dataset(session, agent)

        assert first is not None
        assert second is None


@pytest.mark.parametrize("many", [1, 2], ids=["after one row", "after a pipeline of rows"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_transaction_whose_process_was_stopped_keeps_no_locks(database_url: str, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.persistence.database.SILENT_TRANSACTION_S", 1)
    with closing(Database(database_url)) as stopped, closing(Database(database_url)) as rescuer:
        with stopped.write() as session:
            agent = _agent(session, "agt_1")
        unfinished = stopped._writes()
        statement = text("UPDATE agents SET beat = beat + :by WHERE id = :id")
        unfinished.execute(statement, [{"id": agent, "by": 1}] * many)

        with rescuer.write() as session:
            agents.retire(session, agent, "lost", NOW)

        with pytest.raises(DATABASE_AWAY):
            agents.beat(unfinished, agent, NOW)
        unfinished.close()
        with stopped.write() as session:
            assert not agents.beat(session, agent, NOW)
