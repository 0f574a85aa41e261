"""The scope that each call requires, in one table; the middleware checks it before routing.

A write without a row requires `operate`, so a forgotten route is closed.
"""

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope as Asgi

from offload.api.problems import responses
from offload.api.problems.request_errors import InsufficientScope
from offload.domain.security.api_keys import ABOUT, ANONYMOUS, ApiKey, Scope

KEY = "offload.key"  # in the ASGI scope: the ApiKey of whoever calls

OPEN = frozenset({"/livez", "/readyz", "/problems/{slug}", "/favicon.ico", "/assets/{digest}/{name}"})
"""Probes, the pages that explain problems, and the style of pages need no key."""

DOCS = frozenset({"/", "/docs", "/docs/{digest}/{name}", "/openapi.json"})
"""With OFFLOAD_OPEN_DOCS these need no key either."""

READING = frozenset({"GET", "HEAD"})
"""These change nothing, whatever the path: they need `read`."""

WRITING: Mapping[tuple[str, str], Scope] = {
    ("POST", "/v1/jobs"): Scope.ENQUEUE,
    ("POST", "/v1/functions/{name}/jobs"): Scope.ENQUEUE,
    ("POST", "/v1/functions/{name}"): Scope.OPERATE,
    ("POST", "/v1/jobs:abort"): Scope.OPERATE,
    ("POST", "/v1/jobs:retry"): Scope.OPERATE,
    ("POST", "/v1/jobs/{job_id}/abort"): Scope.OPERATE,
    ("POST", "/v1/jobs/{job_id}/retry"): Scope.OPERATE,
    ("DELETE", "/v1/jobs/{job_id}"): Scope.OPERATE,
    ("POST", "/v1/queues/{name}/pause"): Scope.OPERATE,
    ("POST", "/v1/queues/{name}/resume"): Scope.OPERATE,
    ("POST", "/v1/schedules/{name}/pause"): Scope.OPERATE,
    ("POST", "/v1/schedules/{name}/resume"): Scope.OPERATE,
    ("POST", "/v1/schedules/{name}/run"): Scope.OPERATE,
    ("DELETE", "/v1/stalls"): Scope.OPERATE,
}

_OPEN = re.compile(r"/livez|/readyz|/favicon\.ico|/problems/.*|/assets/[^/]+/[^/]+", re.DOTALL)
_DOCS = re.compile(r"/|/docs|/docs/[^/]+/[^/]+|/openapi\.json")
_ENQUEUES = re.compile(r"/v1/jobs|/v1/functions/[^/]+/jobs")


def needed(method: str, path: str, *, open_docs: bool = False) -> Scope | None:
    """Return the scope that a call requires, None if it needs no key; `path` may be a template."""
    if _OPEN.fullmatch(path) or (open_docs and _DOCS.fullmatch(path)):
        return None
    if method in READING:
        return Scope.READ
    if method == "POST" and _ENQUEUES.fullmatch(path):
        return Scope.ENQUEUE
    return Scope.OPERATE


def caller(connection: HTTPConnection) -> ApiKey:
    """Return the key of a request; `anonymous` if the API requires none."""
    key: ApiKey = connection.scope.get(KEY, ANONYMOUS)
    return key


def document(openapi: dict[str, Any], *, open_docs: bool = False) -> None:
    """Add to an OpenAPI document the key that each operation requires, and the answers without it."""
    described = "\n".join(f"- `{scope}`: {about}" for scope, about in ABOUT.items())
    openapi["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": f"An API key: `Authorization: Bearer <key>`. A key has scopes:\n\n{described}",
        }
    }
    refusals = {
        str(status): about for status, about in responses.responses(401, 403, 429).items() if status != "default"
    }
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            scope = needed(method.upper(), path, open_docs=open_docs)
            operation["security"] = [] if scope is None else [{"key": [str(scope)]}]
            if scope is not None:
                operation["responses"] = {**refusals, **operation["responses"]}


def allow(scope: Asgi, key: ApiKey, wanted: Scope) -> None:
    """Check that the key has the required scope, and note the key in the ASGI scope; raises InsufficientScope."""
    if wanted not in key.scopes:
        raise InsufficientScope(wanted, key.name)
    scope[KEY] = key
