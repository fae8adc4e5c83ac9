"""Training again on training and validation rows: the same course over more rows, chosen by the first."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from counterweight.contracts.jobs import EarlyStopping
from counterweight.contracts.losses import AnyLoss, CrossEntropy, Ldam
from counterweight.contracts.messages import Cancelled, EpochDone, PhaseChanged, Succeeded, TrainerMessage, TrainerTask
from tests.training.tables import make_task
from tests.training.test_loop import NETWORK, PACE, plan, rows
from workers.training.happenings import Trained
from workers.training.loop import train
from workers.training.mlp import MlpNetwork
from workers.training.model import load_model
from workers.training.networks import Architecture
from workers.training.population import Plan
from workers.training.refitting import SERIES
from workers.training.trainer import run

STOPPING = EarlyStopping(metric="log_loss", patience=2)
COSINE = MlpNetwork(inputs=3, classes=2, hidden=(16,), edges=((-1.0, 1.0),) * 3, cosine=True)


def ends(network: Architecture, plans: Sequence[Plan], *, validated: bool, epochs: int = 40) -> dict[int, Trained]:
    validation = rows(200, torch.float64, seed=1) if validated else None
    events = train(network, plans, replace(PACE, epochs=epochs), rows(300, torch.float64), validation, lambda _: False)
    return {event.member: event for event in events if isinstance(event, Trained)}


@pytest.mark.parametrize(("network", "loss"), [(NETWORK, CrossEntropy()), (COSINE, Ldam())], ids=["plain", "deferred"])
def test_for_its_best_epochs_a_member_goes_the_way_it_went(network: Architecture, loss: AnyLoss) -> None:
    plans = [plan(loss, seed=seed, stopping=STOPPING, learning_rate=rate) for seed, rate in ((0, 0.03), (1, 0.003))]
    first = ends(network, plans, validated=True)
    assert len({end.best_epoch for end in first.values()}) == 2

    again = ends(
        network,
        [
            replace(
                plans[member],
                stopping=None,
                epochs=end.best_epoch,
                deferred=None if end.deferred_from is None else plans[member].deferred,
                deferred_from=end.deferred_from,
            )
            for member, end in sorted(first.items())
        ],
        validated=False,
    )

    for member, end in first.items():
        assert again[member].best_epoch == end.best_epoch
        assert again[member].terms == end.terms
        assert torch.allclose(again[member].parameters, end.parameters, rtol=0, atol=1e-10)


def test_deferred_terms_say_when_they_came_into_force() -> None:
    late, early = (ends(COSINE, [plan(Ldam(), stopping=stopping)], validated=True, epochs=10)[0] for stopping in (None, STOPPING))

    assert late.deferred_from == 9
    assert early.deferred_from is None or early.deferred_from <= early.best_epoch


def job(folder: Path, *, refit: bool, **spec: Any) -> tuple[list[TrainerMessage], TrainerTask]:
    folder.mkdir(exist_ok=True)
    training = {"max_epochs": 12, "refit": refit, **spec.pop("training", {})}
    task = make_task(folder, [{"loss": {"kind": "balanced_cross_entropy"}, "training": training, **spec}])
    return list(run(task, lambda _: False)), task


def end_of(messages: Sequence[TrainerMessage]) -> Succeeded:
    (end,) = [message for message in messages if isinstance(message, Succeeded)]
    return end


def test_the_refitted_network_is_tested_with_what_the_first_one_chose(tmp_path: Path) -> None:
    plain = end_of(job(tmp_path / "plain", refit=False)[0]).evaluation
    again = end_of(job(tmp_path / "again", refit=True)[0]).evaluation

    assert {part: found.network for part, found in plain.splits.items()} == {"validation": "trained", "test": "trained"}
    assert {part: found.network for part, found in again.splits.items()} == {"validation": "trained", "test": "refitted"}
    assert again.threshold == plain.threshold
    assert again.calibration.parameters == plain.calibration.parameters
    assert again.splits["validation"] == plain.splits["validation"]
    assert again.splits["test"].metrics != plain.splits["test"].metrics


def test_the_refitted_network_is_the_one_that_is_kept(tmp_path: Path) -> None:
    messages, task = job(tmp_path, refit=True)
    model = load_model(tmp_path / "job_0")
    predictions = pq.read_table(tmp_path / "job_0" / "predictions.parquet")
    is_test = np.array(predictions["part"].to_pylist()) == "test"
    table = pq.read_table(task.table).take(predictions["row"])

    found = np.exp(model.log_probabilities(table))[:, 1]

    said = np.array(predictions["probability:yes"])
    assert found[is_test] == pytest.approx(said[is_test], abs=1e-6)
    assert found[~is_test] != pytest.approx(said[~is_test], abs=1e-6)
    assert end_of(messages).evaluation.splits["test"].rows == is_test.sum()


def test_terms_are_resolved_anew_on_all_rows_that_are_learnt_from(tmp_path: Path) -> None:
    job(tmp_path, refit=True)

    # 90 of 600 rows are events: 59 of 391 that are trained on, and 72 of 480 with the validation rows.
    assert load_model(tmp_path / "job_0").description.terms.weights == pytest.approx((480 / (2 * 408), 480 / (2 * 72)))


def test_its_course_is_told_apart_from_the_first_ones(tmp_path: Path) -> None:
    messages, _ = job(tmp_path, refit=True)

    epochs = [message for message in messages if isinstance(message, EpochDone)]
    (note,) = [note for note in _last_notes(messages) if "trained again" in note]
    best = load_model(tmp_path / "job_0").description.best_epoch
    assert [message.epoch for message in epochs if SERIES in message.values] == list(range(1, best + 1))
    assert all(message.values.keys() == {SERIES} for message in epochs if SERIES in message.values)
    assert note.startswith(f"trained again for {best} epochs on training and validation rows")


def test_members_that_stop_at_different_epochs_are_each_refitted_for_their_own(tmp_path: Path) -> None:
    stopping = {"metric": "log_loss", "patience": 2}
    rates = (0.3, 0.01, 0.001)
    specs = [{"training": {"max_epochs": 20, "refit": True, "learning_rate": rate, "early_stopping": stopping}} for rate in rates]
    alone: list[Succeeded] = []
    for index, spec in enumerate(specs):
        home = tmp_path / str(index)
        home.mkdir()
        alone.append(end_of(list(run(make_task(home, [spec]), lambda _: False))))

    together = [message for message in run(make_task(tmp_path, specs), lambda _: False) if isinstance(message, Succeeded)]

    bests = [load_model(tmp_path / f"job_{index}").description.best_epoch for index in range(3)]
    assert len(set(bests)) > 1
    for index, single in enumerate(alone):
        assert load_model(tmp_path / str(index) / "job_0").description.best_epoch == bests[index]
        stacked = next(message for message in together if message.job_id == f"job_{index}")
        found, expected = (end.evaluation.splits["test"].metrics["log_loss"].value for end in (stacked, single))
        assert found == pytest.approx(expected, rel=1e-3)


def test_a_job_that_is_cancelled_while_it_is_refitted_ends_so(tmp_path: Path) -> None:
    cancelled: set[str] = set()
    task = make_task(tmp_path, [{"training": {"max_epochs": 3, "refit": True}}])

    messages = []
    for message in run(task, cancelled.__contains__):
        messages.append(message)
        if isinstance(message, EpochDone) and SERIES in message.values:
            cancelled.add(message.job_id)

    assert isinstance(messages[-1], Cancelled)


def _last_notes(messages: Sequence[TrainerMessage]) -> list[str]:
    return [message.resolved for message in messages if isinstance(message, PhaseChanged) and message.resolved is not None][-1].notes
