"""Who goes next: fair shares, ageing, limits, and the wait of what failed; and what the queue says of it is what happens."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from counterweight.contracts.jobs import JobPatch
from counterweight.contracts.workers import WorkerSlot
from service.domain import admission
from service.domain.admission import Load, Pace
from service.persistence import admission as admitted
from service.persistence import agents, attempts, jobs, line, queue
from service.persistence.database import Database
from service.persistence.queue import Room
from service.persistence.tables import Job, Project
from tests.factories import make_agent, make_dataset, make_job, make_project

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CPU = ("auto", "cpu")
GPU = ("auto", "cpu", "cuda")
GB = 10**9


def _claim(session: Session, agent: str, devices: tuple[str, ...] = CPU, now: datetime = NOW, **slot: Any) -> list[Job]:
    cohort = queue.claim_cohort(session, agent, devices, now, **slot)
    return [] if cohort is None else cohort.jobs


def _limit(session: Session, job: Job, *, jobs: int | None = None, gpus: int | None = None) -> None:
    project = session.get_one(Project, job.project_id)
    project.max_running_jobs, project.max_running_gpus = jobs, gpus


def _view(session: Session, job: Job, now: datetime = NOW) -> Any:
    return jobs.views(session, [jobs.get(session, job.project_id, job.id)], now)[0].queue


def test_a_project_with_few_jobs_is_not_held_up_by_one_with_many(database: Database) -> None:
    with database.write() as session:
        many, few = make_dataset(session), make_dataset(session, project_id=make_project(session).id)
        for _ in range(6):
            make_job(session, many)
        late = [make_job(session, few).id for _ in range(2)]
        agent = make_agent(session).id

        served = [_claim(session, agent)[0] for _ in range(5)]

        assert [job.id in late for job in served] == [False, True, False, True, False]


def test_with_a_single_slot_projects_take_turns(database: Database) -> None:
    with database.write() as session:
        datasets = [make_dataset(session, project_id=make_project(session).id) for _ in range(3)]
        for dataset in datasets:
            for _ in range(2):
                make_job(session, dataset)
        agent, served = make_agent(session).id, []

        for step in range(6):
            (job,) = _claim(session, agent, now=NOW + timedelta(seconds=step))
            served.append(job.dataset_id)
            attempts.cancelled(session, job, NOW) if job.state == "cancelling" else attempts.fail(session, job, "data", "", None, NOW)

        assert served == [dataset.id for dataset in datasets] * 2


def test_a_cohort_counts_as_one_slot_in_the_share_of_its_project(database: Database) -> None:
    with database.write() as session:
        first, other = make_dataset(session), make_dataset(session, project_id=make_project(session).id)
        for _ in range(5):
            make_job(session, first)
        for _ in range(2):
            make_job(session, other)
        agent = make_agent(session).id

        sizes = [(len(found), found[0].dataset_id) for found in (_claim(session, agent, pack=lambda *_: 4) for _ in range(3))]

        assert sizes == [(3, first.id), (2, other.id), (2, first.id)]


@pytest.mark.parametrize(("waited_h", "goes_first"), [(9, "urgent"), (11, "old")])
def test_waiting_outweighs_priority_in_time(database: Database, waited_h: int, goes_first: str) -> None:
    """Forty points are worth ten hours."""
    with database.write() as session:
        dataset = make_dataset(session)
        make_job(session, dataset, name="old", priority=50, now=NOW - timedelta(hours=waited_h))
        make_job(session, dataset, name="urgent", priority=90, now=NOW)

        assert _claim(session, make_agent(session).id)[0].name == goes_first


def test_a_new_priority_moves_a_job_in_line(database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        _, second = (make_job(session, dataset) for _ in range(2))

        jobs.edit(session, second, JobPatch(priority=60), NOW)

        assert _view(session, second).position == 0
        assert _claim(session, make_agent(session).id) == [second]


def test_a_project_never_has_more_jobs_running_than_its_limit(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session, beat_at=NOW).id
        made = [make_job(session, dataset) for _ in range(5)]
        _limit(session, made[0], jobs=3)

        sizes = [len(_claim(session, agent, pack=lambda *_: 2)) for _ in range(3)]

        assert sizes == [2, 1, 0]
        assert "project limit 3 reached" in _view(session, made[4]).blocked_by[0]


def test_a_project_at_its_limit_does_not_hold_up_others(database: Database) -> None:
    with database.write() as session:
        full, other = make_dataset(session), make_dataset(session, project_id=make_project(session).id)
        blocked, free = make_job(session, full), make_job(session, other)
        _limit(session, blocked, jobs=0)

        assert _claim(session, make_agent(session).id) == [free]


def test_a_project_never_takes_more_gpus_than_its_limit(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session, beat_at=NOW, slots=[WorkerSlot(device="cuda:0", threads=1)] * 3).id
        made = [make_job(session, dataset) for _ in range(4)]
        on_processor = make_job(session, dataset, resources={"device": "cpu"})
        _limit(session, made[0], gpus=2)

        served = [_claim(session, agent, GPU, pack=lambda *_: 2) for _ in range(4)]

        assert served == [made[:2], made[2:], [on_processor], []]
        waiting = make_job(session, dataset)
        assert "project GPU limit 2 reached" in _view(session, waiting).blocked_by[0]


def test_a_job_that_asks_for_gpu_memory_waits_for_such_a_gpu(database: Database) -> None:
    with database.write() as session:
        agent = make_agent(session, beat_at=NOW, slots=[WorkerSlot(device="cuda:0", threads=1, gpu_memory_bytes=24 * GB)]).id
        job = make_job(session, resources={"min_gpu_memory_gb": 40.0})

        told = _view(session, job)
        agents.drain(session, agent, NOW)
        other = make_agent(session, beat_at=NOW).id

        assert _view(session, job).blocked_by == ["no worker with 40 GB: none of those connected has a GPU"]
        assert told.blocked_by == ["no worker with 40 GB: the largest GPU of those connected has 24.0 GB"]
        assert told.eta_s is None
        assert _claim(session, other, CPU) == []
        assert _claim(session, other, GPU, gpu_bytes=24 * GB) == []
        assert _claim(session, other, GPU, gpu_bytes=42 * GB) == [job]


def test_a_job_that_needs_much_memory_is_not_starved_by_small_ones(database: Database) -> None:
    """Small ones may come for ever: the slot that fits is its own as soon as its turn has come."""
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session).id
        (small,) = (make_job(session, dataset) for _ in range(1))
        big = make_job(session, dataset, resources={"min_gpu_memory_gb": 40.0})
        served = []
        for _ in range(3):
            make_job(session, dataset)
            served += _claim(session, agent, GPU, gpu_bytes=80 * GB)

        assert served[:2] == [small, big]


def test_a_job_that_crashed_waits_longer_each_time_and_says_so(database: Database) -> None:
    with database.write() as session:
        job, agent = make_job(session, limits={"max_attempts": 9}), make_agent(session, beat_at=NOW).id
        waits, moment = [], NOW
        for _ in range(4):
            assert _claim(session, agent, now=moment) == [job]
            attempts.crash(session, job, 1, "its process was killed by signal 9 (SIGKILL)", moment)
            assert job.not_before is not None
            waits.append((job.not_before - moment).total_seconds())
            assert _claim(session, agent, now=job.not_before - timedelta(milliseconds=1)) == []
            assert admitted.next_retry(session, moment) == job.not_before
            moment = job.not_before

        (told,) = _view(session, job, NOW).blocked_by
        assert waits == [0.5, 1, 2, 4]
        assert "waits until 2026-11-23T12:00:08Z" in told
        assert "SIGKILL" in told
        assert _view(session, job, moment).blocked_by == []


def test_a_clock_that_is_put_back_keeps_nobody_waiting(database: Database) -> None:
    with database.write() as session:
        job, agent = make_job(session), make_agent(session, beat_at=NOW).id
        assert _claim(session, agent) == [job]
        attempts.crash(session, job, 1, "its process ended", NOW)
        an_hour_ago = NOW - timedelta(hours=1)

        assert _view(session, job, an_hour_ago).blocked_by == []
        assert admitted.next_retry(session, an_hour_ago) is None
        assert _claim(session, agent, now=an_hour_ago) == [job]


def test_a_poison_job_leaves_its_slot_to_others_while_it_waits(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session).id
        poison, other = make_job(session, dataset, priority=100), make_job(session, dataset)
        assert _claim(session, agent) == [poison]
        attempts.crash(session, poison, 1, "its process ended", NOW)

        assert _claim(session, agent) == [other]
        assert _claim(session, agent, now=NOW + timedelta(seconds=2)) == [poison]


def test_the_first_lost_worker_costs_no_wait_and_later_ones_do(database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
        waits = []
        for _ in range(3):
            agent = make_agent(session).id
            assert _claim(session, agent, now=NOW + timedelta(hours=1)) == [job]
            agents.retire(session, agent, "lost", NOW)
            waits.append(job.not_before and (job.not_before - NOW).total_seconds())

        assert waits == [None, 0.5, 1]
        assert (job.lost_workers, job.crashes) == (3, 0)


def test_the_ledger_tells_who_where_why_and_what_was_done(database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
        agent = make_agent(session).id
        _claim(session, agent)
        attempts.crash(session, job, 1, "its process ended with exit code 1", NOW)
        _claim(session, agent, now=NOW + timedelta(minutes=1))
        agents.retire(session, agent, "lost", NOW, "its worker was silent for a whole lease")
        told = jobs.attempts(jobs.get(session, job.project_id, job.id))

        assert [(record.worker, record.host, record.outcome, record.detail, record.action) for record in told] == [
            (agent, "host", "crashed", "its process ended with exit code 1", "back in the queue after 0.5 s, to be trained alone"),
            (agent, "host", "lost", "its worker was silent for a whole lease", "back in the queue, to be trained alone"),
        ]


def test_a_draining_worker_takes_no_more_work(database: Database) -> None:
    with database.write() as session:
        job, agent = make_job(session), make_agent(session, beat_at=NOW)
        make_dataset(session, state="processing")

        agents.drain(session, agent.id, NOW)

        assert _claim(session, agent.id) == []
        assert queue.claim_dataset(session, agent.id) is None
        assert _view(session, job).blocked_by == [line.ALL_DRAINING]


def test_a_blocked_worker_is_what_those_wait_for_whom_it_would_suit(database: Database) -> None:
    with database.write() as session:
        dataset, gpu = make_dataset(session), WorkerSlot(device="cuda:0", threads=1, gpu_memory_bytes=24_000_000_000)
        make_agent(session, beat_at=NOW)
        agents.block(session, make_agent(session, beat_at=NOW, slots=[gpu]).id, "its cluster does not answer")
        wishes: list[dict[str, object]] = [{}, {"device": "cuda"}, {"min_gpu_memory_gb": 40}]

        told = [_view(session, make_job(session, dataset, resources=wish)).blocked_by for wish in wishes]

    assert told == [
        [],
        ["no worker can start it: its cluster does not answer"],
        ["no worker with 40 GB: the largest GPU of those connected has 24.0 GB"],
    ]


def test_positions_tell_the_order_in_which_jobs_are_claimed(database: Database) -> None:
    """Over three projects, of which one has something running: what is told before is what then happens."""
    with database.write() as session:
        datasets = [make_dataset(session, project_id=make_project(session).id) for _ in range(3)]
        agent = make_agent(session, beat_at=NOW).id
        make_job(session, datasets[0])
        assert len(_claim(session, agent)) == 1
        made = [
            make_job(session, dataset, priority=priority) for dataset, n in zip(datasets, (4, 2, 3), strict=True) for priority in range(n)
        ]
        told = {job.id: _view(session, job).position for job in made}

        served = [_claim(session, agent, now=NOW + timedelta(seconds=step + 1))[0].id for step in range(len(made))]

        assert sorted(told, key=lambda job_id: told[job_id]) == served
        assert sorted(told.values()) == list(range(len(made)))


def test_jobs_that_nobody_can_take_are_not_in_the_way(database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        for _ in range(3):
            make_job(session, dataset, resources={"device": "cuda"})
        job = make_job(session, dataset)
        make_agent(session, beat_at=NOW)

        assert _view(session, job).position == 0
        assert _view(session, job).eta_s == 0.0


def test_the_wait_is_told_from_what_jobs_took(database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        agent = make_agent(session, beat_at=NOW)
        for _ in range(3):
            make_job(session, dataset, state="succeeded", agent=agent).run_s = 60.0
        make_job(session, dataset, state="running", agent=agent).started_at = NOW
        waiting = [make_job(session, dataset) for _ in range(4)]

        told = [_view(session, job).eta_s for job in waiting]

        # One slot, taken: half a job until it is free, and a job for each that goes before.
        assert told == [30.0, 90.0, 150.0, 210.0]


def test_what_goes_on_for_longer_than_usual_is_counted_in_the_wait(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session, beat_at=NOW)
        make_job(session, dataset, state="succeeded", agent=agent).run_s = 60.0
        make_job(session, dataset, state="running", agent=agent).started_at = NOW - timedelta(seconds=540)

        assert _view(session, make_job(session, dataset)).eta_s == (60 + 540) / 2 / 2


def test_without_any_job_before_the_wait_is_unknown(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session, beat_at=NOW)
        make_job(session, dataset, state="running", agent=agent)

        assert _view(session, make_job(session, dataset)).eta_s is None


def _plans(database: Database, session: Session, ask: Callable[[], object]) -> list[str]:
    """Return how the database finds what `ask` asks it about jobs."""
    said: list[tuple[str, Any]] = []
    listen = database.writer, "before_cursor_execute", lambda *call: said.append((call[2], call[3]))
    event.listen(*listen)
    ask()
    event.remove(*listen)
    asked = [(statement, values) for statement, values in said if statement.startswith("SELECT") and "FROM jobs" in statement]
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    return ["\n".join(str(row) for row in session.connection().exec_driver_sql(f"{explain} {one}", values)) for one, values in asked]


def test_a_claim_and_a_place_in_line_are_found_in_indices(database: Database) -> None:
    with database.write() as session:
        session.execute(text("SELECT 1"))
        dataset, agent = make_dataset(session), make_agent(session, beat_at=NOW).id
        for _ in range(3):
            make_job(session, dataset)
        job = make_job(session, dataset)
        if not database.is_sqlite:
            # So few rows are always read whole, where that is allowed.
            session.execute(text("SET LOCAL enable_seqscan = off"))

        plans = [*_plans(database, session, lambda: _view(session, job)), *_plans(database, session, lambda: _claim(session, agent))]

        assert len(plans) > 4
        assert [plan for plan in plans if "SCAN jobs'" in plan or "Seq Scan on jobs" in plan] == []
        assert any("ix_jobs_line" in plan for plan in plans)


def test_a_job_of_several_gpus_takes_as_many_of_them_and_of_its_projects_limit(database: Database) -> None:
    with database.write() as session:
        dataset, agent = (
            make_dataset(session),
            make_agent(session, beat_at=NOW, slots=[WorkerSlot(device=f"cuda:{at}", threads=1) for at in range(4)]).id,
        )
        wide, next_one = (make_job(session, dataset, resources={"gpus": 2}) for _ in range(2))
        single = make_job(session, dataset)
        _limit(session, wide, gpus=3)

        served = [_claim(session, agent, GPU, room=Room(idle=4, most=4)) for _ in range(3)]

        assert served == [[wide], [single], []]
        assert [job.gpus_held for job in (wide, single)] == [2, 1]
        assert "project GPU limit 3 reached" in _view(session, next_one).blocked_by[0]


def test_idle_slots_are_kept_for_a_job_that_needs_more_of_them(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session).id
        wide = make_job(session, dataset, resources={"gpus": 2, "device": "cpu"})
        small = make_job(session, dataset)

        served = [_claim(session, agent, room=Room(idle, most=2)) for idle in (1, 2, 1)]

        assert served == [[], [wide], [small]]
        assert wide.gpus_held == 0


def test_a_host_that_is_too_small_for_a_job_passes_it_over(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session).id
        make_job(session, dataset, resources={"gpus": 2, "device": "cpu"})
        # Who asks for several GPUs is not content with processors.
        make_job(session, dataset, resources={"gpus": 2})
        small = make_job(session, dataset)

        served = [_claim(session, agent, room=room) for room in (Room(idle=1, most=1), Room(idle=1, most=1))]

        assert served == [[small], []]


def test_held_jobs_are_found_in_their_index_also_without_statistics(database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
        columns = [column.name for column in Job.__table__.columns if column.name != "id"]
        numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000)"
        copies = f"{numbers} SELECT id || n, {', '.join(columns)} FROM jobs CROSS JOIN numbers WHERE id = :id"
        placed = f"INSERT INTO jobs (id, {', '.join(columns)}) {copies}"
        session.execute(text(placed), {"id": job.id})

        (plan,) = _plans(database, session, lambda: admitted.loads(session))

        assert "ix_jobs_held" in plan


loads = st.builds(
    Load,
    project_id=st.uuids().map(str),
    running=st.just(0),
    slots=st.integers(0, 5),
    gpus=st.just(0),
    max_running_jobs=st.none(),
    max_running_gpus=st.none(),
    last_start=st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 1)),
    first_turn=st.floats(0, 1e9),
)


@given(st.lists(st.tuples(loads, st.integers(1, 6)), min_size=1, max_size=5, unique_by=lambda pair: pair[0].project_id))
def test_those_ahead_are_those_whom_taking_turns_serves_first(line: list[tuple[Load, int]]) -> None:
    """The count in closed form against the game itself, when nothing that runs ends meanwhile."""
    told = {
        (own.project_id, place): admission.ahead(own, place, [pair for pair in line if pair[0] is not own])
        for own, waiting in line
        for place in range(waiting)
    }

    order, served, game = [], {load.project_id: 0 for load, _ in line}, list(line)
    while left := [(load, waiting) for load, waiting in game if served[load.project_id] < waiting]:
        (first, *_) = admission.in_turn(load for load, _ in left)
        order.append((first.project_id, served[first.project_id]))
        served[first.project_id] += 1
        after = replace(first, slots=first.slots + 1, last_start=datetime(2027, 1, 1) + timedelta(seconds=len(order)))
        game = [(after if load is first else load, waiting) for load, waiting in game]

    assert sorted(told, key=lambda key: told[key]) == order


@given(st.integers(0, 50), st.integers(1, 8), st.floats(1, 1000))
def test_more_slots_and_fewer_ahead_never_mean_a_longer_wait(ahead: int, slots: int, job_s: float) -> None:
    pace = Pace(job_s, job_s)

    told = admission.eta_s(ahead, slots, slots, pace)

    assert told <= admission.eta_s(ahead + 1, slots, slots, pace)
    assert admission.eta_s(ahead, slots + 1, slots + 1, pace) <= told


def test_the_wait_of_what_fails_grows_to_a_bound() -> None:
    waits = [admission.back_off(failures) for failures in range(100)]

    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(), admission.LONGEST_BACK_OFF)
