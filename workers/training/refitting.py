"""Training again on training and validation rows, for as many epochs as were best: what validation rows were kept back for is known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.messages import REFIT_SERIES
from workers.training.cohort import Cohort
from workers.training.happenings import Epoch, Event, Kept, Trained
from workers.training.loop import train
from workers.training.population import Plan
from workers.training.ranks import ALONE, Ranks
from workers.training.rows import Rows
from workers.training.saving import NEVER, Keeping, Saved

SERIES = REFIT_SERIES
"""The mean loss of an epoch over training and validation rows."""


def refit(
    cohort: Cohort,
    specs: Sequence[ResolvedSpec],
    first: Mapping[int, Trained],
    rows: Rows,
    is_cancelled: Callable[[int], bool],
    keeping: Keeping = NEVER,
    saved: Saved | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Event]:
    """Train the members in `first` again, together, on `rows`, those of training and validation.

    Yields what happens to each, under the number that it has in `first`.
    """
    again = replace(cohort, learnt=cohort.prepared.span_of_both)
    members = sorted(first)
    plans = [refit_plan(again, specs[member], first[member]) for member in members]
    keeping = replace(keeping, is_leaving=_of_places(members, keeping.is_leaving))
    is_gone = _of_places(members, is_cancelled)
    for event in train(cohort.network, plans, cohort.pace, rows, None, is_gone, keeping, saved, cohort.micro_batch, ranks):
        if isinstance(event, Kept):
            yield replace(event, is_again=True)
            continue
        event = replace(event, member=members[event.member])
        yield replace(event, values={SERIES: event.values["train/loss"]}) if isinstance(event, Epoch) else event


def _of_places(members: Sequence[int], holds: Callable[[int], bool]) -> Callable[[int], bool]:
    return lambda place: holds(members[place])


def refit_plan(cohort: Cohort, spec: ResolvedSpec, first: Trained) -> Plan:
    """Return how a job trains again: with its seed and schedule, and terms that come into force when they did, for its best epochs.

    The schedule still counts on all epochs: the learning rate goes as it went when the epoch was found to be the best.
    """
    plan = replace(cohort.plan(spec), stopping=None, epochs=first.best_epoch, deferred_from=first.deferred_from)
    return plan if first.deferred_from is not None else replace(plan, deferred=None)
