"""Every route has a scope that somebody decided, or is open on purpose."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route

from offload.api.middleware import scopes
from offload.app import create_app
from offload.domain.catalogue import Catalogue
from offload.domain.security.api_keys import Scope
from offload.settings import Settings


def routes_of(router: Any) -> Iterator[tuple[str, str]]:
    """The method and the path template of every route, of routers within routers too."""
    for route in router.routes:
        if isinstance(route, Route):
            yield from ((method, route.path) for method in route.methods or ())
        elif inner := getattr(route, "original_router", None) or getattr(route, "app", None):
            yield from routes_of(inner)


@pytest.fixture(scope="module")
def calls() -> set[tuple[str, str]]:
    """Every method and path that the API answers."""
    return set(routes_of(create_app(Settings(_env_file=None), Catalogue())))  # type: ignore[call-arg]


def test_every_write_stands_in_the_table(calls):
    """A route that changes something has a row of its own, and the rule that the middleware goes by agrees with it."""
    writes = {call for call in calls if call[0] not in scopes.READING}

    assert writes == set(scopes.WRITING)
    assert {call: scopes.needed(*call) for call in writes} == dict(scopes.WRITING)


def test_every_other_route_reads_or_is_open(calls):
    """What is not in the table of writes needs `read`, or stands among the open ones."""
    reads = {path for method, path in calls if method in scopes.READING}

    assert len(reads) > 10
    assert {path for path in reads if scopes.needed("GET", path) is None} == scopes.OPEN
    assert {scopes.needed("GET", path) for path in reads - scopes.OPEN} == {Scope.READ}
    assert reads >= scopes.OPEN | scopes.DOCS


def test_open_docs_open_the_pages_and_what_they_load(calls):
    """OFFLOAD_OPEN_DOCS opens the start page, `/docs` with its files and the OpenAPI document, and nothing else."""
    reads = {path for method, path in calls if method in scopes.READING}
    opened = {path for path in reads if scopes.needed("GET", path, open_docs=True) is None}

    assert opened == scopes.OPEN | scopes.DOCS
    assert {scopes.needed("GET", path) for path in scopes.DOCS} == {Scope.READ}


@pytest.mark.parametrize(
    "path",
    [
        "/livez/",
        "/livez/x",
        "/problems",
        "/readyz2",
        "//livez",
        "//",
        "/docs/",
        "/docs/x",
        "/docs/x/y/z",
        "/assets",
        "/assets/x",
        "/assets/x/y/z",
        "/favicon.ico/x",
        "/openapi-json",
        "/v1/jobs/",
    ],
)
def test_what_only_looks_open_is_not(path):
    """A path beside an open one needs a key."""
    assert scopes.needed("GET", path, open_docs=True) is Scope.READ


@pytest.mark.parametrize("path", ["/v1/jobs/x/abort", "/v1/functions/a/b/jobs", "/v1/jobs/", "/v1/functions//jobs"])
def test_only_enqueueing_is_enqueueing(path):
    """A path that only looks like one that enqueues needs `operate`."""
    assert scopes.needed("POST", path) is Scope.OPERATE
