"""Test rows that come from a dataset of their own: whether they fit the rows that are trained on."""

import json
from collections.abc import Collection
from typing import Any

from counterweight.contracts.datasets import TableFacts
from service.domain.errors import Invalid

SHOWN = 5
"""So many columns or labels are named in a message."""


def check_test_dataset(facts: TableFacts, test: TableFacts, left_out: Collection[str]) -> None:
    """Raise Invalid unless `test` has the same target, every feature in the same type, and no label that training does not know."""
    if test.target != facts.target:
        found = "has no target" if test.target is None else f"has the target {test.target!r}"
        way = _read_again({"target": facts.target})
        raise _mismatch(f"the test dataset {found}, and the training dataset has {facts.target!r}; {way}")
    if (test.kind, test.image_size) != (facts.kind, facts.image_size):
        raise _mismatch(f"the test dataset holds {_content(test)}, and the training dataset {_content(facts)}")
    _check_columns(facts, test, left_out)
    _check_labels(facts, test)


def _content(facts: TableFacts) -> str:
    """Say what rows are; of images with their size, which `options.image_size` sets."""
    return "a table" if facts.kind == "tabular" else f"images of {facts.image_size} pixels (options.image_size)"


def _check_columns(facts: TableFacts, test: TableFacts, left_out: Collection[str]) -> None:
    theirs = {column.name: column.type for column in test.columns}
    features = [column for column in facts.columns if column.name not in left_out]
    missing = [column.name for column in features if column.name not in theirs]
    if missing:
        raise _mismatch(f"the test dataset lacks the columns {_listed(missing)}; add them, or exclude them from the job")
    for column in features:
        theirs_is = theirs[column.name]
        if theirs_is != column.type:
            way = _read_again({"columns": {column.name: {"type": column.type}}})
            raise _mismatch(f"column {column.name!r} is {column.type} in the training dataset and {theirs_is} in the test dataset; {way}")


def _check_labels(facts: TableFacts, test: TableFacts) -> None:
    known = [share.label for share in facts.classes]
    unknown = [share.label for share in test.classes if share.label not in known]
    if not unknown:
        return
    meant = {_plain(label): label for label in known}
    way = _read_again({"rename_labels": {label: meant.get(_plain(label), "…") for label in unknown[:SHOWN]}})
    found = f"the test dataset has the labels {_listed(unknown)}, and the classes are {_listed(known)}"
    raise _mismatch(f"{found}; if these are the same, {way}")


def _plain(label: str) -> str:
    """Return what is left of a label without what files tend to differ in: case, blanks, a full stop at its end."""
    return label.strip().rstrip(".").casefold()


def _read_again(options: dict[str, Any]) -> str:
    """Say how to read the test dataset with more options, and use that."""
    body = json.dumps({"source_dataset_id": "…", "options": options}, ensure_ascii=False)
    return f"send POST /api/v1/datasets {body} with its id and the options it has, and use the dataset it answers"


def _mismatch(message: str) -> Invalid:
    return Invalid.at("/test_dataset_id", "test_dataset_mismatch", message)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more
