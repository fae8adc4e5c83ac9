"""The command line: `counterweight`, or `cw` for short."""

import sys

import typer

from counterweight.commands import datasets, jobs, keys, losses, processes, projects, queue, studies, workers
from counterweight.commands.options import Output, Quiet

app = typer.Typer(
    help="Train classifiers on unequal classes, and compare losses honestly.",
    no_args_is_help=True,
    # Plain help takes 0.15 s, rich help twice that; and errors are explained by `main`.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(processes.serve)
app.command()(processes.worker)
app.command()(processes.migrate)
app.add_typer(datasets.app, name="datasets")
app.add_typer(jobs.app, name="jobs")
app.add_typer(studies.app, name="studies")
app.add_typer(losses.app, name="losses")
app.command("queue")(queue.list_queue)
app.add_typer(workers.app, name="workers")
app.add_typer(projects.app, name="projects")
app.add_typer(keys.app, name="keys")


@app.command()
def demo(
    keep: bool = typer.Option(False, "--keep", help="Leave the service running until Ctrl-C."),
) -> None:
    """Compare three losses on handwritten digits, one of them rare, in a study on a service of its own; about a minute."""
    processes.require_server()
    from counterweight.demo.story import run  # noqa: PLC0415  # The client takes 0.3 s to import.

    raise typer.Exit(run(keep=keep))


@app.command()
def doctor(output: Output = "table", quiet: Quiet = False) -> None:
    """Print every setting, its value and where it comes from; secrets are masked."""
    from counterweight.commands.doctor import examine  # noqa: PLC0415  # Settings take 0.2 s to import.

    examine(output, quiet)


def main() -> None:
    """Run a command; every way in which it cannot do its work ends as a sentence and an exit code."""
    try:
        app()
    except Exception as error:
        from counterweight.commands.exits import explain  # noqa: PLC0415  # Takes 0.2 s, which only errors need.

        sys.exit(explain(error))
