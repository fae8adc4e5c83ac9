"""A member of a cohort is what it is alone, on a real table, where the data lie beside the project."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.quality.index import entries
from benchmarks.quality.rows import read
from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.splits import PARTS
from tests.training.golden import SHARED
from workers.training.cohort import Cohort, form_cohort
from workers.training.forward import all_logits
from workers.training.happenings import Epoch, Trained
from workers.training.loop import train
from workers.training.rows import Rows

DATA = SHARED / "data"
EPOCHS = 4

pytestmark = pytest.mark.skipif(not (DATA / "adult").is_dir(), reason="data/adult is not beside the project")

MEMBERS: list[dict[str, Any]] = [
    {"loss": {"kind": "cross_entropy"}},
    {"loss": {"kind": "focal", "alpha": "balanced"}, "training": {"seed": 1, "learning_rate": 1e-2}},
    {"loss": {"kind": "balanced_cross_entropy"}, "training": {"weight_decay": 0.1, "ema": 0.9}},
    {"loss": {"kind": "logit_adjusted"}, "training": {"seed": 1, "early_stopping": {"patience": 1}, "learning_rate": 1e-6}},
    {"loss": {"kind": "poly"}, "training": {"seed": 2, "early_stopping": {"metric": "log_loss", "patience": 2}, "learning_rate": 0.03}},
]


@dataclass(frozen=True)
class Found:
    """What became of a member: its parameters (1, P), its last epoch, and its probabilities (rows, 2) of the test rows."""

    parameters: torch.Tensor
    epochs: int
    probabilities: torch.Tensor


class Adult:
    """The table, divided and encoded, and the members' jobs on it."""

    def __init__(self, folder: Path) -> None:
        (entry,) = entries(DATA, "adult")
        table = read(entry, folder, most_rows=10**9)
        self._facts, self._folder, self._prepared = table.facts, folder, table.prepared(split=0)
        self._specs = [
            table.spec(
                0,
                learner={"kind": "mlp", "width": 64, "depth": 2, "dropout": 0.2, "numeric_embedding": "piecewise_linear"},
                loss=member["loss"],
                training={"max_epochs": EPOCHS, "batch_size": 256} | member.get("training", {}),
            )
            for member in MEMBERS
        ]

    def trained(self, members: Sequence[int], dtype: torch.dtype) -> list[Found]:
        """Train some of the members together."""
        specs: list[ResolvedSpec] = [self._specs[member] for member in members]
        cohort: Cohort = form_cohort(self._prepared, self._facts, specs, torch.device("cpu"), self._folder)
        features, labels = self._prepared.features.to(dtype), self._prepared.labels
        spans = [self._prepared.span(part) for part in PARTS]
        learnt, validation, test = (Rows(features[span], labels[span]) for span in spans)
        plans = [cohort.plan(spec) for spec in specs]
        epochs: dict[int, int] = {}
        ends: dict[int, torch.Tensor] = {}
        for event in train(cohort.network, plans, cohort.pace, learnt, validation, lambda _: False):
            if isinstance(event, Epoch):
                epochs[event.member] = event.epoch
            if isinstance(event, Trained):
                ends[event.member] = event.parameters
        every = [ends[place] for place in range(len(members))]
        return [
            Found(each, epochs[place], all_logits(cohort.network, each, test.features)[0].double().softmax(-1))
            for place, each in enumerate(every)
        ]


@pytest.fixture(scope="module")
def adult(tmp_path_factory: pytest.TempPathFactory) -> Adult:
    return Adult(tmp_path_factory.mktemp("adult"))


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_in_double_precision_a_member_is_what_it_is_alone(adult: Adult) -> None:
    together = adult.trained(range(len(MEMBERS)), torch.float64)

    alone = [adult.trained([member], torch.float64)[0] for member in range(len(MEMBERS))]

    assert min(each.epochs for each in together) < EPOCHS == max(each.epochs for each in together)
    assert [each.epochs for each in together] == [each.epochs for each in alone]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.parameters, other.parameters, rtol=0, atol=1e-10)


def test_in_single_precision_probabilities_are_those_of_training_alone(adult: Adult) -> None:
    together = adult.trained(range(len(MEMBERS)), torch.float32)

    for member, found in enumerate(together):
        (alone,) = adult.trained([member], torch.float32)
        assert (found.probabilities - alone.probabilities).abs().median() < 1e-6


@pytest.mark.parametrize("pack", [[4, 3, 2, 1, 0], [1, 3]], ids=str)
def test_packs_of_any_size_and_order_are_equal_to_the_last_bit(adult: Adult, pack: list[int]) -> None:
    every = adult.trained(range(len(MEMBERS)), torch.float32)

    some = adult.trained(pack, torch.float32)

    for place, member in enumerate(pack):
        assert torch.equal(some[place].parameters, every[member].parameters)
        assert some[place].epochs == every[member].epochs
