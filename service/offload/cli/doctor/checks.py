"""Our own checks of a module's source: blocking calls that ruff does not find, and invalid job declarations.

| code | what |
|---|---|
| OFF101 | a call that is known to block, in an async def |
| OFF102 | an async def calls a function of its module that makes such a call |
| OFF103 | an async def job that awaits nothing |
| OFF104 | a def job that starts an event loop |
| OFF105 | a job that waits for the network, without a timeout |
| OFF106 | an option of a job that its function cannot have |

Nothing is imported: a module is read, never run.
"""

import ast
from collections.abc import Iterable, Iterator

from offload.cli.doctor.findings import Finding
from offload.loopwatch.advice import blockers, hints
from offload.loopwatch.advice.blockers import Blocker
from offload.loopwatch.advice.names import Function, Meanings

_DECORATORS = frozenset({"offload.job", "offload.domain.functions.job"})
_LOOPS = frozenset({"asyncio.run", "asyncio.new_event_loop", "asyncio.get_event_loop", "asyncio.Runner", "uvloop.run"})
_NETWORK = (
    "httpx",
    "aiohttp",
    "aiosmtplib",
    "asyncpg",
    "asyncssh",
    "websockets",
    "aiokafka",
    "aioboto3",
    "aiobotocore",
)
_LIGHT = frozenset(
    ("len", "str", "int", "float", "bool", "dict", "list", "min", "max", "round", "isinstance", "getattr")
)
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield, ast.YieldFrom)


def check(file: str, tree: ast.Module) -> list[Finding]:
    """Return the findings in a module."""
    return list(_Module(file, tree).findings())


class _Module:
    def __init__(self, file: str, tree: ast.Module) -> None:
        self._file = file
        self._tree = tree
        self._functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        self._meanings = {id(one): Meanings(tree, one.lineno) for one in self._functions}
        self._helpers = {
            one.name: first
            for one in tree.body
            if isinstance(one, ast.FunctionDef) and (first := next(iter(self._blocking(one)), None)) is not None
        }

    def findings(self) -> Iterator[Finding]:
        for one in self._functions:
            if isinstance(one, ast.AsyncFunctionDef):
                yield from self._held(one)
            decorator = self._job_decorator(one)
            if decorator is not None:
                yield from self._job(one, decorator)

    def _held(self, function: ast.AsyncFunctionDef) -> Iterator[Finding]:
        for call, blocker in self._blocking(function):
            yield self._at(call, "OFF101", f"`{_shown(call)}` blocks the event loop", hints.instead_of(blocker))
        for call in _calls(function):
            if isinstance(call.func, ast.Name) and call.func.id in self._helpers:
                inner, blocker = self._helpers[call.func.id]
                what = f"`{_shown(call)}` blocks the event loop with `{_shown(inner)}` in line {inner.lineno}"
                yield self._at(call, "OFF102", what, hints.instead_of(blocker))

    def _job(self, function: Function, decorator: ast.expr) -> Iterator[Finding]:
        options = {one.arg: one.value for one in decorator.keywords} if isinstance(decorator, ast.Call) else {}
        own = list(_own(function.body))
        if isinstance(function, ast.AsyncFunctionDef):
            if not any(isinstance(node, _AWAITS) or _is_async(node) for node in own) and self._does_something(function):
                what = f"the async job `{function.name}` awaits nothing, so it blocks the event loop while it runs"
                yield self._at(function, "OFF103", what, "make it a `def`, which runs in a thread or a process")
            if "runs_in" in options:
                what = f"`{function.name}` is an async def, which runs on the event loop, so `runs_in` is invalid"
                yield self._at(function, "OFF106", what, "make it a `def`, or remove `runs_in`")
        else:
            yield from self._starts_a_loop(function)
            if "loop_budget_ms" in options:
                what = f"`{function.name}` is a `def`, which runs off the event loop, so `loop_budget_ms` has no effect"
                yield self._at(function, "OFF106", what, "remove it, or make the function an async def")
        if "timeout" not in options and (call := self._waits_for_the_network(function)) is not None:
            what = f"the job `{function.name}` waits for the network (`{_shown(call)}`) without a timeout of its own"
            yield self._at(
                function,
                "OFF105",
                what,
                "set `@job(timeout=…)`; otherwise OFFLOAD_JOB_TIMEOUT applies (300 s by default)",
            )

    def _starts_a_loop(self, function: ast.FunctionDef) -> Iterator[Finding]:
        for call in _calls(function):
            if self._name(function, call) in _LOOPS:
                what = f"the job `{function.name}` starts its own event loop: `{_shown(call)}`"
                yield self._at(call, "OFF104", what, "make it an async def, which runs on the worker's loop")

    def _waits_for_the_network(self, function: Function) -> ast.Call | None:
        context = function.args.args[0].arg if function.args.args else ""
        for node in _own(function.body):
            if not isinstance(node, ast.Call) or any(one.arg == "timeout" for one in node.keywords):
                continue
            name = self._name(function, node)
            blocker = blockers.find_call(name)
            is_known = (blocker is not None and blocker.is_network) or (name + ".").startswith(_DOTTED_NETWORK)
            if is_known or ast.unparse(node.func).startswith(f"{context}.http."):
                return node
        return None

    def _does_something(self, function: Function) -> bool:
        """Return true if it may block the loop: code that only logs, compares and raises does not."""
        free = {function.args.args[0].arg if function.args.args else "", "log", "logger"}
        own = list(_own(function.body))
        if any(isinstance(node, ast.For | ast.While | ast.comprehension) for node in own):
            return True
        called = [ast.unparse(node.func) for node in own if isinstance(node, ast.Call)]
        return any(not name[:1].isupper() and name.partition(".")[0] not in free | _LIGHT for name in called)

    def _blocking(self, function: Function) -> Iterator[tuple[ast.Call, Blocker]]:
        for call in _calls(function):
            found = blockers.find_call(self._name(function, call))
            if found is not None:
                yield call, found

    def _job_decorator(self, function: Function) -> ast.expr | None:
        meanings = self._meanings[id(function)]
        return next((one for one in function.decorator_list if meanings.of(one) in _DECORATORS), None)

    def _name(self, function: Function, call: ast.Call) -> str:
        return self._meanings[id(function)].of(call, is_strict=True) or ""

    def _at(self, node: ast.expr | ast.stmt, code: str, what: str, instead: str) -> Finding:
        return Finding(self._file, node.lineno, node.col_offset + 1, code, what, instead)


_DOTTED_NETWORK = tuple(f"{name}." for name in _NETWORK)


def _own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Walk the code that runs when a function is called, without the functions that it defines."""
    for node in body:
        if not isinstance(node, _INNER):
            yield node
            yield from _own(ast.iter_child_nodes(node))


def _calls(function: Function) -> Iterator[ast.Call]:
    """Return the calls of a function that nothing awaits."""
    awaited: set[int] = set()
    for node in _own(function.body):
        match node:
            case ast.Await(value=value) | ast.AsyncFor(iter=value):
                awaited.add(id(value))
            case ast.AsyncWith(items=items):
                awaited.update(id(item.context_expr) for item in items)
    yield from (node for node in _own(function.body) if isinstance(node, ast.Call) and id(node) not in awaited)


def _is_async(node: ast.AST) -> bool:
    return isinstance(node, ast.comprehension) and bool(node.is_async)


def _shown(call: ast.Call) -> str:
    text = ast.unparse(call)
    return text if len(text) <= 60 else f"{ast.unparse(call.func)}(…)"
