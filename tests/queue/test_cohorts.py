"""Cohorts: queued jobs that can be trained together are claimed together, each under a claim of its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from counterweight.contracts.jobs import Environment, Resolved
from counterweight.contracts.learners import Mlp
from service.persistence import agents, attempts, events, queue
from service.persistence.database import Database
from service.persistence.tables import Attempt, Dataset, Job
from tests.factories import make_agent, make_dataset, make_job, make_project

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _claim(session: Session, most: int = 8) -> list[str]:
    cohort = queue.claim_cohort(session, make_agent(session).id, ("auto", "cpu"), NOW, lambda _spec, _dataset: most)
    return [] if cohort is None else [claim.id for claim in cohort.claims]


def _jobs(session: Session, dataset: Dataset, *specs: dict[str, Any]) -> list[str]:
    return [make_job(session, dataset, **spec).id for spec in specs]


def test_jobs_that_differ_in_what_is_their_own_are_claimed_together(database: Database) -> None:
    with database.write() as session:
        own: list[dict[str, Any]] = [
            {"name": "one", "labels": {"by": "ann"}},
            {"loss": {"kind": "focal", "gamma": 3.0}},
            {"training": {"seed": 2**32 - 1}},
            {"training": {"learning_rate": 0.1, "weight_decay": 0.5, "ema": 0.5, "early_stopping": None}},
            {"evaluation": {"threshold": {"policy": "max_mcc"}}, "limits": {"max_attempts": 1}},
        ]
        ids = _jobs(session, make_dataset(session), *own)

        claimed = _claim(session)

        assert claimed == [ids[0], ids[1], ids[3], ids[4], ids[2]]  # Those that see the first one's batches come first.
        jobs = [session.get_one(Job, job_id) for job_id in ids]
        assert len({job.cohort_id for job in jobs}) == 1
        assert {(job.state, job.fence) for job in jobs} == {("running", 1)}
        assert session.query(Attempt).count() == len(ids)


@pytest.mark.parametrize(
    "other",
    [
        {"loss": {"kind": "ldam"}},
        {"learner": {"kind": "mlp", "width": 64}},
        {"split": {"kind": "stratified", "seed": 1}},
        {"exclude": ["age"]},
        {"training": {"batch_size": 64}},
        {"training": {"max_epochs": 5}},
        {"training": {"schedule": "constant"}},
        {"training": {"optimizer": "sgd"}},
        {"resources": {"device": "cpu"}},
        {"priority": 40},
    ],
)
def test_jobs_that_differ_in_what_is_shared_are_claimed_apart(database: Database, other: dict[str, Any]) -> None:
    with database.write() as session:
        first, second = _jobs(session, make_dataset(session), {}, other)

        assert _claim(session) == [first]
        assert session.get_one(Job, first).cohort_id is None
        assert _claim(session) == [second]


def test_who_submitted_a_job_and_how_its_exclusions_are_ordered_make_no_difference(database: Database) -> None:
    with database.write() as session:
        ids = _jobs(session, make_dataset(session), {"exclude": ["age", "city"]}, {"exclude": ["city", "age", "city"]})
        for job_id, key in zip(ids, ("key_ann", "key_bob"), strict=True):
            session.get_one(Job, job_id).created_by = key

        assert _claim(session) == ids


def test_jobs_of_another_dataset_or_project_are_claimed_apart(database: Database) -> None:
    with database.write() as session:
        other = make_dataset(session, project_id=make_project(session).id)
        ids = [make_job(session, dataset).id for dataset in (make_dataset(session), make_dataset(session), other)]

        assert sorted(_claim(session) for _ in ids) == [[job_id] for job_id in ids]


def test_a_cohort_is_no_larger_than_the_pack(database: Database) -> None:
    with database.write() as session:
        ids = _jobs(session, make_dataset(session), *[{}] * 5)

        packs = [_claim(session, most=2) for _ in range(3)]

        assert packs == [ids[:2], ids[2:4], ids[4:]]


def test_jobs_of_before_cohorts_train_alone(database: Database) -> None:
    with database.write() as session:
        first, second = _jobs(session, make_dataset(session), {}, {})
        for job_id in (first, second):
            session.get_one(Job, job_id).cohort_key = None

        assert _claim(session) == [first]


def test_members_of_a_cohort_that_died_are_tried_again_among_themselves_in_halves(database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        ids = _jobs(session, dataset, *[{}] * 5)
        for job_id in _claim(session):
            attempts.crash(session, session.get_one(Job, job_id), 5, "its process was killed", NOW)
        (newcomer,) = _jobs(session, dataset, {})

        packs = [_claim(session) for _ in range(4)]

        assert packs == [ids[:2], ids[2:4], ids[4:], [newcomer]]
        assert {session.get_one(Job, job_id).crashes for job_id in ids} == {0}


def test_two_agents_asking_at_once_share_no_member(database: Database) -> None:
    with database.write() as session:
        ids = _jobs(session, make_dataset(session), *[{}] * 6)
        one, other = make_agent(session).id, make_agent(session).id

    def claim(session: Session, agent_id: str) -> list[str]:
        cohort = queue.claim_cohort(session, agent_id, ("auto",), NOW, lambda _spec, _dataset: 3)
        assert cohort is not None
        return [claim.id for claim in cohort.claims]

    if database.is_sqlite:
        with database.write() as session:
            claimed = claim(session, one) + claim(session, other)
    else:
        with database.write() as first, database.write() as second:
            claimed = claim(first, one) + claim(second, other)

    assert sorted(claimed) == ids


def test_idle_slots_share_what_waits(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session).id
        ids = _jobs(session, dataset, *[{}] * 7)

        sizes = []
        for shares in (3, 2, 1):
            cohort = queue.claim_cohort(session, agent, ("auto",), NOW, lambda _spec, _dataset: 16, shares)
            assert cohort is not None
            sizes.append(len(cohort.claims))

        assert sizes == [3, 2, 2]
        assert session.query(Job).filter_by(state="running").count() == len(ids)


def test_a_job_put_ahead_is_claimed_first_and_not_slowed_by_others(database: Database) -> None:
    with database.write() as session:
        old, urgent, young = _jobs(session, make_dataset(session), {}, {"priority": 90}, {})

        assert [_claim(session) for _ in range(2)] == [[urgent], [old, young]]


def test_a_claim_takes_as_many_statements_for_many_jobs_as_for_two(database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        _jobs(session, dataset, *[{}] * 12)
        agent = make_agent(session).id

    few, many = (_statements(database, agent, most) for most in (2, 10))

    assert few == many


def _statements(database: Database, agent: str, most: int) -> int:
    said: list[str] = []
    listen = database.writer, "before_cursor_execute", lambda *call: said.append(call[2])
    event.listen(*listen)
    with database.write() as session:
        cohort = queue.claim_cohort(session, agent, ("auto",), NOW, lambda _spec, _dataset: most)
    event.remove(*listen)
    assert cohort is not None
    assert len(cohort.claims) == most
    return len(said)


def test_a_cohort_whose_workers_are_lost_again_and_again_is_taken_apart(database: Database) -> None:
    with database.write() as session:
        ids = _jobs(session, make_dataset(session), {}, {})

        def lose_a_worker() -> list[str]:
            agent = make_agent(session).id
            queue.claim_cohort(session, agent, ("auto",), NOW + timedelta(days=1), lambda _spec, _dataset: 8)
            return agents.retire(session, agent, "lost", NOW)

        together = [lose_a_worker() for _ in range(attempts.LOST_WORKERS_IN_COMPANY)]
        alone = lose_a_worker()

        assert together == [ids] * attempts.LOST_WORKERS_IN_COMPANY
        assert alone == ids[:1]


def test_a_job_is_of_no_cohort_while_it_waits(database: Database) -> None:
    with database.write() as session:
        first, _ = _jobs(session, make_dataset(session), {}, {})
        _claim(session)
        job = session.get_one(Job, first)
        attempts.requeue(session, job, "drained", None, NOW)

        assert (job.cohort_id, job.cohort_limit) == (None, None)


def test_a_member_is_charged_its_share_of_the_gpu(database: Database) -> None:
    with database.write() as session:
        first, _ = _jobs(session, make_dataset(session), {}, {})
        _claim(session)
        job = session.get_one(Job, first)
        environment = Environment(python="3", torch="2", device_name="GPU", threads=1)
        job.resolved = Resolved(learner=Mlp(), device="cuda:0", precision="float32", cohort_size=2, environment=environment)
        events.move_job(session, job, "succeeded", "trained", NOW + timedelta(seconds=60))

        assert (job.run_s, job.gpu_s) == (60.0, 30.0)
