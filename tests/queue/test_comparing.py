"""Comparing a study's arms is claimed, fenced, tried again and given up like all work of agents."""

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from counterweight.contracts.artifacts import PREDICTIONS_FILE
from counterweight.contracts.jobs import JobState
from counterweight.contracts.studies import LeaderboardRow, StudyResults
from service.domain.errors import LostClaim
from service.persistence import agents, comparing, events, queue, studies
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import DEFAULT_PROJECT, Agent, Artifact, FinalMetric, Job, Study
from tests.factories import end_jobs, make_agent, make_study

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _trained(database: Database, *states: JobState) -> Study:
    """A study of two arms and two seeds whose jobs have ended so, the first seed's first; all succeeded unless told."""
    with database.write() as session:
        study = make_study(session)
        for job in end_jobs(session, study, states or ("succeeded",) * 4):
            if job.state == "succeeded":
                session.add(Artifact(job_id=job.id, name=PREDICTIONS_FILE, path=f"jobs/{job.id}/1/p.parquet", bytes=1, sha256="0"))
                session.add(FinalMetric(job_id=job.id, name="test/ece", value=0.1))
        return study


def _agent(database: Database) -> Agent:
    with database.write() as session:
        return make_agent(session)


def _claim(database: Database, files: Files, agent: Agent) -> queue.Claim | None:
    with database.write() as session:
        claimed = comparing.claim_study(session, agent.id, files)
        return None if claimed is None else claimed[0]


def _claimed(database: Database, files: Files, agent: Agent) -> queue.Claim:
    claim = _claim(database, files, agent)
    assert claim is not None
    return claim


def _results(study: Study) -> StudyResults:
    row = LeaderboardRow(
        **dict(study.arms[0]),
        **dict.fromkeys(("mean", "sd", "low", "high", "minority_recall", "ece", "rank"), None),
        runs=2,
        job_ids=[],
    )
    return StudyResults(leaderboard=[row], comparisons=[], verdict=None)


def _state(database: Database, study: Study) -> tuple[str, str | None, int]:
    with database.read() as session:
        row = session.get_one(Study, study.id)
        return row.state, row.error.code if row.error else None, row.crashes


def test_a_study_is_compared_once_its_last_job_has_ended(database: Database, files: Files) -> None:
    agent = _agent(database)
    with database.write() as session:
        study = make_study(session)
        end_jobs(session, study, ["succeeded"] * 3)
    early = _claim(database, files, agent)
    with database.write() as session:
        end_jobs(session, study, ["failed"])

    claim = _claimed(database, files, agent)

    assert early is None
    assert (claim.id, claim.fence) == (study.id, 1)
    assert _claim(database, files, agent) is None


def test_the_task_holds_every_run_that_succeeded(database: Database, files: Files) -> None:
    study, agent = _trained(database, "succeeded", "failed", "succeeded", "succeeded"), _agent(database)

    with database.write() as session:
        claimed = comparing.claim_study(session, agent.id, files)

    assert claimed is not None
    task = claimed[1]
    assert [(run.arm, run.place, run.ece) for run in task.runs] == [(0, 0, 0.1), (0, 1, 0.1), (1, 1, 0.1)]
    assert all(run.predictions.startswith(str(files.folder)) for run in task.runs)
    assert (task.classes, task.positive, task.rarest, task.metric, task.goal) == (["good", "bad"], 1, 1, "average_precision", "max")
    assert [len(ids) for ids in task.job_ids] == [2, 2]
    assert [arm.arm for arm in task.arms] == [arm.arm for arm in study.arms]


def test_what_was_found_ends_the_study(database: Database, files: Files) -> None:
    study, agent = _trained(database), _agent(database)
    claim = _claimed(database, files, agent)

    with database.write() as session:
        comparing.record(session, claim, _results(study), NOW)

    assert _state(database, study) == ("succeeded", None, 0)
    with database.read() as session:
        view = studies.view(session, studies.get(session, DEFAULT_PROJECT, study.id))
    assert (view.phase, view.is_terminal, view.leaderboard, view.finished_at) == ("over", True, _results(study).leaderboard, NOW)


def test_an_arm_with_too_few_runs_fails_the_study_which_keeps_what_was_found(database: Database, files: Files) -> None:
    study, agent = _trained(database, "succeeded", "failed", "succeeded", "succeeded"), _agent(database)
    claim = _claimed(database, files, agent)

    with database.write() as session:
        comparing.record(session, claim, _results(study), NOW)

    assert _state(database, study) == ("failed", "too_few_runs", 0)
    with database.read() as session:
        row = session.get_one(Study, study.id)
        assert row.error is not None
        assert "focal" in row.error.detail
        assert row.results == _results(study)


def test_a_late_result_of_a_lost_agent_changes_nothing(database: Database, files: Files) -> None:
    study, lost, living = _trained(database), _agent(database), _agent(database)
    old = _claimed(database, files, lost)
    with database.write() as session:
        returned = agents.retire(session, lost.id, "lost", NOW)
    new = _claimed(database, files, living)

    with pytest.raises(LostClaim), database.write() as session:
        comparing.record(session, old, _results(study), NOW)

    assert (returned, new.fence > old.fence) == ([study.id], True)
    assert _state(database, study)[0] == "running"


def test_a_comparison_that_dies_is_tried_again_a_few_times(database: Database, files: Files) -> None:
    study, agent = _trained(database), _agent(database)
    states = []

    for _ in range(comparing.MAX_CRASHES):
        claim = _claimed(database, files, agent)
        with database.write() as session:
            comparing.crash(session, queue.lock(session, Study, claim), "its process was killed by signal 9 (SIGKILL)", NOW)
        states.append(_state(database, study))

    assert states == [("running", None, 1), ("running", None, 2), ("failed", "comparison_failed", 3)]


def test_a_study_that_is_cancelled_while_compared_takes_no_result(database: Database, files: Files) -> None:
    study, agent = _trained(database), _agent(database)
    claim = _claimed(database, files, agent)
    with database.write() as session:
        studies.cancel(session, DEFAULT_PROJECT, study.id, NOW)

    with pytest.raises(LostClaim), database.write() as session:
        comparing.record(session, claim, _results(study), NOW)

    assert _state(database, study)[0] == "cancelled"


def test_a_study_held_without_knowing_is_given_back(database: Database, files: Files) -> None:
    study, agent = _trained(database), _agent(database)
    _claimed(database, files, agent)

    with database.write() as session:
        held = agents.held(session, agent.id)
        returned = agents.give_back_strays(session, agent.id, {"job_of_mine"}, NOW)

    assert (held, returned) == ({study.id}, [study.id])
    assert _claim(database, files, agent) is not None


def test_an_agent_declared_lost_claims_no_study(database: Database, files: Files) -> None:
    _trained(database)
    agent = _agent(database)
    with database.write() as session:
        agents.retire(session, agent.id, "lost", NOW)

    with pytest.raises(LostClaim):
        _claim(database, files, agent)


def test_of_two_last_jobs_that_end_at_the_same_moment_one_sees_that_it_is_the_last(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite lets one writer in at a time")
    with database.write() as session:
        study = make_study(session, seeds=(0, 1), losses=({"kind": "focal"},))
        jobs = [job.id for job in end_jobs(session, study, ["running", "running"])]

    def end(job_id: str, ready: threading.Barrier) -> None:
        with database.write() as session:
            job = session.scalars(select(Job).where(Job.id == job_id).with_for_update()).one()
            ready.wait(timeout=30)
            events.move_job(session, job, "succeeded", "trained", NOW)

    ready = threading.Barrier(2)
    threads = [threading.Thread(target=end, args=(job_id, ready)) for job_id in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.read() as session:
        assert session.get_one(Study, study.id).trained_at is not None
