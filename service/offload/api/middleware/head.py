"""HEAD wherever there is GET (RFC 9110, 9.3.2): the same headers, and no body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """Serves HEAD by GET without the body; an endless stream is closed after its head."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        as_get, has_ended = {**scope, "method": "GET"}, False

        async def send_head(message: Message) -> None:
            nonlocal has_ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not has_ended:
                has_ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def receive_or_gone() -> Message:
            return {"type": "http.disconnect"} if has_ended else await receive()

        try:
            await self._app(as_get, receive_or_gone, send_head)
        finally:
            if "route" in as_get:  # for the log and the metrics, which have the scope that came
                scope["route"] = as_get["route"]
