"""The tables of the record."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from counterweight.contracts.datasets import ClassShare, Column, DatasetFormat, DatasetKind, DatasetOptions, DatasetState
from counterweight.contracts.evaluation import Evaluation
from counterweight.contracts.jobs import JobState, LogLevel, Phase, Position, Progress, Resolved, ResolvedSpec
from counterweight.contracts.loss_resolution import ResolvedLoss
from counterweight.contracts.problems import JobProblem, Problem
from counterweight.contracts.splits import Part
from counterweight.contracts.studies import Arm, StudyMetric, StudyResults, StudySpec, StudyState
from counterweight.contracts.workers import WorkerSlot
from service.domain import lifecycle
from service.persistence.types import Moment, Serial, Stored

DEFAULT_PROJECT = "prj_default"

HELD = sorted(lifecycle.HELD)


class Table(DeclarativeBase):
    """Base of all tables; every constraint has a name, so that migrations can speak of it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Moment(), dict[str, str]: Stored(dict[str, str]), str: String(), float: Float(), int: Integer()}


def _partial(name: str, *columns: str, where: str) -> Index:
    """Return an index over those rows alone that meet a condition."""
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))


class Project(Table):
    """Whom datasets and jobs belong to."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]
    # How much of it may run at once; None leaves it to its fair share.
    max_running_jobs: Mapped[int | None]
    max_running_gpus: Mapped[int | None]


class ApiKey(Table):
    """A bearer key; only its SHA-256 is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    scope: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotentAnswer(Table):
    """What a POST with an idempotency key was answered, to be given again to its repeats."""

    __tablename__ = "idempotent_answers"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str]
    status: Mapped[int]
    location: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(index=True)


class Agent(Table):
    """A worker process. It is alive while `beat` moves; one that stops beating for a lease is lost."""

    __tablename__ = "agents"

    id: Mapped[str] = mapped_column(primary_key=True)
    home_id: Mapped[str] = mapped_column(index=True)
    host: Mapped[str]
    devices: Mapped[list[str]] = mapped_column(Stored(list[str]))
    slots: Mapped[list[WorkerSlot]] = mapped_column(Stored(list[WorkerSlot]), default=list)
    beat: Mapped[int] = mapped_column(BigInteger)
    beat_at: Mapped[datetime]
    started_at: Mapped[datetime]
    # From then on it takes no more work.
    draining_at: Mapped[datetime | None]
    # What keeps it from starting trainers, while something does.
    blocked_by: Mapped[str | None]
    stopped_at: Mapped[datetime | None]

    __table_args__ = (_partial("ix_agents_living", "id", where="stopped_at IS NULL"),)


class Leased:
    """Work an agent can hold: only the holder of the present `fence` may write to it."""

    agent_id: Mapped[str | None] = mapped_column(ForeignKey("agents.id"), index=True)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    crashes: Mapped[int] = mapped_column(default=0)


class Dataset(Leased, Table):
    """An uploaded file, and what reading it found."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    version: Mapped[int] = mapped_column(default=1)
    name: Mapped[str]
    labels: Mapped[dict[str, str]]
    state: Mapped[DatasetState] = mapped_column(String())
    error: Mapped[Problem | None] = mapped_column(Stored(Problem))
    sha256: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    source_path: Mapped[str]
    table_path: Mapped[str | None]
    table_sha256: Mapped[str | None]
    options: Mapped[DatasetOptions] = mapped_column(Stored(DatasetOptions))
    options_sha256: Mapped[str]
    format: Mapped[DatasetFormat | None] = mapped_column(String())
    kind: Mapped[DatasetKind | None] = mapped_column(String())
    image_size: Mapped[int | None]
    rows: Mapped[int | None] = mapped_column(BigInteger)
    columns: Mapped[list[Column]] = mapped_column(Stored(list[Column]))
    target: Mapped[str | None]
    positive_label: Mapped[str | None]
    classes: Mapped[list[ClassShare]] = mapped_column(Stored(list[ClassShare]))
    part_classes: Mapped[dict[str, dict[Part, dict[str, int]]]] = mapped_column(Stored(dict[str, dict[Part, dict[str, int]]]))
    notes: Mapped[list[str]] = mapped_column(Stored(list[str]))
    created_at: Mapped[datetime]
    created_by: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("project_id", "sha256", "options_sha256", name="uq_datasets_content"),
        Index("ix_datasets_project_newest", "project_id", "id"),
        _partial("ix_datasets_processing", "id", where="state = 'processing'"),
        CheckConstraint("state IN ('processing', 'ready', 'failed')", name="state"),
    )


class Study(Leased, Table):
    """Jobs that are compared with each other; when the last of them has ended, an agent claims the comparison.

    `trained_at` is when that was, and `counts` are the jobs by state as of then. `cancelled_at` is when its owner asked for its end.
    """

    __tablename__ = "studies"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    version: Mapped[int] = mapped_column(default=1)
    name: Mapped[str]
    labels: Mapped[dict[str, str]]
    spec: Mapped[StudySpec] = mapped_column(Stored(StudySpec))
    metric: Mapped[StudyMetric] = mapped_column(String())
    notes: Mapped[list[str]] = mapped_column(Stored(list[str]))
    arms: Mapped[list[Arm]] = mapped_column(Stored(list[Arm]))
    arm_count: Mapped[int]
    job_count: Mapped[int]
    state: Mapped[StudyState] = mapped_column(String())
    state_reason: Mapped[str | None]
    counts: Mapped[dict[JobState, int] | None] = mapped_column(Stored(dict[JobState, int]))
    results: Mapped[StudyResults | None] = mapped_column(Stored(StudyResults))
    error: Mapped[Problem | None] = mapped_column(Stored(Problem))
    created_at: Mapped[datetime]
    created_by: Mapped[str | None]
    cancelled_at: Mapped[datetime | None]
    trained_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    dataset: Mapped[Dataset] = relationship(lazy="raise")

    __table_args__ = (
        Index("ix_studies_project_newest", "project_id", "id"),
        _partial("ix_studies_comparing", "id", where="state = 'running' AND trained_at IS NOT NULL"),
        CheckConstraint("state IN ('running', 'paused', 'succeeded', 'failed', 'cancelled')", name="state"),
    )


class Job(Leased, Table):
    """A training job: also its own place in the queue."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str | None] = mapped_column(ForeignKey("agents.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    test_dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"))
    study_id: Mapped[str | None] = mapped_column(ForeignKey("studies.id"))
    # Which arm of the study, and which of the arm's runs: runs of equal place are compared with each other.
    study_arm: Mapped[int | None]
    study_place: Mapped[int | None]
    version: Mapped[int] = mapped_column(default=1)
    name: Mapped[str]
    labels: Mapped[dict[str, str]]
    spec: Mapped[ResolvedSpec] = mapped_column(Stored(ResolvedSpec))
    loss: Mapped[ResolvedLoss] = mapped_column(Stored(ResolvedLoss))
    loss_kind: Mapped[str]
    loss_gamma: Mapped[float | None]
    learner_kind: Mapped[str]
    device: Mapped[str] = mapped_column(default="auto")
    min_gpu_memory_gb: Mapped[float | None]
    # How many slots of one host it takes, each for a process of its training.
    gpus: Mapped[int] = mapped_column(default=1)
    # Queued jobs of one key can be trained together; one without trains alone, and none has more companions than its limit allows.
    cohort_key: Mapped[str | None]
    cohort_limit: Mapped[int | None]
    seed: Mapped[int] = mapped_column(BigInteger, default=0)
    cohort_id: Mapped[str | None]
    state: Mapped[JobState] = mapped_column(String())
    phase: Mapped[Phase] = mapped_column(String())
    state_reason: Mapped[str | None]
    priority: Mapped[int]
    # Of a project's queued jobs the one with the smallest turn goes first, when `not_before` has passed: see `domain/admission.py`.
    turn: Mapped[float] = mapped_column(default=0.0)
    not_before: Mapped[datetime | None]
    # How many GPUs the cohort that it runs in takes; 0 on a processor.
    gpus_held: Mapped[int] = mapped_column(default=0)
    # Attempts that ended because their worker was lost, one after another without a new checkpoint between.
    lost_workers: Mapped[int] = mapped_column(default=0)
    # From where the next attempt goes on: the latest checkpoint, and the one before for when that is torn; and the fence that made it.
    checkpoint_id: Mapped[str | None]
    fallback_id: Mapped[str | None]
    checkpoint_fence: Mapped[int | None] = mapped_column(BigInteger)
    # When a queued job has waited for as long as its limits allow.
    pending_until: Mapped[datetime | None]
    resolved: Mapped[Resolved | None] = mapped_column(Stored(Resolved))
    progress: Mapped[Progress | None] = mapped_column(Stored(Progress))
    error: Mapped[JobProblem | None] = mapped_column(Stored(JobProblem))
    model_id: Mapped[str | None]
    # Not a foreign key: it says which job was tried again, also when that is gone.
    retry_of: Mapped[str | None]
    traceparent: Mapped[str | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str | None]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    queued_s: Mapped[float] = mapped_column(default=0.0)
    run_s: Mapped[float] = mapped_column(default=0.0)
    gpu_s: Mapped[float] = mapped_column(default=0.0)

    dataset: Mapped[Dataset] = relationship(lazy="raise", foreign_keys=[dataset_id])
    test_dataset: Mapped[Dataset | None] = relationship(lazy="raise", foreign_keys=[test_dataset_id])
    attempts: Mapped[list["Attempt"]] = relationship(lazy="raise", order_by="Attempt.number")
    series: Mapped[list["Series"]] = relationship(lazy="raise", order_by="Series.name")
    results: Mapped[list["FinalMetric"]] = relationship(lazy="raise", order_by="FinalMetric.name")

    __table_args__ = (
        Index("ix_jobs_project_newest", "project_id", "id"),
        Index("ix_jobs_project_state", "project_id", "state", "id"),
        # Over those jobs alone that it is about: a job that changes hands is written again to every index that it is in.
        _partial("ix_jobs_study", "study_id", "state", "id", where="study_id IS NOT NULL"),
        # A claim's cost does not grow with the jobs that have ended.
        # With all that counting those ahead asks for, so that the line is counted in the index alone.
        _partial(
            "ix_jobs_line", *("project_id", "turn", "id", "device", "min_gpu_memory_gb", "not_before", "gpus"), where="state = 'queued'"
        ),
        _partial("ix_jobs_held", "project_id", where=f"state IN {(*HELD,)}"),
        _partial("ix_jobs_started", "project_id", "started_at", where="started_at IS NOT NULL"),
        _partial("ix_jobs_finished", "finished_at", where="finished_at IS NOT NULL"),
        _partial("ix_jobs_cohorts", "cohort_key", "priority", "seed", "id", where="state = 'queued'"),
        _partial("ix_jobs_pending", "pending_until", where="state = 'queued' AND pending_until IS NOT NULL"),
        *(
            _partial(f"ix_jobs_{kept}", kept, where=f"{kept} IS NOT NULL")
            for kept in ("agent_id", "test_dataset_id", "cohort_id", "checkpoint_id", "fallback_id")
        ),
        CheckConstraint(
            "state IN ('queued', 'running', 'pausing', 'paused', 'cancelling', 'succeeded', 'failed', 'cancelled')", name="state"
        ),
        CheckConstraint("(agent_id IS NOT NULL) = (state IN ('running', 'pausing', 'cancelling'))", name="held"),
    )


IS_QUEUED = Job.state == literal_column("'queued'", String())
"""Written out in every statement: PostgreSQL plans a statement that it was sent often without its values, and would then not know
that the indices over queued jobs will do."""

IS_HELD = Job.state.in_([literal_column(f"'{state}'", String()) for state in HELD])
"""Written as in the index. Not that it has an agent: of that PostgreSQL takes nearly all rows to be, where it has no statistics yet."""


class Checkpoint(Table):
    """A training that was written down between two of its steps, for all jobs that were trained together.

    `step` of a refit counts from the beginning of the second training.
    """

    __tablename__ = "checkpoints"

    id: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    step: Mapped[int] = mapped_column(BigInteger)
    is_refit: Mapped[bool]
    created_at: Mapped[datetime]


class Attempt(Table):
    """One claim of a job: who had it, and how that ended."""

    __tablename__ = "attempts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id"))
    device: Mapped[str | None]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    detail: Mapped[str | None]
    # What was done about how it ended.
    action: Mapped[str | None]
    # Between which steps it trained, as far as it told, and up to which it is kept.
    began: Mapped[Position | None] = mapped_column(Stored(Position))
    reached: Mapped[Position | None] = mapped_column(Stored(Position))
    kept: Mapped[Position | None] = mapped_column(Stored(Position))
    # How many rows of a batch were taken at once, where memory was too little for all of them.
    micro_batch: Mapped[int | None]
    log_heard: Mapped[int] = mapped_column(default=0)
    log_kept: Mapped[int] = mapped_column(default=0)
    log_dropped: Mapped[int] = mapped_column(default=0)
    # The digest of the token of a trainer that runs elsewhere.
    channel: Mapped[str | None]

    agent: Mapped[Agent] = relationship(lazy="raise")

    __table_args__ = (_partial("ix_attempts_channel", "channel", where="channel IS NOT NULL"),)


class Mail(Table):
    """A letter between an agent and a trainer that runs elsewhere, until it is read."""

    __tablename__ = "mail"

    channel: Mapped[str] = mapped_column(primary_key=True)
    to_trainer: Mapped[bool] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[str]


class LogLine(Table):
    """A line of a job's log."""

    __tablename__ = "log_lines"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    time: Mapped[datetime]
    level: Mapped[LogLevel] = mapped_column(String())
    message: Mapped[str]

    # Never an id twice, also after lines went: whoever follows a log asks for those after the last one known.
    __table_args__ = (Index("ix_log_lines_job", "job_id", "id"), {"sqlite_autoincrement": True})


class MetricPoint(Table):
    """One value of one metric at one optimiser step. Repeating a write changes nothing."""

    __tablename__ = "metric_points"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    series: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    epoch: Mapped[int]
    time: Mapped[float]
    value: Mapped[float]

    __table_args__ = ({"sqlite_with_rowid": False},)


class Series(Table):
    """Latest and best of a metric while training, so that lists never read its history."""

    __tablename__ = "series"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]
    best: Mapped[float]
    best_epoch: Mapped[int]
    goal: Mapped[str]


class FinalMetric(Table):
    """A metric of the finished model, with its interval."""

    __tablename__ = "final_metrics"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    reason: Mapped[str | None]

    # The order of a list sorted by a metric.
    __table_args__ = (Index("ix_final_metrics_order", "name", "value", "job_id"),)


class JobEvaluation(Table):
    """The whole evaluation of a finished job."""

    __tablename__ = "evaluations"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    body: Mapped[Evaluation] = mapped_column(Stored(Evaluation))


class Model(Table):
    """A trained model, published in the transaction that ended its job."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    created_at: Mapped[datetime]


class Artifact(Table):
    """A file a job made: written and synced before this row points to it."""

    __tablename__ = "artifacts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]


class Event(Table):
    """Something that happened, in order: a change of state of a job or a dataset, or of what a running job is doing."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    project_id: Mapped[str]
    subject: Mapped[str]
    kind: Mapped[str]
    from_state: Mapped[str | None]
    to_state: Mapped[str | None]
    reason: Mapped[str]

    __table_args__ = (
        Index("ix_events_subject", "subject", "id"),
        Index("ix_events_project", "project_id", "id"),
        {"sqlite_autoincrement": True},
    )
