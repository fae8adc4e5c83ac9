"""A job or a study as code: what to type to get the same again."""

import json
from pprint import pformat
from shlex import quote
from typing import Any

from counterweight.contracts.jobs import Recipe, ResolvedSpec
from counterweight.contracts.studies import StudySpec

WIDTH = 100


def samples_of(spec: ResolvedSpec, usual: ResolvedSpec | None, address: str) -> dict[str, str]:
    """Return the submission of this job in each language; what is the default, or would be chosen so again, is left out."""
    return _samples(asked(spec, usual), "jobs.submit", "job", "jobs submit", f"{address}/api/v1/jobs", address)


def samples_of_study(spec: StudySpec, address: str) -> dict[str, str]:
    """Return the creation of this study in each language; what is the default is left out."""
    own = spec.model_dump(mode="json", exclude_defaults=True, exclude={"base", "losses"})
    losses = [{"kind": loss.kind, **loss.model_dump(mode="json", exclude_defaults=True)} for loss in spec.losses]
    fields = {**own, "base": asked(spec.base), "losses": losses}
    return _samples(fields, "studies.create", "study", "studies compare", f"{address}/api/v1/studies", address)


def _samples(fields: dict[str, Any], method: str, thing: str, command: str, path: str, address: str) -> dict[str, str]:
    body = json.dumps(fields, indent=2)
    call = "".join(f"    {name}={_literal(value, 5 + len(name))},\n" for name, value in fields.items())
    return {
        "Python": f"from counterweight.client import Client\n\n{thing} = Client({address!r}).{method}(\n{call})\n",
        "Command line": f"export COUNTERWEIGHT_URL={quote(address)}\ncat > {thing}.json <<'END'\n{body}\nEND\n"
        f"counterweight {command} --spec {thing}.json --wait\n",
        "curl": f"curl {quote(path)} -H 'Content-Type: application/json' -d {quote(body)}\n",
    }


def _literal(value: Any, column: int) -> str:
    """The value as Python has it, its further lines under its first, which begins in that column."""
    return pformat(value, width=WIDTH - column, sort_dicts=False).replace("\n", "\n" + " " * column)


def asked(spec: Recipe, usual: ResolvedSpec | None = None) -> dict[str, Any]:
    """The fields that were not left to the service, as JSON; a union tells its kind even where that is the default.

    Of the training those that differ from `usual`, which the service would choose: that may be another than a field's own default.
    """
    fields: dict[str, Any] = {}
    for name, value in spec.model_dump(mode="json", exclude_defaults=True).items():
        kind = getattr(getattr(spec, name), "kind", None)
        if kind is not None:
            value = {"kind": kind, **value}
        if "threshold" in value and name == "evaluation":
            value["threshold"] = {"policy": spec.evaluation.threshold.policy, **value["threshold"]}
        if value not in ({}, []):
            fields[name] = value
    if usual is not None:
        ours, theirs = spec.training.model_dump(mode="json"), usual.training.model_dump(mode="json")
        wanted = {name: value for name, value in ours.items() if value != theirs[name]}
        fields = {**fields, "training": wanted}
        if not wanted:
            del fields["training"]
    return fields
