"""What any threshold of a finished job does."""

from pathlib import Path

import numpy as np
import pytest

from counterweight.contracts.evaluation import BestBy, Fixed, PrecisionFloor
from counterweight.statistics.decisions import measured
from counterweight.statistics.operating import PARTS, CountedPart, operating_point, packed, unpacked
from counterweight.statistics.scores import ScoreCounts
from counterweight.statistics.thresholds import choose_threshold


def counts() -> dict[CountedPart, ScoreCounts]:
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


def test_a_file_of_two_parts_is_read_too(tmp_path: Path) -> None:
    layout = np.dtype([("is_test", "?"), ("score", "<f8"), ("positives", "<i8"), ("negatives", "<i8")])
    rows = [
        (part == "test", *row) for part, each in counts().items() for row in zip(each.scores, each.positives, each.negatives, strict=True)
    ]
    np.save(tmp_path / "points.npy", np.array(rows, dtype=layout))

    found = unpacked(tmp_path / "points.npy")

    assert found.keys() == counts().keys()
    for part in PARTS:
        np.testing.assert_array_equal(found[part].positives, counts()[part].positives)


def test_thresholds_are_chosen_on_the_scores_set_apart_and_measured_on_the_rows_own(tmp_path: Path) -> None:
    apart = ScoreCounts(np.array([0.95, 0.6, 0.2]), np.array([5, 3, 1]), np.array([1, 4, 9]))
    (tmp_path / "points.npy").write_bytes(packed(counts() | {"apart": apart}))

    point = operating_point(unpacked(tmp_path / "points.npy"), BestBy(), ("a", "b"), 1, 0.95)

    chosen = choose_threshold(apart, BestBy(), 0.95).value
    assert (point.threshold.value, point.threshold.cross_fitted) == (chosen, True)
    assert chosen != choose_threshold(counts()["validation"], BestBy(), 0.95).value
    assert chosen is not None
    assert point.splits["validation"].confusion.counts == counts()["validation"].cells_at(chosen).tolist()


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
