"""Who may call, from where, and how large: what is checked before any route is asked."""

import asyncio

import httpx
import pytest
from structlog.testing import capture_logs

from integration.api.support import calling, is_problem, serving, settings_for
from offload.api.middleware import scopes, throttle
from offload.api.pages import assets
from offload.app import create_app
from offload.domain.security import api_keys
from offload.domain.security.api_keys import ANONYMOUS, Scope

ADD = "/v1/functions/numbers.add/jobs"
ARGS = {"a": 1, "b": 2}


@pytest.fixture
def app_with(redis_client, redis_server, catalogue, tmp_path):
    """Make the application with settings of the test's."""

    def made(**settings):
        return calling(settings_for(redis_server.url, tmp_path, **settings), catalogue)

    return made


def bearer(key, **more):
    return {"Authorization": f"Bearer {key}", **more}


# Keys and scopes.


async def test_a_key_may_do_what_its_scopes_say(app_with):
    """Each key does what its scopes cover; all else is 403 and names the scope that is missing."""
    keys = {scope: api_keys.new(f"k-{scope}", [scope]) for scope in Scope}
    calls = {Scope.ENQUEUE: ("POST", ADD), Scope.READ: ("GET", "/v1/jobs"), Scope.OPERATE: ("POST", "/v1/jobs/x/abort")}
    answers = {}
    async with app_with(api_keys=[entry for _, entry in keys.values()]) as api:
        for scope, (secret, _) in keys.items():
            for needed, (method, path) in calls.items():
                answers[scope, needed] = await api.request(method, path, json=ARGS, headers=bearer(secret))

    for (scope, needed), answer in answers.items():
        if scope == needed:
            assert answer.status_code in (200, 202, 404), answer.text
        else:
            assert is_problem(answer, 403, "insufficient-scope")
            assert f"scope `{needed}`" in answer.json()["detail"]
            assert f'scope="{needed}"' in answer.headers["www-authenticate"]


async def test_a_route_in_no_row_needs_operate(app_with):
    """A write that the table does not know, even of a path that is not there, needs the strongest scope."""
    secret, entry = api_keys.new("reader", ["read", "enqueue"])
    async with app_with(api_keys=[entry]) as api:
        answer = await api.put("/v1/whatever", headers=bearer(secret))

    assert is_problem(answer, 403, "insufficient-scope")


async def test_the_hash_is_no_key(app_with):
    """What stands in the settings, or leaks from them, lets nobody in."""
    _, entry = api_keys.new("ci", ["read"])
    async with app_with(api_keys=[entry]) as api:
        answers = [
            await api.get("/v1/jobs", headers=bearer(text)) for text in (entry, entry.rpartition("=")[2], "ci", "")
        ]

    assert all(is_problem(answer, 401, "unauthorized") for answer in answers)


async def test_several_keys_hold_at_a_time(app_with):
    """A key is rotated by naming the new one beside the old one."""
    (old, first), (new, second) = api_keys.new("ci-old", ["read"]), api_keys.new("ci-new", ["read"])
    async with app_with(api_keys=[first, second]) as api:
        codes = [(await api.get("/v1/jobs", headers=bearer(key))).status_code for key in (old, new)]

    assert codes == [200, 200]


async def test_the_request_knows_whose_key_it_is(settings, catalogue):
    """Routes find the name of the key, for the audit; without keys it is `anonymous`."""
    seen = []

    async def noted(scope, receive, send):
        seen.append(scope[scopes.KEY])

    from offload.api.middleware.api_keys import ApiKeyAuth
    from offload.api.middleware.loopback_only import LoopbackOnly
    from offload.domain.security.api_keys import Keyring

    secret, entry = api_keys.new("ci", ["read"])
    scope = {"type": "http", "method": "GET", "path": "/v1/jobs", "client": None}
    await ApiKeyAuth(noted, Keyring.of([entry]))(
        {**scope, "headers": [(b"authorization", b"Bearer " + secret.encode())]}, None, None
    )
    await LoopbackOnly(noted)({**scope, "headers": [(b"host", b"localhost")]}, None, None)

    assert [key.name for key in seen] == ["ci", ANONYMOUS.name]


async def test_openapi_says_which_scope_an_operation_needs(redis_server, catalogue, tmp_path):
    """The document describes the scopes, and names the one that each operation needs; probes need none."""
    document = create_app(settings_for(redis_server.url, tmp_path, api_keys=["k"]), catalogue).openapi()
    scheme, paths = document["components"]["securitySchemes"]["key"], document["paths"]

    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert all(f"`{scope}`" in scheme["description"] for scope in Scope)
    assert paths[ADD]["post"]["security"] == [{"key": ["enqueue"]}]
    assert paths["/v1/jobs"]["get"]["security"] == [{"key": ["read"]}]
    assert paths["/v1/jobs/{job_id}/abort"]["post"]["security"] == [{"key": ["operate"]}]
    assert paths["/livez"]["get"]["security"] == []
    assert {"401", "403", "429"} <= set(paths[ADD]["post"]["responses"])


# Wrong keys.


async def test_wrong_keys_are_limited_by_address(app_with):
    """After ten wrong keys in a minute an address is refused with 429 and Retry-After, and the log says so once."""
    async with app_with(api_keys=["right"]) as api:
        with capture_logs() as logged:
            answers = [await api.get("/v1/jobs", headers=bearer(f"wrong-{n}")) for n in range(throttle.FAILURES + 3)]
        still_open = await api.get("/livez")

    assert all(is_problem(answer, 401, "unauthorized") for answer in answers[: throttle.FAILURES])
    assert all(is_problem(answer, 429, "too-many-failures") for answer in answers[throttle.FAILURES :])
    assert 0 < int(answers[-1].headers["retry-after"]) <= throttle.WINDOW_S
    assert len([line for line in logged if line["event"] == "wrong_keys_refused"]) == 1
    assert still_open.status_code == 200


async def test_a_guesser_does_not_lock_out_a_neighbour(app_with):
    """While an address is refused, a generated key and one that it used before still work; a right guess does not."""
    secret, entry = api_keys.new("ci", ["read"])
    async with app_with(api_keys=[entry, "used-before", "never-used"]) as api:
        before = await api.get("/v1/jobs", headers=bearer("used-before"))
        for n in range(throttle.FAILURES):
            await api.get("/v1/jobs", headers=bearer(f"guess-{n}"))
        generated = await api.get("/v1/jobs", headers=bearer(secret))
        known = await api.get("/v1/jobs", headers=bearer("used-before"))
        guessed = await api.get("/v1/jobs", headers=bearer("never-used"))

    assert (before.status_code, generated.status_code, known.status_code) == (200, 200, 200)
    assert is_problem(guessed, 429, "too-many-failures")


async def test_calls_without_any_key_are_not_counted(app_with):
    """A dashboard that was opened without a key closes nothing."""
    async with app_with(api_keys=["right"]) as api:
        answers = [await api.get("/v1/jobs") for _ in range(throttle.FAILURES + 5)]

    assert {answer.status_code for answer in answers} == {401}


# Without keys.


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "127.8.8.8", "[::1]:8000", "my.host:80"]
)
async def test_an_open_api_is_called_by_names_of_this_machine(app_with, host):
    """Loopback names and addresses, with any port, and what the setting adds are served."""
    async with app_with(allowed_hosts=["my.host"]) as api:
        answer = await api.get("/v1/jobs", headers={"Host": host})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "192.0.2.1", "127.0.0.1.evil.example", "::2", ""],
)
async def test_dns_rebinding_is_refused(app_with, host):
    """A page that made its own name mean this machine gets nothing: neither reading nor writing."""
    async with app_with() as api:
        answers = [
            await api.get("/v1/jobs", headers={"Host": host}),
            await api.post(ADD, json=ARGS, headers={"Host": host}),
        ]

    assert all(is_problem(answer, 421, "misdirected-request") for answer in answers)


async def test_with_keys_any_host_is_served(app_with):
    """A browser sends no key by itself, so behind keys a name proves nothing and is not asked for."""
    async with app_with(api_keys=["k"]) as api:
        answer = await api.get("/v1/jobs", headers=bearer("k", Host="jobs.example.com"))

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
)
async def test_a_page_of_another_origin_cannot_write(app_with, headers):
    """A browser that sends a write for a foreign page is refused, also where that page is on this machine."""
    async with app_with() as api:
        answers = [await api.post(path, json=ARGS, headers=headers) for path in (ADD, "/v1/jobs/x/abort")]
        listed = (await api.get("/v1/jobs")).json()["items"]

    assert all(is_problem(answer, 403, "cross-site-request") for answer in answers)
    assert listed == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.com"},
    ],
)
async def test_programs_and_our_own_pages_can_write(app_with, headers):
    """Programs say nothing of where they come from; our own pages and those the setting names are let in."""
    async with app_with(cors_origins=["https://app.example.com"]) as api:
        answer = await api.post(ADD, json=ARGS, headers=headers)

    assert answer.status_code == 202


# Other origins.


async def test_no_page_may_read_unless_it_is_named(app_with):
    """CORS is off by default, and on for the origins of the setting alone, with no credentials."""
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    async with app_with(api_keys=["k"]) as api:
        off = [await api.options(ADD, headers=asked), await api.get("/livez", headers=asked)]
    async with app_with(api_keys=["k"], cors_origins=["https://app.example.com"]) as api:
        preflight = await api.options(ADD, headers={**asked, "Access-Control-Request-Headers": "authorization"})
        read = await api.get("/v1/jobs", headers=bearer("k", Origin="https://app.example.com"))
        foreign = await api.get("/v1/jobs", headers=bearer("k", Origin="https://evil.example"))

    assert all("access-control-allow-origin" not in answer.headers for answer in [*off, foreign])
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "https://app.example.com")
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert read.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "access-control-allow-credentials" not in read.headers


# Sizes.


async def test_what_is_too_large_is_a_problem(app_with):
    """A URL over 8 KiB is 414, headers over 32 KiB are 431, a declared body over the limit is 413, before any key."""
    async with app_with(api_keys=["k"], max_body_bytes=100) as api:
        url = await api.get("/v1/jobs?x=" + "y" * 8_192)
        head = await api.get("/v1/jobs", headers={f"X-{n}": "y" * 8_000 for n in range(5)})
        body = await api.post(ADD, content=b"{" + b" " * 100 + b"}", headers={"Content-Type": "application/json"})
        fits = await api.get("/v1/jobs?cursor=" + "y" * 8_000, headers=bearer("k", **{"X-1": "y" * 30_000}))

    assert is_problem(url, 414, "uri-too-long")
    assert is_problem(head, 431, "headers-too-large")
    assert is_problem(body, 413, "body-too-large")
    assert fits.status_code == 422


async def test_a_chunked_body_is_counted(app_with):
    """A body that says no length is refused as soon as it is over the limit, whoever reads it."""

    async def chunks():
        for _ in range(1000):
            yield b" " * 100

    async with app_with(max_body_bytes=1000) as api:
        answer = await api.post(ADD, content=chunks(), headers={"Content-Type": "application/json"})

    assert is_problem(answer, 413, "body-too-large")


async def test_a_body_that_drips_is_refused(app_with):
    """A body must be there in time, however many small parts it comes in."""

    async def drops():
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async with app_with(request_timeout=0.1) as api:
        answer = await api.post(ADD, content=drops(), headers={"Content-Type": "application/json"})

    assert is_problem(answer, 408, "request-timeout")
    assert answer.headers["connection"] == "close"


# Headers.


async def test_every_answer_has_the_security_headers(app_with):
    """Whatever is answered, a browser frames it nowhere, guesses nothing, stores nothing and says nothing of it."""
    async with app_with(api_keys=["k"]) as api:
        answers = [
            await api.get(path, headers=bearer("k"))
            for path in ("/livez", "/v1/jobs", "/nowhere", "/openapi.json", "/docs")
        ]
        answers += [await api.get("/v1/jobs"), await api.get("/v1/jobs?x=" + "y" * 9_000)]

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers


async def test_hsts_is_sent_over_tls_alone(app_with):
    """`Strict-Transport-Security` comes with the setting, and never over plain HTTP (RFC 6797)."""
    async with app_with(hsts_seconds=3600) as api:
        plain, tls = await api.get("/livez"), await api.get("https://localhost/livez")

    assert "strict-transport-security" not in plain.headers
    assert tls.headers["strict-transport-security"] == "max-age=3600"


async def test_the_docs_run_under_their_own_policy(app_with):
    """The policy of `/docs` allows files of this service and nothing else: nothing inline, nothing evaluated."""
    async with app_with() as api:
        page = await api.get("/docs")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))

    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


async def test_the_docs_are_closed_behind_keys_unless_opened(app_with):
    """`/`, `/docs` and `/openapi.json` name every function, so they need a key, unless the setting shows them."""
    pages = ("/", "/docs", "/openapi.json", assets.docs_url(assets.SWAGGER_SCRIPT), "/v1/jobs")
    async with app_with(api_keys=["k"]) as api:
        closed = [(await api.get(path)).status_code for path in pages]
    async with app_with(api_keys=["k"], open_docs=True) as api:
        opened = [(await api.get(path)).status_code for path in pages]

    assert (closed, opened) == ([401] * 5, [200] * 4 + [401])


async def test_keys_hold_over_a_real_socket(redis_client, redis_server, catalogue, tmp_path):
    """The same holds behind the server itself, where the address of the client is a real one."""
    app = create_app(settings_for(redis_server.url, tmp_path, api_keys=["k"]), catalogue)
    async with serving(app) as address, httpx.AsyncClient(base_url=address) as client:
        wrong = [await client.get("/v1/jobs", headers=bearer(f"w{n}")) for n in range(throttle.FAILURES + 1)]

    assert [answer.status_code for answer in wrong] == [401] * throttle.FAILURES + [429]
