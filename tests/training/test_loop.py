"""The training loop, alone and stacked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from counterweight.contracts.jobs import EarlyStopping
from counterweight.contracts.loss_resolution import initial_logits
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, CrossEntropy, Focal, Ldam, LogitAdjusted
from counterweight.contracts.terms import ClassCounts
from tests.training.every_network import CENTRED, every_network
from workers.training import products
from workers.training.happenings import Deferred, Epoch, Event, Lost, Trained, Withdrawn
from workers.training.loop import train
from workers.training.mlp import MlpNetwork
from workers.training.networks import Architecture
from workers.training.pace import Pace, batch_ends, first_deferred_epoch, learning_rate_factor
from workers.training.population import Plan
from workers.training.rows import Rows

NETWORK = MlpNetwork(inputs=3, classes=2, hidden=(16,), edges=((-1.0, 1.0),) * 3)
COUNTS = ClassCounts(labels=("no", "yes"), counts=(90, 10), positive=1)
PACE = Pace(epochs=5, batch_size=32, schedule="flat_cosine")


def plan(loss: AnyLoss | None = None, seed: int = 0, **changes: object) -> Plan:
    loss = loss or CrossEntropy()
    usual = Plan(
        terms=loss.terms(COUNTS),
        bias=tuple(initial_logits(loss, COUNTS)),
        learning_rate=3e-3,
        weight_decay=1e-4,
        ema=0.99,
        seed=seed,
        stopping=None,
        positive=1,
        deferred=loss.deferred_terms(COUNTS),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]  # The tests name real fields.


def rows(count: int, dtype: torch.dtype, seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, generator=generator) < 0.2).long()
    features = torch.randn(count, 3, dtype=dtype, generator=generator) + labels[:, None]
    return Rows(features, labels)


def trained(
    plans: Sequence[Plan],
    dtype: torch.dtype = torch.float64,
    pace: Pace = PACE,
    network: Architecture = NETWORK,
    is_cancelled: Callable[[int], bool] = lambda _: False,
    training: Rows | None = None,
) -> list[Event]:
    return list(train(network, plans, pace, training or rows(300, dtype), rows(200, dtype, seed=1), is_cancelled))


def parameters(events: list[Event], member: int = 0) -> torch.Tensor:
    (found,) = [event.parameters for event in events if isinstance(event, Trained) and event.member == member]
    return found


def series(events: list[Event], name: str, member: int = 0) -> list[float]:
    return [event.values[name] for event in events if isinstance(event, Epoch) and event.member == member]


MEMBERS = [
    plan(),
    plan(Focal(), seed=1, learning_rate=1e-2),
    plan(BalancedCrossEntropy(), weight_decay=0.1, ema=0.5),
    plan(CrossEntropy(label_smoothing=0.1), seed=2, ema=0.0),
]


@every_network
def test_a_member_of_a_stack_is_what_it_is_alone(network: Architecture) -> None:
    # A cosine head has no bias: all classes are even at first.
    members = [replace(each, bias=(0.0, 0.0)) for each in MEMBERS] if getattr(network, "cosine", False) else MEMBERS

    together = trained(members, network=network)

    for member, each in enumerate(members):
        alone = trained([each], network=network)
        torch.testing.assert_close(parameters(together, member), parameters(alone), rtol=0, atol=1e-10)


def test_a_buffer_is_moved_by_the_network_alone_and_averaged() -> None:
    steady = plan(learning_rate=1.0, weight_decay=1.0, ema=0.0)
    training = Rows(torch.full((300, 3), 2.0, dtype=torch.float64), rows(300, torch.float64).labels)

    mean = CENTRED.views(parameters(trained([steady], network=CENTRED, training=training)))["mean"]

    torch.testing.assert_close(mean, torch.full_like(mean, 2 * (1 - 0.9**50)))


def test_a_member_stays_the_same_when_the_stack_shrinks_around_it() -> None:
    short = EarlyStopping(patience=1)
    hasty = [plan(seed=seed, stopping=short, learning_rate=1e-12) for seed in range(3)]

    together = trained([*hasty, plan(Focal())], pace=replace(PACE, epochs=12))

    assert [event.member for event in together if isinstance(event, Epoch)][-1] == 3
    torch.testing.assert_close(
        parameters(together, 3), parameters(trained([plan(Focal())], pace=replace(PACE, epochs=12))), atol=1e-10, rtol=0
    )


WIDE = MlpNetwork(inputs=3, classes=2, hidden=(64, 64), dropout=0.2, edges=((-1.0, 0.0, 1.0),) * 3)
VARIED = [
    *MEMBERS,
    plan(LogitAdjusted(), seed=1),
    plan(seed=3, stopping=EarlyStopping(patience=1), learning_rate=1e-12),
    plan(Focal(alpha="balanced"), seed=3, stopping=EarlyStopping(patience=1), learning_rate=1e-12),
    plan(BalancedCrossEntropy(), seed=2, learning_rate=1e-2),
]


@pytest.fixture(params=["torch's own products", "the widest products"])
def products_as_named(request: pytest.FixtureRequest) -> Iterator[None]:
    before = products.ONEDNN.fp32_precision
    if request.param == "the widest products":
        products.use_widest_products()
    yield
    products.ONEDNN.fp32_precision = before


@pytest.mark.usefixtures("products_as_named")
@pytest.mark.parametrize("batch", [64, 75])
@pytest.mark.parametrize("pack", [[0, 1], [3, 2, 1, 0], [4, 0], [6, 5, 0, 7], [5, 6, 7, 1, 2, 0]], ids=str)
def test_packs_of_any_size_and_order_give_a_member_the_same_digits(pack: list[int], batch: int) -> None:
    # Members 5 and 6 end early: the stack shrinks around the others.
    pace = Pace(epochs=6, batch_size=batch, schedule="flat_cosine")
    every = trained(VARIED, dtype=torch.float32, network=WIDE, pace=pace)

    some = trained([VARIED[member] for member in pack], dtype=torch.float32, network=WIDE, pace=pace)

    for place, member in enumerate(pack):
        assert torch.equal(parameters(some, place), parameters(every, member))
        assert series(some, "train/loss", place) == series(every, "train/loss", member)
        assert series(some, "validation/log_loss", place) == series(every, "validation/log_loss", member)


@pytest.mark.usefixtures("products_as_named")
@pytest.mark.parametrize("others", [1, 2, 4])
def test_the_last_of_a_stack_has_the_digits_that_it_has_in_company(others: int) -> None:
    network = MlpNetwork(inputs=3, classes=2, hidden=(64, 64))
    hasty, pace = plan(stopping=EarlyStopping(patience=1), learning_rate=1e-12), replace(PACE, epochs=12)

    company = trained([plan(), plan(Focal())], torch.float32, pace, network)
    left_alone = trained([plan(), *[hasty] * others], torch.float32, pace, network)

    ends = [event for event in left_alone if isinstance(event, Epoch) and event.member == 1]
    assert len(ends) < pace.epochs, "the others were to stop early"
    assert torch.equal(parameters(left_alone), parameters(company))


def test_two_runs_are_equal_to_the_last_digit() -> None:
    first, second = (trained([plan(Focal())], dtype=torch.float32) for _ in range(2))

    assert torch.equal(parameters(first), parameters(second))
    assert series(first, "train/loss") == series(second, "train/loss")


def test_members_with_one_seed_see_the_same_batches() -> None:
    events = trained([plan(), plan()])

    assert torch.equal(parameters(events, 0), parameters(events, 1))


def test_training_lowers_the_loss() -> None:
    losses = series(trained([plan()]), "train/loss")

    assert losses[-1] < losses[0]


def test_the_best_epoch_comes_back_and_waiting_ends_after_patience() -> None:
    stopping = EarlyStopping(metric="log_loss", patience=3)
    pace = Pace(epochs=200, batch_size=32, schedule="constant")

    events = trained([plan(stopping=stopping, learning_rate=0.05)], pace=pace)

    losses = series(events, "validation/log_loss")
    (end,) = [event for event in events if isinstance(event, Trained)]
    assert losses[end.best_epoch - 1] == min(losses)
    assert len(losses) == end.best_epoch + 3


def test_the_bias_takes_up_a_shift_and_the_network_is_cross_entropys() -> None:
    loss = LogitAdjusted(tau=0.7)

    adjusted, plain = parameters(trained([plan(loss)])), parameters(trained([plan()]))

    no, yes = NETWORK.views(adjusted - plain)["layer1.bias"][0, :, 0].tolist()
    assert no - yes == pytest.approx(loss.terms(COUNTS).shift[1] - loss.terms(COUNTS).shift[0])
    torch.testing.assert_close(adjusted[:, : NETWORK.decayed], plain[:, : NETWORK.decayed], rtol=0, atol=1e-9)


COSINE = replace(NETWORK, cosine=True)


@pytest.mark.parametrize(("epochs", "first"), [(1, 2), (4, 5), (5, 5), (10, 9), (200, 161)])
def test_deferred_terms_hold_in_the_last_fifth_of_the_epochs(epochs: int, first: int) -> None:
    assert first_deferred_epoch(epochs) == first


def test_deferred_terms_leave_the_epochs_before_as_they_are() -> None:
    deferred, plain = (trained([plan(Ldam(deferred_reweighting=later))], network=COSINE) for later in (True, False))

    assert series(deferred, "train/loss")[:4] == series(plain, "train/loss")[:4]
    assert series(deferred, "train/loss")[4] != series(plain, "train/loss")[4]


def test_the_terms_of_the_best_epoch_come_back() -> None:
    loss = Ldam()

    (last,) = [event for event in trained([plan(loss)], network=COSINE) if isinstance(event, Trained)]
    (first,) = [event for event in trained([plan(loss)], network=COSINE, pace=replace(PACE, epochs=4)) if isinstance(event, Trained)]

    assert (first.terms, last.terms) == (loss.terms(COUNTS), loss.deferred_terms(COUNTS))


def test_patience_with_the_first_terms_begins_the_deferred_ones_before_their_time() -> None:
    stuck = plan(Ldam(), stopping=EarlyStopping(patience=2), learning_rate=1e-300)
    pace = replace(PACE, epochs=20)

    events = trained([stuck, plan(Ldam(), ema=0.9)], network=COSINE, pace=pace)

    losses = series(events, "train/loss")
    assert len(losses) == 1 + 2 + 2
    assert losses[2] == pytest.approx(losses[0])
    assert losses[3] > 1.5 * losses[2]
    assert [(event.member, event.epoch) for event in events if isinstance(event, Deferred)] == [(0, 3), (1, 16)]
    torch.testing.assert_close(
        parameters(events, 1), parameters(trained([plan(Ldam(), ema=0.9)], network=COSINE, pace=pace)), atol=1e-10, rtol=0
    )


def test_a_first_loss_too_small_for_float32_is_no_error() -> None:
    rare = ClassCounts(labels=("no", "yes"), counts=(9990, 10), positive=1)
    silent = plan(bias=tuple(initial_logits(Focal(gamma=20), rare)), terms=Focal(gamma=20).terms(rare))
    common = Rows(torch.randn(64, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(64, dtype=torch.int64))

    losses = series(trained([silent], dtype=torch.float32, training=common), "train/loss")

    assert losses[0] < 1e-37


def test_a_first_loss_that_is_not_the_constant_predictions_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MlpNetwork, "initial", lambda network, *_: torch.ones(1, network.parameters))

    with pytest.raises(RuntimeError, match="the first step's loss is"):
        trained([plan()])


def test_without_early_stopping_the_last_epoch_comes_back() -> None:
    (end,) = [event for event in trained([plan()]) if isinstance(event, Trained)]

    assert end.best_epoch == PACE.epochs


def test_a_step_is_a_batch() -> None:
    steps = [event.step for event in trained([plan()]) if isinstance(event, Epoch)]

    assert steps == [10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    ("rows", "most"), [(1, 1), (65, 64), (100, 64), (300, 32), (640, 64), (1000, 143), (1000, 300), (21165, 256), (12406, 128)]
)
def test_batches_are_few_and_of_nearly_equal_size(rows: int, most: int) -> None:
    ends = batch_ends(rows, most)

    sizes = [end - start for start, end in pairwise([0, *ends])]
    assert (ends[-1], len(ends)) == (rows, -(-rows // most))
    assert max(sizes) <= most
    assert min(sizes) >= max(1, rows // len(ends) - 16)
    assert rows < 64 * len(ends) or most % 16 or all(size % 16 == 0 for size in sizes[:-1])


def test_a_diverging_member_is_named_with_its_batch_and_leaves_the_others_alone() -> None:
    broken = plan(bias=(float("nan"), 0.0))

    events = trained([broken, plan()])

    (lost,) = [event for event in events if isinstance(event, Lost)]
    assert lost.member == 0
    assert "not finite at step 1 (epoch 1), in a batch with [" in str(lost.error)
    torch.testing.assert_close(parameters(events, 1), parameters(trained([plan()])), rtol=0, atol=1e-10)


def test_a_cancelled_member_leaves_and_the_others_go_on() -> None:
    events = trained([plan(), plan(Focal())], is_cancelled=lambda member: member == 0)

    assert [event.member for event in events if isinstance(event, Withdrawn)] == [0]
    assert len(series(events, "train/loss", member=1)) == PACE.epochs


def test_cancel_is_heard_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.training.loop.CANCEL_POLL_S", 0.0)

    events = trained([plan()], is_cancelled=lambda _: True)

    assert [type(event) for event in events] == [Withdrawn]


def test_the_order_of_batches_does_not_hang_on_the_loss() -> None:
    seen = trained([plan(BalancedCrossEntropy(weights={"no": 1, "yes": 1}))])

    assert torch.equal(parameters(seen), parameters(trained([plan()])))


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [("constant", [1, 1, 1, 1]), ("cosine", [1, 0.8535534, 0.5, 0]), ("flat_cosine", [1, 1, 1, 0])],
)
def test_the_learning_rate_falls_as_its_schedule_says(schedule: str, factors: list[float]) -> None:
    pace = Pace(epochs=100, batch_size=1, schedule=schedule)  # type: ignore[arg-type]  # One of the three.

    assert [learning_rate_factor(pace, epoch) for epoch in (0, 25, 50, 100)] == pytest.approx(factors)
