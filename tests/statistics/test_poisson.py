"""Poisson numbers looked up instead of drawn."""

import numpy as np
import pytest

from counterweight.statistics import poisson
from counterweight.statistics.poisson import LARGEST

DRAWS = 20_000


def source() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(0))


@pytest.mark.parametrize("size", [1, 2, 10, LARGEST, LARGEST + 1, 1000])
def test_weights_are_poisson(size: int) -> None:
    found = poisson.weights(np.array([size]), DRAWS, source())[0]

    most = int(size + 8 * size**0.5 + 10)
    expected = source().poisson(size, size=DRAWS)
    assert found.mean() == pytest.approx(size, abs=4 * (size / DRAWS) ** 0.5)
    assert found.var() == pytest.approx(size, rel=0.06)
    np.testing.assert_allclose(np.cumsum(np.bincount(found, minlength=most)), np.cumsum(np.bincount(expected, minlength=most)), atol=400)


def test_groups_are_drawn_apart_from_each_other() -> None:
    found = poisson.weights(np.array([3, 3, 500, 500]), DRAWS, source()).astype(float)

    assert np.abs(np.corrcoef(found) - np.eye(4)).max() < 0.03


def test_an_empty_group_weighs_nothing() -> None:
    assert (poisson.weights(np.array([0, 0, 1000]), 100, source())[:2] == 0).all()


def test_what_is_left_out_is_too_rare_to_matter() -> None:
    table = poisson._quantiles().reshape(LARGEST + 1, -1).astype(float)
    means = np.arange(1, LARGEST + 1)

    np.testing.assert_allclose(table[1:].mean(axis=1), means, rtol=1e-4)
    np.testing.assert_allclose(table[1:].var(axis=1), means, rtol=2e-4)


def test_a_single_row_weighs_what_a_group_of_one_does() -> None:
    assert (poisson.of_single_rows(DRAWS, source()) == poisson.weights(np.array([1]), DRAWS, source())[0]).all()
