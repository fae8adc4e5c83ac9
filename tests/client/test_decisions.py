"""What the command line says of how rows are called."""

import pytest

from counterweight.commands.jobs import _decision
from counterweight.contracts.evaluation import ThresholdChoice


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (ThresholdChoice(policy="max_f1", value=0.25), {"threshold": "0.25, by max_f1"}),
        (
            ThresholdChoice(policy="precision_floor", value=None, reason="infeasible_constraint"),
            {"threshold": "0.5: no threshold meets what was asked"},
        ),
        (
            ThresholdChoice(policy="max_f1", value=None, reason="several_classes", offsets={"a": 0.0, "b": 0.5}),
            {"calls": "the likeliest class, by max_f1, after these offsets of log-probability: b +0.5"},
        ),
        (
            ThresholdChoice(policy="max_f1", value=None, reason="several_classes", offsets={"a": 0.0}, offsets_reason="too_few"),
            {"calls": "the likeliest class: a class has fewer than 30 validation rows to fit offsets on"},
        ),
    ],
)
def test_it_is_told_by_what_rows_are_called(choice: ThresholdChoice, told: dict[str, str]) -> None:
    assert _decision(choice) == told
