"""Which learners go with which data, and the one that is taken where a job names none."""

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.jobs import JobSpec
from counterweight.contracts.learners import Auto, ConcreteLearner, Mlp, Resnet, Tabm
from service.domain import estimates, table_networks
from service.domain.errors import Invalid

VOICES = 8
"""Members of the tabm that `auto` takes: half of what a tabm has that is asked for by name, in half the time."""

MOST_PRODUCTS_AN_EPOCH = 20_000_000_000
"""Of a tabm, multiplications of an epoch's forward passes: some 5 s on one core. An mlp of its width takes an eighth of them."""


def settled_learner(spec: JobSpec, facts: TableFacts) -> ConcreteLearner:
    """Return the job's learner, or the one that suits the data; Invalid for one that does not go with it."""
    learner, is_of_images = spec.learner, facts.kind == "image"
    if isinstance(learner, Auto):
        return Resnet() if is_of_images else _for_table(spec, facts)
    if isinstance(learner, Resnet) != is_of_images:
        way = "the dataset holds images: choose resnet" if is_of_images else "the dataset is a table: choose linear, mlp or tabm"
        raise Invalid.at("/learner", "learner_mismatch", f"{learner.kind} does not train on it; {way}, or leave learner out")
    return learner


def _for_table(spec: JobSpec, facts: TableFacts) -> Mlp | Tabm:
    """Return what ranks best as long as an epoch of it is a matter of seconds."""
    best = Tabm(members=VOICES)
    products = table_networks.products(best, estimates.inputs(spec, facts), estimates.numbers(spec, facts), len(facts.classes))
    return best if facts.rows * products <= MOST_PRODUCTS_AN_EPOCH else Mlp()
