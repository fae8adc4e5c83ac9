"""A specification as a table: each setting, and whether it is the default."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from counterweight.contracts.jobs import JobSpec, ResolvedSpec
from service.domain import learners

TITLES = {
    "loss": "Loss",
    "learner": "Learner",
    "split": "Split",
    "training": "Training",
    "evaluation": "Evaluation",
    "resources": "Resources",
    "limits": "Limits",
}

SETTLED = {"training.batch_size", "evaluation.positive_label"}
"""Left open by the user, found at submission."""


@dataclass(frozen=True)
class Setting:
    """One line of a specification; `default` is what it would be had nobody said anything."""

    name: str
    value: Any
    default: Any
    is_changed: bool


def settings_of(spec: ResolvedSpec) -> dict[str, list[Setting]]:
    """Return the settings of each part by its title."""
    return {title: list(_compare(name, getattr(spec, name), _default(name, getattr(spec, name)))) for name, title in TITLES.items()}


def _default(name: str, value: BaseModel) -> BaseModel:
    """What the part would be: of the same kind, so that focal is compared with focal; what `auto` can become is nobody's wish."""
    if value in (learners.OF_IMAGES, *learners.OF_TABLES):
        return value
    default: BaseModel = JobSpec.model_fields[name].default
    if type(default) is type(value) or any(field.is_required() for field in type(value).model_fields.values()):
        return default
    return type(value)()


def _compare(part: str, value: BaseModel, default: BaseModel) -> Iterator[Setting]:
    usual = dict(_leaves(default.model_dump()))
    kind = JobSpec.model_fields[part].default
    for name, found in _leaves(value.model_dump()):
        expected = getattr(kind, "kind", None) if name == "kind" else usual.get(name)
        is_changed = found != expected and f"{part}.{name}" not in SETTLED and expected != "auto"
        yield Setting(name, found, expected, is_changed)


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", inner
