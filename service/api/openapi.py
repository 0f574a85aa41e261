"""OpenAPI 3.1 of the whole API: what FastAPI knows of its routes, and one typed operation for each job function."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from pydantic import TypeAdapter

from service.api import options, problems, scopes
from service.domain.catalogue import Catalogue
from service.domain.functions import JobFunction

_REF = "#/components/schemas/"
Document = dict[str, Any]


class Documented(FastAPI):
    """An application whose OpenAPI document has the job functions of a catalogue."""

    def __init__(self, catalogue: Catalogue, *, needs_key: bool, open_docs: bool = False, **about: Any) -> None:
        super().__init__(**about)
        self._catalogue = catalogue
        self._needs_key = needs_key
        self._open_docs = open_docs
        self._plain: Document | None = None
        self._whole: Document = {}

    def openapi(self) -> Document:
        """Return the document; made anew when routes were added."""
        plain = super().openapi()
        if plain is not self._plain:
            self._plain, self._whole = plain, whole(plain, self._catalogue)
            if self._needs_key:
                scopes.document(self._whole, open_docs=self._open_docs)
        return self._whole


def whole(plain: Document, catalogue: Catalogue) -> Document:
    """Return FastAPI's document with the problems, the options, and an operation for each job function."""
    known = dict(plain.get("components", {}).get("schemas", {}))
    known["Problem"] = problems.schema()
    bodies, schemas = _bodies(catalogue, taken=set(known))
    components = {"schemas": known | schemas, "parameters": options.parameters()}
    paths, taken = dict(plain["paths"]), set[str]()
    for name in sorted(catalogue.functions):
        operation = _operation(catalogue.functions[name], bodies[name], components["schemas"], taken)
        paths[f"/v1/functions/{quote(name, safe='')}/jobs"] = {"post": operation}
    return {**plain, "paths": paths, "components": components}


def _bodies(catalogue: Catalogue, taken: set[str]) -> tuple[dict[str, Document], Document]:
    """Return the schema of each function's body, and the components that these refer to, under names not yet taken.

    Pydantic is given all models at once: only then do two models of one name get two component names.
    """
    bodies = {name: function.arguments.schema for name, function in catalogue.functions.items()}
    typed = [(name, f.arguments.model) for name, f in catalogue.functions.items() if f.arguments.model is not None]
    found, shared = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(model)) for name, model in typed], ref_template=_REF + "{model}"
    )
    definitions = shared.get("$defs", {})
    names = {_REF + name: _REF + _free(name, taken) for name in definitions}
    bodies |= {name: _renamed(found[name, "validation"], names) for name, _ in typed}
    schemas = {names[_REF + name].removeprefix(_REF): _renamed(shape, names) for name, shape in definitions.items()}
    return bodies, schemas


def _operation(function: JobFunction[Any, Any], body: Document, schemas: Document, taken: set[str]) -> Document:
    summary, _, rest = function.description.partition("\n")
    content: Document = {"schema": body}
    if example := _example(body, schemas):
        content["example"] = example
    statuses = problems.responses(400, 404, 413, 415, 422, 503)
    return {
        "operationId": _free("enqueue_" + re.sub(r"\W+", "_", function.name).strip("_"), taken),
        "tags": [function.name.rpartition(".")[0] or "functions"],
        "summary": summary or f"Enqueue {function.name}",
        "description": f"{rest.strip()}\n\nQueue `{function.queue}`, runs in: {function.runs_in}.".strip(),
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in options.parameters()],
        "requestBody": {
            "required": bool(_resolved(body, schemas).get("required")),
            "content": {"application/json": content},
        },
        "responses": {"202": _ACCEPTED, **{str(status): about for status, about in statuses.items()}},
    }


_ACCEPTED = {
    "description": "The job is stored and will run",
    "headers": {
        "Location": {"description": "Where the job is", "schema": {"type": "string", "format": "uri-reference"}}
    },
    "content": {"application/json": {"schema": {"$ref": _REF + "JobDocument"}}},
}


def _example(schema: Document, schemas: Document) -> Any:
    """Return an example of a value: the schema's own, or one made of its properties' where all needed ones have one."""
    shape = _resolved(schema, schemas)
    if shape.get("examples"):
        return shape["examples"][0]
    made = {name: _example(part, schemas) for name, part in shape.get("properties", {}).items()}
    made = {name: example for name, example in made.items() if example is not None}
    return made if made and made.keys() >= set(shape.get("required", ())) else None


def _resolved(schema: Document, schemas: Document) -> Document:
    reference = schema.get("$ref", "")
    return schemas[reference.removeprefix(_REF)] if reference.startswith(_REF) else schema


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """Return a schema whose references follow the new names of components."""
    if isinstance(schema, list):
        return [_renamed(part, names) for part in schema]
    if not isinstance(schema, dict):
        return names.get(schema, schema) if isinstance(schema, str) else schema
    return {key: _renamed(part, names) for key, part in schema.items()}


def _free(name: str, taken: set[str]) -> str:
    """Return the name, with a number where it is taken, and take it."""
    free, n = name, 2
    while free in taken:
        free, n = f"{name}_{n}", n + 1
    taken.add(free)
    return free
