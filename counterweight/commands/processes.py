"""`counterweight serve | worker | migrate`: become the server's processes, so that no process is left between."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

Home = Annotated[Path | None, typer.Option(help="Folder of database, files and logs. [COUNTERWEIGHT_HOME, else .counterweight]")]
Workers = Annotated[int | None, typer.Option(min=0, help="Trainer processes on this host; 0 serves the API only.")]

DEFAULT_BIND = "127.0.0.1:8321"
API_NEEDS = ("fastapi", "sqlalchemy")
"""What tells that the extra `api` is installed, which `server` includes."""

TRAINING_NEEDS = ("duckdb", "torch")
"""What `server` brings beyond that."""


def serve(
    home: Home = None,
    bind: Annotated[str | None, typer.Option(help="Address and port to listen on. [COUNTERWEIGHT_BIND, else 127.0.0.1:8321]")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port alone; 0 takes a free one.")] = None,
    workers: Workers = None,
) -> None:
    """Run the service here: the API and this host's trainers."""
    given = os.environ.get("COUNTERWEIGHT_WORKERS") if workers is None else str(workers)
    require_server() if given != "0" else require_api()
    _become("service", {"HOME": home, "BIND": _address(bind, port), "WORKERS": workers})


def worker(home: Home = None, workers: Workers = None) -> None:
    """Run this host's trainers alone, for a service that shares its database and files."""
    require_server()
    _become("workers", {"HOME": home, "WORKERS": workers})


def migrate(home: Home = None) -> None:
    """Bring the database to this release's schema."""
    require_api()
    _become("service.migrate", {"HOME": home})


def require_api() -> None:
    """Exit, naming the way out, where only the client is installed."""
    if missing := _missing(API_NEEDS):
        _refuse(f"Error: this needs {missing}, which the server's extra brings. Install it: pip install 'counterweight[server]'")


def require_server() -> None:
    """Exit, naming the way out, where what trains is not installed."""
    require_api()
    if missing := _missing(TRAINING_NEEDS):
        _refuse(
            f"Error: training needs {missing}, which the server's extra brings. Install it: pip install 'counterweight[server]'; "
            "or serve the API alone: counterweight serve --workers 0"
        )


def _missing(needed: Sequence[str]) -> str:
    return ", ".join(name for name in needed if find_spec(name) is None)


def _refuse(why: str) -> NoReturn:
    sys.stderr.write(why + "\n")
    raise typer.Exit(2)


def run_instead(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process; signals and exit codes then are the other's own."""
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *arguments], dict(environment))


def _become(module: str, settings: Mapping[str, object | None]) -> NoReturn:
    given = {f"COUNTERWEIGHT_{name}": str(value) for name, value in settings.items() if value is not None}
    run_instead(module, [], {**os.environ, **given})


def _address(bind: str | None, port: int | None) -> str | None:
    if port is None:
        return bind
    host = (bind or os.environ.get("COUNTERWEIGHT_BIND") or DEFAULT_BIND).rpartition(":")[0]
    return f"{host}:{port}"
