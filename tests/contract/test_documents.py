"""The documents: light to import, fit for OpenAPI, and in step with the enums of `domain`."""

import importlib
import json
import pkgutil
import subprocess
import sys
from typing import get_args

import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

from offload import documents
from offload.documents import explanations, jobs
from offload.domain.explanations import Reason
from offload.domain.states import Status

MODULES = [importlib.import_module(f"offload.documents.{one.name}") for one in pkgutil.iter_modules(documents.__path__)]
DOCUMENTS = {
    name: shape
    for module in MODULES
    for name, shape in vars(module).items()
    if hasattr(shape, "__total__") and shape.__module__ == module.__name__
}


def test_documents_load_nothing_else_of_ours_nor_of_others():
    """A program that imports every document loads `typing_extensions` and no other package."""
    code = "; ".join(f"import {module.__name__}" for module in MODULES)
    code = (
        f"import sys; before = set(sys.modules); {code}; import json; print(json.dumps([*set(sys.modules) - before]))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    packages = {name.partition(".")[0] for name in json.loads(said)} - set(sys.stdlib_module_names)
    rooms = {name for name in json.loads(said) if name.startswith("offload.")}

    assert packages == {"offload", "typing_extensions"}
    assert all(name.startswith("offload.documents") for name in rooms)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_route_of_fastapi_can_answer_with_a_document(name):
    """FastAPI makes a response model of each on every supported Python; typing.TypedDict would fail on 3.11."""
    app = FastAPI()
    app.add_api_route("/", lambda: None, response_model=DOCUMENTS[name])

    assert name in app.openapi()["components"]["schemas"]


def test_an_example_is_one_of_its_document():
    """Every example that OpenAPI shows has the members of its document, of the right types."""
    shown = {
        name: shape.__pydantic_config__ for name, shape in DOCUMENTS.items() if hasattr(shape, "__pydantic_config__")
    }

    assert len(shown) >= 7
    for name, config in shown.items():
        for example in config["json_schema_extra"]["examples"]:
            assert TypeAdapter(DOCUMENTS[name]).validate_python(example).keys() == example.keys()


@pytest.mark.parametrize(("words", "enum"), [(jobs.Status, Status), (explanations.Reason, Reason)])
def test_the_words_of_a_document_are_those_of_the_enum(words, enum):
    """States and reasons are declared as Literals for documents and as enums for the engine; they do not differ."""
    literal = get_args(words.__value__)[0]

    assert get_args(literal) == tuple(enum)
