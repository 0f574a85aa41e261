"""What holds for every call: problems for unknown paths, keys, log lines, headers, the OpenAPI document."""

import re

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from integration.api.support import calling, is_problem, settings_for
from offload.api.problems.types import KINDS
from offload.app import check_exposure, create_app
from offload.domain.catalogue import Catalogue
from offload.domain.functions import define
from offload.settings import SettingsError


async def test_an_unknown_path_is_a_problem(api):
    """There is no page of another shape than problem+json where nothing is."""
    assert is_problem(await api.get("/v2/jobs"), 404, "unknown-path")
    assert is_problem(await api.get("/v1/jobs/"), 404, "unknown-path")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/v1/jobs", "GET, HEAD, POST"), ("GET", "/v1/functions/numbers.add/jobs", "POST")],
)
async def test_a_wrong_method_is_a_problem_with_allow(api, method, path, allowed):
    """A path that exists, called by another method, is 405 and says which it takes."""
    response = await api.request(method, path)

    assert is_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize("slug", KINDS)
async def test_the_type_of_a_problem_leads_to_its_page(api, slug):
    """The `type` of every problem can be opened and says what it means."""
    response = await api.get(KINDS[slug].uri)

    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert KINDS[slug].title in response.text


async def test_an_unknown_problem_type_is_404(api):
    """There is no page for a type that does not exist."""
    assert is_problem(await api.get("/problems/bad-luck"), 404, "not-found")


async def test_each_request_is_logged_once_by_its_route(api):
    """One line a request, with method, route template, status and time, and without ids, query and body."""
    with capture_logs() as logged:
        await api.get("/v1/jobs/nobody?wait=0")
    (line,) = [line for line in logged if line["event"] == "request"]

    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/jobs/{job_id}", 404)
    assert line["ms"] >= 0
    assert line["log_level"] == "info"
    assert set(line) == {"event", "log_level", "method", "route", "status", "ms"}


async def test_probes_are_logged_quietly(api):
    """A probe that comes each second does not fill the log."""
    with capture_logs() as logged:
        await api.get("/livez")

    assert [line["log_level"] for line in logged if line["event"] == "request"] == ["debug"]


async def test_a_request_has_an_id(api):
    """The caller's request id is kept where it is a sane one, else a new one is made; it comes back as a header."""
    sane = await api.get("/livez", headers={"X-Request-ID": "trace-7"})
    insane = await api.get("/livez", headers={"X-Request-ID": "a b<c>" * 100})

    assert sane.headers["x-request-id"] == "trace-7"
    assert re.fullmatch(r"[0-9a-f]{16}", insane.headers["x-request-id"])


async def test_no_answer_is_guessed_at_by_a_browser(api):
    """Every answer forbids a browser to guess another media type."""
    responses = [await api.get(path) for path in ("/livez", "/v1/jobs", "/v1/jobs/nobody", "/docs", "/nowhere")]

    assert {response.headers["x-content-type-options"] for response in responses} == {"nosniff"}


async def test_a_call_without_the_key_is_401(redis_client, redis_server, catalogue, tmp_path):
    """With keys set each call needs one of them; a missing, wrong or differently sent one is 401."""
    settings = settings_for(redis_server.url, tmp_path, api_keys=["first-key", "zweiter-schlüssel"])
    async with calling(settings, catalogue) as api:
        wrong = [
            await api.get("/v1/jobs", headers=headers)
            for headers in (
                {},
                {"Authorization": "Bearer"},
                {"Authorization": "Bearer first-ke"},
                {"Authorization": "Basic first-key"},
                {"Authorization": b"Bearer \xff"},
            )
        ]
        right = [
            await api.get("/v1/jobs", headers={"Authorization": f"{scheme} {key}".encode()})
            for scheme, key in (("Bearer", "first-key"), ("bearer", "zweiter-schlüssel"))
        ]

    assert all(is_problem(response, 401, "unauthorized") for response in wrong)
    assert {response.headers["www-authenticate"] for response in wrong} == {"Bearer"}
    assert [response.status_code for response in right] == [200, 200]


async def test_probes_need_no_key(redis_client, redis_server, catalogue, tmp_path):
    """Whoever watches the process needs no key, and neither does who reads what a problem means."""
    async with calling(settings_for(redis_server.url, tmp_path, api_keys=["k"]), catalogue) as api:
        codes = [(await api.get(path)).status_code for path in ("/livez", "/readyz", "/problems/unauthorized")]

    assert codes == [200, 200, 200]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(host, tmp_path):
    """On a loopback address the API may be open."""
    check_exposure(settings_for("unix:///r", tmp_path, host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.7", "example.com", "localhost.example.com"])
def test_any_other_address_needs_a_key(host, tmp_path):
    """An API that others can reach is refused without keys, in one line that says what to do, and allowed with one."""
    with pytest.raises(SettingsError) as refused:
        check_exposure(settings_for("unix:///r", tmp_path, host=host))
    check_exposure(settings_for("unix:///r", tmp_path, host=host, api_keys=["k"]))

    assert "OFFLOAD_API_KEYS" in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_the_docs_are_served(api):
    """`/docs` is a page that reads the OpenAPI document."""
    page = await api.get("/docs")

    assert page.status_code == 200
    assert "/openapi.json" in page.text


async def test_each_job_function_is_a_typed_operation(api, catalogue):
    """OpenAPI has one operation for each job function, with its schema, summary, options and problems."""
    document = (await api.get("/openapi.json")).json()
    operation = document["paths"]["/v1/functions/mail.send/jobs"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]

    assert document["openapi"].startswith("3.1")
    assert {f"/v1/functions/{name}/jobs" for name in catalogue.functions} <= set(document["paths"])
    assert operation["operationId"] == "enqueue_mail_send"
    assert operation["summary"] == "Send one letter."
    assert "It is delivered at most once a day." in operation["description"]
    assert operation["requestBody"]["required"]
    assert body == {"$ref": "#/components/schemas/MailSendArguments"}
    assert document["components"]["schemas"]["MailSendArguments"]["properties"]["message"] == {
        "$ref": "#/components/schemas/Email"
    }
    assert set(operation["responses"]) >= {"202", "400", "404", "413", "415", "422", "503"}
    assert {parameter["$ref"].rpartition("/")[2] for parameter in operation["parameters"]} >= {"delay", "tag", "queue"}


async def test_examples_of_arguments_become_an_example_of_the_body(api):
    """Where all needed arguments have examples, the operation has one that can be sent as it is."""
    document = (await api.get("/openapi.json")).json()
    content = document["paths"]["/v1/functions/numbers.add/jobs"]["post"]["requestBody"]["content"]["application/json"]
    accepted = await api.post("/v1/functions/numbers.add/jobs", json=content["example"])

    assert content["example"] == {"a": 1, "b": 2}
    assert accepted.status_code == 202


async def test_every_reference_leads_somewhere(api):
    """No `$ref` of the document is dangling, and no operation id is there twice."""
    response = await api.get("/openapi.json")
    document = response.json()
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]

    def target(reference):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return found

    assert all(target(reference) for reference in re.findall(r'"\$ref":\s*"([^"]+)"', response.text))
    assert len(ids) == len(set(ids))


async def test_the_document_is_valid_openapi(api):
    """The document is valid by the OpenAPI 3.1 schema."""
    validator = pytest.importorskip("openapi_spec_validator")
    document = (await api.get("/openapi.json")).json()

    validator.validate(document)


async def test_models_of_one_name_do_not_mix(settings):
    """Two functions whose models share a name, with each other or with the API's own, keep their own schemas."""

    def of(field):
        model = type("JobDocument", (BaseModel,), {"__annotations__": {field: int}, "__module__": f"m_{field}"})

        async def function(ctx, it):
            pass

        function.__annotations__["it"] = model
        return define(function, name=f"test.{field}")

    functions = [of("first"), of("second")]
    document = create_app(settings, Catalogue({one.name: one for one in functions})).openapi()
    schemas = document["components"]["schemas"]
    found = []
    for name in ("TestFirstArguments", "TestSecondArguments"):
        reference = schemas[name]["properties"]["it"]["$ref"].rpartition("/")[2]
        found.append(list(schemas[reference]["properties"]))

    assert found == [["first"], ["second"]]
    assert "enqueued_at" in schemas["JobDocument"]["properties"]
