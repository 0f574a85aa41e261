"""The frame of every page: a whole HTML document around a body, without inline script or style."""

import re
from html import escape

from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from offload.api.middleware.security_headers import PAGE_POLICY
from offload.api.pages import assets

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_CODE = re.compile(r"`([^`]+)`")
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" type="image/svg+xml" href="{icon}">
{links}
</head>
"""


def head(title: str, *styles: str) -> str:
    """Return the start of a document, up to its body; `styles` are URLs."""
    links = "\n".join(f'<link rel="stylesheet" href="{escape(url)}">' for url in styles)
    return _HEAD.format(title=escape(title), icon=assets.page_url(assets.ICON), links=links)


def page(title: str, body: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a page in our own style; `body` is HTML."""
    text = f"{head(title, assets.page_url(assets.STYLE))}<body>\n{body}\n</body>\n</html>\n"
    return HTMLResponse(text, status, {"Content-Security-Policy": PAGE_POLICY, **(headers or {})})


def masthead(title: str, more: str = "") -> str:
    """Return the band at the top of a page: our mark, a title, and `more` HTML below it."""
    icon = f'<img src="{assets.page_url(assets.ICON)}" alt="" width="40" height="40">'
    return f'<header class="masthead"><div class="title">{icon}<h1>{title}</h1></div>{more}</header>'


def inline(text: str) -> str:
    """Return a text as HTML: escaped, and as code where it has backticks."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def address_of(scope: Scope) -> str:
    """Return the address by which a caller reached the service, for examples to copy.

    The header `Host` goes into a shell command, so only the characters of a host and a port are accepted.
    """
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    return f"{scope['scheme']}://{host if _HOST.fullmatch(host) else '127.0.0.1:8000'}"
