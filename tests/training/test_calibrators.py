"""Fitting calibrators: laws, and scikit-learn where it does the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from workers.training.calibrators import (
    KINDS,
    Beta,
    Calibrator,
    Identity,
    Isotonic,
    Kind,
    Platt,
    Temperature,
    Unfit,
    apply,
    fit_beta,
    fit_isotonic,
    fit_platt,
    fit_temperature,
)


def noisy(rows: int, seed: int = 0, digits: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities (rows, 2) that exaggerate, and labels."""
    source = np.random.default_rng(seed)
    odds = np.round(source.normal(-2, 2, rows), digits)
    labels = (source.random(rows) < 1 / (1 + np.exp(-0.4 * odds - 0.3))).astype(int)
    return np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1), labels


def odds_of(log_p: np.ndarray) -> np.ndarray:
    return np.asarray(log_p[:, 1] - log_p[:, 0])


def test_platt_equals_scikit_learn_s() -> None:
    log_p, labels = noisy(2000)

    found = fit_platt(log_p, labels)

    theirs = _SigmoidCalibration().fit(odds_of(log_p), labels)
    assert (found.slope, found.intercept) == pytest.approx((-theirs.a_, -theirs.b_), rel=1e-3)


def test_temperature_is_where_no_other_is_better() -> None:
    log_p, labels = noisy(2000)

    def loss(log_temperature: float) -> float:
        scaled = apply(Temperature(temperature=float(np.exp(log_temperature))), log_p)
        return float(-scaled[np.arange(2000), labels].mean())

    found = fit_temperature(log_p, labels)

    at = float(np.log(found.temperature))
    assert loss(at) < min(loss(at - 1e-4), loss(at + 1e-4))


def test_beta_with_equal_slopes_is_platt_s_line() -> None:
    log_p, _ = noisy(100)

    bent, straight = Beta(hit=0.7, miss=0.7, intercept=-0.2), Platt(slope=0.7, intercept=-0.2)

    np.testing.assert_allclose(apply(bent, log_p), apply(straight, log_p), rtol=1e-12)


def test_beta_finds_the_slopes_that_bent_the_probabilities() -> None:
    source = np.random.default_rng(0)
    odds = source.normal(0, 3, 100_000)
    log_p = np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)
    truth = Beta(hit=0.3, miss=1.5, intercept=0.5)
    labels = (source.random(len(odds)) < np.exp(apply(truth, log_p)[:, 1])).astype(int)

    found = fit_beta(log_p, labels)

    assert (found.hit, found.miss, found.intercept) == pytest.approx((0.3, 1.5, 0.5), rel=0.1)


def test_isotonic_passes_through_the_middles_of_scikit_learn_s_blocks() -> None:
    log_p, labels = noisy(3000, digits=2)
    yes, no = labels.sum(), (labels == 0).sum()
    targets = np.where(labels == 1, (yes + 1) / (yes + 2), 1 / (no + 2))

    found = fit_isotonic(log_p, labels)

    odds = odds_of(log_p)
    shares = IsotonicRegression().fit_transform(odds, targets)
    middles = [odds[np.isclose(shares, share)].mean() for share in np.unique(np.round(shares, 12))]
    np.testing.assert_allclose(found.before, middles, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(1 / (1 + np.exp(-np.array(found.after))), np.unique(np.round(shares, 12)), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.method)
def test_calibrating_improves_what_it_was_fitted_on_and_keeps_the_order(kind: Kind) -> None:
    log_p, labels = noisy(3000, digits=2)

    after = apply(kind.fit(log_p, labels), log_p)

    assert -after[np.arange(3000), labels].mean() < -log_p[np.arange(3000), labels].mean()
    by_odds = np.argsort(odds_of(log_p), kind="stable")
    assert (np.diff(odds_of(after)[by_odds])[np.diff(odds_of(log_p)[by_odds]) > 1e-9] > 0).all()
    np.testing.assert_allclose(np.exp(after).sum(axis=1), 1, rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=4, max_size=40), st.sampled_from(KINDS))
def test_no_rows_make_a_probability_of_nought_or_one(rows: list[tuple[int, bool]], kind: Kind) -> None:
    odds = np.array([float(score) for score, _ in rows])
    labels = np.array([int(is_yes) for _, is_yes in rows])
    log_p = np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)

    try:
        calibrator = kind.fit(log_p, labels)
    except Unfit:
        return

    assert np.isfinite(apply(calibrator, log_p)).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(KINDS))
def test_exchanging_the_two_classes_exchanges_their_probabilities(seed: int, kind: Kind) -> None:
    log_p, labels = noisy(300, seed=seed, digits=1)

    try:
        after = apply(kind.fit(log_p, labels), log_p)
    except Unfit:
        with pytest.raises(Unfit):
            kind.fit(log_p[:, ::-1], 1 - labels)
        return

    other = apply(kind.fit(log_p[:, ::-1], 1 - labels), log_p[:, ::-1])
    np.testing.assert_allclose(other[:, ::-1], after, rtol=1e-6, atol=1e-9)


def test_beyond_its_knots_isotonic_goes_on_rising() -> None:
    calibrator = Isotonic(before=[-1.0, 1.0], after=[-2.0, 0.5])
    odds = np.array([-50.0, -2.0, -1.0, 0.0, 1.0, 3.0])

    after = odds_of(apply(calibrator, np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)))

    np.testing.assert_allclose(after, [-51, -3, -2, -0.75, 0.5, 2.5], rtol=1e-9)


def test_a_line_that_falls_is_refused() -> None:
    log_p, labels = noisy(500)

    with pytest.raises(Unfit, match="not_increasing"):
        fit_platt(log_p, 1 - labels)


def test_equal_scores_allow_no_line() -> None:
    with pytest.raises(Unfit, match="constant_scores"):
        fit_platt(np.log(np.full((10, 2), 0.5)), np.arange(10) % 2)
    with pytest.raises(Unfit, match="constant_scores"):
        fit_beta(np.log(np.full((10, 2), 0.5)), np.arange(10) % 2)


def test_separable_rows_have_no_temperature() -> None:
    odds = np.array([-3.0, -2.0, 2.0, 3.0])

    with pytest.raises(Unfit, match="at_bound"):
        fit_temperature(np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1), np.array([0, 0, 1, 1]))


@pytest.mark.parametrize(
    "calibrator",
    [
        Identity(),
        Platt(slope=0.5, intercept=-1),
        Temperature(temperature=2),
        Beta(hit=1, miss=2, intercept=0),
        Isotonic(before=[0.0], after=[1.0]),
    ],
    ids=lambda calibrator: str(calibrator.method),
)
def test_every_calibrator_survives_its_json(calibrator: Calibrator) -> None:
    adapter: TypeAdapter[Calibrator] = TypeAdapter(Calibrator)

    assert adapter.validate_json(adapter.dump_json(calibrator)) == calibrator
