"""`counterweight keys`: who may use the service."""

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from counterweight.commands.options import Limit, Output, Quiet, connect
from counterweight.commands.output import Cells, print_many, print_one
from counterweight.commands.processes import require_api, run_instead

if TYPE_CHECKING:
    from counterweight.contracts.keys import KeyView, NewKeyView

app = typer.Typer(help="API keys: who may look, train, manage keys.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose or what for.")],
    scope: Annotated[Literal["read", "submit", "admin"], typer.Option(help="Each may do what the ones before it may.")] = "submit",
    expires_at: Annotated[str | None, typer.Option(help="When it ends, such as 2027-01-31T00:00:00Z; never when left out.")] = None,
    project: Annotated[str | None, typer.Option(help="Whose key it is: the id of a project; your own when left out.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Write to the database of COUNTERWEIGHT_HOME or COUNTERWEIGHT_DATABASE_URL: the first key.")
    ] = False,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Make a key. It is told this once."""
    given = {"name": name, "scope": scope, "project": project, "expires_at": expires_at}
    document = json.dumps({field: value for field, value in given.items() if value is not None})
    if offline:
        require_api()
        run_instead("service.keys", ["create", document], os.environ)
    with connect() as client:
        made = client.keys.create(document)
    print_one(made, output, quiet, _secret)
    if output == "table" and not quiet:
        sys.stderr.write("Keep the key now; it is not told again. Every request needs one from now on: export COUNTERWEIGHT_API_KEY=…\n")


@app.command("list")
def list_keys(limit: Limit = 50, output: Output = "table", quiet: Quiet = False) -> None:
    """List keys, newest first; never their secrets."""
    with connect() as client:
        print_many(client.keys.list(limit=limit), output, quiet, _row)


@app.command()
def revoke(key_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """End a key at once, for good."""
    with connect() as client:
        print_one(client.keys.revoke(key_id), output, quiet, _row)


def _row(key: "KeyView") -> Cells:
    return {
        "id": key.id,
        "name": key.name,
        "scope": key.scope,
        "active": "yes" if key.is_active else "no",
        "created": f"{key.created_at:%Y-%m-%d %H:%M}",
        "expires": "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M}",
    }


def _secret(key: "NewKeyView") -> Cells:
    return {**_row(key), "key": key.key}
