"""The import graph of the watched loop has no cycle, not even one for type checkers only."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import offload

PACKAGE = Path(offload.__file__).parent


def imports(package):
    """Return for each module of a package the modules of the same package that it imports, wherever in the file."""
    modules = {}
    for path in (PACKAGE / package).rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        modules[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    graph = {name: set() for name in modules}
    for name, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    graph[name] |= {submodule if submodule in modules else node.module} & modules.keys()
    return graph


@pytest.mark.parametrize("package", ["documents", "loopwatch", "sdk"])
def test_no_module_imports_itself_by_way_of_another(package):
    """Modules of one room form an order: each is read and tested without the ones after it (raises CycleError)."""
    graph = imports(package)

    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)
