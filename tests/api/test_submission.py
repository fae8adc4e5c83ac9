"""What a job means on its dataset: defaults, and every mismatch refused at its field."""

from typing import Any

import pytest

from counterweight.contracts.datasets import ClassShare, Column, TableFacts
from counterweight.contracts.jobs import JobSpec, ResolvedSpec
from service.domain.errors import Invalid
from service.domain.submission import DatasetChoices, settle

PARTS: dict[str, dict[str, int]] = {
    "train": {"good": 70, "bad": 7},
    "validation": {"good": 10, "bad": 1},
    "test": {"good": 20, "bad": 2},
}


def facts(classes: dict[str, int] | None = None, **changes: Any) -> TableFacts:
    counts = {"good": 900, "bad": 100} if classes is None else classes
    types = {"age": "numeric", "city": "categorical", "part": "categorical", "label": "categorical"}
    columns = [Column.model_validate({"name": name, "type": kind, "missing": 0, "distinct": 2}) for name, kind in types.items()]
    found = TableFacts(
        format="csv",
        rows=sum(counts.values()),
        columns=columns,
        target="label",
        positive_label="bad" if len(counts) == 2 else None,
        classes=[ClassShare(label=label, count=count, fraction=count / sum(counts.values())) for label, count in counts.items()],
        part_classes={"part": PARTS},
    )
    return found.model_copy(update=changes)


def settled(table: TableFacts | None = None, **spec: Any) -> ResolvedSpec:
    return settle(JobSpec.model_validate({"dataset_id": "ds_1", **spec}), table or facts(), DatasetChoices("credit.csv", ()))[0]


def refusal(table: TableFacts | None = None, **spec: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        settled(table, **spec)
    return caught.value


def test_every_default_is_settled() -> None:
    spec = settled()

    assert (spec.name, spec.target, spec.learner.kind) == ("cross_entropy on credit.csv", "label", "mlp")
    assert spec.training.batch_size is not None
    assert spec.evaluation.positive_label == "bad"


def test_settling_a_settled_job_changes_nothing() -> None:
    once = settled(exclude=["city"], loss={"kind": "focal"}, split={"kind": "column", "column": "part"})

    again = settled(**once.model_dump(exclude={"dataset_id"}))

    assert again == once


@pytest.mark.parametrize(("rows", "batch_size"), [(100, 32), (4000, 52), (100_000, 256)])
def test_the_batch_grows_with_the_training_rows(rows: int, batch_size: int) -> None:
    table = facts({"good": rows // 2, "bad": rows // 2})

    assert settled(table).training.batch_size == batch_size


def test_a_batch_size_given_is_kept() -> None:
    assert settled(training={"batch_size": 7}).training.batch_size == 7


def test_weights_come_from_the_training_rows_alone() -> None:
    spec = JobSpec.model_validate(
        {"dataset_id": "ds_1", "loss": {"kind": "balanced_cross_entropy"}, "split": {"kind": "column", "column": "part"}}
    )

    _, loss = settle(spec, facts(), DatasetChoices("credit.csv", ()))

    assert loss.resolved.weights == pytest.approx({"good": 77 / 140, "bad": 77 / 14})


def test_alpha_weighs_the_positive_class() -> None:
    def ratio(positive: str) -> float:
        spec = JobSpec.model_validate(
            {"dataset_id": "d", "loss": {"kind": "focal", "alpha": 0.9}, "evaluation": {"positive_label": positive}}
        )
        weights = settle(spec, facts(), DatasetChoices("c", ()))[1].resolved.weights
        return weights["bad"] / weights["good"]

    assert ratio("bad") == pytest.approx(9)
    assert ratio("good") == pytest.approx(1 / 9)


def test_no_feature_are_the_columns_either_side_excludes() -> None:
    spec = JobSpec(dataset_id="ds_1", exclude=["part", "city"])

    assert settle(spec, facts(), DatasetChoices("credit.csv", ["city"]))[0].exclude == ["city", "part"]


def test_the_column_of_the_parts_is_no_feature() -> None:
    assert settled(split={"kind": "column", "column": "part"}).exclude == ["part"]


def test_a_long_dataset_name_still_makes_a_name() -> None:
    spec = settle(JobSpec(dataset_id="ds_1"), facts(), DatasetChoices("x" * 200, ()))[0]

    assert len(spec.name) == 200


@pytest.mark.parametrize(
    ("spec", "pointer", "code"),
    [
        ({"target": "city"}, "/target", "target_mismatch"),
        ({"exclude": ["age", "nope"]}, "/exclude/1", "unknown_column"),
        ({"exclude": ["label"]}, "/exclude/0", "target_excluded"),
        ({"exclude": ["age", "city", "part"]}, "/exclude", "no_features"),
        ({"split": {"kind": "column", "column": "nope"}}, "/split/column", "unknown_column"),
        ({"split": {"kind": "column", "column": "age"}}, "/split/column", "not_a_part_column"),
        ({"evaluation": {"positive_label": "ugly"}}, "/evaluation/positive_label", "positive_label_unknown"),
        ({"loss": {"kind": "focal", "alpha": {"good": 1.0}}}, "/loss/alpha", "loss_mismatch"),
        ({"loss": {"kind": "balanced_cross_entropy", "weights": {"good": 1.0, "bad": 2.0, "ugly": 3.0}}}, "/loss/weights", "loss_mismatch"),
        ({"loss": {"kind": "balanced_cross_entropy", "weights": {"good": 1e308, "bad": 1e-308}}}, "/loss", "loss_mismatch"),
        ({"loss": {"kind": "ldam"}, "learner": {"kind": "linear"}}, "/learner", "loss_mismatch"),
        ({"loss": {"kind": "balanced_cross_entropy", "weights": {"good": 5e-324, "bad": 5e-324}}}, "/loss", "loss_mismatch"),
    ],
)
def test_a_mismatch_is_refused_at_its_field(spec: dict[str, Any], pointer: str, code: str) -> None:
    refused = refusal(**spec)

    assert [(error.pointer, error.code) for error in refused.errors] == [(pointer, code)]


def test_a_dataset_without_target_tells_the_way_out() -> None:
    refused = refusal(facts(target=None))

    assert refused.code == "target_missing"
    assert '"source_dataset_id"' in refused.detail


def test_another_target_tells_the_way_out() -> None:
    assert '"source_dataset_id"' in refusal(target="city").detail


def test_one_class_is_not_enough() -> None:
    assert refusal(facts({"good": 100})).code == "single_class"


def test_a_rare_class_is_named_with_its_count() -> None:
    refused = refusal(facts({"good": 900, "bad": 2}))

    assert (refused.code, refused.errors[0].pointer) == ("class_too_rare", "/split")
    assert "class 'bad' has 2" in refused.detail


def test_three_rows_of_a_class_are_enough() -> None:
    assert settled(facts({"good": 900, "bad": 3})).target == "label"


def test_a_quantity_is_not_a_class() -> None:
    columns = [column.model_copy(update={"type": "numeric"}) for column in facts().columns]

    assert refusal(facts({str(number): 1 for number in range(500)}, columns=columns)).code == "target_continuous"


def test_a_class_absent_from_a_part_is_named() -> None:
    parts = PARTS | {"test": {"good": 20}}

    refused = refusal(facts(part_classes={"part": parts}), split={"kind": "column", "column": "part"})

    assert refused.code == "class_missing_from_part"
    assert "class 'bad' has no row in part 'test'" in refused.detail


def test_a_single_alpha_is_for_two_classes() -> None:
    refused = refusal(facts({"a": 10, "b": 10, "c": 10}), loss={"kind": "focal", "alpha": 0.25})

    assert refused.errors[0].pointer == "/loss/alpha"


def test_a_positive_label_is_for_two_classes() -> None:
    refused = refusal(facts({"a": 10, "b": 10, "c": 10}), evaluation={"positive_label": "a"})

    assert refused.code == "positive_label_not_binary"
