"""Weights of rows: a row of weight 2 counts as two rows, and what is no weight is refused by its row."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from counterweight.contracts.losses import BalancedCrossEntropy, Focal, Ldam, LogitAdjusted
from counterweight.contracts.messages import PhaseChanged, Succeeded, TrainerTask
from counterweight.contracts.terms import ClassCounts
from tests.training.tables import make_task, two_blobs
from tests.training.test_loop import PACE, parameters, plan, rows, trained
from workers.training.errors import UnusableData
from workers.training.prepared import Prepared, TableFile, prepare
from workers.training.rows import Rows
from workers.training.trainer import run

WEIGHTED = {"weight_column": "weight"}


def weighted_blobs(weights: list[Any] | None = None) -> dict[str, list[Any]]:
    """Return two blobs of which every third row counts three times."""
    return two_blobs() | {"weight": weights or [3.0 if row % 3 == 0 else 1.0 for row in range(600)]}


def test_a_row_of_weight_two_trains_as_the_row_twice() -> None:
    once = rows(200, torch.float64)
    times = torch.arange(200) % 3
    repeated = Rows(once.features.repeat_interleave(times, dim=0), once.labels.repeat_interleave(times))
    weights = times.double() * 200 / times.sum()
    # In one batch the order of rows is nothing.
    pace = replace(PACE, batch_size=1000)

    by_weight = parameters(trained([plan(Focal(gamma=2))], pace=pace, training=replace(once, weights=weights)))
    by_number = parameters(trained([plan(Focal(gamma=2))], pace=pace, training=repeated))

    assert torch.allclose(by_weight, by_number, rtol=0, atol=1e-10)


def test_weights_that_are_all_one_change_nothing() -> None:
    training = rows(300, torch.float32)

    without = parameters(trained([plan()], torch.float32, training=training))
    ones = parameters(trained([plan()], torch.float32, training=replace(training, weights=torch.ones(300))))

    assert torch.equal(without, ones)


def test_members_of_unlike_seeds_weigh_the_rows_that_they_see() -> None:
    training = replace(rows(300, torch.float64), weights=torch.linspace(0, 2, 300, dtype=torch.float64))

    together = trained([plan(seed=0), plan(seed=1)], training=training)

    for seed in (0, 1):
        alone = trained([plan(seed=seed)], training=training)
        assert torch.allclose(parameters(together, seed), parameters(alone), rtol=0, atol=1e-10)


@pytest.mark.parametrize("loss", [BalancedCrossEntropy(), BalancedCrossEntropy(weights="effective_number"), LogitAdjusted(), Ldam()])
def test_terms_take_sums_of_weights_for_numbers_of_rows(loss: Any) -> None:
    labels = ("no", "yes")

    assert loss.terms(ClassCounts(labels, (90.0, 10.0), 1)) == loss.terms(ClassCounts(labels, (90, 10), 1))
    assert loss.terms(ClassCounts(labels, (90.5, 9.5), 1)) != loss.terms(ClassCounts(labels, (90, 10), 1))


def test_a_job_with_weights_resolves_its_loss_on_their_sums(tmp_path: Path) -> None:
    cells = weighted_blobs()
    task = make_task(tmp_path, [{**WEIGHTED, "loss": {"kind": "balanced_cross_entropy"}, "training": {"max_epochs": 2}}], cells=cells)
    prepared = prepared_of_task(task)

    messages = list(run(task, lambda _: False))

    known = prepared.rows[prepared.span("train")].tolist()
    sums = {label: sum(cells["weight"][row] for row in known if cells["event"][row] == label) for label in ("no", "yes")}
    (loss,) = [message.loss for message in messages if isinstance(message, PhaseChanged) and message.loss is not None]
    assert loss.resolved.weights == pytest.approx({label: sum(sums.values()) / (2 * weight) for label, weight in sums.items()})
    assert loss.initial_loss == pytest.approx(math.log(2))
    assert any(isinstance(message, Succeeded) for message in messages)
    resolved = next(message.resolved for message in messages if isinstance(message, PhaseChanged) and message.resolved is not None)
    assert "training counts rows by 'weight'; calibration, threshold and metrics count each row once" in resolved.notes


def test_weights_move_what_is_learnt_and_are_no_feature(tmp_path: Path) -> None:
    said: list[float] = []
    for name, weight in (("even", 1.0), ("heavy", 20.0)):
        home = tmp_path / name
        home.mkdir()
        cells = two_blobs()
        cells["weight"] = [weight if label == "yes" else 1.0 for label in cells["event"]]
        task = make_task(home, [{**WEIGHTED, "training": {"max_epochs": 10}}], cells=cells)
        (end,) = [message for message in run(task, lambda _: False) if isinstance(message, Succeeded)]
        (raw,) = [found for found in end.evaluation.calibration.candidates if found.kind == "raw"]
        assert raw.validation is not None
        said.append(raw.validation.log_loss)

    # Events that count twenty times are foretold far too often: the rows that are measured on count once.
    assert said[1] > 1.5 * said[0]


@pytest.mark.parametrize(
    ("bad", "trouble"),
    [(None, "holds no weight in row 7"), (-1.0, "holds -1 in row 7"), (math.inf, "holds inf in row 7"), (math.nan, "holds nan in row 7")],
)
def test_what_is_no_weight_is_refused_by_its_row(tmp_path: Path, bad: float | None, trouble: str) -> None:
    weights: list[float | None] = [1.0] * 600
    weights[7] = bad

    with pytest.raises(UnusableData, match=f"column 'weight' {trouble}; a weight is a number of 0 or more"):
        prepared_of(tmp_path, weights)


def test_a_class_whose_rows_count_for_nothing_is_refused(tmp_path: Path) -> None:
    weights: list[float | None] = [0.0 if label == "yes" else 1.0 for label in two_blobs()["event"]]

    with pytest.raises(UnusableData, match="the training rows of class 'yes' all have weight 0"):
        prepared_of(tmp_path, weights)


def test_rows_of_weight_zero_are_rows_of_their_part(tmp_path: Path) -> None:
    weights: list[float | None] = [float(row % 2) for row in range(600)]

    prepared = prepared_of(tmp_path, weights)

    found = prepared.row_weights(prepared.span("train"))
    assert found is not None
    assert float(found.mean()) == pytest.approx(1)
    assert sum(prepared.class_weights(prepared.span("train"))) == pytest.approx(sum(prepared.class_counts("train")))


def prepared_of(folder: Path, weights: list[float | None]) -> Prepared:
    return prepared_of_task(make_task(folder, [WEIGHTED], cells=weighted_blobs(weights)))


def prepared_of_task(task: TrainerTask) -> Prepared:
    spec = task.members[0].spec
    return prepare(TableFile(Path(task.table), task.table_sha256), None, task.facts, spec, Path(task.cache_folder), threads=1)
