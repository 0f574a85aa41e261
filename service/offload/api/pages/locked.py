"""The page that a browser is shown where it asks for a page without a key: how to open it."""

from html import escape

from starlette.responses import Response
from starlette.types import Scope

from offload.api.pages import html
from offload.api.problems.request_errors import Unauthorized

PAGES = frozenset({"/", "/docs"})

_BODY = """{masthead}
<main>
<p class="lead">{detail}</p>
<h2>Two ways to open this page</h2>
<p>Without a key, for everybody who can reach this service: start the API with</p>
<pre><code>OFFLOAD_OPEN_DOCS=true</code></pre>
<p>It opens <code>/</code>, <code>/docs</code> and <code>/openapi.json</code>, which name every job function with its
arguments. All other calls go on to need a key.</p>
<p>With a key that has the scope <code>read</code>, from a program, for a browser sends none by itself:</p>
<pre><code>curl -H "Authorization: Bearer $OFFLOAD_API_KEY" {address}/openapi.json</code></pre>
<p>More about this answer: <a href="/problems/unauthorized">unauthorized</a>.
Is the service alive? <a href="/livez">/livez</a>, <a href="/readyz">/readyz</a>.</p>
</main>"""


def is_asked_for(scope: Scope) -> bool:
    """Return whether a call asks for a page, as a browser does."""
    accepts = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return scope["path"] in PAGES and scope["method"] in ("GET", "HEAD") and b"text/html" in accepts.lower()


def locked(scope: Scope, error: Unauthorized) -> Response:
    """Return the page; its status stays 401."""
    body = _BODY.format(
        masthead=html.masthead("This page needs a key"),
        detail=html.inline(f"{str(error)[:1].upper()}{str(error)[1:]}."),
        address=escape(html.address_of(scope)),
    )
    return html.page("Offload: this page needs a key", body, 401, {"WWW-Authenticate": "Bearer"})
