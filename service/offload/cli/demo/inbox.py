"""An SMTP server on loopback that keeps messages, so that the demo can read its own mail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from offload.domain.errors import Unavailable


class Inbox:
    """The received messages, and the URL of the server."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[tuple[list[str], EmailMessage]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a message."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.messages.append((list(envelope.rcpt_tos), message))
        return "250 Message accepted for delivery"


@asynccontextmanager
async def open_inbox() -> AsyncIterator[Inbox]:
    """Listen on a free loopback port during the block; raises Unavailable if aiosmtpd is not installed."""
    try:
        from aiosmtpd.smtp import SMTP  # noqa: PLC0415 - only the demo needs it; it is in the extra `demo`
    except ImportError:
        raise Unavailable("the demo needs a mail server: run `pip install 'offload[demo]'`") from None
    inbox = Inbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(inbox, hostname="localhost", loop=loop), "127.0.0.1", 0)
    async with server:
        inbox.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield inbox
