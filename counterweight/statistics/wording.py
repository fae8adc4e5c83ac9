"""The sentence of a verdict: plain words with the numbers they stand on."""

from collections.abc import Sequence
from dataclasses import dataclass

from counterweight.contracts.studies import Comparison, LeaderboardRow, Needed, Verdict
from counterweight.statistics.measured import Question

_OTHER_SHARES = "its raw probabilities are those of other class shares, and are right only once corrected"
_NO_PROBABILITIES = "its raw scores are no probabilities until they are corrected"
COSTS = {
    "balanced_softmax": _OTHER_SHARES,
    "logit_adjusted": _OTHER_SHARES,
    "balanced_cross_entropy": _OTHER_SHARES,
    "poly": _NO_PROBABILITIES,
    "focal": _NO_PROBABILITIES,
    "ldam": "its scores become probabilities only by calibration on validation rows",
}
"""What a loss asks of whoever uses its model, beside cross-entropy."""

REASONS = {
    "too_few": "a class has fewer than 5 test rows",
    "too_few_runs": "they share fewer than 2 runs",
    "unstable": "the metric is undefined in more than 5% of the bootstrap draws",
    "zero_variance": "it does not vary at all",
}


@dataclass(frozen=True)
class Wording:
    """What all sentences about a study say: the metric, the test rows, and how many arms had too few runs to take part."""

    question: Question
    test_rows: int
    left_out: int = 0

    def winner(self, leader: LeaderboardRow, comparisons: Sequence[Comparison], simplest: LeaderboardRow) -> str:
        closest = min(comparisons, key=self._gap)
        others = "the other arm" if len(comparisons) == 1 else f"each of the {len(comparisons)} other arms"
        by = f"{closest.b} by" if len(comparisons) == 1 else f"the closest, {closest.b}, by"
        text = f"{leader.arm} is best: {self._mean_of(leader)}. It is ahead of {others}: {by} {self._told(closest)}."
        if self._limits(closest)[0] < self.question.minimum_difference:
            text += f" Whether that is more than the {self._least} that would matter is not sure."
        if simplest.arm != leader.arm:
            text += f" It has a price: {self._price(leader, simplest)}."
        return self._whole(text)

    def equivalent(self, leader: LeaderboardRow, comparisons: Sequence[Comparison], simplest: LeaderboardRow, beaten: int) -> str:
        lows, highs = zip(*(self._limits(each) for each in comparisons), strict=True)
        names = [each.b for each in comparisons]
        if all(each.reason == "identical" for each in comparisons):
            text = f"{leader.arm} and {_joined(names, 'and')} come to the same {self._metric} in every run: {self._mean_of(leader)}."
        else:
            text = (
                f"No difference in {self._metric} larger than {self._least} is likely between {leader.arm}, which leads with "
                f"{self._mean_of(leader)}, and {_joined(names, 'or')}: what it is ahead by lies within {_number(min(lows))} to "
                f"{_number(max(highs))}."
            )
        text += f" Take the simplest, {simplest.arm}."
        return self._whole(text + self._beaten(beaten))

    def undecided(self, leader: LeaderboardRow, comparisons: Sequence[Comparison], verdict: Verdict, beaten: int) -> str:
        closest = min(comparisons, key=self._gap)
        arms = "two arms" if len(verdict.candidates) == 2 else f"{len(verdict.candidates)} arms"
        text = f"The data cannot decide between {arms}: {leader.arm} leads with {self._mean_of(leader)}, "
        if closest.low is None:
            why = REASONS.get(closest.reason or "", closest.reason)
            text += f"but how sure its difference from {closest.b} is cannot be told: {why}."
        else:
            text += f"ahead of {closest.b} by {self._told(closest)}: {self._doubt(closest)}."
        text += self._what_it_takes(verdict.needed)
        return self._whole(f"{text}{self._beaten(beaten)} Until then take the simplest of those that may be best, {verdict.suggestion}.")

    def nothing_to_compare(self, leader: LeaderboardRow) -> str:
        return self._whole(f"There is nothing to compare {leader.arm} with: {self._mean_of(leader)}.")

    def nothing_measured(self) -> str:
        return f"There is nothing to compare: no arm has two runs of which {self._metric} is defined on the {self.test_rows:,} test rows."

    @property
    def _metric(self) -> str:
        return f"test {self.question.metric.replace('_', ' ')}"

    @property
    def _least(self) -> str:
        return f"{self.question.minimum_difference:g}"

    def _whole(self, text: str) -> str:
        if self.left_out == 0:
            return text
        arms = "1 arm" if self.left_out == 1 else f"{self.left_out} arms"
        return f"{text} {arms} with fewer than 2 measured runs took no part."

    def _mean_of(self, row: LeaderboardRow) -> str:
        limits = "" if row.low is None or row.high is None else f" (95% interval {_number(row.low)} to {_number(row.high)})"
        return f"mean {self._metric} {_number(row.mean or 0.0)}{limits} over {row.runs} runs and {self.test_rows:,} test rows"

    def _gap(self, each: Comparison) -> float:
        """Return by how much `a` is ahead, whichever way the metric goes."""
        difference = each.difference or 0.0
        return -difference if self.question.goal == "min" else difference

    def _limits(self, each: Comparison) -> tuple[float, float]:
        low, high = each.low or 0.0, each.high or 0.0
        return (-high, -low) if self.question.goal == "min" else (low, high)

    def _told(self, each: Comparison) -> str:
        low, high = self._limits(each)
        p = each.p_adjusted
        told = "" if p is None else f"; adjusted p {'< 0.001' if p < 0.001 else f'= {p:.2g}'}"
        return f"{_number(self._gap(each))} (95% interval {_number(low)} to {_number(high)}{told})"

    def _doubt(self, each: Comparison) -> str:
        low, high = self._limits(each)
        least = self.question.minimum_difference
        if low > 0:
            return "by itself that would be a lead, among so many pairs it may be chance"
        much = f"one larger than the {self._least} that would matter" if max(-low, high) > least else "a difference either way"
        return f"there may be no difference, or {much}"

    def _price(self, leader: LeaderboardRow, simplest: LeaderboardRow) -> str:
        price = COSTS.get(leader.loss.kind, "it has more to set") if leader.loss.kind != simplest.loss.kind else "it has more to set"
        if leader.ece is None or simplest.ece is None:
            return f"{price}; {simplest.arm} is simpler"
        return f"{price}; its calibration error is {_number(leader.ece)}, that of the simpler {simplest.arm} {_number(simplest.ece)}"

    def _what_it_takes(self, needed: Needed | None) -> str:
        if needed is None:
            return ""
        ways = [f"{needed.test_rows:,} test rows"] if needed.test_rows is not None else []
        ways += [f"{needed.seeds:,} seeds"] if needed.seeds is not None else []
        ways += [f"{needed.both[0]:,} test rows together with {needed.both[1]:,} seeds"] if needed.both is not None else []
        return f" If all stays as it looks, about {' or '.join(ways)} would be needed." if ways else ""

    def _beaten(self, count: int) -> str:
        return "" if count == 0 else f" {'1 other arm is' if count == 1 else f'{count} other arms are'} worse."


def _number(value: float) -> str:
    """Three decimals; what is too small for that keeps its first two digits."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.2g}"


def _joined(names: Sequence[str], word: str) -> str:
    shown = [*names[:5], f"{len(names) - 5} others"] if len(names) > 6 else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {word} {shown[-1]}"
