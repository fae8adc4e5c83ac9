"""What an evaluation can tell of single columns."""

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.jobs import JobSpec
from service.domain.divisions import known_column
from service.domain.errors import Invalid


def check_columns_told_of(spec: JobSpec, facts: TableFacts, target: str) -> None:
    """Raise Invalid, at the field, for a subgroup column that is not there, is the target or is named twice, and for images."""
    names = spec.evaluation.subgroups
    if facts.kind == "image" and (names or spec.evaluation.permutation_importance):
        field = "subgroups" if names else "permutation_importance"
        raise Invalid.at(f"/evaluation/{field}", "invalid", "a dataset of images has no columns to tell of; leave it out")
    for index, name in enumerate(names):
        pointer = f"/evaluation/subgroups/{index}"
        known_column(name, facts, pointer)
        if name == target:
            raise Invalid.at(pointer, "invalid", f"{name!r} is the target, and each class is told of anyway; name another column")
        if name in names[:index]:
            raise Invalid.at(pointer, "invalid", f"{name!r} is named twice; once is enough")
