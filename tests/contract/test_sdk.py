"""The SDK against the API and against itself: the same shapes, the same calls, and light to import."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from offload import sdk
from offload.api import documents as api_documents
from offload.api import filters, options
from offload.api.routes import stalls
from offload.domain import documents as job_documents
from offload.domain import reports as fleet_documents
from offload.domain import stallreports
from offload.domain.states import TERMINAL, Status
from offload.sdk import documents, reports
from offload.sdk.calls import Calls

ROOT = Path(__file__).parents[2]
SHAPES = {
    name: shape
    for module in (documents, reports)
    for name, shape in vars(module).items()
    if hasattr(shape, "__total__") and name not in ("Options", "NewJob", "Filter", "StallFilter")
}
ENGINE = ("arq", "fastapi", "orjson", "pydantic", "redis", "starlette", "structlog", "uvicorn", "offload.")


@pytest.mark.parametrize("name", SHAPES)
def test_a_document_of_the_sdk_is_that_of_the_api(name):
    """Each shape has the members that the API's own has, those that may be missing too."""
    theirs = next(
        vars(module)[name]
        for module in (job_documents, fleet_documents, stallreports, api_documents)
        if name in vars(module)
    )

    assert SHAPES[name].__annotations__.keys() == theirs.__annotations__.keys()
    assert SHAPES[name].__optional_keys__ == theirs.__optional_keys__


def test_the_options_and_the_filter_are_those_of_the_api():
    """What may be said of a job, and of many, is what the API takes; so are the states."""
    assert set(documents.Options.__annotations__) == set(options.BatchOptions.model_fields)
    assert set(documents.Filter.__annotations__) == set(filters.FilterDocument.model_fields)
    assert set(documents.StallFilter.__annotations__) == set(stalls.StallListing.model_fields) - {"limit", "cursor"}
    assert set(documents.Status.__args__) == set(Status)
    assert set(TERMINAL) == documents.ENDED


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


def test_the_sdk_brings_nothing_of_the_engine():
    """A program that imports it loads httpx, and neither our other rooms nor what they need."""
    code = "import sys, json; from offload.sdk import Offload; print(json.dumps(list(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    loaded = [name for name in json.loads(said) if name != "offload.sdk" and not name.startswith("offload.sdk.")]

    assert "httpx" in loaded
    assert [name for name in loaded if name.startswith(ENGINE)] == []
