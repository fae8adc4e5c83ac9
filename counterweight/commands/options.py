"""Options that several commands share, and the client they talk through."""

import json
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


def loss_document(kind: str | None, gamma: float | None, alpha: str | None, parameters: list[str] | None) -> dict[str, Any]:
    """Return a loss as the API takes it; the server judges its fields."""
    given = {"kind": kind, "gamma": gamma, "alpha": None if alpha is None else _value(alpha)}
    for text in parameters or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"--with takes name=value, such as tau=0.5, and not {text!r}")
        given[name.strip()] = _value(value.strip())
    return {name: value for name, value in given.items() if value is not None}


def _value(text: str) -> Any:
    """Read a value as JSON, or else as a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def connect() -> "Client":
    """Open the client that COUNTERWEIGHT_URL and COUNTERWEIGHT_API_KEY describe."""
    # HTTP and contracts take 0.3 s to import, which `--help` should not wait for.
    from counterweight.client import Client  # noqa: PLC0415

    return Client()
