"""The training loop: a generator of what happens to each member, epoch by epoch."""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterweight.contracts.terms import LossTerms, losses_by_class
from counterweight.crashpoints import crashpoint
from workers.training.errors import Diverged, TooLarge
from workers.training.forward import forward
from workers.training.happenings import Deferred, Departed, Epoch, Event, Halved, Kept, Lost, Trained, Withdrawn
from workers.training.networks import Architecture
from workers.training.pace import Pace, batch_ends, first_deferred_epoch, learning_rate_factor
from workers.training.population import Plan, Population, derived_seed
from workers.training.ranks import ALONE, Ranks
from workers.training.rows import Rows, Source
from workers.training.saving import NEVER, NUMBERS, Keeping, Saved, Standing, Watched
from workers.training.stepping import Stepper
from workers.training.validation import Watch, validation_values

CANCEL_POLL_S = 0.5
_FIRST_LOSS_TOLERANCE = 1e-3
_WEIGHTS, _ORDER, _DRAWS = range(3)


def train(
    network: Architecture,
    plans: Sequence[Plan],
    pace: Pace,
    training: Rows,
    validation: Rows | None,
    is_cancelled: Callable[[int], bool],
    keeping: Keeping = NEVER,
    saved: Saved | None = None,
    micro_batch: int | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Event]:
    """Train all members together; yield each one's epochs, and at last what became of it.

    Members with the same seed start from the same weights and see the same batches: their losses are compared on equal terms.
    Deferred terms come into force in the last fifth of the epochs, or as soon as patience with the first ones is at its end; the best
    epoch is the best of all, whichever terms it had. Without validation rows no member stops early: the last epoch is the best.
    Everything is on the features' device.

    A training that was kept (`Kept`) goes on as if nothing had happened: to the last digit on the same machine, with the same members.
    Members that are cancelled by then do not come back.

    Where memory runs out, a member alone takes half as many rows at once, again and again: the gradient of a batch is then the sum of
    those of its parts, and the steps are the same up to rounding. It begins with `micro_batch`, if that is given. A stack raises TooLarge.

    Among several `ranks` each process takes its share of every batch, by itself in parts, and all take the same steps: those of one
    process up to rounding, but for draws, which each makes by itself, and for batch norms, which see a share at a time. All must be
    called with the same, and yield the same events; `is_cancelled` and `keeping` are asked in the first alone.
    """
    course = _Course(network, plans, pace, training, validation, is_cancelled, keeping, saved, micro_batch, ranks)
    yield from map(Withdrawn, sorted(course.gone))
    for epoch in range(course.epoch, pace.epochs + 1 if course.active else 0):
        yield from course.learn(epoch)
        if course.active:
            # All at once: whoever records what happens then takes one transaction for an epoch, and not one for each member.
            yield from [*course.judge(epoch)]
        if not course.active:
            return
        course.compact(epoch)


class _Course:
    """The state of a training in progress. `stack` tells which member stands at each place; `active` which are still training."""

    def __init__(
        self,
        network: Architecture,
        plans: Sequence[Plan],
        pace: Pace,
        training: Rows,
        validation: Rows | None,
        is_cancelled: Callable[[int], bool],
        keeping: Keeping,
        saved: Saved | None,
        micro_batch: int | None,
        ranks: Ranks,
    ) -> None:
        self._network, self._plans, self._pace, self._is_cancelled, self._keeping = network, plans, pace, is_cancelled, keeping
        self._training, self._source, self._ranks = training, Source(network, training.features), ranks
        self._validation = None
        if validation is not None:
            judged = Source(network, validation.features[ranks.share(len(validation))])
            self._validation = judged, validation.labels.cpu().numpy()
        self._cuts = batch_ends(len(training), pace.batch_size)[:-1]
        self._batches = len(self._cuts) + 1
        self.gone = set() if saved is None else self._cancelled(saved.standing.active)
        saved = None if saved is None else saved.without(self.gone, network)
        # Neighbours with one seed share their batches, and those with one pace of learning a step of the optimiser.
        sorted_members = sorted(range(len(plans)), key=lambda member: _likeness(plans[member]))
        self._stack = sorted_members if saved is None else list(saved.standing.stack)
        in_order = [plans[member] for member in self._stack]
        start = network.initial([derived_seed(plan.seed, _WEIGHTS) for plan in in_order], [plan.bias for plan in in_order])
        device, self._dtype = training.features.device, _dtype_of(training.features)
        self._weights = None if training.weights is None else training.weights.to(device, self._dtype)
        draws = [torch.Generator(device).manual_seed(self._draw_seed(plan.seed)) for plan in in_order]
        self._population = Population(network, in_order, start.to(device, self._dtype), draws, pace.precision)
        micro_batch = micro_batch if saved is None else saved.standing.micro_batch
        self._stepper = Stepper(self._population, self._source, training.labels, self._weights, ranks, micro_batch)
        self._orders = {plan.seed: torch.Generator().manual_seed(derived_seed(plan.seed, _ORDER)) for plan in plans}
        self._watches = [Watch(plan.stopping) for plan in plans]
        self._best: dict[int, tuple[Tensor, LossTerms]] = {}
        self._deferred_from: dict[int, int] = {}
        self._waiting = {member for member, plan in enumerate(plans) if plan.deferred is not None}
        self.active = set(self._stack)
        self.epoch, self._batch = 1, 0
        self._started = now = time.monotonic()
        self._look_at, self._keep_at = now + min(CANCEL_POLL_S, keeping.every_s), now + keeping.every_s
        if saved is not None:
            self._take_up(saved)

    def _take_up(self, saved: Saved) -> None:
        """Go on where a training of the same members was saved."""
        standing, tensors, device = saved.standing, saved.tensors, self._training.features.device
        self.epoch, self._batch, self.active = standing.epoch, standing.batch, set(standing.active)
        self._started -= standing.elapsed_s
        for watch, seen in zip(self._watches, standing.watches, strict=True):
            watch.best_epoch, watch.best, watch.since = seen.best_epoch, -math.inf if seen.best is None else seen.best, seen.since
        self._deferred_from = dict(standing.deferred_from)
        self._waiting -= self._deferred_from.keys()
        for member, plan in enumerate(self._plans):
            if f"best.{member}" in tensors:
                is_deferred = self._deferred_from.get(member, math.inf) <= self._watches[member].best_epoch
                terms = plan.deferred if is_deferred and plan.deferred is not None else plan.terms
                self._best[member] = tensors[f"best.{member}"].to(device), terms
        in_force = [(self._plans[member], member in self._deferred_from) for member in self._stack]
        self._population.use([plan.deferred if since and plan.deferred is not None else plan.terms for plan, since in in_force])
        self._population.take_up([tensors[name] for name in NUMBERS], standing.steps)
        for draw, states, plan in zip(self._population.draws, tensors["draws"], [plan for plan, _ in in_force], strict=True):
            if (standing.device, standing.ranks) == (device.type, self._ranks.size):
                # A copy: torch reads a generator's state from the beginning of its memory, whatever part of it the tensor is.
                draw.set_state(states.chunk(standing.ranks)[self._ranks.rank].clone())
            else:  # Other generators: they draw as well, only not the same.
                draw.manual_seed(self._draw_seed(plan.seed + standing.steps))
        for seed, state in zip(standing.seeds, tensors["orders"], strict=True):
            self._orders[seed].set_state(state.clone())
        self._sums = tensors["sums"].t().to(device, copy=True)

    def _saved(self) -> Saved:
        """Return everything that `_take_up` needs, as copies on the processor."""
        bests = [None if watch.best == -math.inf else watch.best for watch in self._watches]
        standing = Standing(
            epoch=self.epoch,
            batch=self._batch,
            steps=(self.epoch - 1) * self._batches + self._batch,
            elapsed_s=time.monotonic() - self._started,
            device=self._training.features.device.type,
            ranks=self._ranks.size,
            micro_batch=self._stepper.micro_batch,
            stack=self._stack,
            active=sorted(self.active),
            seeds=list(self._orders_before),
            watches=[
                Watched(best_epoch=watch.best_epoch, best=best, since=watch.since) for watch, best in zip(self._watches, bests, strict=True)
            ],
            deferred_from=self._deferred_from,
        )
        tensors = dict(zip(NUMBERS, self._population.numbers, strict=True)) | {
            "sums": self._sums.t().contiguous(),
            "draws": torch.cat(self._ranks.gathered(torch.stack([draw.get_state() for draw in self._population.draws])), dim=1),
            "orders": torch.stack(list(self._orders_before.values())),
        }
        tensors |= {f"best.{member}": parameters for member, (parameters, _) in self._best.items()}
        return Saved(standing, {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()})

    def learn(self, epoch: int) -> Iterator[Event]:
        """Take one epoch's steps; yield who gets deferred terms, and who was cancelled meanwhile."""
        self.epoch = epoch
        if self._batch == 0:
            last_fifth = first_deferred_epoch(self._pace.epochs)
            due = {member for member in self._waiting & self.active if epoch == (self._plans[member].deferred_from or last_fifth)}
            if due:
                yield from self._defer(due, epoch - 1)
            self._sums = torch.zeros(self._batches, len(self._stack), dtype=self._dtype, device=self._training.labels.device)
        self._orders_before = {seed: order.get_state() for seed, order in self._orders.items()}
        self._order, before = self._shuffle(), (epoch - 1) * self._batches
        for batch, index in enumerate(self._order.tensor_split(self._cuts, dim=1)):
            if batch < self._batch:
                continue
            rate = learning_rate_factor(self._pace, epoch - 1 + batch / self._batches)
            yield from self._step(batch, index, rate, before + batch + 1)
            crashpoint("training.step")
            self._batch = batch + 1
            if self._ranks.tells(time.monotonic() > self._look_at):
                yield from self._look()
                if not self.active:
                    return
        self._batch = 0

    def _step(self, batch: int, index: Tensor, rate: float, number: int) -> Iterator[Event]:
        """Take a step, if need be in parts so small that they fit into memory; yield how small they came to be."""
        while True:
            try:
                self._sums[batch] = self._stepper.step(index, rate, number)
            except TooLarge:
                if not self._stepper.halve(index.shape[1]):
                    raise
            else:
                return
            assert self._stepper.micro_batch is not None
            yield Halved(self._stack[0], self._stepper.micro_batch)

    def _look(self) -> Iterator[Event]:
        """Yield who was cancelled, the training where it is to be kept, and who leaves it then."""
        yield from self._withdraw()
        leaving = self._ranks.told(lambda: [member for member in sorted(self.active) if self._keeping.is_leaving(member)])
        if leaving or (self.active and self._ranks.tells(time.monotonic() > self._keep_at)):
            yield Kept(self._saved())
            self._keep_at = time.monotonic() + self._keeping.every_s
        for member in leaving:
            self.active.discard(member)
            yield Departed(member)
        self._look_at = min(time.monotonic() + CANCEL_POLL_S, self._keep_at)

    def judge(self, epoch: int) -> Iterator[Event]:
        """Validate the averaged weights of every active member; yield what became of it."""
        yield from self._withdraw()
        if epoch == 1:
            self._check_first_losses()
        losses = self._sums.t().contiguous().sum(dim=1).cpu() / len(self._training)
        judged = self._judged()
        is_sound = [bool(torch.isfinite(loss)) and bool(np.isfinite(logits).all()) for loss, logits in zip(losses, judged, strict=True)]
        going_on = [place for place, member in enumerate(self._stack) if member in self.active and is_sound[place]]
        validated = dict(
            zip(going_on, self._ranks.told(lambda: [self._validated(judged[place], place) for place in going_on]), strict=True)
        )
        # After word of everyone's epoch: whoever hears of an end may take long over it.
        ended: list[Trained] = []
        for place, member in enumerate(self._stack):
            if member not in self.active:
                continue
            if not is_sound[place]:
                self.active.discard(member)
                yield Lost(member, self._divergence(place, epoch))
                continue
            plan, watch = self._plans[member], self._watches[member]
            terms, values = self._population.terms[place], validated[place]
            if watch.is_best(epoch, values):
                self._best[member] = self._population.average_of(place), terms
            yield self._report(member, epoch, {"train/loss": float(losses[place]), **values})
            if epoch < self._pace.epochs and watch.is_over(epoch) and member in self._waiting:
                yield from self._defer({member}, epoch)
            elif epoch == (plan.epochs or self._pace.epochs) or watch.is_over(epoch):
                self.active.discard(member)
                parameters, terms = self._best.pop(member)
                since = self._deferred_from.get(member)
                since = None if (since or math.inf) > watch.best_epoch else since
                ended.append(Trained(member, parameters, watch.best_epoch, terms, since))
        yield from ended

    def _judged(self) -> NDArray[np.floating]:
        """Return each place's logits (places, N, C) of the validation rows, or where there are none, its parameters."""
        if self._validation is None:
            return torch.cat([self._population.average_of(place) for place in range(len(self._stack))]).cpu().numpy()
        own = forward(self._network, self._population.averages, self._validation[0])
        return self._ranks.together(own, len(self._validation[1]), dim=1).double().cpu().numpy()

    def _validated(self, logits: NDArray[np.floating], place: int) -> dict[str, float]:
        if self._validation is None:
            return {}
        terms, positive = self._population.terms[place], self._plans[self._stack[place]].positive
        return validation_values(logits.astype(np.float64, copy=False), self._validation[1], terms, positive)

    def compact(self, epoch: int) -> None:
        """Drop the members that are done once they are half: until then they cost less than a rebuilt stack.

        Two stay, if need be one that is done: a network alone is multiplied by other kernels, and the last digits would hang on the others.
        """
        places = [place for place, member in enumerate(self._stack) if member in self.active]
        if len(places) == 1:
            # With a neighbour, which is the likest to see the same batches.
            first = max(0, places[0] - 1)
            places = [first, first + 1]
        if 2 * len(self.active) > len(self._stack) or len(places) >= len(self._stack):
            return
        self._population.keep(places, epoch * self._batches)
        self._stepper.forget()
        self._stack = [self._stack[place] for place in places]

    def _defer(self, members: set[int], epoch: int) -> Iterator[Event]:
        """Begin the last stage of these members after `epoch`, with new patience; yield who begins it."""
        terms = list(self._population.terms)
        for place, member in enumerate(self._stack):
            deferred = self._plans[member].deferred
            if member in members and deferred is not None:
                terms[place], self._watches[member].since = deferred, epoch
                self._deferred_from[member] = epoch + 1
                yield Deferred(member, epoch)
        self._waiting -= members
        self._population.use(terms)
        self._stepper.forget()

    def _check_first_losses(self) -> None:
        """Raise RuntimeError where the first step's loss is not that of the constant first prediction: something is miswired."""
        for place, member in enumerate(self._stack):
            plan, found = self._plans[member], float(self._sums[0, place])
            counts = self._class_counts(place, batch=0, weights=self._weights)
            by_class = losses_by_class(plan.bias, plan.terms)
            expected = sum(count * value for count, value in zip(counts, by_class, strict=True))
            # Strong focusing may leave less than float32 can hold.
            is_close = math.isclose(found, expected, rel_tol=_FIRST_LOSS_TOLERANCE, abs_tol=1e-6 * sum(counts))
            if math.isfinite(found) and not is_close:
                raise RuntimeError(f"the first step's loss is {found / sum(counts)}, but its predictions cost {expected / sum(counts)}")

    def _shuffle(self) -> Tensor:
        """Return the orders of the training rows (G, rows), each for a G-th part of the places: one for each seed, or for each place."""
        seeds = Counter(self._plans[member].seed for member in self._stack)
        drawn = {seed: torch.randperm(len(self._training), generator=self._orders[seed]) for seed in seeds}
        are_even = len(set(seeds.values())) == 1
        orders = [order for seed, order in drawn.items() for _ in range(1 if are_even else seeds[seed])]
        return torch.stack(orders).to(self._training.labels.device)

    def _class_counts(self, place: int, batch: int, weights: Tensor | None = None) -> list[float]:
        """Return how many rows of each class a batch of this epoch holds for the member at a place, or how much they weigh."""
        rows = self._order[place * len(self._order) // len(self._stack)].tensor_split(self._cuts)[batch]
        weighed = None if weights is None else weights[rows]
        return torch.bincount(self._training.labels[rows], weighed, minlength=self._network.classes).tolist()

    def _withdraw(self) -> Iterator[Event]:
        for member in sorted(self._cancelled(self.active)):
            self.active.discard(member)
            yield Withdrawn(member)

    def _cancelled(self, members: Collection[int]) -> set[int]:
        return set(self._ranks.told(lambda: [member for member in members if self._is_cancelled(member)]))

    def _draw_seed(self, seed: int) -> int:
        """Return the seed of what this process draws for a member: processes that drew alike would drop out the same for different rows."""
        return derived_seed(seed, _DRAWS, *([] if self._ranks.is_first else [self._ranks.rank]))

    def _report(self, member: int, epoch: int, values: dict[str, float]) -> Epoch:
        passed = time.monotonic() - self._started
        rows_per_s = len(self._training) * epoch / passed
        last = self._plans[member].epochs or self._pace.epochs
        return Epoch(member, epoch, epoch * self._batches, values, rows_per_s, passed / epoch * (last - epoch))

    def _divergence(self, place: int, epoch: int) -> Diverged:
        """Return the error that tells the first step without a finite loss, and the classes of its batch."""
        is_broken = ~torch.isfinite(self._sums[:, place])
        # Where every loss was finite, it was the last step that broke the weights.
        batch = int(is_broken.int().argmax()) if is_broken.any() else self._batches - 1
        counts = self._class_counts(place, batch)
        return Diverged(
            f"the loss was not finite at step {(epoch - 1) * self._batches + batch + 1} (epoch {epoch}), "
            f"in a batch with {counts} rows of the classes in order",
            "a smaller learning_rate or weight_decay, or gentler class weights",
        )


def _likeness(plan: Plan) -> tuple[float, ...]:
    return plan.seed, plan.learning_rate, plan.weight_decay, plan.ema


def _dtype_of(features: Tensor) -> torch.dtype:
    """Return the numbers a network of these features has: their own, or float32 where they are whole numbers, such as pixels."""
    return features.dtype if features.dtype.is_floating_point else torch.float32
