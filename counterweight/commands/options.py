"""Options that several commands share, and the client they talk through."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from counterweight.client import Client

Output = Annotated[Literal["table", "json", "jsonl"], typer.Option("--output", "-o", help="How to print: for people, or as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only.")]
TimeoutS = Annotated[float | None, typer.Option("--timeout", min=0, help="Stop waiting after so many seconds, with exit code 124.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many at most.")]


def connect() -> "Client":
    """Open the client that COUNTERWEIGHT_URL and COUNTERWEIGHT_API_KEY describe."""
    # HTTP and contracts take 0.3 s to import, which `--help` should not wait for.
    from counterweight.client import Client  # noqa: PLC0415

    return Client()
