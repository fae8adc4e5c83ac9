"""Laws of the whole evaluation: what must not matter does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from counterweight.contracts.evaluation import EvaluationOptions, Fixed, Metric
from counterweight.contracts.terms import LossTerms
from tests.training.tables import make_task, two_blobs
from workers.training.evaluation import evaluate
from workers.training.measures import Measures, measure
from workers.training.prepared import Prepared, TableFile, prepare
from workers.training.subject import Judged, Scored, Subject

BINARY = Subject(("no", "yes"), 1, LossTerms.neutral(2), (0.8, 0.2), EvaluationOptions())
SEVERAL = Subject(("x", "y", "z"), None, LossTerms.neutral(3), (0.6, 0.3, 0.1), EvaluationOptions())
some_seeds = st.integers(0, 10_000)
few = settings(deadline=None, max_examples=6)


def scored(subject: Subject, seed: int, rows: int = 120, distinct: int = 40) -> Scored:
    """Return rows with few distinct outputs, so that many tie."""
    source, classes = np.random.default_rng(seed), len(subject.classes)
    outputs = source.normal(size=(distinct, classes)) * 1.5
    of_row = np.arange(rows) % distinct
    shares = np.exp(outputs) * subject.shares
    labels = np.array([source.choice(classes, p=shares[index] / shares[index].sum()) for index in of_row])
    labels[: 6 * classes] = np.arange(6 * classes) % classes
    return Scored.of(outputs[of_row], labels)


def judged(rows: Scored, threshold: float = 0.5) -> Judged:
    """Judge the rows by their softmax: two classes by the second one's probability, several by the likeliest."""
    log_p = rows.logits - np.logaddexp.reduce(rows.logits, axis=1, keepdims=True)
    is_binary = log_p.shape[1] == 2
    return Judged(rows, log_p, (np.exp(log_p[:, 1]) >= threshold).astype(int) if is_binary else log_p.argmax(axis=1))


def permuted(rows: Scored, order: np.ndarray) -> Scored:
    return Scored(rows.logits[order], rows.labels[order], rows.rows[order])


def same(found: dict[str, Metric], expected: dict[str, Metric]) -> None:
    assert found.keys() == expected.keys()
    for name, metric in expected.items():
        assert found[name].reason == metric.reason, name
        for side in ("value", "low", "high"):
            one, other = getattr(found[name], side), getattr(metric, side)
            assert one is other is None or one == pytest.approx(other, rel=1e-6, abs=1e-9), (name, side)


def values(found: dict[str, Metric]) -> dict[str, Metric]:
    return {name: Metric(value=metric.value) for name, metric in found.items()}


@few
@given(some_seeds, st.sampled_from([BINARY, SEVERAL]))
@example(3383, BINARY)  # Newton's last step gains less than the rounding of the loss
def test_the_order_of_the_rows_is_of_no_account(seed: int, subject: Subject) -> None:
    validation, test = scored(subject, seed), scored(subject, seed + 1)
    orders = [np.random.default_rng(seed + place).permutation(120) for place in (2, 3)]

    straight = evaluate(subject, validation, test).evaluation
    mixed = evaluate(subject, permuted(validation, orders[0]), permuted(test, orders[1])).evaluation

    assert mixed.threshold.value == pytest.approx(straight.threshold.value, rel=1e-9) if straight.threshold.value else True
    for part, split in straight.splits.items():
        # With several classes a draw weighs row by row, and so the intervals keep only their law.
        keep = values if subject is SEVERAL else dict
        same(keep(mixed.splits[part].metrics), keep(split.metrics))
        for label, metrics in split.per_class.items():
            same(keep(mixed.splits[part].per_class[label]), keep(metrics))


@few
@given(some_seeds, st.sampled_from([BINARY, SEVERAL]))
def test_the_names_and_the_order_of_the_classes_are_of_no_account(seed: int, subject: Subject) -> None:
    validation, test = scored(subject, seed), scored(subject, seed + 1)
    count = len(subject.classes)
    order = np.roll(np.arange(count), 1)
    place = np.argsort(order)
    names = tuple(f"renamed {subject.classes[index]}" for index in order)
    renamed = replace(
        subject,
        classes=names,
        positive=None if subject.positive is None else int(place[subject.positive]),
        shares=tuple(subject.shares[index] for index in order),
    )

    def moved(rows: Scored) -> Scored:
        return Scored(rows.logits[:, order], place[rows.labels], rows.rows)

    before = evaluate(subject, validation, test).evaluation.splits["test"]
    after = evaluate(renamed, moved(validation), moved(test)).evaluation.splits["test"]

    same(values(after.metrics), values(before.metrics))
    same(values(after.baselines["constant"]), values(before.baselines["constant"]))
    for label in subject.classes:
        same(values(after.per_class[f"renamed {label}"]), values(before.per_class[label]))


def measured(positive: int, rows: Judged) -> Measures:
    return measure(replace(BINARY, positive=positive), rows)


@few
@given(some_seeds)
def test_calling_the_other_class_positive_exchanges_what_it_must_and_nothing_else(seed: int) -> None:
    rows = judged(scored(BINARY, seed, rows=300, distinct=300))

    yes, no = measured(1, rows), measured(0, rows)

    for name in ("roc_auc", "log_loss", "brier", "ece", "accuracy", "balanced_accuracy", "g_mean", "mcc", "kappa"):
        assert no.whole[name].value == pytest.approx(yes.whole[name].value, rel=1e-9, abs=1e-12), name
    assert (no.whole["recall"].value, no.whole["specificity"].value) == (yes.whole["specificity"].value, yes.whole["recall"].value)
    for name in ("average_precision", "f1", "precision"):
        assert no.whole[name] == yes.of_classes[0][name]
        assert yes.whole[name] == no.of_classes[1][name]


@few
@given(some_seeds, st.sampled_from([BINARY, SEVERAL]))
def test_every_row_twice_leaves_every_value(seed: int, subject: Subject) -> None:
    rows = scored(subject, seed, rows=300)
    twice = Scored(np.repeat(rows.logits, 2, axis=0), np.repeat(rows.labels, 2), np.arange(600))

    once, doubled = measure(subject, judged(rows)).whole, measure(subject, judged(twice)).whole

    # Twice the rows fill as many bins: 15 in both.
    same(values(doubled), values(once))


@few
@given(some_seeds)
def test_two_classes_equal_scikit_learn_with_ties(seed: int) -> None:
    rows = judged(scored(BINARY, seed))
    labels, called, scores = rows.labels, rows.decisions, np.exp(rows.log_p[:, 1])

    found = {name: metric.value for name, metric in measured(1, rows).whole.items() if name not in ("ece", "g_mean", "specificity")}

    theirs = {
        # Ranked by the exact log-odds: probabilities that round to the same number would tie.
        "average_precision": sklearn_metrics.average_precision_score(labels, rows.log_p[:, 1] - rows.log_p[:, 0]),
        "roc_auc": sklearn_metrics.roc_auc_score(labels, rows.log_p[:, 1] - rows.log_p[:, 0]),
        "log_loss": sklearn_metrics.log_loss(labels, scores),
        "brier": sklearn_metrics.brier_score_loss(labels, scores),
        "mcc": sklearn_metrics.matthews_corrcoef(labels, called),
        "kappa": sklearn_metrics.cohen_kappa_score(labels, called),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, called),
        "accuracy": sklearn_metrics.accuracy_score(labels, called),
        "f1": sklearn_metrics.f1_score(labels, called),
        "precision": sklearn_metrics.precision_score(labels, called),
        "recall": sklearn_metrics.recall_score(labels, called),
    }
    assert found == pytest.approx(theirs, rel=1e-12, abs=1e-12)


@few
@given(some_seeds, st.floats(0.01, 0.99))
def test_a_higher_threshold_calls_no_more_rows(seed: int, threshold: float) -> None:
    validation, test = scored(BINARY, seed), scored(BINARY, seed + 1)

    def called(value: float) -> int:
        options = EvaluationOptions(threshold=Fixed(value=value))
        counts = evaluate(replace(BINARY, options=options), validation, test).evaluation.splits["test"].confusion.counts
        return counts[0][1] + counts[1][1]

    assert called(0.0) == 120
    assert called(threshold) >= called(min(1.0, threshold * 1.3))


def test_a_feature_column_twice_leaves_rows_labels_and_the_other_columns_as_they_are(tmp_path: Path) -> None:
    cells = two_blobs()

    def made(folder: Path, columns: dict[str, list[object]]) -> Prepared:
        folder.mkdir()
        task = make_task(folder, cells=columns)
        file = TableFile(Path(task.table), task.table_sha256)
        return prepare(file, None, task.facts, task.members[0].spec, Path(task.cache_folder), threads=1)

    plain, doubled = made(tmp_path / "plain", cells), made(tmp_path / "doubled", cells | {"twin": cells["a"]})

    assert torch.equal(plain.labels, doubled.labels)
    assert torch.equal(plain.rows, doubled.rows)
    columns = {tuple(column) for column in doubled.features.T.tolist()}
    assert {tuple(column) for column in plain.features.T.tolist()} <= columns
    assert doubled.features.shape[1] > plain.features.shape[1]
