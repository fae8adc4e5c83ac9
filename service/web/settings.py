"""A specification as a table: each setting, and whether it is the default."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from counterweight.contracts.jobs import JobSpec, ResolvedSpec

TITLES = {
    "loss": "Loss",
    "learner": "Learner",
    "split": "Split",
    "training": "Training",
    "evaluation": "Evaluation",
    "resources": "Resources",
    "limits": "Limits",
}


@dataclass(frozen=True)
class Setting:
    """One line of a specification; `default` is what it would be had nobody said anything."""

    name: str
    value: Any
    default: Any
    is_changed: bool


def settings_of(spec: ResolvedSpec, usual: ResolvedSpec | None) -> dict[str, list[Setting]]:
    """Return the settings of each part by its title; `usual` is what the service would have chosen, None where that cannot be told."""
    chosen = {} if usual is None else {name: getattr(usual, name) for name in ("learner", "training", "evaluation")}
    found = {}
    for name, title in TITLES.items():
        default = chosen.get(name, JobSpec.model_fields[name].default)
        found[title] = list(_compare(getattr(spec, name), default))
    return found


def _compare(value: BaseModel, default: BaseModel) -> Iterator[Setting]:
    of_its_kind = _of_kind(value, default).model_dump()
    for path, found in _leaves(value.model_dump()):
        expected = getattr(default, "kind", None) if path == ("kind",) else _at(of_its_kind, path)
        yield Setting(".".join(path), found, expected, found != expected)


def _of_kind(value: BaseModel, default: BaseModel) -> BaseModel:
    """What the part would be: of the same kind, so that focal is compared with focal."""
    if type(default) is type(value) or any(field.is_required() for field in type(value).model_fields.values()):
        return default
    return type(value)()


def _at(values: Any, path: Sequence[str]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _leaves(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, (*path, name))
        else:
            yield (*path, name), inner
