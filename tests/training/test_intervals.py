"""Bootstrap intervals against slow and sure ways to them."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from counterweight.contracts.evaluation import Metric
from counterweight.statistics import bootstrap
from workers.training import intervals
from workers.training.ranking import Ranking, average_precision, ranked, roc_auc


def noisy(rows: int, share: float, seed: int = 0, digits: int = 6, apart: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    labels = source.random(rows) < share
    return np.round(source.normal(size=rows) + apart * labels, digits), labels


def drawn(ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    return intervals.ranking_draws(ranking, bootstrap.generator())


def drawn_often(ranking: Ranking, times: int) -> np.ndarray:
    return np.concatenate([intervals.ranking_draws(ranking, np.random.default_rng(seed)) for seed in range(times)], axis=1)


def test_draws_are_spread_like_those_that_weigh_row_by_row() -> None:
    scores, labels = noisy(1000, 0.05, digits=1)  # few digits: many ties
    source = np.random.default_rng(1)
    weights = source.poisson(1.0, (250, 1000))

    precision, area = drawn(ranked(scores, labels))

    slow_precision = [average_precision_score(labels, scores, sample_weight=each) for each in weights]
    slow_area = [roc_auc_score(labels, scores, sample_weight=each) for each in weights]
    shares = [0.1, 0.25, 0.5, 0.75, 0.9]
    np.testing.assert_allclose(np.quantile(precision, shares), np.quantile(slow_precision, shares), atol=0.04)
    np.testing.assert_allclose(np.quantile(area, shares), np.quantile(slow_area, shares), atol=0.01)


@pytest.mark.parametrize("apart", [1.5, 4.0])  # The better the ranking, the fewer rows tell how good it is.
@pytest.mark.parametrize("of_the_rare", [True, False])
def test_merging_ranks_moves_neither_the_middle_nor_the_spread(monkeypatch: pytest.MonkeyPatch, apart: float, *, of_the_rare: bool) -> None:
    scores, labels = noisy(6000, 0.3, apart=apart)
    ranking = ranked(scores, labels) if of_the_rare else ranked(-scores, ~labels)
    merged = drawn_often(ranking, 10)

    monkeypatch.setattr(intervals, "RANKS", 10_000)
    exact = drawn_often(ranking, 10)

    for short, full in zip(merged, exact, strict=True):
        assert short.mean() == pytest.approx(full.mean(), abs=0.05 * full.std())
        assert short.std() == pytest.approx(full.std(), rel=0.05)


def test_joint_draws_are_spread_like_those_of_each_class() -> None:
    scores, labels = noisy(600, 0.2)
    rankings = [ranked(-scores, ~labels), ranked(scores, labels)]

    precision, area = intervals.joint_ranking_draws(rankings, [~labels, labels], bootstrap.generator())

    alone = drawn(rankings[1])
    assert precision[:, 1].mean() == pytest.approx(alone[0].mean(), abs=0.01)
    assert precision[:, 1].std() == pytest.approx(alone[0].std(), rel=0.15)
    assert area[:, 1].std() == pytest.approx(alone[1].std(), rel=0.15)
    np.testing.assert_allclose(area[:, 0], area[:, 1], rtol=1e-12)


def test_the_interval_of_a_mean_is_that_of_the_textbook() -> None:
    values = np.random.default_rng(0).exponential(size=5000)

    draws = intervals.mean_draws(values, bootstrap.generator())

    assert draws.mean() == pytest.approx(values.mean(), abs=0.002)
    assert draws.std() == pytest.approx(values.std() / 5000**0.5, rel=0.08)


def test_the_mean_of_a_heavy_tail_loses_no_variance_to_its_bins() -> None:
    values = np.random.default_rng(0).exponential(size=5000)
    values[0] = 1000.0  # leaves all others in one bin

    draws = np.concatenate([intervals.mean_draws(values, np.random.default_rng(seed)) for seed in range(10)])

    source = np.random.default_rng(1)
    slow = [each @ values / each.sum() for each in (source.poisson(1.0, 5000) for _ in range(10_000))]
    assert draws.std() == pytest.approx(np.std(slow), rel=0.03)
    np.testing.assert_allclose(np.quantile(draws, [0.1, 0.25, 0.5, 0.9]), np.quantile(slow, [0.1, 0.25, 0.5, 0.9]), rtol=0.02)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    truth = float(roc_auc(ranked(*noisy(200_000, 0.1, seed=99))).value or 0)
    covered = 0
    for seed in range(100):
        ranking = ranked(*noisy(500, 0.1, seed=seed))
        metric = bootstrap.with_interval(roc_auc(ranking), drawn(ranking)[1], 0.9, 10)
        assert metric.low is not None
        assert metric.high is not None
        covered += metric.low <= truth <= metric.high

    assert 80 <= covered <= 98


def test_the_same_rows_have_the_same_interval() -> None:
    ranking = ranked(*noisy(500, 0.1))

    assert (drawn(ranking)[0] == drawn(ranking)[0]).all()


def test_under_five_rows_of_a_class_the_value_stands_alone() -> None:
    metric = bootstrap.with_interval(Metric(value=0.5), np.ones(1000), 0.95, smallest_class=4)

    assert metric == Metric(value=0.5, reason="too_few")


def test_over_five_percent_undefined_draws_allow_no_interval() -> None:
    draws = np.ones(1000)
    draws[:51] = np.nan

    assert bootstrap.with_interval(Metric(value=1.0), draws, 0.95, 100) == Metric(value=1.0, reason="unstable")


def test_an_undefined_value_keeps_its_reason() -> None:
    undefined = Metric(value=None, reason="no_positive")

    assert bootstrap.with_interval(undefined, np.full(1000, np.nan), 0.95, 0) == undefined


def test_average_precision_of_a_perfect_ranking_has_no_width() -> None:
    ranking = ranked(np.arange(100.0), np.arange(100) >= 50)

    assert average_precision(ranking).value == 1.0
    assert (drawn(ranking)[0] == 1.0).all()
