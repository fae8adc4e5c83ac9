"""Which learners go with which data, and the one that is taken where a job names none."""

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.learners import Auto, ConcreteLearner, Learner, Mlp, Resnet
from service.domain.errors import Invalid


def settled_learner(learner: Learner, facts: TableFacts) -> ConcreteLearner:
    """Return the learner, or the one that suits the data; Invalid for one that does not go with it."""
    is_of_images = facts.kind == "image"
    if isinstance(learner, Auto):
        return Resnet() if is_of_images else Mlp()
    if isinstance(learner, Resnet) != is_of_images:
        way = "the dataset holds images: choose resnet" if is_of_images else "the dataset is a table: choose linear, mlp or tabm"
        raise Invalid.at("/learner", "learner_mismatch", f"{learner.kind} does not train on it; {way}, or leave learner out")
    return learner
