"""Several processes that train one job together come to what one process comes to."""

from typing import Any

import pytest

from tests.training.children import results
from tests.training.three_ranks import SIZE, work, work_alone

Numbers = dict[str, Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Numbers], Numbers]:
    """What each of the ranks came to, and one process alone."""
    folder = tmp_path_factory.mktemp("ranks")
    ranks = results(folder, work, *((folder, rank) for rank in range(SIZE)))
    return ranks, {name: run.numbers for name, run in work_alone().items()}


@pytest.mark.parametrize("case", ["uneven", "few", "without validation"])
def test_ranks_come_to_what_one_process_does(found: tuple[list[Numbers], Numbers], case: str) -> None:
    ranks, alone = found

    assert ranks[0][case]["parameters"][0] == pytest.approx(alone[case]["parameters"][0], abs=1e-10, rel=0)
    assert ranks[0][case]["best_epoch"] == alone[case]["best_epoch"]
    for epoch, expected in zip(ranks[0][case]["values"], alone[case]["values"], strict=True):
        assert epoch == pytest.approx(expected, abs=1e-10)


def test_ranks_that_take_their_shares_in_parts_come_to_the_same(found: tuple[list[Numbers], Numbers]) -> None:
    ranks, alone = found

    assert ranks[0]["in parts"]["parameters"][0] == pytest.approx(alone["uneven"]["parameters"][0], abs=1e-10, rel=0)


def test_all_ranks_have_the_same_digits(found: tuple[list[Numbers], Numbers]) -> None:
    first, *others = found[0]

    assert [rank == first for rank in others] == [True] * (SIZE - 1)


def test_ranks_go_on_from_a_checkpoint_to_the_same_digits_with_what_each_of_them_draws(found: tuple[list[Numbers], Numbers]) -> None:
    first = found[0][0]

    assert first["rest"]["parameters"] == first["whole"]["parameters"]
    assert len(first["rest"]["values"]) < len(first["whole"]["values"])


def test_what_the_first_rank_is_told_holds_for_all(found: tuple[list[Numbers], Numbers]) -> None:
    assert [(rank["cancelled"]["withdrawn"], rank["cancelled"]["parameters"]) for rank in found[0]] == [(1, [])] * SIZE


def test_where_one_rank_lacks_memory_all_take_smaller_parts(found: tuple[list[Numbers], Numbers]) -> None:
    ranks, alone = found

    assert ranks[0]["large"]["parts"]
    assert {tuple(rank["large"]["parts"]) for rank in ranks} == {tuple(ranks[0]["large"]["parts"])}
    assert ranks[0]["large"]["parameters"][0] == pytest.approx(alone["large"]["parameters"][0], abs=1e-5)
