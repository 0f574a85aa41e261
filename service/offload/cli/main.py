"""The list of commands: what `offload --help` shows."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from typer.main import get_command

from offload.cli.commands import fleet, jobs, keys, schedules
from offload.cli.commands.enqueue import enqueue, with_wait_filled
from offload.cli.commands.functions import functions
from offload.cli.commands.serve import api, worker
from offload.cli.commands.stalls import stalls
from offload.cli.demo.command import demo
from offload.cli.doctor.command import doctor
from offload.cli.local.up import up

RUN, USE = "Run the service", "Use the service"

app = typer.Typer(
    name="offload",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(rich_help_panel=RUN)(up)
app.command(rich_help_panel=RUN)(api)
app.command(rich_help_panel=RUN)(worker)
app.command(rich_help_panel=RUN)(demo)
app.command(rich_help_panel=USE)(enqueue)
app.command(rich_help_panel=USE)(functions)
app.add_typer(jobs.app, name="jobs", rich_help_panel=USE)
app.add_typer(fleet.queues_app, name="queues", rich_help_panel=USE)
app.add_typer(schedules.app, name="schedules", rich_help_panel=USE)
app.command(rich_help_panel=USE)(fleet.workers)
app.command(rich_help_panel=USE)(stalls)
app.command(rich_help_panel=USE)(doctor)
app.add_typer(keys.app, name="keys", rich_help_panel=USE)


def _print_version(asked: bool) -> None:
    if asked:
        try:
            print(version("offload"))
        except PackageNotFoundError:  # Run from a checkout that was not installed.
            print("0")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Offload: the job queue service for async Python."""


def run(words: Sequence[str]) -> int:
    """Run one command; return its exit code. Its errors are raised."""
    code = get_command(app).main(with_wait_filled(words), prog_name="offload", standalone_mode=False)
    return code if isinstance(code, int) else 0
