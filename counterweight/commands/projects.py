"""`counterweight projects`: whom jobs belong to, and how much of them may run at once."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterweight.commands.options import Limit, Output, Quiet, connect
from counterweight.commands.output import Cells, print_many, print_one

if TYPE_CHECKING:
    from counterweight.contracts.projects import ProjectView

app = typer.Typer(help="Projects, and how much of each may run at once.", no_args_is_help=True, rich_markup_mode=None)

NO_LIMIT = -1

Most = Annotated[int | None, typer.Option(min=NO_LIMIT, help="So many may run at once; -1 takes the limit away.")]


@app.command("list")
def list_projects(limit: Limit = 50, output: Output = "table", quiet: Quiet = False) -> None:
    """List the projects that your key may see."""
    with connect() as client:
        print_many(client.projects.list(limit=limit), output, quiet, _row)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose.")],
    jobs: Most = None,
    gpus: Most = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Make a project; `counterweight keys create NAME --project ID` makes its keys."""
    with connect() as client:
        print_one(client.projects.create(name=name, **_limits(jobs, gpus)), output, quiet, _row)


@app.command()
def limit(project_id: str, jobs: Most = None, gpus: Most = None, output: Output = "table", quiet: Quiet = False) -> None:
    """Set how many of a project's jobs may run at once, and how many GPUs they may take."""
    with connect() as client:
        print_one(client.projects.update(project_id, **_limits(jobs, gpus)), output, quiet, _row)


def _limits(jobs: int | None, gpus: int | None) -> dict[str, Any]:
    given = {"max_running_jobs": jobs, "max_running_gpus": gpus}
    return {name: None if most == NO_LIMIT else most for name, most in given.items() if most is not None}


def _row(project: "ProjectView") -> Cells:
    limits = project.limits
    return {
        "id": project.id,
        "name": project.name,
        "running": _of(limits.running_jobs, limits.max_running_jobs),
        "GPUs": _of(limits.running_gpus, limits.max_running_gpus),
        "queued": str(project.queued_jobs),
    }


def _of(held: int, most: int | None) -> str:
    return str(held) if most is None else f"{held} of at most {most}"
