"""The SDK against the API and against itself: the same shapes, the same calls, and light to import."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from offload import sdk
from offload.api import filters
from offload.api import options as api_options
from offload.api.routes import stalls
from offload.domain.states import TERMINAL
from offload.sdk import events, options
from offload.sdk.calls import Calls

ROOT = Path(__file__).parents[2]
ENGINE = ("arq", "fastapi", "orjson", "pydantic", "redis", "starlette", "structlog", "uvicorn")


def test_the_options_and_the_filter_are_those_of_the_api():
    """The SDK takes the options and filters that the API takes, and ends a stream at the terminal states."""
    assert set(options.Options.__annotations__) == set(api_options.BatchOptions.model_fields)
    assert set(options.Filter.__annotations__) == set(filters.FilterDocument.model_fields)
    assert set(options.StallFilter.__annotations__) == set(stalls.StallListing.model_fields) - {"limit", "cursor"}
    assert set(TERMINAL) == events.ENDED


def public(cls):
    """The methods of a class that are for its users."""
    return {name for name, _ in inspect.getmembers(cls, callable) if not name.startswith("_")}


def test_both_clients_have_every_call():
    """No plan is missing in either client, and neither has another."""
    assert public(sdk.Offload) == public(sdk.OffloadSync) == public(Calls) | {"close"}


@pytest.mark.parametrize("client", [sdk.Offload, sdk.OffloadSync])
def test_a_call_is_documented_where_it_is_called(client):
    """`help()` of either client shows what a call means, and what it takes."""
    without = [name for name in public(client) if not inspect.getdoc(getattr(client, name))]

    assert without == []
    assert list(inspect.signature(client.enqueue).parameters)[:3] == ["self", "function", "args"]


USED = """
from typing import assert_type

from offload.sdk import Event, JobDocument, JobSummary, Offload, OffloadSync


async def use(awaited: Offload, blocking: OffloadSync) -> None:
    assert_type(await awaited.enqueue("a", {"x": 1}, delay=3, tags=["t"]), JobDocument)
    assert_type(blocking.wait("a", timeout=3), JobDocument)
    async for event in awaited.events("a"):
        assert_type(event, Event)
    for job in blocking.list(status="dead"):
        assert_type(job, JobSummary)
    await awaited.enqueue("a", {}, delya=3)
    blocking.enqueue("a", {}, delay="x")
    blocking.list(status="deadd")
"""


def test_a_type_checker_knows_each_call(tmp_path):
    """In a program that uses it, what a call takes and gives is known, and a misspelt option is an error."""
    (tmp_path / "program.py").write_text(USED, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        ROOT / "pyproject.toml",
        tmp_path / "program.py",
    ]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=55).stdout

    assert re.findall(r"program\.py:(\d+): error: .*\[([a-z-]+)\]", said) == [
        ("14", "call-arg"),
        ("15", "arg-type"),
        ("16", "arg-type"),
    ], said


def loaded_by(code):
    """Return the modules that a new process has loaded after some code."""
    code = f"{code}; import sys, json; print(json.dumps(list(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    return json.loads(said)


def rooms(loaded):
    """Return the packages of Offload among some modules, such as `offload.sdk`."""
    return {".".join(name.split(".")[:2]) for name in loaded if name.startswith("offload.")}


def test_the_sdk_brings_nothing_of_the_engine():
    """A program that imports it loads httpx, and neither our other rooms nor what they need."""
    loaded = loaded_by("from offload.sdk import Offload")

    assert "httpx" in loaded
    assert rooms(loaded) == {"offload.sdk", "offload.documents"}
    assert [name for name in loaded if name.startswith(ENGINE)] == []
