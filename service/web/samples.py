"""A job as code: what to type to get the same again."""

import json
from pprint import pformat
from shlex import quote
from typing import Any

from counterweight.contracts.jobs import ResolvedSpec

WIDTH = 100


def samples_of(spec: ResolvedSpec, address: str) -> dict[str, str]:
    """Return the submission of this job in each language; what is the default is left out."""
    fields = asked(spec)
    body = json.dumps(fields, indent=2)
    call = "".join(f"    {name}={pformat(value, width=WIDTH, sort_dicts=False)},\n" for name, value in fields.items())
    return {
        "Python": f"from counterweight.client import Client\n\njob = Client({address!r}).jobs.submit(\n{call})\n",
        "Command line": f"export COUNTERWEIGHT_URL={quote(address)}\ncat > job.json <<'END'\n{body}\nEND\n"
        "counterweight jobs submit --spec job.json --wait\n",
        "curl": f"curl {quote(f'{address}/api/v1/jobs')} -H 'Content-Type: application/json' -d {quote(body)}\n",
    }


def asked(spec: ResolvedSpec) -> dict[str, Any]:
    """The fields that were not left to the service, as JSON; a union tells its kind even where that is the default."""
    fields: dict[str, Any] = {}
    for name, value in spec.model_dump(mode="json", exclude_defaults=True).items():
        kind = getattr(getattr(spec, name), "kind", None)
        if kind is not None:
            value = {"kind": kind, **value}
        if "threshold" in value and name == "evaluation":
            value["threshold"] = {"policy": spec.evaluation.threshold.policy, **value["threshold"]}
        if value not in ({}, []):
            fields[name] = value
    return fields
