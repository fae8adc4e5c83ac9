"""The agent and its comparisons: whatever a comparison does, its study is not left held by nobody."""

import multiprocessing
from multiprocessing.connection import Connection

import pytest

from counterweight.contracts.messages import Compared, ComparisonRefused
from counterweight.contracts.studies import StudyResults
from service.persistence import comparing
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Study
from tests.factories import end_jobs, make_study
from workers.agent import Agent
from workers.backends.local import LocalBackend
from workers.chores import Comparing
from workers.devices import Slot
from workers.processes import Child, HostProcess


@pytest.fixture
def agent(database: Database, files: Files) -> Agent:
    agent = Agent(database, files, LocalBackend(), [Slot("cpu", 1)], "home", lease_s=30)
    agent._register()
    return agent


def _speak_and_die(connection: Connection, words: list[bytes]) -> None:
    for word in words:
        connection.send_bytes(word)


def _dead_comparison(words: list[bytes]) -> Child:
    """A comparison that has said its words and is gone."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_speak_and_die, args=(theirs, words))
    process.start()
    theirs.close()
    process.join()
    return Child(HostProcess(process), ours)


def _comparing(database: Database, files: Files, agent: Agent, words: list[bytes]) -> Comparing:
    """A study whose comparison has said its words and died, as the agent holds it."""
    with database.write() as session:
        end_jobs(session, make_study(session), ["succeeded"] * 4)
        claimed = comparing.claim_study(session, agent._id, files)
        assert claimed is not None
    one = Comparing(claimed[0], _dead_comparison(words))
    agent._chores.append(one)
    return one


@pytest.mark.parametrize(
    ("words", "state", "crashes"),
    [
        ([], "running", 1),
        ([b'{"kind": "compared"}'], "running", 1),
        ([ComparisonRefused(detail="other rows").model_dump_json().encode()], "failed", 0),
        ([Compared(results=StudyResults(leaderboard=[], comparisons=[], verdict=None)).model_dump_json().encode()], "succeeded", 0),
    ],
)
def test_what_a_comparison_says_before_it_ends_is_what_counts(
    database: Database, files: Files, agent: Agent, words: list[bytes], state: str, crashes: int
) -> None:
    one = _comparing(database, files, agent, words)

    agent._hear_chore(one)

    with database.read() as session:
        study = session.get_one(Study, one.claim.id)
        assert (study.state, study.crashes, study.agent_id) == (state, crashes, None)
    assert agent._chores == []


def test_a_study_to_be_compared_is_started_once(database: Database, agent: Agent) -> None:
    with database.write() as session:
        study = make_study(session)
        end_jobs(session, study, ["succeeded"] * 4)

    for _ in range(2):
        agent._claim_what_fits()

    assert [chore.claim.id for chore in agent._chores] == [study.id]
    agent._end_children()
    assert agent._chores == []
