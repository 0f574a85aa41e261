"""`/docs`: Swagger UI on our OpenAPI document, from files of this service alone."""

from functools import cache

from starlette.responses import HTMLResponse, Response

from offload.api.middleware.security_headers import DOCS_POLICY
from offload.api.pages import assets, html

_BODY = """<body>
<header class="offload-bar"><a href="/"><img src="{icon}" alt="" width="24" height="24">Offload</a>
<nav aria-label="Service"><a href="/openapi.json">openapi.json</a></nav></header>
<main id="swagger-ui" data-openapi="/openapi.json">
<noscript><p class="offload-note">This page needs JavaScript. <a href="/openapi.json">/openapi.json</a> has the same
for programs.</p></noscript>
</main>
<script src="{swagger}"></script>
<script src="{script}"></script>
</body>
</html>
"""


@cache
def docs() -> Response:
    """Return the page, with the policy that allows its own files and nothing else."""
    styles = [assets.docs_url(asset) for asset in (assets.SWAGGER_STYLE, assets.DOCS_STYLE)]
    body = _BODY.format(
        icon=assets.page_url(assets.ICON),
        swagger=assets.docs_url(assets.SWAGGER_SCRIPT),
        script=assets.docs_url(assets.DOCS_SCRIPT),
    )
    return HTMLResponse(html.head("Offload API", *styles) + body, headers={"Content-Security-Policy": DOCS_POLICY})
