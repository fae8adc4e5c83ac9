"""The arms of a study: what each is called, and the jobs' settings they stand for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from pydantic import ValidationError

from counterweight.contracts.jobs import Recipe
from counterweight.contracts.losses import AnyLoss
from counterweight.contracts.problems import FieldError
from counterweight.contracts.studies import Arm, Setting, Varied
from service.domain.canonical import digest
from service.domain.errors import Invalid

LONGEST_NAME = 80


def checked_settings(base: Recipe, vary: Mapping[Varied, Sequence[Setting]]) -> dict[Varied, list[Setting]]:
    """Return the values as the settings' fields read them; Invalid, at the value, for one that its field does not take."""
    errors: list[FieldError] = []
    found: dict[Varied, list[Setting]] = {}
    for name, values in vary.items():
        found[name] = []
        for index, value in enumerate(values):
            room, _, field = name.partition(".")
            try:
                found[name].append(getattr(getattr(varied(base, {name: value}), room), field))
            except (ValidationError, AttributeError) as error:
                errors.append(FieldError(pointer=f"/vary/{name}/{index}", code="invalid", message=_why(error, base, field)))
    if errors:
        raise Invalid(f"{errors[0].pointer}: {errors[0].message}", errors=errors)
    check_apart({f"/vary/{name}": values for name, values in found.items()})
    return found


def check_apart(lists: Mapping[str, Sequence[Any]]) -> None:
    """Raise Invalid at the first repetition in each list, by the pointer it is found at: it would be trained twice and told nothing."""
    errors = []
    for pointer, values in lists.items():
        seen: dict[str, int] = {}
        for index, value in enumerate(values):
            first = seen.setdefault(digest(value), index)
            if first != index:
                message = f"this is the same as {pointer}/{first}; leave one out"
                errors.append(FieldError(pointer=f"{pointer}/{index}", code="duplicate", message=message))
    if errors:
        raise Invalid(f"{errors[0].pointer}: {errors[0].message}", errors=errors)


def varied(base: Recipe, settings: Mapping[Varied, Setting]) -> Recipe:
    """Return the recipe with other settings, checked; ValidationError for a value that a field does not take."""
    changes: dict[str, dict[str, Setting]] = {}
    for name, value in settings.items():
        room, _, field = name.partition(".")
        changes.setdefault(room, {})[field] = value
    after = {}
    for room, fields in changes.items():
        before = getattr(base, room)
        after[room] = type(before).model_validate({**before.model_dump(exclude_unset=True), **fields})
    return base.model_copy(update=after)


def arms(losses: Sequence[AnyLoss], vary: Mapping[Varied, Sequence[Setting]]) -> list[Arm]:
    """Return every loss with every combination of settings, each under a name of its own."""
    combinations = [dict(zip(vary, values, strict=True)) for values in product(*vary.values())]
    titles = _titles(losses)
    named = [(_told(title, settings), loss, settings) for title, loss in zip(titles, losses, strict=True) for settings in combinations]
    counts = Counter(name for name, _, _ in named)
    return [
        Arm(arm=name if counts[name] == 1 else f"{name} #{index + 1}", loss=loss, settings=settings)
        for index, (name, loss, settings) in enumerate(named)
    ]


def _titles(losses: Sequence[AnyLoss]) -> list[str]:
    """Return the losses' names: the kind, what is not its default, and what tells it from others of its kind."""
    told = []
    for loss in losses:
        rivals = [other for other in losses if other.kind == loss.kind]
        fields = type(loss).model_fields
        shown = [
            f"{name}={_written(value)}"
            for name, value in loss
            if name != "kind" and (value != fields[name].default or any(getattr(rival, name) != value for rival in rivals))
        ]
        told.append(f"{loss.kind}({', '.join(shown)})" if shown else loss.kind)
    return told


def _told(title: str, settings: Mapping[Varied, Setting]) -> str:
    parts = [f"{name.partition('.')[2]}={_written(value)}" for name, value in settings.items()]
    name = ", ".join([title, *parts])
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _written(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(inner)}" for key, inner in value.items()) + "}"
    return "none" if value is None else str(value)


def _why(error: ValidationError | AttributeError, base: Recipe, field: str) -> str:
    kind = base.learner.kind
    if isinstance(error, AttributeError) or error.errors()[0]["type"] == "extra_forbidden":
        return f"a learner of kind {kind} has no {field}; choose another in base.learner, or do not vary it"
    return str(error.errors()[0]["msg"])
