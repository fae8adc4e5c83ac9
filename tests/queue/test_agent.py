"""The agent: whatever its children and its database do to it, no job is left held by nobody."""

import multiprocessing
import threading
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import pytest

from counterweight.contracts.messages import EpochDone
from service.domain.errors import LostClaim
from service.persistence import agents, events, jobs, queue
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Agent as AgentRow
from service.persistence.tables import Job
from tests.factories import make_agent, make_job
from workers.agent import Agent
from workers.devices import Slot
from workers.processes import TrainerProcess
from workers.trainings import Training

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _speak_and_die(connection: Connection, words: list[bytes]) -> None:
    for word in words:
        connection.send_bytes(word)


def _dead_trainer(words: list[bytes]) -> TrainerProcess:
    """A trainer that has said its words and is gone before anybody listened."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_speak_and_die, args=(theirs, words))
    process.start()
    theirs.close()
    process.join()
    return TrainerProcess(process, ours)


@pytest.fixture
def agent(database: Database, files: Files) -> Agent:
    agent = Agent(database, files, [Slot("cpu", 1)], "home", lease_s=30)
    agent._register()
    return agent


def _claimed(database: Database, agent: Agent) -> queue.Claim:
    with database.write() as session:
        make_job(session)
        claimed = queue.claim_cohort(session, agent._id, ("auto",), NOW)
        assert claimed is not None
        return claimed.claims[0]


def _epoch(job_id: str) -> bytes:
    return EpochDone(job_id=job_id, epoch=1, epochs=9, step=5, time=1.0, values={"train/loss": 0.5}).model_dump_json().encode()


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_trainer_that_dies_right_after_it_spoke_counts_a_crash(database: Database, agent: Agent, epochs: int) -> None:
    claim = _claimed(database, agent)
    training = Training({claim.id: claim}, 1, 0, _dead_trainer([_epoch(claim.id)] * epochs))
    agent._trainings.append(training)

    agent._hear_training(training)

    with database.read() as session:
        job = session.get_one(Job, claim.id)
        assert (job.state, job.crashes) == ("queued", 1)
    assert agent._trainings == []


def test_a_trainer_that_sends_what_is_no_message_counts_a_crash(database: Database, agent: Agent) -> None:
    claim = _claimed(database, agent)
    training = Training({claim.id: claim}, 1, 0, _dead_trainer([b'{"kind": "succeeded"}']))
    agent._trainings.append(training)

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
    agent = Agent(database, files, [], "home", lease_s=30)
    agent.stop()

    runner = threading.Thread(target=agent.run)
    runner.start()
    runner.join(timeout=60)

    assert not runner.is_alive()


def _listen_for_ever(connection: Connection) -> None:
    while True:
        connection.recv_bytes()


def test_a_trainer_that_does_not_stop_when_told_is_ended(database: Database, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.agent.CANCEL_PATIENCE_S", 0.0)
    claim = _claimed(database, agent)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_listen_for_ever, args=(theirs,))
    process.start()
    agent._trainings.append(Training({claim.id: claim}, 1, 0, TrainerProcess(process, ours)))
    with database.write() as session:
        events.move_job(session, session.get_one(Job, claim.id), "cancelling", "cancelled by its owner", NOW)

    agent._pass_on_cancels()
    agent._pass_on_cancels()

    with database.read() as session:
        assert session.get_one(Job, claim.id).state == "cancelled"
    assert agent._trainings == []


@pytest.mark.parametrize(("has_worker", "obstacles"), [(False, [jobs.NO_WORKER]), (True, [])])
def test_a_queued_job_says_when_no_worker_is_connected(database: Database, has_worker: bool, obstacles: list[str]) -> None:
    with database.write() as session:
        job = make_job(session)
        if has_worker:
            make_agent(session, beat_at=NOW)
        found = jobs.get(session, job.project_id, job.id)

        (view,) = jobs.views(session, [found], NOW)

        assert view.queue.blocked_by == obstacles
