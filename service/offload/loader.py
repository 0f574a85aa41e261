"""Imports the job modules that OFFLOAD_JOBS names: the package itself imports none of the user's."""

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

    The delivery of callbacks, which Offload itself enqueues, is always included. Raises InvalidDefinition, and
    JobsNotLoaded with the user's own exception as its `__cause__`.
    """
    modules = [importlib.import_module(CALLBACKS)]
    for name in job_modules(names):
        _check_name(name)
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
    _check_name(name)
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


def _check_name(name: str) -> None:
    """Raise JobsNotLoaded for a path in place of a name, and where Python would pass over the user's own directory."""
    if not all(part.isidentifier() for part in name.split(".")):
        dotted = ".".join(Path(name.removesuffix(".py")).parts)
        hint = f"; did you mean {dotted!r}?" if all(part.isidentifier() for part in dotted.split(".")) else ""
        msg = f"{name!r} is not the name of a module (OFFLOAD_JOBS){hint}"
        raise JobsNotLoaded(msg)
    first = name.partition(".")[0]
    own = Path.cwd() / first
    spec = importlib.util.find_spec(first)
    is_hidden = any(own.glob("*.py")) and spec is not None and spec.origin is not None
    if is_hidden and spec is not None and Path(str(spec.origin)).parent not in {own, own.parent}:
        msg = (
            f"there are two packages named {first!r}: {own}, which has no __init__.py, so Python takes {spec.origin}; "
            f"create {own / '__init__.py'}"
        )
        raise JobsNotLoaded(msg)


def _does_not_import(name: str, error: BaseException) -> str:
    return f"the job module {name!r} does not import: {type(error).__name__}: {error}"


def _is_there(name: str) -> bool:
    """Return true for a module, and for a directory with at least one module in it."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return False
    return spec.origin is not None or any(pkgutil.iter_modules(spec.submodule_search_locations))


def _not_found(name: str, missing: str) -> str:
    """Say which part of a dotted name was not found, where it was looked for, and what would be right."""
    problem = f"no module named {name!r} (OFFLOAD_JOBS)"
    if name.endswith(".py") and _is_there(name.removesuffix(".py")):
        return f"{problem}; did you mean {name.removesuffix('.py')!r}?"
    package, _, last = missing.rpartition(".")
    if not package:
        directories = {file.parent.name for file in Path.cwd().glob("*/*.py") if file.parent.name.isidentifier()}
        modules = {info.name for info in pkgutil.iter_modules([str(Path.cwd())])}
        local = sorted({*directories, *modules, "offload.jobs"})
        hint = _nearest(missing, local) or f"modules there: {', '.join(local[:_LISTED])}"
        return f"{problem}; looked in {Path.cwd()}, then in the packages of {sys.executable}; {hint}"
    parent = sys.modules[package]
    places = list(getattr(parent, "__path__", ()))
    if not places:
        return f"{problem}: {package!r} ({parent.__file__}) is a module, not a package"
    inside = sorted(info.name for info in pkgutil.iter_modules(places))
    hint = _nearest(last, inside, f"{package}.") or f"modules there: {', '.join(inside[:_LISTED]) or 'none'}"
    return f"{problem}; looked in {places[0]}; {hint}"


def _nearest(name: str, known: list[str], prefix: str = "") -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {prefix + near[0]!r}?" if near else ""


def _with_submodules(module: ModuleType) -> list[ModuleType]:
    modules = [module]
    for info in pkgutil.iter_modules(getattr(module, "__path__", ()), module.__name__ + "."):
        if not info.name.rpartition(".")[2].startswith("_"):
            modules += _with_submodules(_import(info.name))
    return modules


def users_traceback(error: OffloadError) -> str:
    """Return the traceback of a job module that does not import, ending in a newline.

    Our frames, and those of the import machinery, are removed; it is empty if no frame of the user's is left.
    """
    cause = error.__cause__
    if not isinstance(error, JobsNotLoaded) or cause is None:
        return ""
    shown = traceback.TracebackException.from_exception(cause)
    for link in _chain(shown):
        link.stack = traceback.StackSummary.from_list([frame for frame in link.stack if not _is_ours(frame.filename)])
    if not any(link.stack for link in _chain(shown)) and not isinstance(cause, SyntaxError):
        return ""
    return "".join(shown.format())


def _chain(shown: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    while shown is not None:
        yield shown
        shown = shown.__cause__ or shown.__context__


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib")) or filename.endswith("/importlib/__init__.py")
