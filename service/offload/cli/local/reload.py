"""Watches the code of the job modules, for `offload up --reload`."""

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

from watchfiles import PythonFilter, awatch

from offload.cli.errors import write_stderr


async def watch(modules: Iterable[str], on_change: Callable[[], None]) -> None:
    """Call `on_change` whenever a Python file in the directory of a job module has changed; runs until cancelled."""
    places = watched(modules)
    async for changes in awatch(*places, watch_filter=PythonFilter()):
        names = sorted({Path(path).name for _, path in changes})
        write_stderr(f"changed: {', '.join(names)}; restarting API and workers")
        on_change()


def watched(modules: Iterable[str]) -> list[Path]:
    """Return the directories of the job modules: of a package its own, of a single module the one that contains it.

    Modules are found but not imported; for one that cannot be found it is the working directory.
    """
    return sorted({place for module in modules for place in _places(module.partition(".")[0])})


def _places(name: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        return [Path(place) for place in spec.submodule_search_locations]
    if spec is not None and spec.origin:
        return [Path(spec.origin).parent]
    return [Path.cwd()]
