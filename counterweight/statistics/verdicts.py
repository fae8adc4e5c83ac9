"""What a comparison decides: a winner, that no difference which matters is likely, or how much more would be needed.

The leader (the best mean) wins if it is better than every other arm: Holm's adjusted p under 0.05, and an interval that reaches a
difference which matters. Where some arms are not beaten, but the interval of the leader against each of them lies inside the smallest
difference of interest, they are equivalent (two one-sided tests; being wrong about any of them is as rare as about one). Otherwise the
data cannot decide.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from counterweight.contracts.studies import Arm, Comparison, LeaderboardRow, Needed, Verdict
from counterweight.statistics.beta import critical_t
from counterweight.statistics.estimates import FEWEST_RUNS, Estimate
from counterweight.statistics.measured import Question
from counterweight.statistics.wording import Wording

ALPHA = 0.05
POWER_Z = 0.84
"""A study of the size that is called needed finds what it is needed for in 80 of 100 repetitions."""

MOST_TIMES = 1000
"""More than so many times the present size is as good as never, and is not told."""

SIMPLER = ("cross_entropy", "balanced_softmax", "logit_adjusted", "balanced_cross_entropy", "poly", "focal", "ldam")
"""Losses in the order of what has to be set and corrected for: cross-entropy's probabilities need nothing."""


@dataclass(frozen=True)
class Rival:
    """The leader's comparison with another arm."""

    told: Comparison
    estimate: Estimate


@dataclass(frozen=True)
class Size:
    """How much the study has: test rows and runs of an arm."""

    test_rows: int
    runs: int
    is_folded: bool = False


def decide(question: Question, leaderboard: Sequence[LeaderboardRow], rivals: Sequence[Rival], size: Size) -> Verdict:
    """Return the verdict. `rivals` are the leader's comparisons, in the order of the leaderboard."""
    measured = [row for row in leaderboard if row.runs >= FEWEST_RUNS]
    words = Wording(question, size.test_rows, left_out=len(leaderboard) - len(measured))
    if not measured:
        return Verdict(
            decided=False, outcome="nothing_to_compare", winner=None, candidates=[], suggestion=None, sentence=words.nothing_measured()
        )
    leader, by_arm = measured[0], {row.arm: row for row in measured}
    unbeaten = [rival for rival in rivals if not _is_beaten(question, rival)]
    unclear = [rival for rival in unbeaten if not _is_equivalent(question, rival)]
    candidates = [leader, *(by_arm[rival.told.b] for rival in unbeaten)]
    simplest = min(candidates, key=_simplicity)
    found = Verdict(
        decided=not unclear and bool(rivals),
        outcome="undecided" if unclear else "equivalent" if unbeaten else "winner" if rivals else "nothing_to_compare",
        winner=leader.arm if rivals and not unbeaten else None,
        candidates=[row.arm for row in candidates],
        suggestion=simplest.arm,
        needed=_needed(question, unclear, size),
        sentence="",
    )
    beaten = len(rivals) - len(unbeaten)
    match found.outcome:
        case "winner":
            sentence = words.winner(leader, [rival.told for rival in rivals], min(measured, key=_simplicity))
        case "equivalent":
            sentence = words.equivalent(leader, [rival.told for rival in unbeaten], simplest, beaten)
        case "undecided":
            sentence = words.undecided(leader, [rival.told for rival in unclear], found, beaten)
        case _:
            sentence = words.nothing_to_compare(leader)
    return found.model_copy(update={"sentence": sentence})


def _is_beaten(question: Question, rival: Rival) -> bool:
    p = rival.told.p_adjusted
    return p is not None and p < ALPHA and not _is_equivalent(question, rival)


def _is_equivalent(question: Question, rival: Rival) -> bool:
    """Whether a difference that matters is unlikely, whichever way."""
    told, most = rival.told, question.minimum_difference
    return told.low is not None and told.high is not None and -most <= told.low and told.high <= most


def _simplicity(arm: Arm) -> tuple[float, ...]:
    """Order arms by what has to be set and undone: the loss first, then the size of the network."""
    settings = arm.settings
    sizes = [float(settings.get(name, 0)) for name in ("learner.width", "learner.depth")]
    has_embedding = settings.get("learner.numeric_embedding", "none") != "none"
    return (SIMPLER.index(arm.loss.kind), getattr(arm.loss, "label_smoothing", 0.0), *sizes, float(has_embedding))


def _needed(question: Question, unclear: Sequence[Rival], size: Size) -> Needed | None:
    """Return what it would take to tell all of them apart from the leader, or to show that nothing that matters does; None if unknown."""
    found = [_needed_for(question, rival, size) for rival in unclear]
    known = [each for each in found if each is not None]
    if not known or len(known) < len(found):
        return None
    rows, seeds, both = (max(column) for column in zip(*known, strict=True))
    return Needed(
        test_rows=_round_up(rows * size.test_rows) if rows <= MOST_TIMES else None,
        seeds=math.ceil(seeds * size.runs) if seeds <= MOST_TIMES else None,
        both=(_round_up(both * size.test_rows), math.ceil(both * size.runs)) if min(rows, seeds) > MOST_TIMES >= both else None,
    )


def _needed_for(question: Question, rival: Rival, size: Size) -> tuple[float, float, float] | None:
    """Return by how much test rows, seeds, or both would have to be multiplied; infinity where it is no use."""
    estimate, parts = rival.estimate, rival.estimate.parts
    if parts is None or estimate.value is None or estimate.error is None:
        return None
    wanted = _wanted_error(question, rival) ** 2
    of_rows, of_seeds = parts.common + parts.own / size.runs, (parts.own + parts.seed) / size.runs
    rows = _ratio(of_rows, wanted - parts.seed / size.runs)
    seeds = _ratio(of_seeds, wanted - parts.common)
    return rows, seeds, estimate.error**2 / wanted


def _wanted_error(question: Question, rival: Rival) -> float:
    """Return the standard error at which the difference, were it as it looks, would probably be told from 0 or from one that matters."""
    told, estimate = rival.told, rival.estimate
    gap, pairs = abs(estimate.value or 0.0), (told.p_adjusted or 1.0) / max(told.p_value or 1.0, 1e-12)
    apart = gap / (critical_t(ALPHA / max(1.0, pairs), estimate.freedom) + POWER_Z)
    alike = (question.minimum_difference - gap) / (critical_t(ALPHA, estimate.freedom) + POWER_Z)
    return max(apart, alike)


def _ratio(above: float, below: float) -> float:
    """Return at least 1: what there is already is not given back."""
    return max(1.0, above / below) if below > 0 else math.inf


def _round_up(rows: float) -> int:
    """Return two significant digits: more would claim a precision that nobody has."""
    step = int(10 ** max(0, len(str(int(rows))) - 2))
    return math.ceil(rows / step) * step
