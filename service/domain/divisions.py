"""What a split makes of a dataset, as far as its facts tell: the training rows of each class, and every split that cannot be."""

from dataclasses import dataclass

from counterweight.contracts.datasets import Column, TableFacts
from counterweight.contracts.jobs import JobSpec
from counterweight.contracts.splits import PARTS, AnySplit, ColumnSplit, FoldedSplit, GroupSplit, TimeSplit
from service.domain.errors import Invalid

SHOWN = 5
"""So many classes or columns are named in a message."""


@dataclass(frozen=True)
class ColumnRoles:
    """Which columns of a dataset tell groups, times and weights, as its upload said: those of jobs that name none."""

    group: str | None = None
    time: str | None = None
    weight: str | None = None


def settled_split(split: AnySplit, has_test_dataset: bool, roles: ColumnRoles) -> AnySplit:
    """Return the split with its column, and without test rows where a dataset of its own brings them; Invalid when both or neither do."""
    if isinstance(split, ColumnSplit):
        return split
    if isinstance(split, GroupSplit | TimeSplit) and split.column is None:
        split = split.model_copy(update={"column": roles.group if isinstance(split, GroupSplit) else roles.time})
    if not has_test_dataset:
        if split.test == 0:
            raise Invalid.at(
                "/split/test", "split_mismatch", "no row would be left to test on; give test a share, or name a test_dataset_id"
            )
        return split
    if isinstance(split, FoldedSplit) and split.folds is not None:
        raise Invalid.at(
            "/split/folds", "split_mismatch", "test_dataset_id brings the test rows, and a fold would bring others; leave one out"
        )
    if split.test > 0 and "test" in split.model_fields_set:
        raise Invalid.at("/split/test", "split_mismatch", f"test_dataset_id brings the test rows; leave the share {split.test} out")
    return split.model_copy(update={"test": 0.0})


def train_counts(spec: JobSpec, facts: TableFacts) -> dict[str, int]:
    """Return the training rows of each class, in class order; Invalid where the rows cannot be divided so.

    What groups or times make of the classes is known when the rows are divided: until then each class is taken to have its share.
    """
    split = spec.split
    if isinstance(split, ColumnSplit):
        return _named_counts(split, spec, facts)
    if isinstance(split, TimeSplit):
        _check_times(split, facts)
        return {
            share.label: split.part_counts(share.count)[0] if share.count >= split.minimum_rows else share.count for share in facts.classes
        }
    _check_class_sizes(split, facts)
    if isinstance(split, GroupSplit):
        _check_groups(split, facts)
    counts = split.class_parts([share.count for share in facts.classes])
    return {share.label: train for share, (train, _, _) in zip(facts.classes, counts, strict=True)}


def estimate_notes(spec: JobSpec) -> list[str]:
    """Say so where the training rows of each class are estimated."""
    if isinstance(spec.split, GroupSplit | TimeSplit):
        return [
            f"an estimate, as if each class had its share of training rows: what column {spec.split.column!r} makes of that is known "
            "once the rows are divided, and the job then shows the terms that it trains with"
        ]
    return []


def known_column(name: str, facts: TableFacts, pointer: str) -> Column:
    """Return a column by its name; Invalid, at `pointer`, when there is none."""
    for column in facts.columns:
        if column.name == name:
            return column
    names = [column.name for column in facts.columns]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    message = f"there is no column {name!r}; the columns are {', '.join(map(repr, names[:SHOWN]))}{more}"
    raise Invalid.at(pointer, "unknown_column", message)


def _check_class_sizes(split: FoldedSplit, facts: TableFacts) -> None:
    rare = [share for share in facts.classes if share.count < split.minimum_rows]
    if rare:
        named = ", ".join(f"class {share.label!r} has {share.count}" for share in rare[:SHOWN])
        more = f" and {len(rare) - SHOWN} more classes have too few" if len(rare) > SHOWN else ""
        message = f"{split.parts_named} need a row of each class, {split.minimum_rows} in all, and {named}{more}"
        fewer = "choose fewer folds, " if split.folds is not None else ""
        raise Invalid.at("/split", "class_too_rare", f"{message}; {fewer}add rows of it, remove it, or merge it with another class")


def _check_groups(split: GroupSplit, facts: TableFacts) -> None:
    column = _dividing_column(split, facts, "a group split divides by a column", "group_column")
    groups = column.distinct + column.missing
    if groups < split.minimum_rows:
        message = f"column {column.name!r} holds {groups} groups, and {split.parts_named} need {split.minimum_rows}"
        raise Invalid.at("/split/column", "split_mismatch", f"{message}; divide by a finer column, or by chance: kind stratified")


def _check_times(split: TimeSplit, facts: TableFacts) -> None:
    column = _dividing_column(split, facts, "a time split goes by a column of moments or numbers", "time_column")
    trouble = None
    if column.type not in ("datetime", "numeric"):
        trouble = f"is {column.type}, and neither moments nor numbers; read the dataset again with another type in options.columns"
    elif column.missing:
        trouble = f"says no time in {column.missing} rows; fill them in, or leave these rows out"
    elif column.distinct < split.minimum_rows:
        trouble = f"holds {column.distinct} different times, and the parts need {split.minimum_rows}; go by a finer time"
    if trouble is not None:
        raise Invalid.at("/split/column", "split_mismatch", f"column {column.name!r} {trouble}")


def _dividing_column(split: GroupSplit | TimeSplit, facts: TableFacts, what: str, option: str) -> Column:
    if split.column is None:
        message = f"{what}, and neither split.column nor the dataset's options.{option} names one"
        raise Invalid.at("/split/column", "split_mismatch", message)
    column = known_column(split.column, facts, "/split/column")
    if column.name == facts.target:
        raise Invalid.at("/split/column", "split_mismatch", f"{column.name!r} is the target; {what} that is not predicted")
    return column


def _named_counts(split: ColumnSplit, spec: JobSpec, facts: TableFacts) -> dict[str, int]:
    """Training needs every class, stopping by average precision needs it among the validation rows; test rows may lack one."""
    known_column(split.column, facts, "/split/column")
    parts = facts.part_classes.get(split.column)
    if parts is None:
        message = f"column {split.column!r} holds other cells than {', '.join(PARTS)}; every row must name its part"
        raise Invalid.at("/split/column", "not_a_part_column", message)
    _check_parts(split.column, {part for part in PARTS if parts.get(part)}, spec.test_dataset_id is not None)
    for share in facts.classes:
        if not parts["train"].get(share.label):
            message = f"class {share.label!r} has no row in part 'train' of column {split.column!r}, and none can be learnt from"
            raise Invalid.at("/split/column", "class_missing_from_part", message)
        stopping = spec.training.early_stopping
        if not parts["validation"].get(share.label) and stopping is not None and stopping.metric != "log_loss":
            message = (
                f"class {share.label!r} has no row in part 'validation' of column {split.column!r}, so {stopping.metric} cannot tell when "
                'to stop; add rows of it, or set training.early_stopping.metric to "log_loss"'
            )
            raise Invalid.at("/training/early_stopping/metric", "class_missing_from_part", message)
    return {share.label: parts["train"][share.label] for share in facts.classes}


def _check_parts(column: str, found: set[str], has_test_dataset: bool) -> None:
    needed = {"train", "validation"} if has_test_dataset else set(PARTS)
    for part in PARTS:
        if part in needed - found:
            message = f"no row of column {column!r} says {part!r}; name rows of each part"
            raise Invalid.at("/split/column", "class_missing_from_part", message)
    if has_test_dataset and "test" in found:
        message = f"column {column!r} names test rows and test_dataset_id brings others; exclude these rows, or leave test_dataset_id out"
        raise Invalid.at("/split/column", "split_mismatch", message)
