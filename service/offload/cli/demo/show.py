"""Shows the progress of the demo: a live table on a terminal, else a line for each job."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from offload.cli import output
from offload.cli.demo.probe import Latencies
from offload.cli.demo.runs import Run
from offload.domain.states import Status

_REFRESH = 8.0
_BAR = 12


class Show:
    """Prints every change. `quiet`, for `--json`, prints nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(highlight=False)
        self._quiet = quiet
        self._is_live = self._console.is_terminal and not quiet
        self._live: Live | None = None
        self._printed: set[int] = set()
        self.runs: Sequence[Run] = ()

    def say(self, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            self._console.print(text, soft_wrap=True)

    @contextmanager
    def playing(self, runs: Sequence[Run]) -> Iterator[None]:
        """Show these runs while the block runs."""
        self.runs = runs
        if not self._is_live:
            yield
            return
        with Live(get_renderable=self._table, console=self._console, refresh_per_second=_REFRESH) as self._live:
            yield

    def changed(self, run: Run) -> None:
        """Show a run that changed; the live table redraws itself."""
        if not self._is_live and run.is_checked and id(run) not in self._printed:
            self._printed.add(id(run))
            self.say(escape(line(run)))

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
        for name in ("", "job", "function", "status", "attempt", "wait", "run time", "result"):
            right = name in {"attempt", "wait", "run time"}
            table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=name != "result")
        for run in self.runs:
            tries = str(run.attempt or "")
            table.add_row(_mark(run), run.title, run.function, _state(run), tries, *_times(run), Text(_last(run)))
        return table


def line(run: Run) -> str:
    """Return the outcome of a run on one line."""
    wait, ran = _times(run)
    facts = f"{run.status}, attempt {run.attempt}, waited {wait or '-'}, ran {ran or '-'}"
    return f"{'ok    ' if run.is_right else 'FAILED'} {run.function:<16} {run.title}: {facts}: {_last(run)}"


def latencies(measured: Latencies) -> str:
    """Return the latencies of `/livez` during the demo."""
    summary = measured.describe()
    figures = ", ".join(f"{name} {summary[f'{name}_ms']:.1f} ms" for name in ("p50", "p99", "max"))
    return f"/livez during the demo: {summary['calls']} calls, {figures}, {summary['failed']} failed"


def _times(run: Run) -> tuple[str, str]:
    first, second = (None if value is None else value * 1000 for value in (run.wait, run.ran))
    return output.seconds(first), output.seconds(second)


def _mark(run: Run) -> str:
    if not run.is_checked:
        return "[dim]..[/dim]"
    return "[green]ok[/green]" if run.is_right else "[bold red]!![/bold red]"


def _state(run: Run) -> str:
    return output.status_text(Status(run.status)) if run.status in set(Status) else f"[dim]{run.status}[/dim]"


def _last(run: Run) -> str:
    """Return the result, the problems, or the progress."""
    if run.is_checked:
        return "; ".join(run.problems) or run.gave
    if run.fraction is None:
        return run.message
    filled = round(run.fraction * _BAR)
    return f"{'━' * filled}{' ' * (_BAR - filled)} {run.fraction:4.0%} {run.message}"
