"""What a study means on its dataset: its arms, its jobs, its metric; every mismatch refused before anything is queued."""

from collections.abc import Sequence
from dataclasses import dataclass

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.jobs import JobSpec, Recipe, ResolvedSpec
from counterweight.contracts.loss_resolution import ResolvedLoss
from counterweight.contracts.losses import AnyLoss
from counterweight.contracts.problems import FieldError
from counterweight.contracts.studies import MOST_JOBS, Arm, Goal, StudyAction, StudyMetric, StudySpec, StudyState
from service.domain import arms, submission
from service.domain.editing import MOST_LABELS
from service.domain.errors import Invalid, WrongState
from service.domain.submission import DatasetChoices

FEWEST_RUNS = 2
"""An arm of fewer runs has no spread, and cannot be compared."""

ADVISED_SEEDS = 5
LONGEST_TITLE = 100
"""So much of a study's name goes into those of its jobs, before the arm and the seed."""

UNEQUAL = 10.0
"""From this imbalance ratio on, accuracy mostly tells how often the larger class was called."""

LOWER_IS_BETTER: tuple[StudyMetric, ...] = ("log_loss", "brier", "ece")
OVER_CLASSES: dict[StudyMetric, StudyMetric] = {
    "average_precision": "macro_average_precision",
    "roc_auc": "macro_roc_auc_ovr",
    "f1": "macro_f1",
    "precision": "macro_precision",
    "recall": "macro_recall",
}
"""Metrics of two classes, and what they are called as means over several."""

TERMINAL: frozenset[StudyState] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class Run:
    """One job of a study: the arm it is of, and its place among that arm's runs; runs of equal place are compared with each other."""

    arm: int
    place: int
    spec: ResolvedSpec
    loss: ResolvedLoss


@dataclass(frozen=True)
class Plan:
    """A study with nothing left open."""

    name: str
    spec: StudySpec
    metric: StudyMetric
    notes: list[str]
    arms: list[Arm]
    runs: list[Run]


def settle(spec: StudySpec, facts: TableFacts, chosen: DatasetChoices) -> Plan:
    """Return the arms and jobs of a study; Invalid, at the field, when it cannot be run."""
    _check_size(spec)
    arms.check_apart({"/losses": [loss.model_dump(mode="json") for loss in spec.losses], "/seeds": spec.seeds})
    metric, notes = _metric(spec.metric, facts)
    # What `auto` becomes is settled first: its settings can be varied then.
    first = _settled(spec.base, spec.losses[0], 0, facts, chosen)[0]
    base = spec.base.model_copy(update={"learner": first.learner})
    settings = arms.checked_settings(base, spec.vary)
    spec = spec.model_copy(update={"vary": settings})
    found = arms.arms(spec.losses, settings)
    title = spec.name or f"{len(found)} arms on {chosen.name}"[:200].rstrip()
    settled = [
        _settled(arms.varied(base, arm.settings), arm.loss, index // (len(found) // len(spec.losses)), facts, chosen)
        for index, arm in enumerate(found)
    ]
    runs = [
        Run(index, place, _of_seed(spec, title, found[index], job, seed), loss)
        for index, (job, loss) in enumerate(settled)
        for place, seed in enumerate(spec.seeds)
    ]
    return Plan(title, spec, metric, notes + _same_losses(found, [loss for _, loss in settled]), found, runs)


def goal_of(metric: StudyMetric) -> Goal:
    return "min" if metric in LOWER_IS_BETTER else "max"


def allowed_actions(state: StudyState, is_cancelling: bool) -> list[StudyAction]:
    """Return what a user may do to a study."""
    if state in TERMINAL:
        return ["delete"]
    return [] if is_cancelling else ["cancel"]


def require(action: StudyAction, study_id: str, state: StudyState, is_cancelling: bool) -> None:
    """Return when the study allows `action`; WrongState, with what it does allow, otherwise."""
    allowed = allowed_actions(state, is_cancelling)
    if action not in allowed:
        how = f"{state} and being cancelled" if is_cancelling and state not in TERMINAL else state
        raise WrongState(f"study {study_id} is {how}; `{action}` is not possible now", allowed)


def _check_size(spec: StudySpec) -> None:
    count = len(spec.losses) * len(spec.seeds)
    for values in spec.vary.values():
        count *= len(values)
    if count > MOST_JOBS:
        message = f"losses, seeds and varied settings multiply to {count:,} jobs, and {MOST_JOBS:,} is the most; try fewer"
        raise Invalid.at("/losses", "too_many_jobs", message)
    if len(spec.seeds) < FEWEST_RUNS:
        message = f"one run of an arm says nothing of its spread; give {FEWEST_RUNS} seeds or more ({ADVISED_SEEDS} are advised)"
        raise Invalid.at("/seeds", "too_few_runs", message)
    labels = {**spec.base.labels, **spec.labels}
    if len(labels) > MOST_LABELS:
        message = f"the jobs would have {len(labels)} labels, those of the study and of base, and {MOST_LABELS} is the most; leave some out"
        raise Invalid.at("/labels", "invalid", message)


def _metric(wanted: StudyMetric, facts: TableFacts) -> tuple[StudyMetric, list[str]]:
    """Return the metric the arms are compared by, and what to know about it."""
    notes = []
    metric = wanted
    if len(facts.classes) > 2:
        metric = OVER_CLASSES.get(wanted, wanted)
        if metric == "specificity":
            raise Invalid.at("/metric", "metric_mismatch", "specificity is of two classes, and there are more; choose balanced_accuracy")
        if metric != wanted:
            notes.append(f"with {len(facts.classes)} classes {wanted} is {metric}: the mean over the classes, each against the rest")
    elif wanted.startswith("macro_"):
        plain = next((name for name, title in OVER_CLASSES.items() if title == wanted), wanted)
        raise Invalid.at("/metric", "metric_mismatch", f"{wanted} is a mean over several classes, and there are two; choose {plain}")
    counts = [share.count for share in facts.classes]
    if metric == "accuracy" and counts and min(counts) > 0 and max(counts) > UNEQUAL * min(counts):
        notes.append(
            f"accuracy at {max(counts) / min(counts):,.0f} rows of the largest class for one of the rarest mostly tells how often the "
            "largest is called; average_precision, balanced_accuracy or mcc tell the arms apart"
        )
    if metric == "ece":
        notes.append("ece is no metric to select by: the constant prediction has nearly none; log_loss sees calibration and ranking")
    return metric, notes


def _settled(base: Recipe, loss: AnyLoss, place: int, facts: TableFacts, chosen: DatasetChoices) -> tuple[ResolvedSpec, ResolvedLoss]:
    """Return an arm's job; what is wrong with it is told at the study's own fields."""
    spec = JobSpec(**{name: getattr(base, name) for name in Recipe.model_fields}, loss=loss)
    try:
        return submission.settle(spec, facts, chosen)
    except Invalid as error:
        moved = [FieldError(pointer=_in_study(one.pointer, place), code=one.code, message=one.message) for one in error.errors]
        raise Invalid(error.detail, code=error.code, errors=moved) from error


def _in_study(pointer: str, place: int) -> str:
    rest = pointer.removeprefix("/loss")
    return f"/losses/{place}{rest}" if rest != pointer and rest[:1] in ("", "/") else f"/base{pointer}"


def _of_seed(spec: StudySpec, title: str, arm: Arm, job: ResolvedSpec, seed: int) -> ResolvedSpec:
    changes = {
        "name": f"{(spec.base.name or title)[:LONGEST_TITLE]}: {arm.arm}, seed {seed}",
        "labels": {**spec.base.labels, **spec.labels},
        "training": job.training.model_copy(update={"seed": seed}),
    }
    return job.model_copy(update=changes)


def _same_losses(found: Sequence[Arm], losses: Sequence[ResolvedLoss]) -> list[str]:
    """Say which arms are the same function on these classes: whatever sets them apart is noise."""
    notes: list[str] = []
    seen: dict[tuple[str, bool, str], str] = {}
    for arm, loss in zip(found, losses, strict=True):
        key = loss.resolved.model_copy(update={"alpha": None}).model_dump_json(), type(arm.loss).has_cosine_head, str(arm.settings)
        first = seen.setdefault(key, arm.arm)
        if first != arm.arm:
            notes.append(f"{arm.arm} comes to the same loss as {first} on these classes: only chance can set them apart")
    return notes
