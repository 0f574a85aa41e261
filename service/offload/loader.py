"""Imports the job modules that OFFLOAD_JOBS names, so that the package itself never knows one."""

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from offload.domain.catalogue import Catalogue, collect
from offload.domain.errors import JobsNotLoaded, OffloadError

_OURS = str(Path(__file__).parent)
CALLBACKS = "offload.jobs.callback"
"""The module that is always loaded: the end of a job may enqueue its function."""
_LISTED = 20


def load(names: Iterable[str] = ()) -> Catalogue:
    """Import the modules, with all submodules of packages, and collect what they define; no names: the default.

    What Offload itself enqueues, the delivery of callbacks, is always among it. Raises JobsNotLoaded whose `__cause__`
    is the user's own exception, and InvalidDefinition.
    """
    modules = [importlib.import_module(CALLBACKS)]
    for name in job_modules(names):
        modules += _with_submodules(_import(name))
    return collect(modules)


def job_modules(names: Iterable[str] = ()) -> list[str]:
    """Return the modules to load: those named, else `jobs` where there is one, else `offload.jobs`.

    From here on the working directory comes first on the path, as with uvicorn and celery.
    """
    here = str(Path.cwd())
    if sys.path[:1] != [here]:
        sys.path[:] = [here, *(entry for entry in sys.path if entry != here)]
    return list(names) or ["jobs" if _is_there("jobs") else "offload.jobs"]


def find_module(name: str) -> ModuleSpec:
    """Return where a module is, which imports the packages above it; raises JobsNotLoaded."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        raise JobsNotLoaded(_not_found(name, error.name or name)) from error
    except (Exception, SystemExit) as error:
        raise JobsNotLoaded(_does_not_import(name, error)) from error
    if spec is None:
        raise JobsNotLoaded(_not_found(name, name))
    return spec


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises while it is imported
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise JobsNotLoaded(_not_found(name, error.name)) from error
        raise JobsNotLoaded(_does_not_import(name, error)) from error


def _does_not_import(name: str, error: BaseException) -> str:
    return f"the job module {name!r} does not import: {type(error).__name__}: {error}"


def _is_there(name: str) -> bool:
    """Whether there is a module, or a directory with at least one module in it."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return False
    return spec.origin is not None or any(pkgutil.iter_modules(spec.submodule_search_locations))


def _not_found(name: str, missing: str) -> str:
    """Say which part of a dotted name was not found, where it was looked for, and what would be right."""
    told = f"no module named {name!r} (OFFLOAD_JOBS)"
    path = name.removesuffix(".py").strip("/").replace("/", ".")
    if path != name and _is_there(path.partition(".")[0]):
        return f"{told}: name the module, not its file: {path!r}"
    package = missing.rpartition(".")[0]
    if not package:
        local = sorted({info.name for info in pkgutil.iter_modules([str(Path.cwd())])} | {"offload.jobs"})
        near = get_close_matches(missing, local, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"modules there: {', '.join(local[:_LISTED])}"
        return f"{told}; looked in {Path.cwd()}, then in the packages installed beside {sys.executable}; {hint}"
    parent = sys.modules[package]
    places = list(getattr(parent, "__path__", ()))
    if not places:
        return f"{told}: {package!r} ({parent.__file__}) is a module, not a package"
    inside = sorted(info.name for info in pkgutil.iter_modules(places))
    near = get_close_matches(missing.rpartition(".")[2], inside, n=1)
    hint = f"did you mean '{package}.{near[0]}'?" if near else f"modules there: {', '.join(inside[:_LISTED]) or 'none'}"
    return f"{told}; looked in {places[0]}; {hint}"


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
