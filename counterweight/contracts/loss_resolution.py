"""What a loss comes to on given classes, in numbers and in words."""

from counterweight.contracts.base import Request, View
from counterweight.contracts.losses import AnyLoss, Focal, Loss
from counterweight.contracts.splits import Split, StratifiedSplit
from counterweight.contracts.terms import ClassCounts, losses_by_class, prior_bias


class LossValues(View):
    """The terms in force, by class label; `deferred_weights` are those of the last fifth of the epochs, where they are others."""

    weights: dict[str, float]
    gamma: float
    alpha: dict[str, float] | None
    shift: dict[str, float]
    margin: dict[str, float]
    scale: float = 1.0
    epsilon: float = 0.0
    label_smoothing: float = 0.0
    deferred_weights: dict[str, float] | None = None


class LossQuestion(Request):
    """What does this loss come to on this dataset? `split` as in the job; the default's training rows when left out."""

    dataset_id: str
    target: str | None = None
    loss: Loss
    split: Split = StratifiedSplit()


class ResolvedLoss(View):
    """What was asked for, what it means on these classes, and what to know about it.

    `initial_loss` is the mean loss of the first predictions, which are the same for every row; null for jobs of older releases.
    """

    requested: Loss
    resolved: LossValues
    notes: list[str]
    initial_loss: float | None = None


class LossAnswer(ResolvedLoss):
    """A loss resolved on the training rows of a dataset under a split: `rows` by class."""

    dataset_id: str
    target: str
    positive_label: str | None
    split: Split
    rows: dict[str, int]

    @property
    def id(self) -> str:
        """Nothing was made: what has an id is the dataset."""
        return self.dataset_id


def resolve_loss(loss: AnyLoss, counts: ClassCounts) -> ResolvedLoss:
    """Return the numbers `loss` comes to on training rows with these counts; LossMismatch when it does not fit."""
    terms, deferred = loss.terms(counts), loss.deferred_terms(counts)
    alpha = loss.alpha_by_class(counts) if isinstance(loss, Focal) else None
    values = LossValues(
        weights=counts.by_label(terms.weights),
        gamma=terms.gamma,
        alpha=None if alpha is None else counts.by_label(alpha),
        shift=counts.by_label(terms.shift),
        margin=counts.by_label(terms.margin),
        scale=terms.scale,
        epsilon=terms.epsilon,
        label_smoothing=terms.smoothing,
        deferred_weights=None if deferred is None else counts.by_label(deferred.weights),
    )
    return ResolvedLoss(requested=loss, resolved=values, notes=loss.notes(counts), initial_loss=initial_loss(loss, counts))


def initial_logits(loss: AnyLoss, counts: ClassCounts) -> list[float]:
    """Return the logits that a new network gives every row: the classes' shares as the loss sees them; all equal under a cosine head."""
    return [0.0 for _ in counts.labels] if loss.has_cosine_head else prior_bias(loss.terms(counts), counts.shares)


def initial_loss(loss: AnyLoss, counts: ClassCounts) -> float:
    """Return the mean training loss of a new network."""
    by_class = losses_by_class(initial_logits(loss, counts), loss.terms(counts))
    return sum(share * value for share, value in zip(counts.shares, by_class, strict=True))
