"""The one formula behind every loss, for K networks at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from counterweight.contracts.terms import LossTerms


@dataclass(frozen=True)
class StackedTerms:
    """The terms of K members: `weights`, `shift` and `margin` are (K, C), the others (K, 1).

    `smooths` tells whether any member smooths its labels: known on the host, so that no step waits for the device.
    """

    weights: Tensor
    shift: Tensor
    margin: Tensor
    scale: Tensor
    gamma: Tensor
    epsilon: Tensor
    smoothing: Tensor
    smooths: bool

    @classmethod
    def of(cls, members: Sequence[LossTerms], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> "StackedTerms":
        def stack(rows: Sequence[Sequence[float]]) -> Tensor:
            return torch.tensor(rows, dtype=dtype, device=device)

        return cls(
            weights=stack([terms.weights for terms in members]),
            shift=stack([terms.shift for terms in members]),
            margin=stack([terms.margin for terms in members]),
            scale=stack([[terms.scale] for terms in members]),
            gamma=stack([[terms.gamma] for terms in members]),
            epsilon=stack([[terms.epsilon] for terms in members]),
            smoothing=stack([[terms.smoothing] for terms in members]),
            smooths=any(terms.smoothing > 0 for terms in members),
        )


def example_loss(logits: Tensor, targets: Tensor, terms: StackedTerms) -> Tensor:
    """Return the loss of each example under each member's terms.

    Takes logits (K, N, C), targets (K, N) or (N,) shared by all members, and terms stacked over K members; returns (K, N), in float32
    or, for float64 logits, in float64. Neutral terms give cross-entropy. Reduce by sum / N: dividing by the sum of weights would
    cancel them in a batch of one class.
    """
    scores = logits if logits.dtype == torch.float64 else logits.float()
    scores = terms.scale[:, :, None] * (scores + terms.shift[:, None, :])
    targets = targets.expand(scores.shape[:2])
    hard = _loss_as_if(targets, scores, terms)
    if not terms.smooths:
        return hard
    classes = scores.shape[2]
    # torch's convention: a share `smoothing` of the target is spread over all classes, each with its own weight (1512.00567).
    spread = sum(_loss_as_if(torch.full_like(targets, index), scores, terms) for index in range(classes)) / classes
    return (1 - terms.smoothing) * hard + terms.smoothing * spread


def _loss_as_if(targets: Tensor, scores: Tensor, terms: StackedTerms) -> Tensor:
    """Return the loss (K, N) that each example has if its class is the one in `targets` (K, N)."""
    margin = _margin_over_others(scores, targets) - terms.scale * terms.margin.gather(1, targets)
    # The margin between the true class and all others keeps log p and log(1 - p) exact: 1 - softmax rounds to 0 from a logit of 17
    # on, and its power then has no gradient. `softplus` would turn linear at 20.
    surprise, log_miss = -F.logsigmoid(margin), F.logsigmoid(-margin)
    focus = (terms.gamma * log_miss).exp()  # exp(0) = 1: without gamma this is cross-entropy to the bit
    return terms.weights.gather(1, targets) * focus * (surprise + terms.epsilon * log_miss.exp())


def _margin_over_others(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the true class's score minus the log-sum-exp of all other classes' scores, (K, N)."""
    chosen = targets[:, :, None]
    if scores.shape[2] == 2:
        # One other class: the log-sum-exp is its score. A third fewer operations in a step.
        return (scores.gather(2, chosen) - scores.gather(2, 1 - chosen)).squeeze(2)
    others = scores.scatter(2, chosen, -torch.inf).logsumexp(2)
    return scores.gather(2, chosen).squeeze(2) - others
