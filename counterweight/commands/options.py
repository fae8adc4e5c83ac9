"""Options that several commands share, and the client they talk through."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from counterweight.client import Client

Output = Annotated[Literal["table", "json", "jsonl"], typer.Option("--output", "-o", help="How to print: for people, or as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only.")]
TimeoutS = Annotated[float | None, typer.Option("--timeout", min=0, help="Stop waiting after so many seconds, with exit code 124.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many at most.")]

Labels = Annotated[
    list[str] | None, typer.Option("--label", help="key=value sets a label, and key= with nothing after it removes it; can be given again.")
]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]


def label_changes(given: list[str] | None) -> dict[str, str | None] | None:
    """Read what `--label` was given."""
    if given is None:
        return None
    pairs = [text.partition("=") for text in given]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise typer.BadParameter(f"{key!r} is no label; write key=value, or key= to remove it")
    return {key: value or None for key, _, value in pairs}


Gamma = Annotated[float | None, typer.Option("--gamma", help="Focal and poly: how strongly easy rows are silenced.")]
Alpha = Annotated[str | None, typer.Option("--alpha", help="Focal: weight of the positive class in (0, 1), or `balanced`.")]
LossParameters = Annotated[
    list[str] | None, typer.Option("--with", help="A further parameter of the loss, such as tau=0.5; can be given again.")
]


LOSS_GRAMMAR = "KIND[:NAME=VALUE,…]"


def loss_document(kind: str | None, gamma: float | None, alpha: str | None, parameters: list[str] | None) -> dict[str, Any]:
    """Return a loss as the API takes it; the server judges its fields."""
    given = {} if kind is None else read_loss(kind)
    given |= said({"gamma": gamma, "alpha": None if alpha is None else read_value(alpha)})
    for text in parameters or []:
        given |= _parameter(text, f"--with takes name=value, such as tau=0.5, and not {text!r}")
    return given


def read_loss(text: str) -> dict[str, Any]:
    """Read a loss as one word: `focal`, or with parameters `focal:gamma=1,alpha=balanced`."""
    kind, colon, rest = text.partition(":")
    given: dict[str, Any] = {"kind": kind.strip()}
    # A comma may also stand within a value, as in weights={"a": 1, "b": 2}.
    for part in re.split(r",(?=\s*\w+\s*=)", rest) if colon else []:
        given |= _parameter(part, f"{text!r} is no loss; write its kind, or with parameters focal:gamma=2,alpha=balanced")
    return given


def _parameter(text: str, otherwise: str) -> dict[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise typer.BadParameter(otherwise)
    return {name.strip(): read_value(value.strip())}


def read_value(text: str) -> Any:
    """Read a value as JSON, or else as a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_document(path: Path | None, what: str) -> dict[str, Any]:
    """Read `what`, such as a job, as the API takes it, from a file; nothing without one. The server judges its fields."""
    if path is None:
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{path} must hold one JSON object, a {what}, not a {type(document).__name__}")
    return document


def said(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in values.items() if value is not None}


def put(document: dict[str, Any], section: str, values: dict[str, Any]) -> dict[str, Any]:
    """Set fields of a part of the document, keeping its others; None leaves a field alone. Return the part."""
    before = document.get(section) or {}
    if not isinstance(before, dict):
        raise typer.BadParameter(f"{section!r} must hold one JSON object, not a {type(before).__name__}", param_hint="--spec")
    if after := {**before, **said(values)}:
        document[section] = after
    return after


def connect() -> "Client":
    """Open the client that COUNTERWEIGHT_URL and COUNTERWEIGHT_API_KEY describe."""
    # HTTP and contracts take 0.3 s to import, which `--help` should not wait for.
    from counterweight.client import Client  # noqa: PLC0415

    return Client()
