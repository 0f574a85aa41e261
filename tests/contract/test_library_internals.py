"""The inside of libraries that our code stands on is as it was when that code was written.

Pins are tight where this is so. A new version fails here first, by the name of the file that has to be read again.
"""

import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from fastapi import FastAPI
from packaging.requirements import Requirement
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

ROOT = Path(__file__).parents[2]
UVICORN, REDIS = "service/offload/api/server/protocol.py", "service/offload/store/connection/fast_connection.py"

# File that relies on it, class, method, parameters.
OVERRIDDEN_OR_CALLED = [
    (UVICORN, HttpToolsProtocol, "connection_made", ["transport"]),
    (UVICORN, HttpToolsProtocol, "connection_lost", ["exc"]),
    (UVICORN, HttpToolsProtocol, "data_received", ["data"]),
    (UVICORN, HttpToolsProtocol, "on_message_begin", []),
    (UVICORN, HttpToolsProtocol, "on_url", ["url"]),
    (UVICORN, HttpToolsProtocol, "on_headers_complete", []),
    (UVICORN, HttpToolsProtocol, "on_message_complete", []),
    (UVICORN, HttpToolsProtocol, "on_response_complete", []),
    (UVICORN, HttpToolsProtocol, "shutdown", []),
    (UVICORN, HttpToolsProtocol, "pause_writing", []),
    (UVICORN, HttpToolsProtocol, "resume_writing", []),
    (UVICORN, HttpToolsProtocol, "timeout_keep_alive_handler", []),
    (UVICORN, HttpToolsProtocol, "_unset_keepalive_if_required", []),
    (REDIS, AbstractConnection, "pack_command", ["args"]),
    (REDIS, AbstractConnection, "send_packed_command", ["command", "check_health"]),
    (
        REDIS,
        AbstractConnection,
        "read_response",
        ["disable_decoding", "timeout", "disconnect_on_error", "push_request"],
    ),
    (REDIS, AbstractConnection, "can_read_destructive", []),
    (REDIS, AbstractConnection, "disconnect", ["nowait"]),
    (REDIS, ConnectionPool, "get_connection", ["command_name", "keys", "options"]),
    (REDIS, ConnectionPool, "release", ["connection"]),
    (REDIS, ConnectionPool, "get_available_connection", []),
    (REDIS, ConnectionPool, "ensure_connection", ["connection"]),
    ("service/offload/api/openapi.py", FastAPI, "build_middleware_stack", []),
    ("service/offload/api/fast_path.py", Route, "matches", ["scope"]),
]

# File that relies on it, class, attributes that its `__init__` sets.
ATTRIBUTES = [
    (UVICORN, HttpToolsProtocol, {"connections", "cycle", "loop", "parser", "pipeline", "transport"}),
    (
        UVICORN,
        RequestResponseCycle,
        {"keep_alive", "more_body", "response_complete", "response_started", "scope", "transport"},
    ),
    (REDIS, AbstractConnection, {"_reader", "_writer", "socket_timeout"}),
]

TIGHT = ["uvicorn", "redis"]


@pytest.mark.parametrize(
    ("file", "cls", "method", "parameters"),
    OVERRIDDEN_OR_CALLED,
    ids=[f"{cls.__name__}.{method}" for _, cls, method, _ in OVERRIDDEN_OR_CALLED],
)
def test_a_method_takes_what_we_override_or_call_it_with(file, cls, method, parameters):
    """It exists, with these parameters, in this order."""
    has = list(inspect.signature(getattr(cls, method)).parameters)[1:]

    assert has == parameters, f"{cls.__name__}.{method} has changed: read {file} again"


@pytest.mark.parametrize(("file", "cls", "names"), ATTRIBUTES, ids=[cls.__name__ for _, cls, _ in ATTRIBUTES])
def test_an_object_has_the_attributes_that_we_use(file, cls, names):
    """Its `__init__` sets them."""
    missing = names - set(cls.__init__.__code__.co_names)

    assert not missing, f"{cls.__name__} has no {sorted(missing)} any more: read {file} again"


@pytest.mark.parametrize("name", TIGHT)
def test_the_pin_ends_at_the_version_whose_inside_we_know(name):
    """A release with another minor number is not installed before its inside was read."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [pin] = [r for r in map(Requirement, project["dependencies"]) if r.name == name]
    major, minor = map(int, version(name).split(".")[:2])

    assert version(name) in pin.specifier
    assert f"{major}.{minor + 1}" not in pin.specifier
    assert f"{major}.{minor - 1}.99" not in pin.specifier
