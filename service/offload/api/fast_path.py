"""The fast path: the few routes that are called most, served in front of FastAPI, which only describes them.

FastAPI's path to a handler (its exit stack, its router, its dependencies, its response) costs a call as much as a whole
enqueue does here. So these routes are ASGI applications, matched by Starlette after the middleware. Everything else,
other methods of their paths included, is FastAPI's. To do without: mount the same routes in FastAPI.
"""

from collections.abc import Sequence

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from offload.api.problems.responses import respond
from offload.domain.errors import OffloadError


class FastRoute(Route):
    """A route to an ASGI application, by one method."""

    def __init__(self, method: str, path: str, app: ASGIApp) -> None:
        super().__init__(path, app, methods=[method], include_in_schema=False)
        self.app = app  # Starlette takes a plain function for one from request to response
        self.method = method

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as Starlette does, and note the route for the log and the metrics, as FastAPI's routes do."""
        match, matched = super().matches(scope)
        if match is not Match.NONE:
            matched["route"] = self
        return match, matched


class FastPath:
    """Serves the calls of its routes, and hands all others to the application behind it."""

    def __init__(self, app: ASGIApp, routes: Sequence[FastRoute]) -> None:
        self._app = app
        self._routes = tuple(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            for route in self._routes:
                if route.method != scope["method"]:
                    continue
                match, matched = route.matches(scope)
                if match is Match.FULL:
                    scope.update(matched)
                    await _serve(route.app, scope, receive, send)
                    return
        await self._app(scope, receive, send)


async def _serve(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except OffloadError as error:
        await respond(error, scope, receive, send)
