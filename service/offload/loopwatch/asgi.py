"""The step clock around HTTP requests: pure ASGI, the outermost layer, so that middlewares are counted as well."""

from collections.abc import Callable
from typing import Any

from offload.loopwatch.step_clock import Scope, Slot, current, drive

ASGI = Callable[[Any, Any, Any], Any]


class RouteScope(Scope):
    """A request; the template of its route is known once it has been routed."""

    __slots__ = ("asgi",)

    def __init__(self, asgi: Any) -> None:
        super().__init__("route", "", "")
        self.asgi = asgi

    def label(self) -> str:
        """Return method and route template, never the path that was called."""
        return f"{self.asgi['method']} {getattr(self.asgi.get('route'), 'path', '-')}"


class StepClockMiddleware:
    """Counts the steps of each request; `slot` gives None while the loop is not watched."""

    def __init__(self, app: ASGI, slot: Callable[[], Slot | None]) -> None:
        self._app = app
        self._slot = slot

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        slot = self._slot()
        if slot is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = RouteScope(scope)
        token = current.set(route)
        try:
            await drive(self._app(scope, receive, send), route, slot)
        finally:
            current.reset(token)
