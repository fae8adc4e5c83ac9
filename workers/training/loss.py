"""The one formula behind every loss, for K networks at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from counterweight.contracts.terms import LossTerms
from workers.training.networks import padded


@dataclass(frozen=True)
class StackedTerms:
    """The terms of K members: `weights`, `shift` and `margin` are (K, C), the others (K, 1).

    The flags tell whether any member has terms of that kind: known on the host, so that no step waits for the device, and what is
    neutral for all is left out. That changes no digit of a member's loss.
    """

    weights: Tensor
    shift: Tensor
    margin: Tensor
    scale: Tensor
    gamma: Tensor
    epsilon: Tensor
    smoothing: Tensor
    weighs: bool
    shifts: bool
    keeps_margin: bool
    scales: bool
    focuses: bool
    adds_poly: bool
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
            weighs=any(weight != 1 for terms in members for weight in terms.weights),
            shifts=any(any(terms.shift) for terms in members),
            keeps_margin=any(any(terms.margin) for terms in members),
            scales=any(terms.scale != 1 for terms in members),
            focuses=any(terms.gamma != 0 for terms in members),
            adds_poly=any(terms.epsilon != 0 for terms in members),
            smooths=any(terms.smoothing > 0 for terms in members),
        )


def example_loss(logits: Tensor, targets: Tensor, terms: StackedTerms) -> Tensor:
    """Return the loss of each example under each member's terms.

    Takes logits (K, N, C), targets (K, N) or (N,) shared by all members, and terms stacked over K members; returns (K, N), in float32
    or, for float64 logits, in float64. Neutral terms give cross-entropy. Reduce by sum / N: dividing by the sum of weights would
    cancel them in a batch of one class.
    """
    scores, rows = logits if logits.dtype == torch.float64 else logits.float(), logits.shape[1]
    targets = targets.expand(scores.shape[:2])
    spare = padded(rows) - rows
    if spare:
        # Vector instructions then cut all members' rows alike: the digits of one do not hang on how many others there are.
        scores, targets = F.pad(scores, (0, 0, 0, spare)), F.pad(targets, (0, spare))
    losses = _losses(scores, targets, terms)
    return losses[:, :rows] if spare else losses


def _losses(scores: Tensor, targets: Tensor, terms: StackedTerms) -> Tensor:
    if terms.shifts:
        scores = scores + terms.shift[:, None, :]
    if terms.scales:
        scores = terms.scale[:, :, None] * scores
    hard = _loss_as_if(targets, scores, terms)
    if not terms.smooths:
        return hard
    classes = scores.shape[2]
    # torch's convention: a share `smoothing` of the target is spread over all classes, each with its own weight (1512.00567).
    spread = sum(_loss_as_if(torch.full_like(targets, index), scores, terms) for index in range(classes)) / classes
    return (1 - terms.smoothing) * hard + terms.smoothing * spread


def _loss_as_if(targets: Tensor, scores: Tensor, terms: StackedTerms) -> Tensor:
    """Return the loss (K, N) that each example has if its class is the one in `targets` (K, N)."""
    margin = _margin_over_others(scores, targets)
    if terms.keeps_margin:
        margin = margin - terms.scale * terms.margin.gather(1, targets)
    loss: Tensor = _OfMargin.apply(margin, terms.weights.gather(1, targets) if terms.weighs else None, terms)  # type: ignore[no-untyped-call]
    return loss


class _OfMargin(torch.autograd.Function):
    """The loss by the margin between the true class and all others, which keeps log p and log(1 - p) exact: 1 - softmax rounds to 0 from
    a logit of 17 on, and its power then has no gradient.

    With d the margin, p = sigmoid(d) and q = 1 - p the loss is w q^gamma (epsilon q - ln p), and its slope by d is
    -w q^gamma (q + epsilon p q + gamma p (epsilon q - ln p)): autograd would take four times as many steps to it.
    """

    @staticmethod
    def forward(ctx: Any, margin: Tensor, weights: Tensor | None, terms: StackedTerms) -> Tensor:
        loss, log_miss = -F.logsigmoid(margin), F.logsigmoid(-margin)  # `softplus` would turn linear at 20.
        hit, miss = torch.sigmoid(margin), log_miss.exp()
        slope = miss
        if terms.adds_poly:
            loss = loss + terms.epsilon * miss
            slope = slope + terms.epsilon * hit * miss
        if terms.focuses:
            focus = (terms.gamma * log_miss).exp()  # exp(0) = 1: without gamma this is cross-entropy to the bit
            slope = focus * (slope + terms.gamma * hit * loss)
            loss = focus * loss
        if weights is not None:
            loss, slope = weights * loss, weights * slope
        ctx.save_for_backward(slope)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        return -ctx.saved_tensors[0] * gradients[0], None, None


def _margin_over_others(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the true class's score minus the log-sum-exp of all other classes' scores, (K, N)."""
    if scores.shape[2] == 2:
        # One other class: the log-sum-exp is its score.
        return (scores[..., 1] - scores[..., 0]) * (2 * targets - 1).to(scores.dtype)
    chosen = targets[:, :, None]
    others = scores.scatter(2, chosen, -torch.inf).logsumexp(2)
    return scores.gather(2, chosen).squeeze(2) - others
