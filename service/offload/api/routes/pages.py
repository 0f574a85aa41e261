"""Pages for people, and the files they load. `offload.api.pages` makes them.

`python -m offload.api.routes.pages` prints `docs/problems.md`, so a problem type cannot exist without documentation.
"""

from collections.abc import Mapping
from html import escape

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from offload.api.openapi import OffloadAPI
from offload.api.pages import assets, html
from offload.api.pages.assets import Asset
from offload.api.pages.docs import docs
from offload.api.pages.front import front
from offload.api.problems.types import KINDS
from offload.api.state import Given
from offload.domain.errors import NotFound

_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_FOR_A_DAY = {"Cache-Control": "public, max-age=86400"}

router = APIRouter()


@router.get("/", include_in_schema=False)
async def show_front(request: Request, given: Given) -> Response:
    """Show what this service is and where all else is."""
    app: OffloadAPI = request.app
    return front(
        list(given.inspector.catalogue.functions.values()),
        version=app.version,
        address=html.address_of(request.scope),
        needs_key=app.needs_key,
    )


@router.get("/docs", include_in_schema=False)
async def show_docs() -> Response:
    """Show the OpenAPI document, and let it be tried out."""
    return docs()


@router.get("/docs/{digest}/{name}", include_in_schema=False)
async def get_docs_asset(digest: str, name: str) -> Response:
    """Return a file that `/docs` loads."""
    return _file(assets.DOCS_ASSETS, digest, name)


@router.get("/assets/{digest}/{name}", include_in_schema=False)
async def get_page_asset(digest: str, name: str) -> Response:
    """Return a file that every page loads."""
    return _file(assets.PAGE_ASSETS, digest, name)


@router.get("/favicon.ico", include_in_schema=False)
async def get_favicon() -> Response:
    """Return the icon that browsers ask for by themselves."""
    return FileResponse(assets.FAVICON.path, headers=_FOR_A_DAY, media_type=assets.FAVICON.media_type)


@router.get("/problems/{slug}", include_in_schema=False)
async def explain_problem(slug: str) -> Response:
    """Explain a problem type."""
    kind = KINDS.get(slug)
    if kind is None:
        raise NotFound("problem type", slug)
    title = f"{kind.status} {kind.title}"
    return html.page(
        title,
        f"{html.masthead(escape(title))}\n<main><p><code>{escape(kind.uri)}</code></p>"
        f'<p class="lead">{html.inline(kind.about)}</p></main>',
    )


def _file(known: Mapping[tuple[str, str], Asset], digest: str, name: str) -> Response:
    asset = known.get((digest, name))
    if asset is None:
        raise HTTPException(404)
    return FileResponse(asset.path, headers=_FOR_EVER, media_type=asset.media_type)


def reference() -> str:
    """Return the text of `docs/problems.md`."""
    rows = [
        f"| `{kind.uri}` | {kind.status} | {kind.title} | {kind.about} |"
        for kind in sorted(KINDS.values(), key=lambda kind: (kind.status, kind.slug))
    ]
    return "\n".join(
        [
            "# Problems",
            "",
            "<!-- Written by `python -m offload.api.routes.pages`, from `service/offload/api/problems/types.py`. -->",
            "",
            "Whatever goes wrong over HTTP is answered as `application/problem+json` (RFC 9457). Programs should look",
            "at `type` alone: it never changes, and the API serves a page at that path. The other members are:",
            "",
            "- `title`, `status`: the same for every problem of a type.",
            "- `detail`: what was wrong this time, for a person.",
            "- `instance`: the path that was called.",
            "- `request_id`: the id of the request in the service's log, also sent as the header `X-Request-ID`.",
            "- `errors`: for invalid arguments and parameters, a list of `{path, message, code}`, one for each fault.",
            "  The value that was wrong is never repeated, since it may be a secret.",
            "",
            "| type | status | title | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201  (the page is what this command is for)
