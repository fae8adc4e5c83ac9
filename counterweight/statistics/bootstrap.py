"""How far a metric would move on other rows of the same kind: the Poisson bootstrap.

Each of 1,000 draws weighs every row by its own Poisson(1) number. The rows of a group weigh Poisson(size of the group) together, so
decisions need one number for each cell of the confusion matrix.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import Metric
from counterweight.statistics.exact import Exact

DRAWS = 1000
SEED = 0
FEWEST_ROWS = 5
"""A class with fewer rows allows no interval."""
MOST_UNDEFINED = 0.05
ALIKE = 1e-12
"""Draws no farther apart are the same number but for rounding."""
_CHUNK = 2**17
"""Weights held at a time: what is reckoned with them then stays in a core's cache."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def with_interval(metric: Metric, draws: Floats, confidence: float, smallest_class: int, exact: Exact | None = None) -> Metric:
    """Return the metric with its percentile interval, or with the reason why there is none.

    Where the draws tell nothing, all being alike or too many undefined, the `exact` limits stand in if there are any.
    """
    if metric.value is None:
        return metric
    if smallest_class < FEWEST_ROWS:
        return metric.model_copy(update={"reason": "too_few"})
    defined = draws[~np.isnan(draws)]
    is_unstable = len(defined) < (1 - MOST_UNDEFINED) * len(draws)
    if not is_unstable:
        low, high = _quantiles(defined, (1 - confidence) / 2, (1 + confidence) / 2)
        if high - low > ALIKE:
            return metric.model_copy(update={"low": low, "high": high})
    limits = None if exact is None else exact(metric.value, confidence)
    if limits is None:
        return metric.model_copy(update={"reason": "unstable" if is_unstable else "degenerate"})
    return metric.model_copy(update={"low": limits[0], "high": limits[1]})


def _quantiles(values: Floats, *shares: float) -> list[float]:
    """Return what `numpy.quantile` does by default, which takes ten times as long over a thousand values."""
    rising, found = np.sort(values), []
    for share in shares:
        place = share * (len(rising) - 1)
        low, high = rising[int(place)], rising[min(int(place) + 1, len(rising) - 1)]
        part = place - int(place)
        found.append(float(low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)))
    return found


def generator() -> np.random.Generator:
    """Return the source of the draws: the same for every evaluation, so that equal inputs have equal intervals."""
    return np.random.Generator(np.random.PCG64(SEED))


def of_cells(cells: Ints, measure: Callable[[Floats], dict[str, Floats]]) -> dict[str, Floats]:
    """Return draws (DRAWS, ...) of each metric that `measure` finds in confusion cells (..., C, C), drawing the cells (C, C) anew."""
    source = generator()
    parts = [measure(source.poisson(cells, size=(count, *cells.shape)).astype(np.float64)) for count in chunks(cells.size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def chunks(cells: int) -> list[int]:
    """Divide the draws so that no more than `_CHUNK` weights are held at a time."""
    most = max(1, _CHUNK // max(1, cells))
    return [min(most, DRAWS - start) for start in range(0, DRAWS, most)]
