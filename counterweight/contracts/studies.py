"""Studies: the same job with several losses and seeds, and what the comparison of them says."""

from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, JsonValue

from counterweight.contracts.base import LabelChanges, Labels, Name, Request, Timestamp, View
from counterweight.contracts.jobs import DatasetRef, JobState, MemoryEstimate, QueueView, Recipe, TimeEstimate
from counterweight.contracts.losses import Loss
from counterweight.contracts.problems import Problem

MOST_JOBS = 2000

StudyState = Literal["running", "paused", "succeeded", "failed", "cancelled"]
StudyPhase = Literal["training", "comparing", "over"]
StudyAction = Literal["cancel", "pause", "resume", "retry", "delete"]
StudyMetric = Literal[
    "average_precision",
    "roc_auc",
    "log_loss",
    "brier",
    "ece",
    "mcc",
    "kappa",
    "accuracy",
    "balanced_accuracy",
    "g_mean",
    "f1",
    "precision",
    "recall",
    "specificity",
    "macro_average_precision",
    "macro_roc_auc_ovr",
    "macro_f1",
    "macro_precision",
    "macro_recall",
]
OVER_CLASSES: dict[StudyMetric, StudyMetric] = {
    "average_precision": "macro_average_precision",
    "roc_auc": "macro_roc_auc_ovr",
    "f1": "macro_f1",
    "precision": "macro_precision",
    "recall": "macro_recall",
}
"""Metrics of two classes, and what they are called as means over several."""

Goal = Literal["max", "min"]
Varied = Literal["training.learning_rate", "training.weight_decay", "learner.width", "learner.depth", "learner.numeric_embedding"]
Setting = int | float | str

_EXAMPLE: JsonValue = {
    "name": "which loss for churn",
    "base": {"dataset_id": "ds_01K2F0G7Q5X9V3M8R6T4B2N1CD", "learner": {"kind": "mlp", "width": 128}, "priority": 40},
    "losses": [{"kind": "cross_entropy"}, {"kind": "focal", "gamma": 2.0}, {"kind": "balanced_softmax"}],
    "seeds": [0, 1, 2, 3, 4],
    "vary": {"training.learning_rate": [0.001, 0.003]},
    "metric": "average_precision",
    "minimum_difference": 0.01,
}


def metrics_of(has_several_classes: bool) -> list[StudyMetric]:
    """Return the names of all metrics of models of two classes, or of several."""
    others = {*OVER_CLASSES, "specificity"} if has_several_classes else {*OVER_CLASSES.values()}
    return [name for name in get_args(StudyMetric) if name not in others]


class StudySpec(Request):
    """Which loss should I use? Each loss is trained once for each seed, on identical splits; the test rows decide.

    An arm is a loss together with one setting of each thing in `vary`: all combinations are tried.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Name | None = None
    labels: Labels = Field(default={}, description="Of the study, and of each of its jobs besides those in `base`.")
    base: Recipe = Field(description="A job without its loss. `seeds` take the place of `training.seed`; `split.seed` stays.")
    losses: Annotated[list[Loss], Field(min_length=1, max_length=MOST_JOBS)]
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1, max_length=MOST_JOBS)] = [0, 1, 2, 3, 4]
    folds: Annotated[int, Field(ge=2, le=100)] | None = Field(
        default=None, description="Run each seed once for each of so many folds of the rows: every row is tested on."
    )
    vary: dict[Varied, Annotated[list[Setting], Field(min_length=1, max_length=MOST_JOBS)]] = Field(
        default={}, description="Values of a setting to try with every loss."
    )
    metric: StudyMetric = Field(
        default="average_precision", description="What the arms are compared by; with several classes the mean over the classes is taken."
    )
    minimum_difference: float = Field(
        default=0.01, ge=0, description="The smallest difference in the metric that would matter to you: say so before you look."
    )


class StudyPatch(Request):
    """What of a study can be changed, as a merge patch (RFC 7396): what is left out stays, and a label that is null goes."""

    # Factories, so that "left out" is no value of its own in the description.
    name: Name = Field(default_factory=str)
    labels: LabelChanges = Field(default_factory=dict)


class Arm(View):
    """One of the alternatives of a study: a loss, and the varied settings. `arm` is its name, unique within the study."""

    arm: str
    loss: Loss
    settings: dict[Varied, Setting] = {}


class LeaderboardRow(Arm):
    """How an arm did on the test rows.

    `mean` and `sd` are over its finished runs that have the metric, `low` and `high` a 95% interval of what other seeds and other test
    rows of the same kind would give. Null with a `reason`: `no_runs`, `provisional` (not compared yet),
    `not_compared` (the study ended before that), `undefined` (the metric is, on these rows), `too_few_runs` (under two),
    `too_few` (a class has fewer than 5 test rows), `unstable` (over 5% of the bootstrap draws undefined).
    """

    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    reason: str | None = None
    runs: int
    minority_recall: float | None = Field(description="Mean recall of the rarest class of the test rows.")
    ece: float | None = Field(description="Mean calibration error of the probabilities.")
    rank: int | None = Field(description="1 is the best mean; null without one.")
    job_ids: list[str]


class DeLong(View):
    """DeLong's test of two areas under the ROC curve on the same rows, the placements averaged over the runs."""

    z: float | None
    p_value: float | None
    reason: str | None = None


class McNemar(View):
    """Rows of one class that one arm got right in more of its runs than the other, and the exact test of that; null without any."""

    only_a: int
    only_b: int
    p_value: float | None
    reason: str | None = None


class Comparison(View):
    """Arm `a` against arm `b` on the same rows and seeds: `difference` is a's mean minus b's, `a` the one with the better mean.

    `low` and `high` are a 95% interval of this difference alone, `p_adjusted` is Holm's for all pairs of the study. `wins` counts the
    pairs of runs in which `a` was better, of `runs`. Null with a `reason`: `identical` (the same predictions), `zero_variance`,
    `too_few_runs`, `too_few`, `unstable`, or why the metric is undefined.
    """

    a: str
    b: str
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_adjusted: float | None
    reason: str | None = None
    wins: int
    ties: int
    runs: int
    delong: DeLong | None = Field(default=None, description="Where the metric is `roc_auc`.")
    mcnemar: dict[str, McNemar] = Field(default={}, description="By class: decisions, each run's at its own threshold.")


class Needed(View):
    """How much it would take to decide, roughly, if all stays as it looks: either alone, null where it alone is not enough, or both."""

    test_rows: int | None
    seeds: int | None
    both: tuple[int, int] | None = Field(default=None, description="Test rows and seeds together, where neither alone is enough.")


class Verdict(View):
    """What the comparison says. `candidates` are the arms that can still be the best, the leader first.

    `decided` with a `winner`: it is better than every other arm. `decided` without: no difference that matters is likely between the
    candidates. `suggestion` is the winner, or the simplest of the candidates.
    """

    decided: bool
    outcome: Literal["winner", "equivalent", "undecided", "nothing_to_compare"]
    winner: str | None
    candidates: list[str]
    suggestion: str | None
    needed: Needed | None = None
    sentence: str


class StudyResults(View):
    """What the comparison of a study's arms found."""

    leaderboard: list[LeaderboardRow]
    comparisons: list[Comparison]
    verdict: Verdict | None


class StudySummary(View):
    """A study in a list. `counts` are its jobs by state, states without any left out."""

    id: str
    object: Literal["study"] = "study"
    version: int
    name: str
    labels: Labels
    project: str
    dataset: DatasetRef
    state: StudyState
    phase: StudyPhase
    state_reason: str | None
    is_terminal: bool
    allowed_actions: list[StudyAction]
    counts: dict[JobState, int]
    arms: int
    jobs: int
    split: Literal["test"] = "test"
    metric: StudyMetric
    goal: Goal
    verdict: Verdict | None
    error: Problem | None
    created_at: Timestamp
    finished_at: Timestamp | None
    links: dict[str, str]


class StudyView(StudySummary):
    """A study as the service answers it. Until the arms are compared the leaderboard is provisional: means of the runs that have ended."""

    spec: StudySpec
    notes: list[str]
    leaderboard: list[LeaderboardRow]
    comparisons: list[Comparison]


class StudyPlan(View):
    """What would become of a study if it were created: nothing was. Memory is of its largest job, time of all, one after another."""

    object: Literal["study_plan"] = "study_plan"
    name: str
    spec: StudySpec
    metric: StudyMetric
    goal: Goal
    notes: list[str]
    arms: list[Arm]
    jobs: int
    dataset: DatasetRef
    memory: MemoryEstimate
    time: TimeEstimate
    queue: QueueView
