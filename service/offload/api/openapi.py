"""OpenAPI 3.1 of the whole API: FastAPI's routes, and one typed operation for each job function."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from pydantic import TypeAdapter
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from offload.api import etags, options, waiting
from offload.api.fast_path import FastPath, FastRoute
from offload.api.middleware import scopes
from offload.api.problems import responses
from offload.client import ONE_STEP
from offload.domain.catalogue import Catalogue
from offload.domain.functions import JobFunction
from offload.domain.idempotency import LONGEST_KEY

_REF = "#/components/schemas/"
Document = dict[str, Any]


class OffloadAPI(FastAPI):
    """An application with the job functions of a catalogue in its OpenAPI document."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        needs_key: bool,
        open_docs: bool = False,
        fast_routes: Sequence[FastRoute] = (),
        **about: Any,
    ) -> None:
        super().__init__(**about)
        self._fast_routes = fast_routes
        self.router.routes[:0] = fast_routes  # for the other methods of their paths: 405, with all that are allowed
        self._catalogue = catalogue
        self.needs_key = needs_key
        self._open_docs = open_docs
        self._plain: Document | None = None
        self._whole: Document = {}

    def build_middleware_stack(self) -> ASGIApp:
        """Return the middleware around the routes: ours, the fast path, and the part of FastAPI's that its routes need.

        FastAPI's answer to unexpected errors is left out (`access_log` has one), and so is its telemetry.
        """
        stack: ASGIApp = AsyncExitStackMiddleware(self.router)
        stack = ExceptionMiddleware(stack, handlers=self.exception_handlers)
        stack = FastPath(stack, self._fast_routes)
        for around, args, named in reversed(self.user_middleware):
            stack = around(stack, *args, **named)
        return stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request without FastAPI's prefix and telemetry, which are not used."""
        if scope["type"] != "http" or self.middleware_stack is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def openapi(self) -> Document:
        """Return the document; rebuilt when routes were added."""
        plain = super().openapi()
        if plain is not self._plain:
            self._plain, self._whole = plain, whole(plain, self._catalogue)
            if self.needs_key:
                scopes.document(self._whole, open_docs=self._open_docs)
        return self._whole


def whole(plain: Document, catalogue: Catalogue) -> Document:
    """Return FastAPI's document with the problems, the options, and an operation for each job function."""
    known = dict(plain.get("components", {}).get("schemas", {}))
    known |= {"Problem": responses.schema(), "EnqueueOptions": options.BatchOptions.model_json_schema(), "Batch": {}}
    bodies, schemas = _bodies(catalogue, taken=set(known))
    components = {"schemas": known | schemas, "parameters": options.parameters() | _HEADERS}
    paths, taken = _never_null(plain["paths"]), set[str]()
    for name in sorted(catalogue.functions):
        operation = _operation(catalogue.functions[name], bodies[name], components["schemas"], taken)
        paths[f"/v1/functions/{quote(name, safe='')}/jobs"] = {"post": operation}
    paths["/v1/jobs/{job_id}"] = {"get": _job()} | paths.get("/v1/jobs/{job_id}", {})
    paths["/v1/jobs"] = {**paths.get("/v1/jobs", {}), "post": _batch(catalogue, bodies, components["schemas"])}
    return {**plain, "paths": paths, "components": components}


def _never_null(paths: Document) -> Document:
    """Return the paths with no parameter that can be null.

    FastAPI describes an optional parameter as Python sees it. Over HTTP it is left out, never null; a client generated
    from the document, or a tool that tests by it, would send `null`.
    """
    return {path: {method: _without_null(about) for method, about in item.items()} for path, item in paths.items()}


def _without_null(about: Document) -> Document:
    if "parameters" not in about:
        return about
    return {**about, "parameters": [_never_null_parameter(parameter) for parameter in about["parameters"]]}


def _never_null_parameter(parameter: Document) -> Document:
    """Remove `null` from the schema of a parameter, as a type and as the default."""
    schema = parameter.get("schema", {})
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) == len(schema.get("anyOf", ())):
        return parameter
    rest = {key: value for key, value in schema.items() if key != "anyOf" and not (key == "default" and value is None)}
    return {**parameter, "schema": {**rest, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}}


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
    statuses = responses.responses(400, 404, 409, 410, 413, 415, 422, 503)
    return {
        "operationId": _free("enqueue_" + re.sub(r"\W+", "_", function.name).strip("_"), taken),
        "tags": [function.name.rpartition(".")[0] or "functions"],
        "summary": summary or f"Enqueue {function.name}",
        "description": f"{rest.strip()}\n\nQueue `{function.queue}`, runs in: {function.runs_in}.".strip(),
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in (*options.parameters(), *_HEADERS)],
        "requestBody": {
            "required": bool(_resolved(body, schemas).get("required")),
            "content": {"application/json": content},
        },
        "responses": {
            "200": _answered(
                "The job finished within `wait`, or already existed (same `Idempotency-Key` or unique key)"
            ),
            "202": _answered("The job is stored and will run"),
            **{str(status): about for status, about in statuses.items()},
        },
    }


def _batch(catalogue: Catalogue, bodies: Mapping[str, Document], schemas: Document) -> Document:
    """Return the operation that enqueues a batch; each job is typed by its function, as in the single calls."""
    items, examples = [], []
    for name in sorted(catalogue.functions):
        needed = bool(_resolved(bodies[name], schemas).get("required"))
        properties = {
            "function": {"const": name},
            "args": bodies[name],
            "options": {"$ref": _REF + "EnqueueOptions"},
        }
        about = {"title": name, "type": "object", "properties": properties, "additionalProperties": False}
        items.append({**about, "required": ["function", "args"] if needed else ["function"]})
        if example := _example(bodies[name], schemas):
            examples.append({"function": name, "args": example, "options": {"tags": ["nightly"], "priority": 1}})
    jobs: Document = {"type": "array", "maxItems": ONE_STEP, "items": {"oneOf": items} if items else {}}
    schema = {"type": "object", "required": ["jobs"], "properties": {"jobs": jobs}, "additionalProperties": False}
    content: Document = {"schema": {"$ref": _REF + "Batch"}}
    schemas["Batch"] = schema
    if examples:
        content["example"] = {"jobs": examples[:2]}
    listed = {"application/json": {"schema": {"$ref": _REF + "JobList"}}}
    statuses = responses.responses(400, 409, 410, 413, 415, 422, 503)
    return {
        "operationId": "enqueue_many",
        "tags": ["jobs"],
        "summary": "Enqueue many jobs",
        "description": f"Enqueue up to {ONE_STEP:,} jobs of any functions, all or none. They are returned in order, "
        "without results, failed attempts and logs.",
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in ("Idempotency-Key", "traceparent")],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "200": {
                "description": "All jobs already existed (same `Idempotency-Key` or unique keys)",
                "content": listed,
            },
            "202": {"description": "The jobs are stored and will run", "content": listed},
            **{str(status): about for status, about in statuses.items()},
        },
    }


def _job() -> Document:
    """Return the operation that shows one job."""
    wait = waiting.Waiting.model_json_schema()["properties"]["wait"]
    wait_parameter = {"name": "wait", "in": "query", "required": False, "description": wait["description"]}
    job_id = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "title": "Job Id"}}
    shown = {"application/json": {"schema": {"$ref": _REF + "JobDocument"}}}
    statuses = etags.NOT_MODIFIED | responses.responses(404, 422, 503)
    return {
        "tags": ["jobs"],
        "summary": "Get a job",
        "description": "Get a job as it is, or wait for it to finish for at most `wait` seconds.",
        "operationId": "get_job",
        "parameters": [job_id, {**wait_parameter, "schema": wait}],
        "responses": {
            "200": {"description": "The job", "content": shown},
            **{str(status): about for status, about in statuses.items()},
        },
    }


def _answered(description: str) -> Document:
    location = {"description": "URL of the job", "schema": {"type": "string", "format": "uri-reference"}}
    applied = {"description": "`wait=N`, if `Prefer` requested it", "schema": {"type": "string"}}
    return {
        "description": description,
        "headers": {"Location": location, "Preference-Applied": applied},
        "content": {"application/json": {"schema": {"$ref": _REF + "JobDocument"}}},
    }


def _header(name: str, description: str, **schema: Any) -> Document:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


_HEADERS: Document = {
    "Idempotency-Key": _header(
        "Idempotency-Key",
        "Identifies this request for a day. Repeated with the same key it enqueues nothing and returns the first job, "
        "with status 200. Another request with the same key is 422, the same one while it is in progress 409.",
        minLength=1,
        maxLength=LONGEST_KEY,
        pattern=r"^[!-~]([ -~]*[!-~])?$",
    ),
    "Prefer": _header("Prefer", "`wait=N` (RFC 7240) is as `wait` in the query, for up to 60 s."),
    "traceparent": _header("traceparent", "The W3C trace context, which is passed on to the worker with the job."),
}


def _example(schema: Document, schemas: Document) -> Any:
    """Return the example of a schema, or one made from its properties; None if a required one has none."""
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
    """Return a schema with its references changed to the new names of components."""
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
