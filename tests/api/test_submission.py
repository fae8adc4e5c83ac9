"""What a job means on its dataset: defaults, and every mismatch refused at its field."""

from typing import Any

import pytest
from pydantic import ValidationError

from counterweight.contracts.datasets import ClassShare, Column, DatasetOptions, TableFacts
from counterweight.contracts.jobs import JobSpec, ResolvedSpec
from counterweight.contracts.splits import StratifiedSplit, column_of
from service.domain.errors import Invalid
from service.domain.subgroups import check_columns_told_of
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

    assert (spec.name, spec.target, spec.learner.kind) == ("cross_entropy on credit.csv", "label", "tabm")
    assert spec.training.batch_size is not None
    assert spec.evaluation.positive_label == "bad"


@pytest.mark.parametrize(("name", "code"), [("height", "unknown_column"), ("label", "invalid"), ("city", "invalid")])
def test_a_subgroup_is_told_by_another_column_once(name: str, code: str) -> None:
    refused = refusal(evaluation={"subgroups": ["age", "city", name]})

    assert (refused.code, refused.errors[0].pointer) == (code, "/evaluation/subgroups/2")


def test_a_subgroup_column_need_not_be_a_feature() -> None:
    assert settled(exclude=["city"], evaluation={"subgroups": ["city"]}).evaluation.subgroups == ["city"]


@pytest.mark.parametrize("asked", [{"subgroups": ["age"]}, {"permutation_importance": True}], ids=str)
def test_of_images_no_column_can_be_told(asked: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="no columns to tell of") as caught:
        check_columns_told_of(JobSpec.model_validate({"dataset_id": "ds_1", "evaluation": asked}), facts(kind="image"), "label")

    assert caught.value.errors[0].pointer == f"/evaluation/{next(iter(asked))}"


def images(side: int = 32) -> TableFacts:
    types = {"image": "image", "file": "text", "patient": "categorical", "label": "categorical"}
    columns = [Column.model_validate({"name": name, "type": kind, "missing": 0, "distinct": 9}) for name, kind in types.items()]
    return facts(kind="image", image_size=side, columns=columns)


def test_images_are_trained_on_by_a_residual_network_and_by_nothing_beside_them() -> None:
    spec = settled(images())

    assert (spec.learner.kind, spec.exclude) == ("resnet", ["file", "patient"])


@pytest.mark.parametrize(("table", "kind"), [(images(), "mlp"), (images(), "linear"), (facts(), "resnet")])
def test_a_learner_goes_with_tables_or_with_images(table: TableFacts, kind: str) -> None:
    refused = refusal(table, learner={"kind": kind})

    assert (refused.errors[0].pointer, refused.code) == ("/learner", "learner_mismatch")


def many_columns(rows: int, columns: int) -> TableFacts:
    names = [*map(str, range(columns)), "label"]
    kinds = ["numeric"] * columns + ["categorical"]
    found = [
        Column.model_validate({"name": name, "type": kind, "missing": 0, "distinct": 9}) for name, kind in zip(names, kinds, strict=True)
    ]
    return facts({"good": rows - rows // 20, "bad": rows // 20}, columns=found)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (many_columns(rows=1_000, columns=10), "tabm"),
        (many_columns(rows=50_000, columns=20), "tabm"),
        (many_columns(rows=1_000, columns=600), "tabm"),
        (many_columns(rows=1_000_000, columns=10), "mlp"),
        (many_columns(rows=50_000, columns=600), "mlp"),
        (images(), "resnet"),
    ],
)
def test_auto_takes_what_ranks_best_in_reasonable_time(table: TableFacts, kind: str) -> None:
    assert settled(table).learner.kind == settled(table, learner={"kind": "auto"}).learner.kind == kind


def test_columns_that_are_left_out_cost_auto_nothing() -> None:
    wide = many_columns(rows=50_000, columns=600)

    assert settled(wide, exclude=[str(column) for column in range(20, 600)]).learner.kind == "tabm"


def test_gradient_descent_has_a_learning_rate_of_its_own() -> None:
    assert settled(training={"optimizer": "sgd"}).training.learning_rate == 0.1
    assert settled(training={"optimizer": "sgd", "learning_rate": 3e-3}).training.learning_rate == 3e-3
    assert settled().training.learning_rate == 3e-3


def stopping_metric(learner: str, **stopping: Any) -> str | None:
    found = settled(learner={"kind": learner}, training={"early_stopping": stopping}).training.early_stopping
    return None if found is None else found.metric


def test_a_mean_of_voices_is_stopped_where_its_log_loss_is_least() -> None:
    assert [stopping_metric(kind) for kind in ("linear", "mlp", "tabm", "auto")] == ["average_precision"] * 2 + ["log_loss"] * 2
    assert stopping_metric("tabm", metric="average_precision") == "average_precision"
    assert settled(learner={"kind": "tabm"}, training={"early_stopping": None}).training.early_stopping is None


def test_test_images_have_the_size_of_the_others() -> None:
    assert "options.image_size" in mismatch(images(side=64), images()).detail
    assert "images" in mismatch(facts(), images()).detail


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


def test_a_class_absent_from_the_training_rows_is_named() -> None:
    parts = PARTS | {"train": {"good": 20}}

    refused = refusal(facts(part_classes={"part": parts}), split={"kind": "column", "column": "part"})

    assert refused.code == "class_missing_from_part"
    assert "class 'bad' has no row in part 'train'" in refused.detail


def test_a_class_absent_from_the_validation_rows_needs_a_stop_by_log_loss() -> None:
    table, split = facts(part_classes={"part": PARTS | {"validation": {"good": 20}}}), {"kind": "column", "column": "part"}

    refused = refusal(table, split=split, learner={"kind": "mlp"})

    assert (refused.code, refused.errors[0].pointer) == ("class_missing_from_part", "/training/early_stopping/metric")
    assert "class 'bad'" in refused.detail
    for stopping in ({"metric": "log_loss"}, None):
        assert settled(table, split=split, learner={"kind": "mlp"}, training={"early_stopping": stopping}).split.kind == "column"


def test_a_class_may_be_absent_from_the_test_rows_but_not_all_rows() -> None:
    split = {"kind": "column", "column": "part"}

    assert settled(facts(part_classes={"part": PARTS | {"test": {"good": 20}}}), split=split).split.kind == "column"
    assert "no row" in refusal(facts(part_classes={"part": PARTS | {"test": {}}}), split=split).detail


def on_other(test: TableFacts, table: TableFacts | None = None, **spec: Any) -> ResolvedSpec:
    wanted = {"dataset_id": "ds_1", "test_dataset_id": "ds_2", **spec}
    return settle(JobSpec.model_validate(wanted), table or facts(), DatasetChoices("credit.csv", (), test))[0]


def mismatch(test: TableFacts, table: TableFacts | None = None, **spec: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        on_other(test, table, **spec)
    return caught.value


def test_with_a_test_dataset_the_split_has_no_test_rows() -> None:
    spec = on_other(facts({"good": 50, "bad": 5}), split={"kind": "stratified", "validation": 0.3})

    assert spec.split == StratifiedSplit(validation=0.3, test=0.0)
    assert on_other(facts(), **spec.model_dump(exclude={"dataset_id", "test_dataset_id"})) == spec


def test_two_rows_of_a_class_are_enough_where_the_test_rows_are_elsewhere() -> None:
    assert on_other(facts(), facts({"good": 900, "bad": 2})).test_dataset_id == "ds_2"
    assert mismatch(facts(), facts({"good": 900, "bad": 1})).code == "class_too_rare"


@pytest.mark.parametrize(
    ("split", "pointer"),
    [({"kind": "stratified", "test": 0.2}, "/split/test"), ({"kind": "column", "column": "part"}, "/split/column")],
)
def test_test_rows_come_from_one_place(split: dict[str, Any], pointer: str) -> None:
    refused = mismatch(facts(), split=split)

    assert (refused.code, refused.errors[0].pointer) == ("split_mismatch", pointer)


def test_some_row_is_tested_on() -> None:
    assert refusal(split={"kind": "stratified", "test": 0}).code == "split_mismatch"


def test_a_column_split_without_test_rows_goes_with_a_test_dataset() -> None:
    table = facts(part_classes={"part": {part: PARTS[part] for part in ("train", "validation")}})

    assert on_other(facts(), table, split={"kind": "column", "column": "part"}).split.kind == "column"


def test_the_test_rows_need_every_feature_in_its_type() -> None:
    columns = facts().columns
    without_age = facts(columns=[column for column in columns if column.name != "age"])
    text_age = facts(columns=[column.model_copy(update={"type": "text"}) if column.name == "age" else column for column in columns])

    assert "lacks the columns 'age'" in mismatch(without_age).detail
    assert "'age' is numeric in the training dataset and text" in mismatch(text_age).detail
    assert '{"columns": {"age": {"type": "numeric"}}}' in mismatch(text_age).detail
    assert on_other(without_age, exclude=["age"]).exclude == ["age"]
    assert "lacks the columns 'age'" in mismatch(without_age, exclude=["age"], evaluation={"subgroups": ["age"]}).detail


def test_labels_that_differ_in_a_dot_are_told_with_the_way_out() -> None:
    refused = mismatch(facts({"good.": 50, "bad.": 5}))

    assert (refused.code, refused.errors[0].pointer) == ("test_dataset_mismatch", "/test_dataset_id")
    assert "'good.', 'bad.'" in refused.detail
    assert '"rename_labels": {"good.": "good", "bad.": "bad"}' in refused.detail


def test_another_target_or_the_same_rows_are_no_test() -> None:
    assert "has no target" in mismatch(facts(target=None)).detail
    assert mismatch(facts(), test_dataset_id="ds_1").errors[0].pointer == "/test_dataset_id"


def test_a_single_alpha_is_for_two_classes() -> None:
    refused = refusal(facts({"a": 10, "b": 10, "c": 10}), loss={"kind": "focal", "alpha": 0.25})

    assert refused.errors[0].pointer == "/loss/alpha"


def test_a_positive_label_is_for_two_classes() -> None:
    refused = refusal(facts({"a": 10, "b": 10, "c": 10}), evaluation={"positive_label": "a"})

    assert refused.code == "positive_label_not_binary"


def dated(**changes: Any) -> TableFacts:
    """Return facts with a column of moments, one of patients, and one that holds the same in all rows."""
    kinds = {"day": ("datetime", 0, 500), "patient": ("categorical", 3, 80), "site": ("categorical", 0, 2), "note": ("text", 0, 900)}
    more = [Column(name=name, type=kind, missing=gaps, distinct=many) for name, (kind, gaps, many) in kinds.items()]
    table = facts(**changes)
    return table.model_copy(update={"columns": [*table.columns, *more]})


@pytest.mark.parametrize(
    ("split", "trouble"),
    [
        ({"kind": "group"}, "neither split.column nor the dataset's options.group_column names one"),
        ({"kind": "group", "column": "clinic"}, "there is no column 'clinic'"),
        ({"kind": "group", "column": "label"}, "'label' is the target"),
        ({"kind": "group", "column": "site"}, "'site' holds 2 groups, and training, validation and test need 3"),
        ({"kind": "group", "column": "patient", "folds": 90, "fold": 0}, "'patient' holds 83 groups, and 90 folds need 90"),
        ({"kind": "time"}, "options.time_column names one"),
        ({"kind": "time", "column": "note"}, "'note' is text, and neither moments nor numbers"),
        ({"kind": "time", "column": "patient"}, "'patient' is categorical"),
    ],
)
def test_a_column_that_cannot_divide_the_rows_is_refused(split: dict[str, Any], trouble: str) -> None:
    refused = refusal(dated(), split=split)

    assert refused.errors[0].pointer == "/split/column"
    assert trouble in refused.detail


def test_a_time_that_rows_lack_is_refused_with_their_number() -> None:
    columns = [column.model_copy(update={"missing": 7 if column.name == "day" else 0}) for column in dated().columns]

    assert "'day' says no time in 7 rows" in refusal(dated(columns=columns), split={"kind": "time", "column": "day"}).detail


def test_more_folds_than_a_class_has_rows_are_refused_naming_it() -> None:
    refused = refusal(facts({"good": 900, "bad": 4}), split={"kind": "stratified", "folds": 5, "fold": 0})

    assert (refused.code, refused.errors[0].pointer) == ("class_too_rare", "/split")
    assert "5 folds need a row of each class, 5 in all, and class 'bad' has 4" in refused.detail
    assert "choose fewer folds" in refused.detail


def test_columns_of_groups_and_times_come_from_the_dataset_and_are_never_features() -> None:
    options = DatasetOptions(group_column="patient", time_column="day", exclude=["note"])
    chosen = DatasetChoices.of("visits.csv", options)
    wanted = [JobSpec.model_validate({"dataset_id": "ds_1", "split": {"kind": kind}}) for kind in ("group", "time", "stratified")]

    specs = [settle(spec, dated(), chosen)[0] for spec in wanted]

    assert [column_of(spec.split) for spec in specs] == ["patient", "day", None]
    assert all(spec.exclude == ["note", "patient", "day"] for spec in specs)


@pytest.mark.parametrize("split", [{"kind": "group", "column": "patient"}, {"kind": "time", "column": "day"}])
def test_a_loss_whose_training_rows_are_not_known_yet_is_told_as_an_estimate(split: dict[str, Any]) -> None:
    spec = JobSpec.model_validate({"dataset_id": "ds_1", "loss": {"kind": "balanced_cross_entropy"}, "split": split})

    _, loss = settle(spec, dated(), DatasetChoices("visits.csv", ()))

    assert loss.resolved.weights == pytest.approx({"good": 650 / 1170, "bad": 650 / 130})
    assert "an estimate" in loss.notes[-1]


def test_a_fold_and_a_test_dataset_are_one_too_many() -> None:
    with pytest.raises(Invalid, match="test_dataset_id brings the test rows, and a fold would bring others"):
        on_other(facts(), split={"kind": "stratified", "folds": 5, "fold": 1})


@pytest.mark.parametrize(
    "split",
    [
        {"folds": 5},
        {"fold": 1},
        {"folds": 5, "fold": 5},
        {"folds": 1, "fold": 0},
        {"folds": 5, "fold": 0, "test": 0.3},
        {"folds": 2, "fold": 0, "validation": 0.5},
    ],
)
def test_folds_that_make_no_sense_are_refused(split: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StratifiedSplit.model_validate(split)


@pytest.mark.parametrize(
    ("column", "trouble"),
    [
        ("weights", "there is no column 'weights'"),
        ("label", "'label' is the target"),
        ("city", "'city' is categorical, and weights are numbers"),
        ("income", "'income' holds no weight in 4 rows"),
    ],
)
def test_a_column_that_cannot_weigh_the_rows_is_refused(column: str, trouble: str) -> None:
    table = facts()
    table = table.model_copy(update={"columns": [*table.columns, Column(name="income", type="numeric", missing=4, distinct=100)]})

    refused = refusal(table, weight_column=column)

    assert refused.errors[0].pointer == "/weight_column"
    assert trouble in refused.detail


def test_weights_come_from_the_job_or_the_dataset_and_are_never_a_feature() -> None:
    table = facts()
    table = table.model_copy(update={"columns": [*table.columns, Column(name="count", type="numeric", missing=0, distinct=9)]})
    chosen = DatasetChoices.of("credit.csv", DatasetOptions(weight_column="age"))

    of_dataset, loss = settle(JobSpec(dataset_id="ds_1"), table, chosen)
    of_job, _ = settle(JobSpec(dataset_id="ds_1", weight_column="count"), table, chosen)

    assert (of_dataset.weight_column, of_dataset.exclude) == ("age", ["age"])
    assert (of_job.weight_column, of_job.exclude) == ("count", ["age", "count"])
    assert "an estimate, from rows: classes count by the weights in column 'age'" in loss.notes[-1]
