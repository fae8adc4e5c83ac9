"""The losses a user can choose."""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator

from counterweight.contracts.base import Request
from counterweight.contracts.terms import ClassCounts, LossMismatch, LossTerms
from counterweight.contracts.weights import (
    are_alike,
    effective_number,
    explicit,
    follow_the_prior,
    inverse_frequency,
    mean_one,
    weight_notes,
)

DEFERRED_BETA = 0.9999
STRONG_GAMMA = 5.0

Weight = Annotated[float, Field(gt=0)]
Gamma = Annotated[float, Field(ge=0, le=20)]


def _with_example(schema: dict[str, Any], kind: type["_Loss"]) -> None:
    schema["examples"] = [kind().model_dump(mode="json")]


class _Loss(Request):
    """What every loss can do: give its terms, and say what a user should know about them.

    `has_cosine_head`: the logits are cosines between features and class weights, without a bias.
    """

    model_config = ConfigDict(json_schema_extra=_with_example)
    has_cosine_head: ClassVar[bool] = False

    def terms(self, counts: ClassCounts) -> LossTerms:
        raise NotImplementedError

    def deferred_terms(self, counts: ClassCounts) -> LossTerms | None:
        """Return the terms of the last fifth of the epochs, where they are others."""
        return None

    def notes(self, counts: ClassCounts) -> list[str]:
        return []


class CrossEntropy(_Loss):
    """The negative log-probability of the true class: a proper loss, its probabilities need no correction."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="Share of each target spread evenly over all classes.")

    def terms(self, counts: ClassCounts) -> LossTerms:
        return replace(LossTerms.neutral(len(counts.labels)), smoothing=self.label_smoothing)

    def notes(self, counts: ClassCounts) -> list[str]:
        if self.label_smoothing == 0:
            return []
        return ["label smoothing is no remedy for unequal classes, and makes probabilities too modest; the analytic correction leaves that"]


class BalancedCrossEntropy(_Loss):
    """Cross-entropy in which each class counts by a weight, by default as if all classes were equally frequent.

    With two classes, inverse frequency is alpha / (1 - alpha) = negatives / positives.
    `effective_number` is Cui et al., 2019, arXiv:1901.05555.
    """

    kind: Literal["balanced_cross_entropy"] = "balanced_cross_entropy"
    weights: Literal["inverse_frequency", "sqrt_inverse_frequency", "effective_number"] | dict[str, Weight] = "inverse_frequency"
    beta: float | None = Field(default=None, ge=0, lt=1, description="Only with `effective_number`; 0.999 when left out.")

    @model_validator(mode="after")
    def _beta_goes_with_effective_number(self) -> Self:
        if self.beta is not None and self.weights != "effective_number":
            raise ValueError('`beta` belongs to weights "effective_number"; leave it out otherwise')
        return self

    def terms(self, counts: ClassCounts) -> LossTerms:
        return LossTerms.neutral(len(counts.labels)).with_weights(mean_one(self._raw(counts), counts))

    def notes(self, counts: ClassCounts) -> list[str]:
        return weight_notes(self._raw(counts), counts)

    def _raw(self, counts: ClassCounts) -> list[float]:
        if isinstance(self.weights, dict):
            return explicit(self.weights, counts, "/loss/weights")
        if self.weights == "inverse_frequency":
            return inverse_frequency(counts)
        if self.weights == "sqrt_inverse_frequency":
            return inverse_frequency(counts, power=0.5)
        return effective_number(counts, 0.999 if self.beta is None else self.beta)


class Focal(_Loss):
    """Cross-entropy times (1 - p_t)^gamma, which silences examples that are already right.

    `gamma=0` without alpha is cross-entropy to the bit. Lin et al., 2017, arXiv:1708.02002.
    """

    kind: Literal["focal"] = "focal"
    gamma: Gamma = 2.0
    alpha: Annotated[float, Field(gt=0, lt=1)] | Literal["balanced"] | dict[str, Weight] | None = Field(
        default=None,
        description="A number weighs the positive class (1 - alpha the other; two classes only); `balanced` weighs by inverse frequency.",
    )

    def terms(self, counts: ClassCounts) -> LossTerms:
        neutral = replace(LossTerms.neutral(len(counts.labels)), gamma=self.gamma)
        alpha = self.alpha_by_class(counts)
        return neutral if alpha is None else neutral.with_weights(mean_one(alpha, counts))

    def notes(self, counts: ClassCounts) -> list[str]:
        notes = _gamma_notes(self.gamma)
        alpha = self.alpha_by_class(counts)
        if alpha is None:
            return [*notes, *_no_op(self.gamma == 0, "gamma 0 without alpha")]
        return [*notes, *weight_notes(alpha, counts), *self._alpha_notes(mean_one(alpha, counts), counts)]

    def _alpha_notes(self, weights: list[float], counts: ClassCounts) -> list[str]:
        if self.gamma == 0:
            return [*_no_op(are_alike(weights), "gamma 0 with equal alphas")] or [
                "gamma 0 makes this balanced_cross_entropy with these weights"
            ]
        rarest = counts.rarest
        if weights[rarest] < 1 and not are_alike(weights):
            named = f"alpha={self.alpha:g} " if isinstance(self.alpha, float) else "this alpha "
            return [
                f"{named}with gamma={self.gamma:g} gives the rare class {counts.labels[rarest]!r} less weight ({weights[rarest]:.4g}) than "
                "plain focal (1)"
            ]
        if self.gamma > 1 and follow_the_prior(weights, counts) and not are_alike(weights):
            return [
                f"a doubled correction: alpha alone balances the classes, and gamma={self.gamma:g} lifts the same hard, rare rows again; "
                "with alpha by frequency keep gamma at 1 or below, or leave alpha out"
            ]
        return []

    def alpha_by_class(self, counts: ClassCounts) -> list[float] | None:
        """Return alpha as the user meant it, before weights are scaled to mean 1."""
        if self.alpha is None:
            return None
        if isinstance(self.alpha, dict):
            return explicit(self.alpha, counts, "/loss/alpha")
        if self.alpha == "balanced":
            inverse = inverse_frequency(counts)
            return [value / sum(inverse) for value in inverse]
        if len(counts.labels) > 2 or counts.positive is None:
            # Libraries read a scalar alpha over several classes in three incompatible ways.
            raise LossMismatch(
                "/loss/alpha",
                f"a single alpha ({self.alpha}) is only defined for two classes, and there are {len(counts.labels)}; "
                'give {label: alpha} or "balanced"',
            )
        return [self.alpha if index == counts.positive else 1 - self.alpha for index in range(2)]


class LogitAdjusted(_Loss):
    """Shift each logit by `tau` times the log-share of its class.

    A rare class must win by a wider margin in training, and so is not ignored at test time.
    `tau=0` is cross-entropy. Menon et al., 2021, arXiv:2007.07314.
    """

    kind: Literal["logit_adjusted"] = "logit_adjusted"
    tau: float = Field(default=1.0, ge=0, le=10)

    def terms(self, counts: ClassCounts) -> LossTerms:
        return LossTerms.neutral(len(counts.labels)).with_shift([self.tau * share for share in counts.log_shares])

    def notes(self, counts: ClassCounts) -> list[str]:
        notes = _no_op(self.tau == 0, "tau 0") or _shift_notes(counts)
        if self.tau > 1:
            notes.append(f"tau={self.tau:g} favours rare classes beyond equal shares: more than balance asks for")
        return notes


class BalancedSoftmax(_Loss):
    """Shift each logit by the log-share of its class: the logit-adjusted loss with tau 1. Ren et al., 2020, arXiv:2007.10740."""

    kind: Literal["balanced_softmax"] = "balanced_softmax"

    def terms(self, counts: ClassCounts) -> LossTerms:
        return LossTerms.neutral(len(counts.labels)).with_shift(counts.log_shares)

    def notes(self, counts: ClassCounts) -> list[str]:
        return _shift_notes(counts)


class Ldam(_Loss):
    """Cross-entropy on cosines times `scale`, after the true class gave up a margin that grows with its rarity.

    The margin of a class of n rows is max_margin * (n_min / n)^(1/4). `deferred_reweighting` weighs the classes by effective number
    (beta 0.9999) in the last fifth of the epochs: from the start it would spoil the features. Cao et al., 2019, arXiv:1906.07413.
    """

    has_cosine_head: ClassVar[bool] = True
    kind: Literal["ldam"] = "ldam"
    max_margin: float = Field(default=0.5, gt=0, le=1)
    scale: float = Field(default=30.0, ge=1, le=100)
    deferred_reweighting: bool = True

    def terms(self, counts: ClassCounts) -> LossTerms:
        fewest = min(counts.counts)
        margin = tuple(self.max_margin * (fewest / count) ** 0.25 for count in counts.counts)
        return replace(LossTerms.neutral(len(counts.labels)), margin=margin, scale=self.scale)

    def deferred_terms(self, counts: ClassCounts) -> LossTerms | None:
        if not self.deferred_reweighting:
            return None
        return self.terms(counts).with_weights(mean_one(effective_number(counts, DEFERRED_BETA), counts))

    def notes(self, counts: ClassCounts) -> list[str]:
        notes = [
            "the head compares directions and has no bias: it starts undecided between the classes, not at their shares",
            "margins leave raw scores far from probabilities, and undoing them is exact only at the loss's minimum: "
            "look at what the validation rows say of raw, corrected and fitted ones",
        ]
        if self.deferred_reweighting:
            notes.append(
                "in the last fifth of the epochs, or once early stopping would end the training before, classes are weighed by effective "
                f"number with beta {DEFERRED_BETA}; the best epoch is chosen over all epochs alike"
            )
            notes += [f"later {note}" for note in weight_notes(effective_number(counts, DEFERRED_BETA), counts)]
        return notes


class Poly(_Loss):
    """Focal loss without alpha, plus epsilon * (1 - p_t)^(gamma + 1): the first term of its expansion, weighed anew.

    `epsilon=0` is focal loss, with `gamma=0` too it is cross-entropy. Leng et al., 2022, arXiv:2204.12511.
    """

    kind: Literal["poly"] = "poly"
    # From -1 on the loss could fall below 0, and would no longer fall as the true class gets likelier.
    epsilon: float = Field(default=1.0, gt=-1, le=100)
    gamma: Gamma = 0.0

    def terms(self, counts: ClassCounts) -> LossTerms:
        return replace(LossTerms.neutral(len(counts.labels)), gamma=self.gamma, epsilon=self.epsilon)

    def notes(self, counts: ClassCounts) -> list[str]:
        notes = _gamma_notes(self.gamma)
        if self.epsilon == 0:
            return [
                *notes,
                *(_no_op(self.gamma == 0, "epsilon 0 and gamma 0") or [f"epsilon 0 makes this focal with gamma={self.gamma:g}"]),
            ]
        return [*notes, "epsilon treats all classes alike: this is no remedy for unequal classes by itself"]


AnyLoss = CrossEntropy | BalancedCrossEntropy | Focal | LogitAdjusted | BalancedSoftmax | Ldam | Poly
Loss = Annotated[AnyLoss, Field(discriminator="kind")]
LossKind = Literal["cross_entropy", "balanced_cross_entropy", "focal", "logit_adjusted", "balanced_softmax", "ldam", "poly"]
LOSS_KINDS: dict[LossKind, type[AnyLoss]] = {kind().kind: kind for kind in get_args(AnyLoss)}


def one_of_each() -> list[AnyLoss]:
    """Return a loss of each kind, with its defaults; without balanced_softmax, which is logit_adjusted with them."""
    return [kind() for kind in LOSS_KINDS.values() if kind is not BalancedSoftmax]


def _no_op(is_one: bool, what: str) -> list[str]:
    return [f"{what} makes this plain cross_entropy"] if is_one else []


def _shift_notes(counts: ClassCounts) -> list[str]:
    return _no_op(len(set(counts.counts)) == 1, "equally frequent classes") or [
        "the head's own bias takes up the shift: ranking and corrected probabilities are those of cross_entropy, only raw scores differ; "
        "to call rare classes more often, choose the threshold, for example by max_balanced_accuracy"
    ]


def _gamma_notes(gamma: float) -> list[str]:
    if gamma <= STRONG_GAMMA:
        return []
    return [f"gamma={gamma:g} is above {STRONG_GAMMA:g}: all but the worst rows fall silent, and training may stall"]
