"""Imports the job modules that OFFLOAD_JOBS names, so that `service` itself never knows one."""

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from service.domain.catalogue import Catalogue, collect
from service.domain.errors import JobsNotLoaded, OffloadError

_OURS = str(Path(__file__).parent)


def load(names: Iterable[str]) -> Catalogue:
    """Import the modules, with all submodules of packages, and collect what they define.

    The working directory is importable, as under the arq CLI. Raises JobsNotLoaded whose `__cause__` is the user's own
    exception, and InvalidDefinition.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    modules: list[ModuleType] = []
    for name in names:
        modules += _with_submodules(_import(name))
    return collect(modules)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises while it is imported
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]:
            msg = f"no module named {name!r}; OFFLOAD_JOBS names importable modules, looked for from {Path.cwd()}"
            raise JobsNotLoaded(msg) from error
        msg = f"the job module {name!r} does not import: {type(error).__name__}: {error}"
        raise JobsNotLoaded(msg) from error


def _with_submodules(module: ModuleType) -> list[ModuleType]:
    found = [module]
    for info in pkgutil.iter_modules(getattr(module, "__path__", ()), module.__name__ + "."):
        if not info.name.rpartition(".")[2].startswith("_"):
            found += _with_submodules(_import(info.name))
    return found


def users_traceback(error: OffloadError) -> str:
    """Return the traceback of the user's own frames, ending in a newline, where a job module of theirs does not import.

    Our frames, and those of the machinery of imports, are cut away; empty where nothing of theirs is left.
    """
    cause = error.__cause__
    if not isinstance(error, JobsNotLoaded) or cause is None:
        return ""
    shown = traceback.TracebackException.from_exception(cause)
    for one in _chain(shown):
        one.stack = traceback.StackSummary.from_list([frame for frame in one.stack if not _is_ours(frame.filename)])
    if not any(one.stack for one in _chain(shown)) and not isinstance(cause, SyntaxError):
        return ""
    return "".join(shown.format())


def _chain(shown: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    while shown is not None:
        yield shown
        shown = shown.__cause__ or shown.__context__


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib")) or filename.endswith("/importlib/__init__.py")
