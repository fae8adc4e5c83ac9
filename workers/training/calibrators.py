"""Maps from a model's probabilities to calibrated ones, and how they are fitted. All of two classes are strictly increasing.

So no calibrator moves a ranking, or what a threshold can reach: only what the threshold is called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from counterweight.contracts.base import View

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Truths = NDArray[np.bool_]

LARGEST_LOG_TEMPERATURE = 3.0
_MOST_STEPS = 100
_ROUNDING = 1e-13
"""A mean log-loss may rise by so much for no other reason than rounding."""


class Identity(View):
    """Probabilities as they are."""

    method: Literal["none"] = "none"


class Platt(View):
    """A straight line through the log-odds of the second class of two. Platt, 1999."""

    method: Literal["platt"] = "platt"
    slope: float
    intercept: float


class Temperature(View):
    """Log-probabilities divided by a temperature. Guo et al., 2017, arXiv:1706.04599."""

    method: Literal["temperature"] = "temperature"
    temperature: float


class Beta(View):
    """Log-odds of the second class of two: `hit` times ln p, less `miss` times ln(1 - p), plus the intercept.

    A bent line: it has slope `hit` where the class is improbable and `miss` where it is probable; with both equal it is Platt's.
    Kull, Silva Filho and Flach, 2017, doi:10.1214/17-EJS1338SI.
    """

    method: Literal["beta"] = "beta"
    hit: float
    miss: float
    intercept: float


class Isotonic(View):
    """Log-odds of the second class of two, straight between knots and shifted beyond them."""

    method: Literal["isotonic"] = "isotonic"
    before: list[float]
    after: list[float]


Calibrator: TypeAlias = Annotated[Identity | Platt | Temperature | Beta | Isotonic, Field(discriminator="method")]


class Unfit(Exception):
    """The rows allow no calibrator of this kind; the message is the reason, for machines."""


@dataclass(frozen=True)
class Kind:
    """How a calibrator is fitted to log-probabilities (N, C) and labels (N,), and how many rows that takes."""

    method: Literal["platt", "temperature", "beta", "isotonic"]
    fit: Callable[[Floats, Ints], Calibrator]
    fits_several_classes: bool = False
    fewest_rows: int = 0
    fewest_rows_of_a_class: int = 5


def apply(calibrator: Calibrator, log_p: Floats) -> Floats:
    """Return the calibrated log-probabilities (N, C)."""
    match calibrator:
        case Identity():
            return log_p
        case Temperature():
            scaled = log_p / calibrator.temperature
            return np.asarray(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))
        case Platt():
            odds = calibrator.slope * _odds(log_p) + calibrator.intercept
        case Beta():
            odds = calibrator.hit * log_p[:, 1] - calibrator.miss * log_p[:, 0] + calibrator.intercept
        case Isotonic():
            odds = _through_knots(_odds(log_p), np.asarray(calibrator.before), np.asarray(calibrator.after))
    return np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)


def parameters(calibrator: Calibrator) -> dict[str, float]:
    """Return the calibrator's numbers by name; of the isotonic one, how many knots it has."""
    if isinstance(calibrator, Isotonic):
        return {"knots": float(len(calibrator.before))}
    return {name: float(value) for name, value in calibrator.model_dump(exclude={"method"}).items()}


def fit_platt(log_p: Floats, labels: Ints) -> Platt:
    """Fit the line by logistic regression on softened targets. Unfit when it does not rise."""
    odds = _odds(log_p)
    middle, spread = float(odds.mean()), float(odds.std())
    if spread == 0:
        raise Unfit("constant_scores")
    x = np.stack([(odds - middle) / spread, np.ones(len(odds))], axis=1)
    slope, intercept = _logistic_regression(x, np.where(labels == 1, *_soft_targets(labels == 1))).tolist()
    if slope <= 0:
        raise Unfit("not_increasing")
    return Platt(slope=slope / spread, intercept=intercept - slope * middle / spread)


def fit_beta(log_p: Floats, labels: Ints) -> Beta:
    """Fit both slopes by logistic regression on softened targets. Unfit when one of them does not rise."""
    if np.ptp(_odds(log_p)) == 0:
        raise Unfit("constant_scores")
    x = np.stack([log_p[:, 1], -log_p[:, 0], np.ones(len(labels))], axis=1)
    hit, miss, intercept = _logistic_regression(x, np.where(labels == 1, *_soft_targets(labels == 1))).tolist()
    if min(hit, miss) <= 0:
        raise Unfit("not_increasing")
    return Beta(hit=hit, miss=miss, intercept=intercept)


def fit_temperature(log_p: Floats, labels: Ints) -> Temperature:
    """Fit the temperature of least log-loss. Unfit when none within e^-3 and e^3 is: the rows are separable, or all noise."""
    own = float(log_p[np.arange(len(labels)), labels].mean())
    of_classes = np.ascontiguousarray(log_p.T)  # few long rows: many short ones take five times as long
    squares = of_classes**2

    def slopes(inverse: float) -> tuple[float, float]:
        """Return the first and second derivative of the log-loss by the inverse temperature."""
        share = inverse * of_classes
        share = np.exp(share - share.max(axis=0))
        share /= share.sum(axis=0)
        mean = (share * of_classes).sum(axis=0)
        return float(mean.mean()) - own, float(((share * squares).sum(axis=0) - mean**2).mean())

    low, high = np.exp(-LARGEST_LOG_TEMPERATURE), np.exp(LARGEST_LOG_TEMPERATURE)
    if slopes(low)[0] >= 0 or slopes(high)[0] <= 0:
        raise Unfit("at_bound")
    inverse = 1.0
    for _ in range(_MOST_STEPS):
        slope, bend = slopes(inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        wanted = inverse - slope / bend if bend > 0 else 0.0
        # The log-loss is convex: where Newton's step leaves what is known to hold the minimum, halving it cannot fail.
        step = wanted if low < wanted < high else (low + high) / 2
        if abs(step - inverse) <= 1e-12 * inverse:
            break
        inverse = step
    return Temperature(temperature=1 / inverse)


def fit_isotonic(log_p: Floats, labels: Ints) -> Isotonic:
    """Fit rising shares, then join the middles of their blocks by straight lines in log-odds: no two rows become equal.

    With softened targets no share is 0 or 1, so no row's loss can be infinite. Oron and Flournoy, 2017, arXiv:1701.05964.
    """
    odds, is_yes = _odds(log_p), labels == 1
    # Among equal scores the hits come first: pooling then puts them all into one block.
    order = np.lexsort((~is_yes, odds))
    starts = np.flatnonzero(np.diff(is_yes[order].astype(np.int8), prepend=0) == 1)
    starts = np.unique(np.concatenate([[0], starts]))
    rows, hits, total = (np.add.reduceat(each[order], starts).tolist() for each in (np.ones(len(odds), np.int64), is_yes.astype(int), odds))
    blocks: list[tuple[int, int, float]] = []
    for block in zip(rows, hits, total, strict=True):
        # Shares are compared as whole numbers: rounding would pool equal ones or not, as it falls.
        while blocks and blocks[-1][1] * block[0] >= block[1] * blocks[-1][0]:
            below = blocks.pop()
            block = (below[0] + block[0], below[1] + block[1], below[2] + block[2])
        blocks.append(block)
    sizes, rising, sums = (np.array(each, dtype=np.float64) for each in zip(*blocks, strict=True))
    yes, no = _soft_targets(is_yes)
    shares = (rising * yes + (sizes - rising) * no) / sizes
    return Isotonic(before=(sums / sizes).tolist(), after=np.log(shares / (1 - shares)).tolist())


KINDS = (
    Kind("platt", fit_platt),
    Kind("temperature", fit_temperature, fits_several_classes=True),
    Kind("beta", fit_beta, fewest_rows_of_a_class=20),
    Kind("isotonic", fit_isotonic, fewest_rows=1000, fewest_rows_of_a_class=100),
)
"""The simplest first."""


def _odds(log_p: Floats) -> Floats:
    return log_p[:, 1] - log_p[:, 0]


def _soft_targets(is_yes: Truths) -> tuple[float, float]:
    """Return targets for yes and no, a little off 1 and 0: as if one more row had been seen of each, on either side."""
    yes, no = int(is_yes.sum()), int((~is_yes).sum())
    return (yes + 1) / (yes + 2), 1 / (no + 2)


def _logistic_regression(x: Floats, targets: Floats) -> Floats:
    """Return the coefficients, of which the last is of a column of ones, that minimise the log-loss of `targets` in 0 to 1.

    By Newton's method with shortened steps.
    """

    columns = np.ascontiguousarray(x.T)

    def outcome(coefficients: Floats) -> tuple[float, Floats]:
        """Return the mean log-loss, and the probabilities."""
        odds = coefficients @ columns
        shrunk = np.exp(-np.abs(odds))
        loss = np.maximum(odds, 0) + np.log1p(shrunk) - targets * odds
        return float(loss.mean()), np.where(odds >= 0, 1.0, shrunk) / (1 + shrunk)

    found = np.ones(len(columns))
    found[-1] = 0
    before, share = outcome(found)
    for _ in range(_MOST_STEPS):
        gradient = columns @ (share - targets) / len(targets)
        bend = (columns * (share * (1 - share))) @ columns.T / len(targets) + 1e-12 * np.eye(len(found))
        step = np.linalg.solve(bend, gradient)
        # Near the minimum a step changes the loss by less than its own rounding, which must not shorten it: Newton's steps converge there.
        while (after := outcome(found - step))[0] > before + _ROUNDING and np.abs(step).max() > 1e-12:
            step = step / 2
        found, (before, share) = found - step, after
        if np.abs(step).max() <= 1e-10 * max(1.0, float(np.abs(found).max())):
            break
    return found


def _through_knots(odds: Floats, before: Floats, after: Floats) -> Floats:
    inside = np.interp(odds, before, after)
    return np.asarray(inside + np.minimum(odds - before[0], 0) + np.maximum(odds - before[-1], 0))
