"""The command: selects files, prints findings, sets the exit code."""

import ast
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from offload import loader
from offload.cli import output, session
from offload.cli.doctor.checks import check
from offload.cli.doctor.findings import Finding, is_silenced, merged
from offload.cli.doctor.linter import lint
from offload.domain.errors import InvalidOptions

_NOT_READ = "OFF001"


def doctor(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files or directories to check instead of the job modules."),
    ] = None,
    code: Annotated[
        bool,
        typer.Option(
            "--code", help="Check the code for calls that block the event loop and for invalid job declarations."
        ),
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Check job code for problems before you deploy.

    Job modules are read, not run; only packages above them are imported. Exits with 1 if anything is found.
    `# noqa: CODE` silences a line.

    Example: offload doctor --code
    """
    if not code:
        raise InvalidOptions("choose a check: `offload doctor --code` checks the code of the job modules")
    modules = None if paths else session.job_modules(session.settings())
    files = list(_files(paths or ()) if modules is None else _of_modules(modules.names))
    found = examine(files)
    if as_json:
        output.print_json({"items": [one.as_dict() for one in found], "next": None})
    else:
        for one in found:
            print(one)
        number = f"{len(files)} file{'s' * (len(files) != 1)}"
        print(
            f"{number}: no problems found"
            if not found
            else f"{number}: {len(found)} problem{'s' * (len(found) != 1)} found"
        )
        if modules is not None:
            print(modules)
    if found:
        raise typer.Exit(1)


def examine(files: Sequence[Path]) -> list[Finding]:
    """Return the findings in files, by place; raises LinterMissing."""
    ours = [one for file in files for one in _examined(file)]
    return merged(ours, lint(files))


def _examined(file: Path) -> Iterator[Finding]:
    shown = os.path.relpath(file)
    try:
        source = file.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        yield Finding(
            shown,
            getattr(error, "lineno", 1) or 1,
            1,
            _NOT_READ,
            f"not valid Python: {getattr(error, 'msg', error)}",
        )
        return
    lines = source.splitlines()
    yield from (one for one in check(shown, tree) if not is_silenced(one, lines))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.py"))
        elif path.is_file():
            yield path
        else:
            raise InvalidOptions(f"no such file or directory: {str(path)!r}")


def _of_modules(names: Sequence[str]) -> Iterator[Path]:
    """Return the files of modules, and of all modules of packages."""
    for name in names:
        spec = loader.find_module(name)
        if spec.submodule_search_locations is not None:
            yield from _files([Path(one) for one in spec.submodule_search_locations])
        elif spec.origin is not None:
            yield Path(spec.origin)
