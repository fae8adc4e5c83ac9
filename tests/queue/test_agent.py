"""The agent: whatever its children and its database do to it, no job is left held by nobody."""

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection

import pytest

from counterweight.contracts.base import View
from counterweight.contracts.jobs import Progress
from counterweight.contracts.messages import Cancelled, EpochDone, Failed, Split, TrainerTask
from service.domain.admission import FIRST_BACK_OFF
from service.domain.errors import LostClaim
from service.persistence import agents, attempts, events, jobs, line, queue, workers
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Agent as AgentRow
from service.persistence.tables import Job
from tests.factories import make_agent, make_dataset, make_job
from workers.agent import Agent
from workers.backends.local import LocalBackend
from workers.devices import Slot
from workers.processes import End, HostProcess, TrainerProcess
from workers.trainings import Training

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _speak_and_die(connection: Connection, words: list[bytes]) -> None:
    for word in words:
        connection.send_bytes(word)


def _speak_and_live(connection: Connection, words: list[bytes]) -> None:
    for word in words:
        connection.send_bytes(word)
    with contextlib.suppress(EOFError):
        while True:
            connection.recv_bytes()


def _living_trainer(words: list[bytes]) -> TrainerProcess:
    """A trainer that has said its words, and stops for nothing."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_speak_and_live, args=(theirs, words), daemon=True)
    process.start()
    theirs.close()
    if words:
        ours.poll(60)
    return TrainerProcess(HostProcess(process), ours)


def _dead_trainer(words: list[bytes]) -> TrainerProcess:
    """A trainer that has said its words and is gone before anybody listened."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_speak_and_die, args=(theirs, words))
    process.start()
    theirs.close()
    process.join()
    return TrainerProcess(HostProcess(process), ours)


@pytest.fixture
def agent(database: Database, files: Files) -> Agent:
    agent = Agent(database, files, LocalBackend(), [Slot("cpu", 1)], "home", lease_s=30)
    agent._register()
    return agent


def _claimed(database: Database, agent: Agent) -> queue.Claim:
    with database.write() as session:
        make_job(session)
        claimed = queue.claim_cohort(session, agent._id, ("auto",), NOW)
        assert claimed is not None
        return claimed.claims[0]


def _claimed_together(database: Database, agent: Agent, size: int) -> list[queue.Claim]:
    with database.write() as session:
        dataset = make_dataset(session)
        for _ in range(size):
            make_job(session, dataset)
        cohort = queue.claim_cohort(session, agent._id, ("auto",), NOW, lambda _spec, _dataset: size)
        assert cohort is not None
        return cohort.claims


def _train(agent: Agent, claims: list[queue.Claim], process: TrainerProcess) -> Training:
    training = Training({claim.id: claim for claim in claims}, len(claims), (0,), process)
    agent._trainings.append(training)
    return training


def _states(database: Database, claims: list[queue.Claim]) -> list[tuple[str, int, int | None]]:
    """State, crashes and limit of each job."""
    with database.read() as session:
        jobs = [session.get_one(Job, claim.id) for claim in claims]
        return [(job.state, job.crashes, job.cohort_limit) for job in jobs]


def _said(message: View) -> bytes:
    return message.model_dump_json().encode()


class _Body:
    """What a trainer lives in that does nothing."""

    def how_it_ended(self) -> End:
        return End("")

    def kill(self) -> None:
        """There is nothing to end."""


class _Elsewhere:
    """A backend whose trainers say nothing, and which may be blocked; `tasks` are what they were given."""

    def __init__(self) -> None:
        self.tasks: list[TrainerTask] = []
        self.blocked_by: str | None = None

    def warm_up(self) -> None: ...

    def obstacle(self) -> str | None:
        return self.blocked_by

    def start(self, task: TrainerTask, claims: Sequence[queue.Claim]) -> TrainerProcess:
        self.tasks.append(task)
        return TrainerProcess(_Body(), multiprocessing.Pipe()[0])

    def close(self) -> None: ...


def test_a_job_of_two_slots_gets_them_when_both_are_idle(database: Database, files: Files) -> None:
    backend = _Elsewhere()
    agent = Agent(database, files, backend, [Slot("cpu", 1)] * 3, "home", lease_s=30, max_cohort=1)
    agent._register()
    with database.write() as session:
        dataset = make_dataset(session)
        dataset.table_path, dataset.table_sha256 = "table", "digest"
        for gpus in (1, 1, 2, 1):
            make_job(session, dataset, resources={"device": "cpu", "gpus": gpus})

    agent._claim_what_fits()
    # Now one slot is idle, and kept for the third job.
    assert [training.slots for training in agent._trainings] == [[0], [1]]
    agent._end_training(agent._trainings[0])
    agent._claim_what_fits()

    assert [training.slots for training in agent._trainings] == [[1], [0, 2]]
    assert [task.rank_devices for task in backend.tasks] == [[], [], ["cpu", "cpu"]]


def test_what_blocks_a_backend_keeps_jobs_waiting_and_is_told(database: Database, files: Files) -> None:
    backend = _Elsewhere()
    agent = Agent(database, files, backend, [Slot("cpu", 1)], "home", lease_s=30)
    agent._register()
    with database.write() as session:
        dataset = make_dataset(session)
        dataset.table_path, dataset.table_sha256 = "table", "digest"
        job = make_job(session, dataset)

    told = []
    for backend.blocked_by in ("the cluster does not answer", None):
        agent._claim_what_fits()
        with database.read() as session:
            (view,) = jobs.views(session, [jobs.get(session, job.project_id, job.id)], datetime.now(UTC))
            (worker,) = workers.views(session, job.project_id, workers.page(session, None, 2), datetime.now(UTC))
        told.append((view.state, worker.state, worker.blocked_by, view.queue and view.queue.blocked_by))

    assert told == [
        ("queued", "blocked", "the cluster does not answer", ["no worker can start it: the cluster does not answer"]),
        ("running", "ready", None, []),
    ]


def _epoch(job_id: str) -> bytes:
    return EpochDone(job_id=job_id, epoch=1, epochs=9, step=5, time=1.0, values={"train/loss": 0.5}).model_dump_json().encode()


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_trainer_that_dies_right_after_it_spoke_counts_a_crash(database: Database, agent: Agent, epochs: int) -> None:
    claim = _claimed(database, agent)
    training = _train(agent, [claim], _dead_trainer([_epoch(claim.id)] * epochs))

    agent._hear_training(training)

    with database.read() as session:
        job = session.get_one(Job, claim.id)
        assert (job.state, job.crashes) == ("queued", 1)
    assert agent._trainings == []


def test_a_trainer_that_sends_what_is_no_message_counts_a_crash(database: Database, agent: Agent) -> None:
    claim = _claimed(database, agent)
    training = _train(agent, [claim], _dead_trainer([b'{"kind": "succeeded"}']))

    agent._hear_training(training)

    with database.read() as session:
        assert session.get_one(Job, claim.id).crashes == 1


def test_what_the_agent_holds_without_knowing_is_given_back(database: Database, agent: Agent) -> None:
    claim = _claimed(database, agent)

    agent._give_back_strays()

    with database.read() as session:
        assert session.get_one(Job, claim.id).state == "queued"


def test_an_agent_declared_lost_claims_nothing(database: Database, agent: Agent) -> None:
    with database.write() as session:
        job_id = make_job(session).id
        agents.retire(session, agent._id, "lost", NOW)

    with pytest.raises(LostClaim), database.write() as session:
        queue.claim_cohort(session, agent._id, ("auto",), NOW)
    agent._claim_what_fits()

    with database.read() as session:
        assert session.get_one(Job, job_id).state == "queued"


def test_an_earlier_attempt_never_removes_a_later_ones_files(files: Files) -> None:
    later = files.make_attempt_folder("datasets/ds_1", 3)
    (later / "table.parquet").write_bytes(b"PAR1")

    files.make_attempt_folder("datasets/ds_1", 1)

    assert (later / "table.parquet").exists()


def test_a_new_attempt_removes_what_earlier_ones_left(files: Files) -> None:
    earlier = files.make_attempt_folder("jobs/job_1", 1)

    files.make_attempt_folder("jobs/job_1", 2)

    assert not earlier.exists()


def test_an_agent_whose_predecessor_died_takes_its_work_back_at_once(database: Database, agent: Agent) -> None:
    with database.write() as session:
        row = AgentRow(id="agt_dead", home_id="home", host="h", devices=[], beat=0, beat_at=NOW, started_at=NOW)
        agents.register(session, row)
        session.flush()
        job_id = make_job(session).id
        assert queue.claim_cohort(session, "agt_dead", ("auto",), NOW) is not None

    agent._take_over_home()

    with database.read() as session:
        assert session.get_one(Job, job_id).state == "queued"


def test_stop_before_run_ends_at_once(database: Database, files: Files) -> None:
    agent = Agent(database, files, LocalBackend(), [], "home", lease_s=30)
    agent.stop()

    runner = threading.Thread(target=agent.run)
    runner.start()
    runner.join(timeout=60)

    assert not runner.is_alive()


def test_a_trainer_that_does_not_stop_when_told_is_ended(database: Database, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.agent.STOP_PATIENCE_S", 0.0)
    claim = _claimed(database, agent)
    _train(agent, [claim], _living_trainer([]))
    with database.write() as session:
        events.move_job(session, session.get_one(Job, claim.id), "cancelling", "cancelled by its owner", NOW)

    agent._pass_on_stops()
    agent._pass_on_stops()

    with database.read() as session:
        assert session.get_one(Job, claim.id).state == "cancelled"
    assert agent._trainings == []


def test_a_trainer_of_several_that_dies_counts_no_crash_and_they_go_back_in_halves(database: Database, agent: Agent) -> None:
    claims = _claimed_together(database, agent, 4)
    failed = Failed(job_id=claims[0].id, failure_class="diverged", detail="the loss was not finite")
    training = _train(agent, claims, _dead_trainer([_epoch(claims[1].id), _said(failed)]))

    agent._hear_training(training)

    assert _states(database, claims) == [("failed", 0, None), *[("queued", 0, 2)] * 3]
    assert agent._trainings == []


def test_what_is_too_large_together_is_tried_again_in_halves(database: Database, agent: Agent) -> None:
    claims = _claimed_together(database, agent, 3)
    training = _train(agent, claims, _dead_trainer([_said(Split(job_id=claim.id, detail="too little memory")) for claim in claims]))

    agent._hear_training(training)

    assert _states(database, claims) == [("queued", 0, 1)] * 3
    with database.read() as session:
        assert "too little memory; it was one of 3 jobs trained together" in (session.get_one(Job, claims[0].id).state_reason or "")


def test_a_member_that_ends_is_given_up_while_the_others_go_on(database: Database, agent: Agent) -> None:
    claims = _claimed_together(database, agent, 3)
    failed = _said(Failed(job_id=claims[1].id, failure_class="diverged", detail="the loss was not finite"))
    training = _train(agent, claims, _living_trainer([failed]))

    agent._hear_training(training)
    agent._give_back_strays()

    assert [state for state, _, _ in _states(database, claims)] == ["running", "failed", "running"]
    assert list(training.claims) == [claims[0].id, claims[2].id]
    agent._end_children()


def test_a_claim_that_was_lost_takes_no_others_report_with_it(database: Database, agent: Agent) -> None:
    claims = _claimed_together(database, agent, 2)
    with database.write() as session:
        attempts.requeue(session, session.get_one(Job, claims[0].id), "lost", None, NOW)
    training = _train(agent, claims, _living_trainer([_epoch(claims[0].id), _epoch(claims[1].id)]))

    while len(training.claims) == 2 or not _progress(database, claims[1]):
        agent._hear_training(training)

    assert list(training.claims) == [claims[1].id]
    assert _progress(database, claims[0]) is None
    agent._end_children()


def _progress(database: Database, claim: queue.Claim) -> Progress | None:
    with database.read() as session:
        return session.get_one(Job, claim.id).progress


def test_what_a_trainer_says_of_jobs_it_was_not_given_is_not_heard(database: Database, agent: Agent) -> None:
    mine, other = (_claimed(database, agent) for _ in range(2))
    failures = [Failed(job_id=claim.id, failure_class="diverged", detail="the loss was not finite") for claim in (other, mine, mine)]
    training = _train(agent, [mine], _dead_trainer([_said(failure) for failure in failures]))

    agent._hear_training(training)

    assert [state for state, _, _ in _states(database, [mine, other])] == ["failed", "running"]


@pytest.mark.parametrize("word", [Cancelled(job_id=""), Split(job_id="", detail="too little memory")])
def test_a_trainer_that_gives_a_job_up_unasked_has_crashed(database: Database, agent: Agent, word: Cancelled | Split) -> None:
    claim = _claimed(database, agent)
    training = _train(agent, [claim], _dead_trainer([_said(word.model_copy(update={"job_id": claim.id}))]))

    agent._hear_training(training)

    assert _states(database, [claim]) == [("queued", 1, 1)]


def test_a_member_that_does_not_stop_when_told_is_left_and_the_others_go_on(
    database: Database, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.agent.STOP_PATIENCE_S", 0.0)
    claims = _claimed_together(database, agent, 2)
    training = _train(agent, claims, _living_trainer([]))
    with database.write() as session:
        events.move_job(session, session.get_one(Job, claims[0].id), "cancelling", "cancelled by its owner", NOW)

    agent._pass_on_stops()
    agent._pass_on_stops()

    assert [state for state, _, _ in _states(database, claims)] == ["cancelled", "running"]
    assert list(training.claims) == [claims[1].id]
    assert agent._trainings == [training]
    agent._end_children()


def test_a_worker_looks_again_when_the_first_that_waits_may_be_tried_again(database: Database, agent: Agent) -> None:
    with database.write() as session:
        job, now = make_job(session), datetime.now(UTC)
        assert queue.claim_cohort(session, agent._id, ("auto",), now) is not None
        attempts.crash(session, job, 1, "its process ended", now + timedelta(minutes=1))
    agent._look_at = time.monotonic() + 1000

    agent._claim_what_fits()

    assert 30 < agent._look_at - time.monotonic() <= 60 + FIRST_BACK_OFF.total_seconds()


@pytest.mark.parametrize(("has_worker", "obstacles"), [(False, [line.NO_WORKER]), (True, [])])
def test_a_queued_job_says_when_no_worker_is_connected(database: Database, has_worker: bool, obstacles: list[str]) -> None:
    with database.write() as session:
        job = make_job(session)
        if has_worker:
            make_agent(session, beat_at=NOW)
        found = jobs.get(session, job.project_id, job.id)

        (view,) = jobs.views(session, [found], NOW)

        assert view.queue.blocked_by == obstacles
