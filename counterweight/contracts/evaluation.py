"""What an evaluation holds: metrics with intervals, and why one is undefined."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from counterweight.contracts.base import Request, View

OPERATING_POINTS_FILE = "operating_points.npy"
"""The file of a job of two classes that tells what any threshold does; `counterweight.statistics.operating` writes and reads it."""


class BestBy(Request):
    """The threshold, or with several classes the offsets, that maximise a metric on the validation rows; F1 of several is macro F1."""

    policy: Literal["max_f1", "max_mcc", "max_balanced_accuracy"] = "max_f1"


class PrecisionFloor(Request):
    """The lowest threshold, and so the greatest recall, whose precision on the validation rows is at least `precision` for sure.

    For sure: the lower limit of its one-sided Wilson interval is.
    """

    policy: Literal["precision_floor"] = "precision_floor"
    precision: float = Field(gt=0, lt=1)


class RecallFloor(Request):
    """The highest threshold, and so as a rule the greatest precision, whose recall on the validation rows is at least `recall` for sure.

    For sure: the lower limit of its one-sided Wilson interval is.
    """

    policy: Literal["recall_floor"] = "recall_floor"
    recall: float = Field(gt=0, le=1)


class MinCost(Request):
    """The threshold of least expected cost, false_positive / (false_positive + false_negative), on calibrated probabilities."""

    policy: Literal["min_cost"] = "min_cost"
    false_negative: float = Field(gt=0, le=1e12)
    false_positive: float = Field(gt=0, le=1e12)


class Fixed(Request):
    """A threshold the user knows."""

    policy: Literal["fixed"] = "fixed"
    value: float = Field(ge=0, le=1)


class TopK(Request):
    """The threshold that calls `k` of the validation rows positive; fewer where more have equal scores at the cut."""

    policy: Literal["top_k"] = "top_k"
    k: int = Field(ge=1)


ThresholdPolicy: TypeAlias = BestBy | PrecisionFloor | RecallFloor | MinCost | Fixed | TopK


class EvaluationOptions(Request):
    """How a trained model is measured."""

    positive_label: str | None = Field(
        default=None, description="Whom the binary metrics are about; the dataset's positive label when left out."
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    threshold: Annotated[ThresholdPolicy, Field(discriminator="policy")] = BestBy()
    permutation_importance: bool = Field(default=False, description="Whether to tell what each column is worth on the test rows.")
    permutation_repeats: int = Field(default=5, ge=2, le=100, description="How often a column is shuffled for that.")
    subgroups: list[str] = Field(
        default=[], max_length=10, description="Columns by whose values the main metrics are told too; they need not be features."
    )


class Metric(View):
    """A number with its interval; `value` is null when undefined and `low`, `high` when too little is known, with the reason.

    Reasons: `no_positive`, `no_negative`, `no_predicted_positive`, `class_absent:<label>`, `zero_denominator`, `constant_scores`,
    `too_few`, `unstable` (over 5% of the bootstrap draws undefined), `degenerate` (all draws alike, and nothing exact is known).
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


class ClassRows(View):
    """Rows of one class in a part."""

    label: str
    count: int
    fraction: float


class Confusion(View):
    """Rows by true class (first index) and predicted class (second index), in the order of `labels`."""

    labels: list[str]
    counts: list[list[int]]


class PrecisionRecallCurve(View):
    """Precision and recall of "positive if score >= threshold", thresholds descending; at most 1,000 points, exact at the ends."""

    thresholds: list[float]
    precision: list[float]
    recall: list[float]


class RocCurve(View):
    """Hits and false alarms of "positive if score >= threshold", thresholds descending from one that calls no row positive.

    At most 1,000 points, exact at the ends. With the class counts they give the confusion matrix at each threshold.
    """

    thresholds: list[float]
    true_positive_rate: list[float]
    false_positive_rate: list[float]


class CalibrationCurve(View):
    """What was predicted and what came: rows in order of their probability, in up to 15 bins of equal mass, equal ones together.

    `predicted` is a bin's mean probability, `observed` its share of positive rows, `counts` its rows. The distances between
    predicted and observed, weighed by the counts, sum up to `ece`.
    """

    predicted: list[float]
    observed: list[float]
    counts: list[int]


class ScoreHistogram(View):
    """How many positive and other rows have a probability in each bin: `edges` is one longer than the counts.

    A bin holds its lower edge; the last holds both.
    """

    edges: list[float]
    positives: list[int]
    negatives: list[int]


class Curves(View):
    """The curves of one class against the rest; null where the rows lack what they are about."""

    precision_recall: PrecisionRecallCurve | None
    roc: RocCurve | None
    calibration: CalibrationCurve
    score_histogram: ScoreHistogram


class MacroOverPresent(View):
    """Averages over the classes that have rows in this part, and the labels of those that have none."""

    absent: list[str]
    metrics: dict[str, Metric]


class SplitEvaluation(View):
    """How the model does on one part of the rows.

    With several classes of which one has no rows here, averages over all of them are null, and `macro_over_present` has those over
    the others under the same names.

    `curves` are of the positive class when there are two classes; with several they are null, and `class_curves` has those of each
    class by label.

    `network` tells which network is judged: the one that was `trained`, or under `training.refit`, on test rows, the `refitted` one.
    """

    network: Literal["trained", "refitted"] = "trained"
    rows: int
    classes: list[ClassRows]
    metrics: dict[str, Metric]
    per_class: dict[str, dict[str, Metric]]
    baselines: dict[Literal["constant"], dict[str, Metric]]
    macro_over_present: MacroOverPresent | None
    confusion: Confusion
    curves: Curves | None
    class_curves: dict[str, Curves]


class Floor(View):
    """What stands behind a floor of precision or recall on the validation rows.

    `estimate` is the share found at the chosen threshold, and `low` the lower limit of its one-sided Wilson interval at `confidence`,
    which keeps the floor; both null where no threshold does. `without_margin` is the threshold that shares alone would have allowed.
    """

    confidence: float
    estimate: float | None
    low: float | None
    without_margin: float | None


class Spread(View):
    """Between which thresholds the choice would lie with other validation rows of the same kind, by the bootstrap.

    Null with the reason `unstable` where over 5% of the draws allow none.
    """

    low: float | None
    high: float | None
    reason: str | None = None


class ThresholdChoice(View):
    """The calibrated probability from which on a row is called positive; with several classes, what turns their probabilities to calls.

    `value` is null where there is none, with the reason: `several_classes`, `constant_scores`, `no_positive`, `no_negative`,
    `infeasible_constraint`; decisions are then those of 0.5. `tied` thresholds were equally good: the nearest to 0.5 was taken.
    `cross_fitted` tells that it was chosen on probabilities of calibrators that had not seen the row: with under 200 validation rows, or
    under 30 of a class. `spread` is told where fewer than 30 validation rows are positive and the threshold was chosen by them.

    Of several classes the one of the greatest log-probability plus its `offsets` is called. `gain` is what that adds to the policy's
    metric, on validation rows the offsets were not fitted on. All are 0 with an `offsets_reason` where it is not positive (`no_gain`), a
    class has under 30 validation rows (`too_few`), the policy is one of two classes (`policy`), or there are too many rows times classes
    to search (`too_large`).
    """

    policy: str
    value: float | None
    reason: str | None = None
    tied: int = 1
    chosen_on: Literal["validation"] = "validation"
    cross_fitted: bool = False
    floor: Floor | None = None
    spread: Spread | None = None
    offsets: dict[str, float] = {}
    offsets_reason: str | None = None
    gain: float | None = None


class OperatingSplit(View):
    """The decisions at one threshold on one part of the rows."""

    rows: int
    confusion: Confusion
    metrics: dict[str, Metric]


class OperatingPoint(View):
    """What a threshold does on both parts; `splits` is empty when there is no such threshold, and `threshold.reason` says why."""

    threshold: ThresholdChoice
    positive_label: str
    splits: dict[Literal["validation", "test"], OperatingSplit]


class CalibrationFigures(View):
    """How good probabilities are: the smaller the better."""

    log_loss: float
    brier: float
    ece: float


class CalibrationCandidate(View):
    """One way to probabilities: `raw` as the network has them, `corrected` for what the loss does to them, `fitted` on validation rows.

    `fitted` goes on from the better of the other two. Its figures of the validation rows are those of rows it was not fitted on, by
    cross-fitting. Without figures the `reason` says why the rows allow it not: `too_few`, `class_absent:<label>`, `constant_scores`,
    `not_increasing` (it would turn the ranking round), `at_bound` (no finite temperature is best).
    """

    kind: Literal["raw", "corrected", "fitted"]
    method: Literal["none", "analytic", "platt", "temperature", "beta", "isotonic"]
    parameters: dict[str, float] = {}
    validation: CalibrationFigures | None = None
    test: CalibrationFigures | None = None
    reason: str | None = None


class Calibration(View):
    """Which probabilities were chosen, by log-loss on the validation rows, and all that were compared.

    `before` are the raw probabilities' figures of the validation rows, `after` those of the chosen ones. With a class absent from the
    validation rows nothing can be fitted or compared: `reason` names it, and the loss's correction is believed.
    """

    chosen: Literal["raw", "corrected", "fitted"]
    method: Literal["none", "analytic", "platt", "temperature", "beta", "isotonic"]
    parameters: dict[str, float]
    before: CalibrationFigures
    after: CalibrationFigures
    candidates: list[CalibrationCandidate]
    reason: str | None = None


class HardestRow(View):
    """A row the model was most wrong about: `row` counts from 0 in its dataset, `probability` is that of the true label."""

    row: int
    part: Literal["validation", "test"]
    label: str
    predicted: str
    probability: float
    loss: float


class SuspectedLabelError(View):
    """A row that looks like one of another class: `row` counts from 0 in its dataset, `probability` is that of its label.

    `margin` is by how much that of the suggested class is greater.
    """

    row: int
    part: Literal["validation", "test"]
    label: str
    suggested: str
    probability: float
    suggested_probability: float
    margin: float


class SuspectedPair(View):
    """How many rows with one label look like rows of another class."""

    label: str
    suggested: str
    count: int


class SuspectedLabelErrors(View):
    """Rows whose probability of another class is at least what rows of that class have on average (`self_confidence`; null without rows).

    Of several such classes the likeliest counts. `rows` are the 50 of the greatest margin, of both parts together; `pairs` count all.
    A suspicion, not a finding: rare rows unlike others of their class are suspected too. Northcutt et al., 2021, arXiv:1911.00068.
    """

    self_confidence: dict[str, float | None]
    pairs: list[SuspectedPair]
    rows: list[SuspectedLabelError]


class SubgroupRows(View):
    """The rows of a subgroup in one part, decided as all others: by the job's own threshold or offsets."""

    rows: int
    classes: list[ClassRows]
    confusion: Confusion
    metrics: dict[str, Metric]


class Subgroup(View):
    """Rows alike in one column: with one `value`, a `range` of numbers, a `missing` cell, or a value of the `rest`.

    A part in which there are none is left out.
    """

    kind: Literal["value", "range", "missing", "rest"]
    label: str
    splits: dict[Literal["validation", "test"], SubgroupRows]


class SubgroupTable(View):
    """The subgroups of a column: its 20 most frequent values and the rest, or a number's quarters, by the validation and test rows."""

    column: str
    groups: list[Subgroup]


class ColumnImportance(View):
    """By how much the metric falls when a column's cells change places: mean and standard deviation over the repeats."""

    column: str
    mean: float
    sd: float


class PermutationImportance(View):
    """What each column is worth to the model: the fall of a metric of the test rows when the column's cells are shuffled among them.

    The most important first. `value` is the metric as it is; null with the `reason` where it is undefined, and then no column is told. Of
    many rows times columns a part is used: `rows` of `of_rows`, of each class its share.
    """

    metric: Literal["average_precision", "macro_average_precision"]
    value: float | None
    reason: str | None = None
    rows: int
    of_rows: int
    repeats: int
    columns: list[ColumnImportance]


class Evaluation(View):
    """Everything measured of a trained model; `hardest_rows` are those of the greatest loss, of both parts together.

    `suspected_label_errors` is null where the job was evaluated before they were looked for. `permutation_importance` and `subgroups` come
    on request.
    """

    splits: dict[Literal["validation", "test"], SplitEvaluation]
    threshold: ThresholdChoice
    calibration: Calibration
    hardest_rows: list[HardestRow]
    suspected_label_errors: SuspectedLabelErrors | None = None
    permutation_importance: PermutationImportance | None = None
    subgroups: list[SubgroupTable] = []
