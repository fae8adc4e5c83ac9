"""What an agent tells a child process, and what the child reports back, as JSON over a pipe.

JSON, because a child reads users' files: whatever it sends must be data, never code.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, TypeAdapter

from counterweight.contracts.base import View
from counterweight.contracts.datasets import DatasetOptions, TableFacts
from counterweight.contracts.evaluation import Evaluation
from counterweight.contracts.jobs import FailureClass, LogLevel, Phase, Resolved, ResolvedSpec
from counterweight.contracts.loss_resolution import ResolvedLoss
from counterweight.contracts.studies import Arm, Goal, StudyMetric, StudyResults

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""A plain file name: a child cannot point outside its folder."""

REFIT_SERIES = "refit/loss"
"""What a refit reports of each epoch. Its steps count from its own beginning."""


class StoredFile(View):
    """A finished file: its name for the user, its file name in the task's folder, its size and its digest."""

    name: FileName
    path: FileName
    bytes: int
    sha256: str


class IngestTask(View):
    """Read the file at `source` into `folder`; all paths are absolute."""

    source: str
    folder: str
    options: DatasetOptions
    memory_limit_mb: int = 2048
    threads: int = 2


class Ingested(View):
    """The file was read: its facts, and the canonical table's file name in the task's folder."""

    kind: Literal["ingested"] = "ingested"
    facts: TableFacts
    table: FileName
    table_sha256: str = ""


class IngestRefused(View):
    """The file cannot be read: where, what was found, and what to do."""

    kind: Literal["ingest_refused"] = "ingest_refused"
    code: str
    detail: str


class Member(View):
    """One job of a cohort: `folder` is where it may write its files."""

    job_id: str
    spec: ResolvedSpec
    folder: str


class CheckpointFile(View):
    """A checkpoint of a training: its file's absolute path, and the digest that the file has when it is whole."""

    id: str
    path: str
    sha256: str


class TrainerTask(View):
    """Train the members together; all use the table at `table`, and that at `test_table` if there is one. All paths are absolute.

    They go on from the first of `checkpoints` that is whole and holds all of them; where none does, they begin. Checkpoints are written
    into `checkpoint_folder` every `checkpoint_s` seconds; without a folder, none is.

    Where several processes train it together, `rank_devices` has the device of each, the first that of `device`.
    """

    members: list[Member]
    table: str
    table_sha256: str
    test_table: str | None = None
    test_table_sha256: str | None = None
    facts: TableFacts
    cache_folder: str
    device: str
    rank_devices: list[str] = []
    threads: int
    checkpoints: list[CheckpointFile] = []
    checkpoint_folder: str | None = None
    checkpoint_s: float = 30.0


class PhaseChanged(View):
    """A member entered a phase; `resolved` comes with the first one that knows it, and when its notes have grown.

    `loss` comes when the rows are divided: what the loss comes to on the training rows that there are.
    """

    kind: Literal["phase"] = "phase"
    job_id: str
    phase: Phase
    resolved: Resolved | None = None
    loss: ResolvedLoss | None = None


class EpochDone(View):
    """A member finished an epoch: `values` by series name, such as `validation/average_precision`."""

    kind: Literal["epoch"] = "epoch"
    job_id: str
    epoch: int
    epochs: int
    step: int
    time: float
    values: dict[str, float]
    rows_per_s: float | None = None
    eta_s: float | None = None


class Log(View):
    """A line for the log of a member's job. `number` counts the child's messages: a line told twice is known by it."""

    kind: Literal["log"] = "log"
    job_id: str
    level: LogLevel = "info"
    message: str
    time: float = Field(ge=0, lt=4e9)
    number: int = Field(default=0, ge=0, lt=2**31)


class Resumed(View):
    """A member goes on from a checkpoint; or begins, since none of those that there were is of use."""

    kind: Literal["resumed"] = "resumed"
    job_id: str
    checkpoint_id: str | None


class Checkpointed(View):
    """The training of these members was written down as it was after `step`: a file in the task's folder of checkpoints.

    `is_refit` tells that they are being trained again, and that the steps are those of the second training.
    """

    kind: Literal["checkpoint"] = "checkpoint"
    job_ids: list[str]
    file: StoredFile
    step: int
    is_refit: bool = False


class Succeeded(View):
    """A member is done: its evaluation, and its files in its folder (`path` is the file's name there)."""

    kind: Literal["succeeded"] = "succeeded"
    job_id: str
    evaluation: Evaluation
    files: list[StoredFile]


class Failed(View):
    """A member cannot go on, for a reason its owner can act on."""

    kind: Literal["failed"] = "failed"
    job_id: str
    failure_class: FailureClass
    detail: str
    hint: str | None = None


class Cancelled(View):
    """A member stopped because it was told to."""

    kind: Literal["cancelled"] = "cancelled"
    job_id: str


class Left(View):
    """A member stopped because it was told to leave: it is to go on later, from its latest checkpoint."""

    kind: Literal["left"] = "left"
    job_id: str


class Split(View):
    """A member that did not end, because there is too little memory for so many: it is to be trained again, among fewer."""

    kind: Literal["split"] = "split"
    job_id: str
    detail: str


LastWord: TypeAlias = Succeeded | Failed | Cancelled | Left | Split
"""What a trainer says of a member at last: nothing comes after it."""


class Cancel(View):
    """The agent asks the child to stop a member."""

    kind: Literal["cancel"] = "cancel"
    job_id: str


class Leave(View):
    """The agent asks the child to stop a member in such a way that it can go on later."""

    kind: Literal["leave"] = "leave"
    job_id: str


class StudyRun(View):
    """A finished run of an arm: its place among the arm's runs, where its predictions lie, and its calibration error."""

    arm: int
    place: int
    predictions: str
    ece: float | None


class ComparisonTask(View):
    """Compare the arms of a study by their runs' predictions of the test rows. All paths are absolute.

    `rarest` is the place of the class with the fewest rows in `classes`; `job_ids` are each arm's, whether they succeeded or not.
    """

    metric: StudyMetric
    goal: Goal
    minimum_difference: float
    classes: list[str]
    positive: int | None
    rarest: int
    folds: int | None
    arms: list[Arm]
    job_ids: list[list[str]]
    runs: list[StudyRun]


class Compared(View):
    """The arms were compared."""

    kind: Literal["compared"] = "compared"
    results: StudyResults


class ComparisonRefused(View):
    """The arms cannot be compared, and why."""

    kind: Literal["comparison_refused"] = "comparison_refused"
    detail: str


IngestMessage = Annotated[Ingested | IngestRefused, Field(discriminator="kind")]
TrainerMessage = Annotated[
    PhaseChanged | EpochDone | Log | Resumed | Checkpointed | Succeeded | Failed | Cancelled | Left | Split, Field(discriminator="kind")
]
TrainerOrder = Annotated[Cancel | Leave, Field(discriminator="kind")]

ComparisonMessage = Annotated[Compared | ComparisonRefused, Field(discriminator="kind")]

INGEST_MESSAGE: TypeAdapter[Ingested | IngestRefused] = TypeAdapter(IngestMessage)
TRAINER_MESSAGE: TypeAdapter[PhaseChanged | EpochDone | Log | Resumed | Checkpointed | Succeeded | Failed | Cancelled | Left | Split] = (
    TypeAdapter(TrainerMessage)
)
TRAINER_ORDER: TypeAdapter[Cancel | Leave] = TypeAdapter(TrainerOrder)
COMPARISON_MESSAGE: TypeAdapter[Compared | ComparisonRefused] = TypeAdapter(ComparisonMessage)
