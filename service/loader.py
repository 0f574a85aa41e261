"""Imports the job modules that OFFLOAD_JOBS names, so that `service` itself never knows one."""

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from service.domain.catalogue import Catalogue, collect
from service.domain.errors import JobsNotLoaded


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
    except Exception as error:  # whatever the user's module raises while it is imported
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]:
            msg = f"no module named {name!r}; OFFLOAD_JOBS names importable modules, looked for from {Path.cwd()}"
            raise JobsNotLoaded(msg) from error
        msg = f"the job module {name!r} does not import: {type(error).__name__}: {error}"
        raise JobsNotLoaded(msg) from error


def _with_submodules(module: ModuleType) -> list[ModuleType]:
    inside = pkgutil.walk_packages(getattr(module, "__path__", ()), module.__name__ + ".")
    return [module, *(_import(info.name) for info in inside if not info.name.rpartition(".")[2].startswith("_"))]
