"""Student's t against its closed forms, and the limits it comes from and goes to."""

import math
from statistics import NormalDist

import pytest

from counterweight.statistics.beta import beta_cdf, critical_t, two_sided_p

POINTS = (1e-6, 0.01, 0.5, 0.99, 1.0, 2.5, 10.0, 1000.0)


@pytest.mark.parametrize("t", POINTS)
def test_of_one_degree_of_freedom_it_is_the_cauchy_distribution(t: float) -> None:
    assert two_sided_p(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t) if t < 1 else 2 / math.pi * math.atan(1 / t), rel=1e-12)


@pytest.mark.parametrize("t", POINTS)
def test_of_two_degrees_of_freedom_it_has_a_closed_form(t: float) -> None:
    assert two_sided_p(-t, 2) == pytest.approx(2 / (2 + t * t + t * math.sqrt(2 + t * t)), rel=1e-9)


@pytest.mark.parametrize("t", [0.0, 0.5, 1.96, 4.0])
def test_with_many_degrees_of_freedom_it_is_the_normal_distribution(t: float) -> None:
    assert two_sided_p(t, 1e7) == pytest.approx(2 * NormalDist().cdf(-t), rel=1e-5)


@pytest.mark.parametrize("freedom", [1, 1.7, 4, 30.5, 1e5])
@pytest.mark.parametrize("p", [0.9, 0.05, 0.001, 1e-9])
def test_the_critical_value_has_the_p_value_it_was_asked_for(freedom: float, p: float) -> None:
    assert two_sided_p(critical_t(p, freedom), freedom) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.7062), (4, 2.7764), (10, 2.2281), (60, 2.0003)])
def test_the_critical_values_are_those_of_the_tables(freedom: int, expected: float) -> None:
    assert critical_t(0.05, freedom) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("x", "expected"), [(-1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (2.0, 1.0)])
def test_beyond_its_ends_the_beta_distribution_has_nothing(x: float, expected: float) -> None:
    assert beta_cdf(x, 2.5, 0.5) == expected
