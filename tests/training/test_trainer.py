"""A whole run, from a task to its messages."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from counterweight.contracts.messages import (
    TRAINER_MESSAGE,
    Cancelled,
    EpochDone,
    Failed,
    Log,
    PhaseChanged,
    Split,
    Succeeded,
    TrainerMessage,
    TrainerTask,
)
from tests.training.tables import LEARNER, make_task, three_blobs, two_blobs, write_table
from workers.training import trainer
from workers.training.model import DESCRIPTION, load_model
from workers.training.pilot import EMBEDDINGS
from workers.training.trainer import run

EVERY_LOSS: list[dict[str, Any]] = [
    {"kind": "cross_entropy"},
    {"kind": "balanced_cross_entropy"},
    {"kind": "focal", "alpha": "balanced"},
    {"kind": "logit_adjusted"},
    {"kind": "balanced_softmax"},
    {"kind": "poly"},
]
LDAM = {"kind": "ldam"}


def ran(task: TrainerTask) -> list[TrainerMessage]:
    return list(run(task, lambda _: False, clock=lambda: 1_000.0))


def succeeded(messages: Sequence[TrainerMessage]) -> list[Succeeded]:
    return [message for message in messages if isinstance(message, Succeeded)]


def failed(task: TrainerTask) -> Failed:
    (message,) = [message for message in ran(task) if isinstance(message, Failed)]
    return message


def test_a_job_goes_through_its_phases_to_its_end(tmp_path: Path) -> None:
    messages = ran(make_task(tmp_path, [{"training": {"max_epochs": 3}}]))

    kinds = [message.phase if isinstance(message, PhaseChanged) else message.kind for message in messages if not isinstance(message, Log)]
    assert kinds == ["loading", "training", "epoch", "epoch", "epoch", "evaluating", "exporting", "succeeded"]


@pytest.mark.parametrize(
    "learner",
    [{"kind": "linear"}, LEARNER, {**LEARNER, "kind": "tabm", "members": 2}],
    ids=lambda learner: str(learner["kind"]),
)
@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: loss["kind"])
def test_every_learner_learns_under_every_loss(tmp_path: Path, learner: dict[str, Any], loss: dict[str, Any]) -> None:
    # So many rows that no draw of the test rows decides.
    spec = {"learner": learner, "loss": loss, "training": {"max_epochs": 20}}
    task = make_task(tmp_path, [spec], cells=two_blobs(1200, 180))

    (end,) = succeeded(ran(task))

    metrics = end.evaluation.splits["test"].metrics
    assert (metrics["average_precision"].value or 0) > 0.6
    assert (metrics["log_loss"].value or 9) < (end.evaluation.splits["test"].baselines["constant"]["log_loss"].value or 0)


def test_ldam_learns_to_rank(tmp_path: Path) -> None:
    (end,) = succeeded(ran(make_task(tmp_path, [{"loss": LDAM, "training": {"max_epochs": 20}}])))

    assert (end.evaluation.splits["test"].metrics["average_precision"].value or 0) > 0.6
    assert load_model(tmp_path / "job_0").description.network.cosine


@pytest.mark.parametrize(("epochs", "is_early"), [(4, True), (5, False)])
def test_the_terms_of_the_best_epoch_go_into_the_model(tmp_path: Path, epochs: int, is_early: bool) -> None:
    task = make_task(tmp_path, [{"loss": LDAM, "training": {"max_epochs": epochs, "early_stopping": None}}])

    told = [message.message for message in ran(task) if isinstance(message, Log)]

    description = load_model(tmp_path / "job_0").description
    assert ("from epoch 5 on the loss weighs the classes" in told) != is_early
    assert (description.terms.weights == (1.0, 1.0)) == is_early
    assert any("before the re-weighting" in note for note in description.notes) == is_early


def test_heads_of_two_kinds_are_no_cohort(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind of head"):
        ran(make_task(tmp_path, [{"loss": LDAM}, {}]))


def test_several_classes_are_learnt(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"training": {"max_epochs": 20}}], cells=three_blobs(), target="kind")

    (end,) = succeeded(ran(task))

    assert (end.evaluation.splits["test"].metrics["macro_average_precision"].value or 0) > 0.6


def test_an_epoch_tells_loss_validation_and_pace(tmp_path: Path) -> None:
    message = next(message for message in ran(make_task(tmp_path)) if isinstance(message, EpochDone))

    assert message.values.keys() == {"train/loss", "validation/average_precision", "validation/log_loss"}
    assert (message.epoch, message.epochs, message.step, message.time) == (1, 8, 7, 1_000.0)
    assert (message.rows_per_s or 0) > 0


def test_what_training_chose_is_told(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"learner": {"kind": "mlp", "width": 16}}])

    message = [message for message in ran(task) if isinstance(message, PhaseChanged)][1]

    assert message.resolved is not None
    chosen = message.resolved.learner.model_dump()["numeric_embedding"]
    assert chosen in EMBEDDINGS
    assert f"numeric_embedding {chosen} was chosen" in message.resolved.notes[-1]
    assert (message.resolved.device, message.resolved.cohort_size) == ("cpu", 1)


def test_the_same_task_twice_gives_the_same_numbers_and_files(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"loss": {"kind": "focal"}}])

    first, second = (succeeded(ran(task)) for _ in range(2))

    assert first == second


def test_a_cohort_finishes_all_its_members(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"loss": loss} for loss in EVERY_LOSS])

    ends = succeeded(ran(task))

    assert sorted(end.job_id for end in ends) == [f"job_{index}" for index in range(len(EVERY_LOSS))]
    assert all((Path(member.folder) / DESCRIPTION).exists() for member in task.members)


def test_a_job_in_a_cohort_is_measured_as_alone(tmp_path: Path) -> None:
    specs = [{"loss": loss} for loss in EVERY_LOSS]
    (tmp_path / "alone").mkdir()

    together = {end.job_id: end for end in succeeded(ran(make_task(tmp_path, specs)))}

    (alone,) = succeeded(ran(make_task(tmp_path / "alone", specs[:1])))
    found, expected = (end.evaluation.splits["test"].metrics["log_loss"].value for end in (together["job_0"], alone))
    assert found == pytest.approx(expected, rel=1e-4)


def test_members_of_unlike_shape_are_no_cohort(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{}, {"learner": {"kind": "linear"}}])

    with pytest.raises(ValueError, match="members of a cohort must share"):
        ran(task)


def test_a_cancelled_job_ends_so_and_the_other_goes_on(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{}, {"loss": {"kind": "focal"}}])

    messages = list(run(task, lambda job_id: job_id == "job_0"))

    assert [message.job_id for message in messages if isinstance(message, Cancelled)] == ["job_0"]
    assert [end.job_id for end in succeeded(messages)] == ["job_1"]


def test_a_diverging_job_fails_and_says_where(tmp_path: Path) -> None:
    # A decay of 100 a step turns every weight around and makes it 99 times as large.
    task = make_task(tmp_path, [{"training": {"learning_rate": 10, "weight_decay": 10, "max_epochs": 50, "early_stopping": None}}])

    message = failed(task)

    assert message.failure_class == "diverged"
    assert "the loss was not finite at step" in message.detail


def test_a_cell_of_any_size_keeps_the_run_finite(tmp_path: Path) -> None:
    cells = two_blobs()
    cells["a"][::50] = [1e300, -1e300] * 6

    (end,) = succeeded(ran(make_task(tmp_path, cells=cells)))

    assert end.evaluation.splits["test"].metrics["log_loss"].value is not None


def test_data_that_cannot_be_trained_on_fails_with_a_way_out(tmp_path: Path) -> None:
    cells = two_blobs()
    cells["a"][3] = float("inf")

    message = failed(make_task(tmp_path, cells=cells))

    assert message.failure_class == "data"
    assert "'a' holds NaN or infinite" in message.detail
    assert message.hint is not None


@pytest.mark.parametrize(
    "trouble",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory")],
    ids=["python", "cuda", "cpu"],
)
def test_a_lack_of_memory_is_the_owner_s_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception) -> None:
    def raise_it(*_: object) -> None:
        raise trouble

    monkeypatch.setattr(trainer, "prepare", raise_it)

    assert failed(make_task(tmp_path)).failure_class == "out_of_memory"


def test_a_lack_of_memory_for_several_asks_for_fewer_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_it(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(trainer, "finish", raise_it)
    task = make_task(tmp_path, [{}, {"loss": {"kind": "focal"}}])

    messages = ran(task)

    assert [message.job_id for message in messages if isinstance(message, Split)] == ["job_0", "job_1"]
    assert not any(isinstance(message, Failed) for message in messages)


def test_what_nobody_foresaw_is_raised(tmp_path: Path) -> None:
    task = make_task(tmp_path).model_copy(update={"table": str(tmp_path / "gone.parquet")})

    with pytest.raises(FileNotFoundError):
        ran(task)


def test_a_column_split_judges_the_rows_it_names(tmp_path: Path) -> None:
    parts = (["train"] * 4 + ["validation", "test"]) * 100
    task = make_task(tmp_path, [{"split": {"kind": "column", "column": "part"}}], cells=two_blobs() | {"part": parts})

    (end,) = succeeded(ran(task))

    assert end.evaluation.splits["test"].rows == 100


def test_few_validation_rows_of_a_class_stop_by_log_loss_and_the_model_says_so(tmp_path: Path) -> None:
    task = make_task(tmp_path, cells=two_blobs(positives=12))

    messages = ran(task)

    resolved = [message.resolved for message in messages if isinstance(message, PhaseChanged) and message.resolved is not None]
    assert [each.early_stopping and each.early_stopping.metric for each in resolved] == ["log_loss", "log_loss"]
    description = json.loads((Path(task.members[0].folder) / DESCRIPTION).read_text())
    assert "stopped by log_loss" in description["notes"][0]


def test_the_files_are_what_the_message_says(tmp_path: Path) -> None:
    task = make_task(tmp_path)

    (end,) = succeeded(ran(task))

    for file in end.files:
        content = (Path(task.members[0].folder) / file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("other", [1, None])
def test_a_model_of_another_format_is_refused_and_says_what_to_do(tmp_path: Path, other: int | None) -> None:
    task = make_task(tmp_path)
    ran(task)
    path = Path(task.members[0].folder) / DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": other}))

    with pytest.raises(ValueError, match=rf"has format {other} and this version reads \d+: train the job again"):
        load_model(path.parent)


def test_an_exported_model_answers_as_it_was_evaluated(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"loss": {"kind": "focal"}}])
    (end,) = succeeded(ran(task))
    table = pq.read_table(task.table)

    log_p = load_model(Path(task.members[0].folder)).log_probabilities(table)

    labels = np.array([label == "yes" for label in table["event"].to_pylist()], dtype=int)
    splits = end.evaluation.splits.values()
    measured = sum((split.metrics["log_loss"].value or 0) * split.rows for split in splits)
    assert log_p.shape == (600, 2)
    assert -log_p[np.arange(600), labels].sum() > measured


def test_every_message_survives_its_json(tmp_path: Path) -> None:
    for message in ran(make_task(tmp_path)):
        assert TRAINER_MESSAGE.validate_json(TRAINER_MESSAGE.dump_json(message)) == message


def test_importance_and_subgroups_come_on_request_alone(tmp_path: Path) -> None:
    asked = {"permutation_importance": True, "permutation_repeats": 3, "subgroups": ["colour", "a"]}

    plain, told = (end.evaluation for end in succeeded(ran(make_task(tmp_path, [{}, {"exclude": [], "evaluation": asked}]))))

    assert (plain.permutation_importance, plain.subgroups) == (None, [])
    assert told.splits == plain.splits
    importance = told.permutation_importance
    assert importance is not None
    assert importance.value == pytest.approx(told.splits["test"].metrics["average_precision"].value)
    assert importance.columns[0].column == "a"
    assert {column.column for column in importance.columns} == {"a", "b", "colour"}
    assert [table.column for table in told.subgroups] == ["colour", "a"]


def test_a_column_that_is_no_feature_makes_subgroups_of_the_right_rows(tmp_path: Path) -> None:
    cells = two_blobs() | {"half": [("yes half" if event == "yes" else "no half") for event in two_blobs()["event"]]}
    task = make_task(tmp_path, [{"exclude": ["half"], "evaluation": {"subgroups": ["half"]}}], cells=cells)

    (end,) = succeeded(ran(task))

    groups = {group.label: group.splits for group in end.evaluation.subgroups[0].groups}
    for part, split in end.evaluation.splits.items():
        counts = {share.label: share.count for share in split.classes}
        assert groups["yes half"][part].rows == counts["yes"]
        assert {share.label: share.count for share in groups["no half"][part].classes} == {"no": counts["no"], "yes": 0}


def test_subgroups_of_test_rows_from_elsewhere_are_read_there(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    table, _ = write_table(elsewhere, {**two_blobs(seed=5), "colour": ["violet"] * 600}, "event", "yes")
    task = make_task(tmp_path, [{"split": {"kind": "stratified", "test": 0.0}, "evaluation": {"subgroups": ["colour"]}}])
    task = task.model_copy(update={"test_table": str(table), "test_table_sha256": "0" * 64})

    (end,) = succeeded(ran(task))

    rows = {group.label: {part: found.rows for part, found in group.splits.items()} for group in end.evaluation.subgroups[0].groups}
    assert rows["violet"] == {"test": 600}
    assert rows.keys() == {"violet", "red", "green", "blue"}
