"""What a study means on its dataset: its arms, its jobs, its metric; every mismatch refused before anything is queued."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.jobs import JobSpec, JobState, Recipe, ResolvedSpec
from counterweight.contracts.loss_resolution import ResolvedLoss
from counterweight.contracts.losses import AnyLoss
from counterweight.contracts.problems import FieldError
from counterweight.contracts.splits import FoldedSplit, GroupSplit, TimeSplit
from counterweight.contracts.studies import MOST_JOBS, OVER_CLASSES, Arm, Goal, StudyAction, StudyMetric, StudySpec, StudyState
from service.domain import arms, submission
from service.domain.editing import MOST_LABELS
from service.domain.errors import Invalid
from service.domain.submission import DatasetChoices

FEWEST_RUNS = 2
"""An arm of fewer runs has no spread, and cannot be compared."""

ADVISED_SEEDS = 5
FEWEST_FOLDS = 5
LONGEST_TITLE = 48
"""So much of a study's name goes into those of its jobs, before the arm and the seed, which tell them apart."""

UNEQUAL = 10.0
"""From this imbalance ratio on, accuracy mostly tells how often the larger class was called."""

LOWER_IS_BETTER: tuple[StudyMetric, ...] = ("log_loss", "brier", "ece")
PAUSED_FROM: tuple[JobState, ...] = ("queued", "running")

RETRIED: tuple[JobState, ...] = ("failed", "cancelled")
"""Jobs that ended so are trained anew when a study is tried again."""

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
    first = _settled(_of_folds(spec.base, spec.folds)[0], spec.losses[0], 0, facts, chosen)[0]
    base = spec.base.model_copy(update={"learner": first.learner})
    settings = arms.checked_settings(base, spec.vary)
    spec = spec.model_copy(update={"vary": settings})
    found = arms.arms(spec.losses, settings)
    title = spec.name or f"{len(found)} arms on {chosen.name}"[:200].rstrip()
    of_a_loss = len(found) // len(spec.losses)
    runs, resolved = [], []
    for index, arm in enumerate(found):
        recipe = arms.varied(base, arm.settings)
        for fold, divided in enumerate(_of_folds(recipe, spec.folds)):
            job, loss = _settled(divided, arm.loss, index // of_a_loss, facts, chosen)
            resolved += [loss] if fold == 0 else []
            for number, seed in enumerate(spec.seeds):
                runs.append(Run(index, number * (spec.folds or 1) + fold, _of_seed(spec, title, arm, job, seed), loss))
    return Plan(title, spec, metric, [*notes, *_same_losses(found, resolved), *_split_notes(first, spec.folds)], found, runs)


def goal_of(metric: StudyMetric) -> Goal:
    return "min" if metric in LOWER_IS_BETTER else "max"


def allowed_actions(state: StudyState, is_cancelling: bool, counts: Mapping[JobState, int]) -> list[StudyAction]:
    """Return what a user may do to a study whose jobs are in these states."""
    if state in TERMINAL:
        can_be_better = state != "succeeded" or any(counts.get(ended) for ended in RETRIED)
        return ["retry", "delete"] if can_be_better else ["delete"]
    if is_cancelling:
        return []
    if state == "paused":
        return ["resume", "cancel"]
    return ["cancel", "pause"] if any(counts.get(going_on) for going_on in PAUSED_FROM) else ["cancel"]


def _check_size(spec: StudySpec) -> None:
    runs = len(spec.seeds) * (spec.folds or 1)
    count = len(spec.losses) * runs
    for values in spec.vary.values():
        count *= len(values)
    if count > MOST_JOBS:
        message = f"losses, seeds, folds and varied settings multiply to {count:,} jobs, and {MOST_JOBS:,} is the most; try fewer"
        raise Invalid.at("/losses", "too_many_jobs", message)
    if runs < FEWEST_RUNS:
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


def _of_folds(base: Recipe, folds: int | None) -> list[Recipe]:
    """Return the recipe for each fold, or as it is where there are none."""
    if folds is None:
        return [base]
    split = base.split
    if not isinstance(split, FoldedSplit):
        message = f"a split of kind {split.kind} has no folds; choose stratified or group, or leave folds out"
        raise Invalid.at("/base/split/kind", "split_mismatch", message)
    if split.folds is not None or "test" in split.model_fields_set:
        name = "test" if split.folds is None else "folds"
        raise Invalid.at(f"/base/split/{name}", "split_mismatch", f"the study's folds bring the test rows; leave {name} out of the split")
    given = split.model_dump(exclude={"test", "folds", "fold"})
    if split.validation + 1 / folds >= 1:
        message = f"a validation share of {split.validation} and one of {folds} folds leave no rows to train on; take more folds, or less"
        raise Invalid.at("/base/split/validation", "split_mismatch", message)
    parts = [type(split).model_validate({**given, "folds": folds, "fold": fold}) for fold in range(folds)]
    return [base.model_copy(update={"split": part}) for part in parts]


def _of_seed(spec: StudySpec, title: str, arm: Arm, job: ResolvedSpec, seed: int) -> ResolvedSpec:
    changes = {
        "name": f"{_shortened(spec.base.name or title)}: {arm.arm}, seed {seed}{_fold_told(job)}",
        "labels": {**spec.base.labels, **spec.labels},
        "training": job.training.model_copy(update={"seed": seed}),
    }
    return job.model_copy(update=changes)


def _shortened(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1].rstrip()}…"


def _split_notes(job: ResolvedSpec, folds: int | None) -> list[str]:
    """Say what the split does to the intervals."""
    notes = []
    if isinstance(job.split, GroupSplit | TimeSplit):
        of = "a group" if isinstance(job.split, GroupSplit) else "neighbouring times"
        notes.append(f"intervals take test rows as independent; where rows of {of} are alike they are too narrow")
    if folds is not None and folds < FEWEST_FOLDS:
        notes.append(f"{folds} folds are few to tell a spread from; {FEWEST_FOLDS} or more are advised")
    return notes


def _fold_told(job: ResolvedSpec) -> str:
    split = job.split
    return f", fold {split.fold}" if isinstance(split, FoldedSplit) and split.fold is not None else ""


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
