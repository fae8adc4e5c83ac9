"""What an evaluation holds: metrics with intervals, and why one is undefined."""

from typing import Annotated, Literal

from pydantic import Field

from counterweight.contracts.base import Request, View


class BestBy(Request):
    """The threshold that maximises a metric on the validation rows."""

    policy: Literal["max_f1", "max_mcc", "max_balanced_accuracy"] = "max_f1"


class Fixed(Request):
    """A threshold the user knows."""

    policy: Literal["fixed"] = "fixed"
    value: float = Field(ge=0, le=1)


ThresholdPolicy = Annotated[BestBy | Fixed, Field(discriminator="policy")]


class EvaluationOptions(Request):
    """How a trained model is measured."""

    positive_label: str | None = Field(
        default=None, description="Whom the binary metrics are about; the dataset's positive label when left out."
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    threshold: ThresholdPolicy = BestBy()


class Metric(View):
    """A number with its interval; `value` is null when undefined and `low`, `high` when too little is known, with the reason.

    Reasons: `no_positive`, `no_negative`, `no_predicted_positive`, `class_absent:<label>`, `zero_denominator`, `constant_scores`,
    `too_few`, `unstable` (over 5% of the bootstrap draws undefined).
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


class SplitEvaluation(View):
    """How the model does on one part of the rows.

    `curves` are of the positive class when there are two classes; with several they are null, and `class_curves` has those of each
    class by label.
    """

    rows: int
    classes: list[ClassRows]
    metrics: dict[str, Metric]
    per_class: dict[str, dict[str, Metric]]
    baselines: dict[Literal["constant"], dict[str, Metric]]
    confusion: Confusion
    curves: Curves | None
    class_curves: dict[str, Curves]


class ThresholdChoice(View):
    """The score from which on a row is called positive; null with a reason where there is none (several classes, constant scores)."""

    policy: str
    value: float | None
    reason: str | None = None
    chosen_on: Literal["validation"] = "validation"


class Calibration(View):
    """Raw or corrected probabilities, whichever had the lower log-loss on the validation rows. Figures are of the validation rows."""

    method: Literal["analytic"] = "analytic"
    parameters: dict[str, float]
    before: dict[str, float]
    after: dict[str, float]
    chosen: Literal["raw", "corrected"]


class Evaluation(View):
    """Everything measured of a trained model."""

    splits: dict[Literal["validation", "test"], SplitEvaluation]
    threshold: ThresholdChoice
    calibration: Calibration
