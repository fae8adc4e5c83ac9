"""Which threshold a query asks for."""

from dataclasses import dataclass

from counterweight.contracts.evaluation import Fixed, MinCost, PrecisionFloor, RecallFloor, ThresholdPolicy
from service.domain.errors import Invalid

WAYS = "min_precision, min_recall, false_negative with false_positive, or threshold"


@dataclass(frozen=True)
class Wish:
    """The parameters of a query, each None when left out."""

    min_precision: float | None
    min_recall: float | None
    false_negative: float | None
    false_positive: float | None
    threshold: float | None


def policy_of(wish: Wish) -> ThresholdPolicy:
    """Return the one policy that the parameters name; Invalid when they name none or several."""
    policies: list[ThresholdPolicy] = []
    if wish.min_precision is not None:
        policies.append(PrecisionFloor(precision=wish.min_precision))
    if wish.min_recall is not None:
        policies.append(RecallFloor(recall=wish.min_recall))
    if wish.threshold is not None:
        policies.append(Fixed(value=wish.threshold))
    if wish.false_negative is not None and wish.false_positive is not None:
        policies.append(MinCost(false_negative=wish.false_negative, false_positive=wish.false_positive))
    elif (wish.false_negative is None) != (wish.false_positive is None):
        missing = "false_negative" if wish.false_negative is None else "false_positive"
        raise Invalid.at(f"/{missing}", "invalid", f"a cost needs its counterpart: give {missing} too")
    if len(policies) != 1:
        raise Invalid(f"name one way to a threshold, not {len(policies) or 'none'}: {WAYS}")
    return policies[0]
