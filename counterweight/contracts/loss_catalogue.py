"""The losses as a catalogue: what each computes, when to use it, and when not."""

from typing import Any

from counterweight.contracts.base import View
from counterweight.contracts.losses import (
    LOSS_KINDS,
    AnyLoss,
    BalancedCrossEntropy,
    BalancedSoftmax,
    CrossEntropy,
    Focal,
    Ldam,
    LogitAdjusted,
    Loss,
    LossKind,
    Poly,
)


class LossCard(View):
    """A loss of the catalogue. In `formula` p_t is the probability of the true class, z logits, pi class shares and n class rows."""

    kind: LossKind
    title: str
    formula: str
    use_when: str
    avoid_when: str
    paper: str | None
    defaults: Loss
    parameters: dict[str, Any]
    """The JSON Schema of the loss as it stands in a job."""

    @property
    def id(self) -> str:
        """What names it in a list."""
        return self.kind


def catalogue() -> list[LossCard]:
    """Return every loss that can be chosen, the plainest first."""
    return [
        _card(
            CrossEntropy,
            title="Cross-entropy",
            formula="-ln p_t; with smoothing e: (1 - e)(-ln p_t) + (e / K) sum_k(-ln p_k)",
            use_when="always first: its probabilities mean what they say, and with a threshold chosen for the purpose it is hard to beat",
            avoid_when="the decision is the likeliest class and no threshold may be moved: rare classes are then hardly ever called",
        ),
        _card(
            BalancedCrossEntropy,
            title="Balanced cross-entropy",
            formula="w_t (-ln p_t), weights of mean 1 over the training rows; inverse frequency: w_c ~ 1 / n_c; "
            "effective number: w_c ~ (1 - beta) / (1 - beta^n_c)",
            use_when="errors on rare classes cost more, and the costs are about as unequal as the classes",
            avoid_when="a class has so few rows that its weight passes 50: they are then learnt by heart",
            paper="arXiv:1901.05555 (effective number)",
        ),
        _card(
            Focal,
            title="Focal loss",
            formula="alpha_t (1 - p_t)^gamma (-ln p_t)",
            use_when="most rows are easy and drown the hard ones, or overconfidence is the trouble",
            avoid_when="labels are noisy (it insists on the wrong ones), or the raw scores are to be read as probabilities",
            paper="arXiv:1708.02002",
        ),
        _card(
            LogitAdjusted,
            title="Logit adjustment",
            formula="-ln softmax(z + tau ln pi)_t",
            use_when="raw scores are used, and the class they favour should make the least mean error over classes, however rare",
            avoid_when="better ranking or probabilities are hoped for: with a bias in the head those are cross-entropy's",
            paper="arXiv:2007.07314",
        ),
        _card(
            BalancedSoftmax,
            title="Balanced softmax",
            formula="-ln softmax(z + ln n)_t",
            use_when="as logit adjustment with tau 1, which it equals, where nothing is to be tuned",
            avoid_when="you want to tune how far to balance: take logit adjustment",
            paper="arXiv:2007.10740",
        ),
        _card(
            Ldam,
            title="LDAM with deferred re-weighting",
            formula="-ln softmax(s (cos - m_t onehot(t)))_t, m_c = max_margin (n_min / n_c)^(1/4); in the last fifth of the epochs "
            "times effective-number weights",
            use_when="a large network would learn its few rare rows by heart, and ranking or the called class is what counts",
            avoid_when="raw scores are to be read as probabilities, or the learner is linear (refused: it has no features to compare)",
            paper="arXiv:1906.07413",
        ),
        _card(
            Poly,
            title="Poly-1",
            formula="(1 - p_t)^gamma (-ln p_t) + epsilon (1 - p_t)^(gamma + 1)",
            use_when="one more knob is welcome once cross-entropy or focal loss works: epsilon is tuned like a learning rate",
            avoid_when="unequal classes are the trouble: it treats all alike",
            paper="arXiv:2204.12511",
        ),
    ]


def _card(kind: type[AnyLoss], title: str, formula: str, use_when: str, avoid_when: str, paper: str | None = None) -> LossCard:
    loss = kind()
    return LossCard(
        kind=loss.kind,
        title=title,
        formula=formula,
        use_when=use_when,
        avoid_when=avoid_when,
        paper=paper,
        defaults=loss,
        parameters=LOSS_KINDS[loss.kind].model_json_schema(),
    )
