"""Jobs: what to train and how, and how far it has come."""

from typing import Annotated, Literal

from pydantic import Field

from counterweight.contracts.base import LabelChanges, Labels, Name, Request, Timestamp, View
from counterweight.contracts.evaluation import EvaluationOptions, Metric
from counterweight.contracts.learners import Auto, ConcreteLearner, Learner
from counterweight.contracts.loss_resolution import ResolvedLoss
from counterweight.contracts.losses import CrossEntropy, Loss
from counterweight.contracts.pages import Page
from counterweight.contracts.problems import JobProblem
from counterweight.contracts.splits import Split, StratifiedSplit

JobState = Literal["queued", "running", "pausing", "paused", "cancelling", "succeeded", "failed", "cancelled"]
Phase = Literal["waiting", "loading", "training", "evaluating", "exporting"]
FailureClass = Literal["data", "diverged", "out_of_memory", "timeout", "pending_timeout", "lost_worker", "internal"]
LogLevel = Literal["info", "warning", "error"]
Action = Literal["cancel", "pause", "resume", "retry", "delete"]


Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["flat_cosine", "cosine", "constant", "step"]
Precision = Literal["float32", "bfloat16"]


class EarlyStopping(Request):
    """Stop when `metric` on the validation rows has not improved for `patience` epochs, and keep the best epoch's weights."""

    metric: Literal["average_precision", "log_loss"] = "average_precision"
    patience: int = Field(default=20, ge=1, le=10_000)


class Training(Request):
    """The training loop's settings. `batch_size` null becomes min(256, max(32, rows / 50)).

    `sgd` has a momentum of 0.9, and 0.1 for a `learning_rate` left out. The schedule `step` warms up over five epochs, and goes to a
    hundredth of the learning rate after 80% of the epochs and to a hundredth of that after 90%.
    """

    max_epochs: int = Field(default=200, ge=1, le=100_000)
    batch_size: Annotated[int, Field(ge=1, le=1_048_576)] | None = None
    learning_rate: float = Field(default=3e-3, gt=0, le=10)
    weight_decay: float = Field(default=1e-4, ge=0, le=10)
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "flat_cosine"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    early_stopping: EarlyStopping | None = EarlyStopping()
    seed: int = Field(default=0, ge=0, lt=2**32)
    precision: Literal["auto"] | Precision = Field(
        default="auto",
        description="Of the network's products while it trains; `auto` is bfloat16 where the device multiplies batches of this size faster "
        "by it. Losses, weights and evaluation are float32 always.",
    )
    refit: bool = Field(
        default=False,
        description="Train again, on training and validation rows, for as many epochs as were best: that network is tested and kept.",
    )


class Resources(Request):
    """Where the job may run. One that names GPU memory, or several GPUs, runs on GPUs, also where `device` is `auto`."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpus: int = Field(
        default=1,
        ge=1,
        le=64,
        description="How many GPUs of one host, or of a Ray cluster, train it, each with a share of every batch. With the device `cpu`, "
        "how many of its slots.",
    )
    min_gpu_memory_gb: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="So much memory the GPU must have, in GB of 10^9 bytes."
    )


class Limits(Request):
    """When to give up: `max_attempts` counts attempts whose own process died or raised while its worker lived.

    `max_runtime_s` is how long the job may run, all attempts together; `max_pending_s` how long it may wait in the queue at a time.
    """

    max_runtime_s: float | None = Field(default=None, gt=0, le=10**9)
    max_pending_s: float | None = Field(default=None, gt=0, le=10**9)
    max_attempts: int = Field(default=3, ge=1, le=100)


class Recipe(Request):
    """All of a job but its loss; only `dataset_id` is required."""

    name: Name | None = None
    labels: Labels = {}
    dataset_id: str
    test_dataset_id: str | None = Field(
        default=None,
        description="The dataset whose rows are the test rows; `split` then gives those of `dataset_id` to training and validation.",
    )
    target: str | None = None
    exclude: list[str] = []
    weight_column: str | None = Field(
        default=None,
        description="Whose cells tell how much a row counts in training, 0 or more; the dataset's `weight_column` when left out.",
    )
    split: Split = StratifiedSplit()
    learner: Learner = Auto()
    training: Training = Training()
    evaluation: EvaluationOptions = EvaluationOptions()
    resources: Resources = Resources()
    limits: Limits = Limits()
    priority: int = Field(default=50, ge=0, le=100)


class JobSpec(Recipe):
    """A job as a user writes it; only `dataset_id` is required."""

    loss: Loss = CrossEntropy()


class JobPatch(Request):
    """What of a job can be changed, as a merge patch (RFC 7396): what is left out stays, and a label that is null goes."""

    # Factories, so that "left out" is no value of its own in the description.
    name: Name = Field(default_factory=str)
    labels: LabelChanges = Field(default_factory=dict)
    priority: int = Field(default_factory=int, ge=0, le=100)


class ResolvedSpec(JobSpec):
    """A job with every default settled at submission: what is stored, and what a worker runs."""

    name: Name
    target: str
    learner: ConcreteLearner


class Environment(View):
    """What the job ran on."""

    python: str
    torch: str
    device_name: str
    threads: int


class Resolved(View):
    """What only training could choose. `early_stopping` is what it stopped by, or null where it ran to the end of its epochs.

    `ranks` processes trained it, each with its share of every batch, the first of them on `device`. `micro_batch` is how many rows were
    taken at once, where memory is too little for all of them; their gradients are added up.
    """

    learner: ConcreteLearner
    early_stopping: EarlyStopping | None = None
    device: str
    precision: Precision
    cohort_size: int
    ranks: int = 1
    micro_batch: int | None = None
    environment: Environment
    notes: list[str] = []


class Progress(View):
    """How far training has come; `rows_per_s` counts training rows."""

    epoch: int
    epochs: int
    fraction: float
    eta_s: float | None
    rows_per_s: float | None


class SeriesSummary(View):
    """The latest and the best value of a metric while training."""

    value: float
    best: float
    best_epoch: int
    goal: Literal["min", "max"]


class QueueView(View):
    """Where a queued job stands: `position` is the number of jobs ahead of it, null once it runs.

    `eta_s` tells in about how many seconds it starts, by what jobs took of late; null where nothing tells, or where something in
    `blocked_by` must change first.
    """

    position: int | None
    eta_s: float | None = None
    blocked_by: list[str] = []


class Position(View):
    """A step of a training, or with `is_refit` of the second one, on training and validation rows, which counts from its own beginning."""

    step: int
    is_refit: bool = False


class AttemptView(View):
    """One try at the job by one worker."""

    number: int
    worker: str
    device: str | None
    started_at: Timestamp
    heartbeat_at: Timestamp | None


class AttemptRecord(AttemptView):
    """One try at the job by a worker on `host`, how it ended and why, and what was done about it; null while it runs.

    It `began` after the step of the checkpoint that it went on from, or at 0, `reached` the last step that it told of, and `kept` what it
    had trained up to that of its latest checkpoint. `micro_batch` is how small the parts of a batch came to be, where memory was too
    little for whole ones.
    """

    host: str
    ended_at: Timestamp | None
    outcome: str | None
    detail: str | None
    action: str | None
    began: Position | None
    reached: Position | None
    kept: Position | None
    micro_batch: int | None


class DatasetRef(View):
    """Which bytes the job trained on."""

    id: str
    sha256: str


class Usage(View):
    """Seconds spent waiting and running, over all attempts; of a GPU, the job's share of those that its cohort took."""

    queued_s: float
    run_s: float
    gpu_s: float


class JobView(View):
    """A job as the service answers it."""

    id: str
    object: Literal["job"] = "job"
    version: int
    name: str
    labels: Labels
    project: str
    spec: ResolvedSpec
    resolved: Resolved | None
    loss: ResolvedLoss
    state: JobState
    phase: Phase
    state_reason: str | None
    is_terminal: bool
    allowed_actions: list[Action]
    study_id: str | None = None
    cohort_id: str | None = Field(default=None, description="The same for all jobs trained together with this one; null for one alone.")
    retry_of: str | None = None
    dataset: DatasetRef
    test_dataset: DatasetRef | None = None
    queue: QueueView
    progress: Progress | None
    latest: dict[str, SeriesSummary]
    metrics: dict[str, Metric]
    attempt: AttemptView | None
    model_id: str | None
    error: JobProblem | None
    created_at: Timestamp
    queued_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    usage: Usage
    links: dict[str, str]


class MemoryEstimate(View):
    """Memory that one trainer of the job may take, and what that was reckoned from."""

    bytes: int
    basis: str


class TimeEstimate(View):
    """How long training may take at most, by the speed of jobs before it; null where none tells, and why."""

    at_most_s: float | None
    rows_per_s: float | None
    basis: str


class JobPlan(View):
    """What would become of a job if it were submitted: nothing was. `queue.blocked_by` says what would keep it waiting."""

    object: Literal["job_plan"] = "job_plan"
    spec: ResolvedSpec
    loss: ResolvedLoss
    dataset: DatasetRef
    memory: MemoryEstimate
    time: TimeEstimate
    queue: QueueView


class Transition(View):
    """One change of state, and why."""

    at: Timestamp
    from_state: JobState | None
    to_state: JobState
    reason: str


class LogLine(View):
    """Something a trainer, or the queue, had to say about a job. Ids grow; `attempt` tells during which try it was said."""

    id: int
    time: Timestamp
    level: LogLevel
    attempt: int
    message: str


class LogPage(Page[LogLine]):
    """Lines of a job's log, oldest first. `dropped` counts what was said too fast or too much to be kept.

    Read on with `after` = the `id` of the last line; once `is_final`, nothing more will come.
    """

    dropped: int
    is_final: bool


class MetricSeries(View):
    """The points of one metric; `step` counts optimiser steps, `time` is Unix seconds."""

    name: str
    count: int
    columns: tuple[Literal["step"], Literal["epoch"], Literal["time"], Literal["value"]] = ("step", "epoch", "time", "value")
    points: list[tuple[int, int, float, float]]
    reduced: bool


class MetricsView(View):
    """Metrics recorded while training."""

    series: list[MetricSeries]
