"""What a trainer reports is written once, however often it is written."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import event, select

from counterweight.contracts.jobs import Environment, Position, Resolved
from counterweight.contracts.learners import Linear
from counterweight.contracts.messages import REFIT_SERIES, Checkpointed, EpochDone, Failed, PhaseChanged, Resumed, StoredFile
from service.persistence import agents, attempts, queue, recording
from service.persistence.database import Database
from service.persistence.tables import Agent, Attempt, Job, MetricPoint, Series
from tests.factories import make_agent, make_dataset, make_job

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _claimed(database: Database) -> queue.Claim:
    with database.write() as session:
        make_job(session)
        agents.register(session, Agent(id="agt_1", home_id="h", host="h", devices=[], beat=0, beat_at=NOW, started_at=NOW))
        session.flush()
        claimed = queue.claim_cohort(session, "agt_1", ("auto",), NOW)
        assert claimed is not None
        return claimed.claims[0]


def _epoch(job_id: str, epoch: int, loss: float) -> EpochDone:
    return EpochDone(job_id=job_id, epoch=epoch, epochs=10, step=epoch * 5, time=float(epoch), values={"train/loss": loss})


def test_writing_the_same_points_three_times_keeps_each_once(database: Database) -> None:
    claim = _claimed(database)
    reports: list[recording.TrainerReport] = [_epoch(claim.id, epoch, 1 / epoch) for epoch in (1, 2, 3)]

    for _ in range(3):
        with database.write() as session:
            recording.record_jobs(session, {claim: reports}, 1, NOW)

    with database.read() as session:
        assert list(session.scalars(select(MetricPoint.step).order_by(MetricPoint.step))) == [5, 10, 15]


def test_latest_and_best_are_kept_apart(database: Database) -> None:
    claim = _claimed(database)

    with database.write() as session:
        recording.record_jobs(session, {claim: [_epoch(claim.id, 1, 0.5), _epoch(claim.id, 2, 0.2), _epoch(claim.id, 3, 0.4)]}, 1, NOW)

    with database.read() as session:
        series = session.scalars(select(Series)).one()
        assert (series.value, series.best, series.best_epoch, series.goal) == (0.4, 0.2, 2, "min")


def test_the_ledger_tells_in_which_attempt_batches_were_taken_in_parts(database: Database) -> None:
    claim = _claimed(database)
    environment = Environment(python="3.11", torch="2", device_name="a processor", threads=1)
    whole = Resolved(learner=Linear(), device="cpu", precision="float32", cohort_size=1, environment=environment)

    for micro_batch in (None, 64, 32):
        resolved = whole.model_copy(update={"micro_batch": micro_batch})
        with database.write() as session:
            recording.record_jobs(session, {claim: [PhaseChanged(job_id=claim.id, phase="training", resolved=resolved)]}, 1, NOW)

    with database.write() as session:
        attempts.crash(session, queue.lock(session, Job, claim), 1, "its process ended", NOW)
        queue.claim_cohort(session, "agt_1", ("auto",), NOW + timedelta(days=1))
        assert list(session.scalars(select(Attempt.micro_batch).order_by(Attempt.number))) == [32, None]


def test_the_ledger_tells_between_which_steps_an_attempt_trained_and_what_of_it_is_kept(database: Database) -> None:
    claim = _claimed(database)

    def told(number: int, *messages: recording.TrainerReport) -> list[Position | None]:
        with database.write() as session:
            held = session.get_one(Job, claim.id)
            recording.record_jobs(session, {queue.Claim(held.id, "agt_1", held.fence): messages}, 1, NOW)
        with database.read() as session:
            attempt = session.get_one(Attempt, (claim.id, number))
            return [attempt.began, attempt.reached, attempt.kept]

    def checkpoint(step: int, *, is_refit: bool = False) -> Checkpointed:
        name = f"{is_refit}.{step}.safetensors"
        file = StoredFile(name=name, path=name, bytes=1, sha256="0" * 64)
        return Checkpointed(job_ids=[claim.id], file=file, step=step, is_refit=is_refit)

    def claimed_again() -> None:
        with database.write() as session:
            attempts.lose(session, session.get_one(Job, claim.id), "its worker was lost", NOW)
            assert queue.claim_cohort(session, "agt_1", ("auto",), NOW + timedelta(days=1)) is not None

    refitted = EpochDone(job_id=claim.id, epoch=1, epochs=10, step=4, time=9.0, values={REFIT_SERIES: 0.5})
    assert told(1) == [Position(step=0), None, None]
    assert told(1, _epoch(claim.id, 2, 0.5)) == [Position(step=0), Position(step=10), None]
    assert told(1, checkpoint(12), checkpoint(14)) == [Position(step=0), Position(step=14), Position(step=14)]
    claimed_again()
    assert told(2, Resumed(job_id=claim.id, checkpoint_id=None)) == [Position(step=0), None, None]
    assert told(2, checkpoint(3), _epoch(claim.id, 1, 0.5)) == [Position(step=0), Position(step=5), Position(step=3)]
    refit = [Position(step=0), Position(step=4, is_refit=True), Position(step=2, is_refit=True)]
    assert told(2, checkpoint(2, is_refit=True), refitted) == refit
    claimed_again()
    assert told(3) == [Position(step=2, is_refit=True), None, None]


def test_a_report_under_an_old_fence_writes_nothing(database: Database) -> None:
    claim = _claimed(database)
    with database.write() as session:
        agents.retire(session, "agt_1", "lost", NOW)

    with database.write() as session:
        lost = recording.record_jobs(session, {claim: [_epoch(claim.id, 1, 0.5)]}, 1, NOW)

    assert lost == [claim.id]
    with database.read() as session:
        assert session.scalars(select(MetricPoint)).all() == []


def test_a_new_claim_begins_the_history_anew(database: Database) -> None:
    claim = _claimed(database)
    with database.write() as session:
        recording.record_jobs(session, {claim: [_epoch(claim.id, 1, 0.5)]}, 1, NOW)
        attempts.crash(session, queue.lock(session, Job, claim), 1, "its process ended", NOW)

        queue.claim_cohort(session, "agt_1", ("auto",), NOW + timedelta(days=1))

        assert session.scalars(select(MetricPoint)).all() == []
        assert session.scalars(select(Series)).all() == []


def test_what_is_said_of_ten_jobs_takes_as_many_statements_as_of_two(database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session).id
        for _ in range(12):
            make_job(session, dataset)
        few, many = (queue.claim_cohort(session, agent, ("auto",), NOW, lambda *_, most=most: most) for most in (2, 10))
        assert few is not None
        assert many is not None

    # The second time, when all rows are there and none is added.
    counted = [[_statements(database, cohort.claims) for _ in range(2)][1] for cohort in (few, many)]

    assert counted[0] == counted[1]


def _statements(database: Database, claims: list[queue.Claim]) -> int:
    said: list[str] = []
    listen = database.writer, "before_cursor_execute", lambda *call: said.append(call[2])
    event.listen(*listen)
    with database.write() as session:
        lost = recording.record_jobs(session, {claim: [_epoch(claim.id, 1, 0.5)] for claim in claims}, len(claims), NOW)
    event.remove(*listen)
    assert lost == []
    return len(said)


def test_a_failure_ends_the_job_with_its_reason(database: Database) -> None:
    claim = _claimed(database)
    failure = Failed(job_id=claim.id, failure_class="diverged", detail="the loss was not finite at step 7", hint="a smaller learning_rate")

    with database.write() as session:
        recording.record_jobs(session, {claim: [failure]}, 1, NOW)

    with database.read() as session:
        job = session.get_one(Job, claim.id)
        assert job.state == "failed"
        assert job.error is not None
        assert (job.error.failure_class, job.error.hint) == ("diverged", "a smaller learning_rate")


def test_the_loss_that_was_trained_with_takes_the_place_of_the_one_estimated(database: Database) -> None:
    claim = _claimed(database)
    with database.read() as session:
        estimated = session.get_one(Job, claim.id).loss
    true = estimated.model_copy(update={"notes": ["counted, not estimated"], "initial_loss": 0.25})

    with database.write() as session:
        recording.record_jobs(session, {claim: [PhaseChanged(job_id=claim.id, phase="training", loss=true)]}, 1, NOW)

    with database.read() as session:
        assert session.get_one(Job, claim.id).loss == true
