"""What any threshold of a finished job does."""

from pathlib import Path

import numpy as np
import pytest

from counterweight.contracts.evaluation import Fixed, PrecisionFloor
from counterweight.statistics.decisions import measured
from counterweight.statistics.operating import PARTS, JudgedPart, operating_point, packed, unpacked
from counterweight.statistics.scores import ScoreCounts


def counts() -> dict[JudgedPart, ScoreCounts]:
    return {
        "validation": ScoreCounts(np.array([0.9, 0.5, 0.1]), np.array([5, 3, 1]), np.array([1, 4, 9])),
        "test": ScoreCounts(np.array([0.8, 0.2]), np.array([6, 2]), np.array([2, 8])),
    }


def test_the_file_holds_what_was_put_into_it(tmp_path: Path) -> None:
    path = tmp_path / "points.npy"
    path.write_bytes(packed(counts()))

    found = unpacked(path)

    for part in PARTS:
        for name in ("scores", "positives", "negatives"):
            np.testing.assert_array_equal(getattr(found[part], name), getattr(counts()[part], name))


@pytest.mark.parametrize("positive", [0, 1])
def test_a_threshold_is_measured_on_both_parts(positive: int) -> None:
    point = operating_point(counts(), Fixed(value=0.5), ("a", "b"), positive, 0.95)

    validation, test = np.array([[9, 5], [1, 8]]), np.array([[8, 2], [2, 6]])
    assert point.positive_label == ("a", "b")[positive]
    for part, cells in (("validation", validation), ("test", test)):
        in_order = cells if positive == 1 else cells[::-1, ::-1]
        assert point.splits[part].confusion.counts == in_order.tolist()  # type: ignore[index]
        assert point.splits[part].metrics == measured(in_order, positive, 0.95)  # type: ignore[index]


def test_a_constraint_that_cannot_be_kept_has_no_point() -> None:
    point = operating_point(counts(), PrecisionFloor(precision=0.99), ("a", "b"), 1, 0.95)

    assert (point.threshold.value, point.threshold.reason, point.splits) == (None, "infeasible_constraint", {})
