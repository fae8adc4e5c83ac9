"""The beta distribution, and Student's t, which follows from it: without SciPy, which weighs more than all the rest."""

import math

_MOST_TERMS = 10_000
_DOUBLINGS = 200
_HALVINGS = 80


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function by its continued fraction (Press et al., Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    above, below = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    found = below
    for k in range(1, _MOST_TERMS):
        even = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k))
        odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))
        for term in (even, odd):
            above, below = 1 + term / above, 1 / (1 + term * below)
            found *= above * below
        if abs(above * below - 1) < 1e-15:
            break
    return front * found


def two_sided_p(t: float, freedom: float) -> float:
    """Return the chance that Student's t with so many degrees of freedom lies at least as far from 0."""
    squared = t * t
    if squared < 1:
        # Near 0 the other tail: freedom / (freedom + t²) rounds to 1 there.
        return 1 - beta_cdf(squared / (freedom + squared), 0.5, freedom / 2)
    return beta_cdf(freedom / (freedom + squared), freedom / 2, 0.5)


def critical_t(p: float, freedom: float) -> float:
    """Return the t whose two-sided p-value is `p`."""
    low, high = 0.0, 1.0
    for _ in range(_DOUBLINGS):
        if two_sided_p(high, freedom) <= p:
            break
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, freedom) > p else (low, middle)
    return (low + high) / 2
