"""Checkpoints, pauses and limits in the record."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from counterweight.contracts.messages import Checkpointed, EpochDone, Left, Resumed, StoredFile
from service.domain.errors import WrongState
from service.persistence import agents, attempts, checkpoints, jobs, queue, recording
from service.persistence.database import Database
from service.persistence.tables import Checkpoint, Job, MetricPoint, Series
from tests.factories import make_agent, make_dataset, make_job

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _epoch(job_id: str, epoch: int, loss: float) -> EpochDone:
    return EpochDone(job_id=job_id, epoch=epoch, epochs=10, step=epoch * 5, time=float(epoch), values={"train/loss": loss})


def _checkpoint(job_ids: Sequence[str], number: int, step: int) -> Checkpointed:
    name = f"{number}.safetensors"
    return Checkpointed(job_ids=list(job_ids), file=StoredFile(name=name, path=name, bytes=1, sha256=f"{number}"), step=step)


def _queued(database: Database, count: int) -> list[str]:
    with database.write() as session:
        dataset = make_dataset(session)
        return [make_job(session, dataset=dataset).id for _ in range(count)]


def _claim(database: Database, most: int = 8) -> queue.Cohort:
    with database.write() as session:
        agent = make_agent(session)
        cohort = queue.claim_cohort(session, agent.id, ("auto",), NOW, lambda _spec, _dataset: most)
        assert cohort is not None
        return cohort


def _said(database: Database, cohort: queue.Cohort, *reports: recording.TrainerReport, folder: str = "checkpoints/c.1") -> None:
    by_job: dict[str, list[recording.TrainerReport]] = {claim.id: [] for claim in cohort.claims}
    for report in reports:
        for job_id in report.job_ids if isinstance(report, Checkpointed) else [report.job_id]:
            by_job[job_id].append(report)
    with database.write() as session:
        said = {claim: by_job[claim.id] for claim in cohort.claims if by_job[claim.id]}
        recording.record_jobs(session, said, len(cohort.claims), NOW, folder)


def _states(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Job.state).order_by(Job.id)))


def test_a_lost_cohort_is_claimed_as_it_was_and_by_nobody_else(database: Database) -> None:
    ids = _queued(database, 3)
    cohort = _claim(database)
    _said(database, cohort, _checkpoint(ids, 1, 7), _checkpoint(ids, 2, 12))
    _queued(database, 1)
    with database.write() as session:
        agents.retire(session, cohort.claims[0].agent_id, "lost", NOW)

    again, other = _claim(database, most=2), _claim(database)

    assert sorted(claim.id for claim in again.claims) == sorted(ids)
    assert [(kept.path, kept.step) for kept in again.checkpoints] == [
        ("checkpoints/c.1/2.safetensors", 12),
        ("checkpoints/c.1/1.safetensors", 7),
    ]
    assert len(other.claims) == 1
    assert other.checkpoints == []


def test_a_claim_deletes_what_is_trained_again_and_nothing_else(database: Database) -> None:
    (job_id,) = _queued(database, 1)
    cohort = _claim(database)
    said: list[recording.TrainerReport] = [
        _epoch(job_id, 1, 0.5),
        _epoch(job_id, 2, 0.2),
        _checkpoint([job_id], 1, 12),
        _epoch(job_id, 3, 0.1),
    ]
    _said(database, cohort, *said)
    with database.write() as session:
        agents.retire(session, cohort.claims[0].agent_id, "lost", NOW)

    _claim(database)

    with database.read() as session:
        assert list(session.scalars(select(MetricPoint.step).order_by(MetricPoint.step))) == [5, 10]
        series = session.scalars(select(Series)).one()
        assert (series.value, series.best, series.best_epoch) == (0.2, 0.2, 2)


@pytest.mark.parametrize(("useful", "steps"), [(1, [5]), (None, [])], ids=["the one before", "none"])
def test_a_torn_checkpoint_is_no_longer_pointed_to(database: Database, useful: int | None, steps: list[int]) -> None:
    (job_id,) = _queued(database, 1)
    first = _claim(database)
    _said(database, first, _epoch(job_id, 1, 0.5), _checkpoint([job_id], 1, 7), _epoch(job_id, 2, 0.2), _checkpoint([job_id], 2, 12))
    with database.write() as session:
        agents.retire(session, first.claims[0].agent_id, "lost", NOW)
    again = _claim(database)

    chosen = None if useful is None else again.checkpoints[useful].id
    _said(database, again, Resumed(job_id=job_id, checkpoint_id=chosen))

    with database.write() as session:
        job = session.get_one(Job, job_id)
        assert (job.checkpoint_id, job.fallback_id) == (chosen, None)
        assert list(session.scalars(select(MetricPoint.step).order_by(MetricPoint.step))) == steps
        gone = checkpoints.sweep(session)
        assert "checkpoints/c.1/2.safetensors" in gone
        assert len(gone) == (1 if useful is not None else 2)


def test_the_last_two_checkpoints_are_kept_and_none_of_what_has_ended(database: Database) -> None:
    ids = _queued(database, 2)
    cohort = _claim(database)
    _said(database, cohort, *(_checkpoint(ids, number, 10 * number) for number in (1, 2, 3)))
    with database.write() as session:
        assert checkpoints.sweep(session) == ["checkpoints/c.1/1.safetensors"]

    with database.write() as session:
        for job in queue.lock_jobs(session, cohort.claims).values():
            attempts.fail(session, job, "data", "of no use", None, NOW)
        assert sorted(checkpoints.sweep(session)) == ["checkpoints/c.1/2.safetensors", "checkpoints/c.1/3.safetensors"]
        assert session.scalars(select(Checkpoint)).all() == []


def test_a_cohort_that_got_further_before_its_trainer_died_stays_together(database: Database) -> None:
    ids = _queued(database, 4)
    for makes_checkpoint, limits in ((True, {None}), (False, {2})):
        cohort = _claim(database)
        if makes_checkpoint:
            _said(database, cohort, _checkpoint(ids, 1, 5))
        with database.write() as session:
            for job in queue.lock_jobs(session, cohort.claims).values():
                attempts.crash(session, job, len(cohort.claims), "killed", NOW)

        with database.read() as session:
            assert set(session.scalars(select(Job.cohort_limit))) == limits


def test_a_pause_takes_a_queued_job_out_at_once_and_a_running_one_when_it_has_left(database: Database) -> None:
    ids = _queued(database, 2)
    with database.write() as session:
        jobs.pause(session, session.get_one(Job, ids[1]), NOW)
    cohort = _claim(database)
    with database.write() as session:
        jobs.pause(session, session.get_one(Job, ids[0]), NOW)
    assert _states(database) == ["pausing", "paused"]

    _said(database, cohort, _checkpoint([ids[0]], 1, 5), Left(job_id=ids[0]))

    assert _states(database) == ["paused", "paused"]
    with database.write() as session:
        for job_id in ids:
            jobs.resume(session, session.get_one(Job, job_id), NOW)
        with pytest.raises(WrongState):
            jobs.resume(session, session.get_one(Job, ids[0]), NOW)
    assert _states(database) == ["queued", "queued"]
    assert [kept.step for kept in _claim(database).checkpoints] == [5]


def test_a_worker_lost_while_it_pauses_leaves_a_paused_job(database: Database) -> None:
    (job_id,) = _queued(database, 1)
    cohort = _claim(database)
    with database.write() as session:
        jobs.pause(session, session.get_one(Job, job_id), NOW)

    with database.write() as session:
        agents.retire(session, cohort.claims[0].agent_id, "lost", NOW)

    assert _states(database) == ["paused"]


def test_a_cancel_beats_a_pause(database: Database) -> None:
    (job_id,) = _queued(database, 1)
    cohort = _claim(database)
    with database.write() as session:
        jobs.pause(session, session.get_one(Job, job_id), NOW)
        jobs.cancel(session, session.get_one(Job, job_id), NOW)

    _said(database, cohort, Left(job_id=job_id))

    assert _states(database) == ["cancelled"]


def test_a_new_checkpoint_forgets_the_workers_that_were_lost_before_it(database: Database) -> None:
    (job_id,) = _queued(database, 1)
    cohort = _claim(database)
    with database.write() as session:
        session.get_one(Job, job_id).lost_workers = 19

    _said(database, cohort, _checkpoint([job_id], 1, 5))

    with database.read() as session:
        assert session.get_one(Job, job_id).lost_workers == 0


def test_a_job_that_waits_longer_than_it_may_fails(database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        patient = make_job(session, dataset, now=NOW).id
        hasty = make_job(session, dataset, now=NOW, limits={"max_pending_s": 5.0}).id

    ended = []
    for moment in (NOW, NOW + timedelta(seconds=5)):
        with database.write() as session:
            ended.append(attempts.end_overdue_waits(session, moment))

    assert ended == [[], [hasty]]
    with database.read() as session:
        job = session.get_one(Job, hasty)
        assert job.error is not None
        assert (job.state, job.error.failure_class) == ("failed", "pending_timeout")
        assert session.get_one(Job, patient).state == "queued"
