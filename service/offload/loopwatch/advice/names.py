"""Resolves names in source code to libraries, by imports and by variables that hold clients or connections.

`conn.execute(…)` names no library; `conn = sqlite3.connect(…)` above it does. A name that is bound twice to different
things is not resolved: advice for the wrong library would be worse than none.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

from offload.loopwatch.advice.blockers import makes

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)

_CALLED = re.compile(r"([A-Za-z_][\w.]*)\s*\(")
_WITH = re.compile(r"^with\s+(.+?)(?:\s+as\s+\w+)?\s*:.*$")
_BUILTINS = frozenset({"open", "input", "print"})


class Meanings:
    """The names of a module that are visible at one of its lines."""

    def __init__(self, tree: ast.Module, line: int = 0) -> None:
        self._names: dict[str, str] = {}
        self._spoilt: set[str] = set()
        self._line = line
        self._gather(tree.body)
        for node in ast.walk(tree):  # attributes of `self` are set anywhere
            if isinstance(node, ast.Assign | ast.AnnAssign):
                self._attributes(node)

    def of(self, expression: ast.expr, *, is_strict: bool = False) -> str | None:
        """Return the dotted name of an expression, `requests.get` of `requests.get(url)`; None if it has none.

        With `is_strict` the result of a call has no name, unless the call makes an object of its library.
        """
        match expression:
            case ast.Call(func=function):
                return self.of(function, is_strict=is_strict)
            case ast.Name(id=name):
                return self._names.get(name) or (name if name in _BUILTINS and name not in self._spoilt else None)
            case ast.Attribute():
                return self._names.get(ast.unparse(expression)) or self._attribute(expression, is_strict=is_strict)
            case _:
                return None

    def _attribute(self, expression: ast.Attribute, *, is_strict: bool) -> str | None:
        base = self.of(expression.value, is_strict=is_strict)
        if base is None or (is_strict and isinstance(expression.value, ast.Call) and not makes(base)):
            return None
        return f"{base}.{expression.attr}"

    def of_source(self, call: str) -> str | None:
        """Return the dotted name of a call's source, which may be the first line of several, or a whole statement."""
        for text in (_WITH.sub(r"\1", call.strip()), *_CALLED.findall(call)):
            try:
                return self.of(ast.parse(text, mode="eval").body)
            except (SyntaxError, ValueError):
                continue
        return None

    def _gather(self, body: Iterable[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._imports(node)
            elif isinstance(node, _FUNCTION):
                self._bind(node.name, None)
                if _covers(node, self._line):
                    self._parameters(node)
                    self._gather(node.body)
            elif isinstance(node, ast.ClassDef):
                self._bind(node.name, None)
                for method in node.body:
                    if isinstance(method, _FUNCTION) and _covers(method, self._line):
                        self._parameters(method)
                        self._gather(method.body)
            else:
                self._statement(node)

    def _imports(self, node: ast.Import | ast.ImportFrom) -> None:
        for one in node.names:
            if isinstance(node, ast.Import):
                name = one.asname or one.name.partition(".")[0]
                self._bind(name, one.name if one.asname else name)
            elif node.module and not node.level:
                self._bind(one.asname or one.name, f"{node.module}.{one.name}")

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._bind(name, self._made(value))
            case ast.AnnAssign(target=ast.Name(id=name), value=value, annotation=annotation):
                self._bind(name, (value and self._made(value)) or self.of(annotation))
            case ast.With(items=items, body=body):
                for item in items:
                    if isinstance(item.optional_vars, ast.Name):
                        self._bind(item.optional_vars.id, self._made(item.context_expr))
                self._gather(body)
            case _:
                for inner in _bodies(node):
                    self._gather(inner)

    def _attributes(self, node: ast.Assign | ast.AnnAssign) -> None:
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Attribute) and node.value is not None:
                self._bind(ast.unparse(target), self._made(node.value))

    def _parameters(self, node: Function) -> None:
        arguments = node.args
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            self._bind(one.arg, self.of(one.annotation) if one.annotation else None)

    def _made(self, value: ast.expr) -> str | None:
        """Return the name of the maker of a value that is an object of a library; None for other values."""
        name = self.of(value) if isinstance(value, ast.Call) else None
        return name if name and makes(name) else None

    def _bind(self, name: str, meaning: str | None) -> None:
        if name in self._spoilt:
            return
        if meaning is None or self._names.setdefault(name, meaning) != meaning:
            self._names.pop(name, None)
            self._spoilt.add(name)


def parse(source: str) -> ast.Module:
    """Return the tree of a source, an empty one where it is not Python."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _covers(node: Function, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _bodies(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    fields: Mapping[str, object] = dict(ast.iter_fields(node))
    for name in ("body", "orelse", "finalbody"):
        if isinstance(inner := fields.get(name), list):
            yield inner
    for handler in getattr(node, "handlers", ()):
        yield handler.body
    for case in getattr(node, "cases", ()):
        yield case.body
