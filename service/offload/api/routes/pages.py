"""Pages for people: `/docs`, and what problem types mean, where `type` leads to and in `docs/problems.md`.

`python -m offload.api.routes.pages` prints the latter, so a type cannot exist without its documentation.
"""

from functools import cache
from html import escape

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from offload.api.middleware.security_headers import policy_of
from offload.api.problems.types import KINDS
from offload.domain.errors import NotFound

_WAYS = {
    "/docs": "the API, to be read and tried out",
    "/openapi.json": "the same for programs",
    "/v1/functions": "job functions",
    "/v1/jobs": "jobs",
    "/v1/queues": "queues",
    "/v1/schedules": "schedules",
    "/v1/workers": "workers",
    "/metrics": "metrics for Prometheus",
}
_FRONT = "<!doctype html><html lang=en><meta charset=utf-8><title>Offload</title><h1>Offload</h1><ul>" + "".join(
    f'<li><a href="{path}">{path}</a>: {about}' for path, about in _WAYS.items()
)

router = APIRouter()


@router.get("/problems/{slug}", include_in_schema=False)
async def explain_problem(slug: str) -> Response:
    """Say what a problem type means."""
    kind = KINDS.get(slug)
    if kind is None:
        raise NotFound("problem type", slug)
    title = escape(f"{kind.status} {kind.title}")
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<h1>{title}</h1><p><code>{escape(kind.uri)}</code></p><p>{escape(kind.about)}</p>",
        headers={"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"},
    )


@router.get("/", include_in_schema=False)
async def front() -> Response:
    """Lead whoever opens the address in a browser to what there is."""
    return HTMLResponse(_FRONT, headers={"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"})


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """Show the OpenAPI document, and let it be tried out (Swagger UI, which a browser loads from cdn.jsdelivr.net)."""
    return _swagger()


@cache
def _swagger() -> Response:
    """Make the page, whose policy allows what is on it and nothing else."""
    page = get_swagger_ui_html(openapi_url="/openapi.json", title="Offload")
    page.headers["Content-Security-Policy"] = policy_of(bytes(page.body).decode())
    return page


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
