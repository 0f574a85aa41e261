"""http.request against a real HTTP server, and what it may not reach."""

import base64
import gzip
import json
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from offload import GiveUp, Retry
from offload.domain.errors import InvalidArguments
from offload.jobs import ssrf
from offload.jobs.http import request, retry_after


@pytest.fixture
def fetching(run_job):
    """Let jobs reach the server on loopback."""
    run_job.configure(allow_private_addresses=True)
    return run_job


@pytest.fixture
def only_this_host(monkeypatch, run_job):
    """127.0.0.1 counts as public, so that a server on it can lead to addresses that are not."""
    judge = ssrf.why_refused
    monkeypatch.setattr(ssrf, "why_refused", lambda address: None if address == "127.0.0.1" else judge(address))
    return run_job


async def test_a_response_comes_back_whole(fetching, web):
    """Status, headers, text, size and URL of the response are the result."""
    web.answer("/page", 200, {"Content-Type": "text/plain; charset=latin-1", "X-A": "b"}, "Grüße".encode("latin-1"))
    response = await fetching(request, request={"url": web.url("/page"), "params": {"q": ["a b", 1]}})

    assert (response.status, response.body, response.encoding) == (200, "Grüße", "text")
    assert response.headers["x-a"] == "b"
    assert response.url == web.url("/page?q=a+b&q=1")
    assert (response.size, response.truncated, response.redirects) == (5, False, 0)
    assert response.elapsed_ms >= 1


@pytest.mark.parametrize(
    ("body", "sent", "media_type"),
    [
        ({"json": {"a": [1, None]}}, b'{"a":[1,null]}', "application/json"),
        ({"text": "Grüße"}, "Grüße".encode(), "text/plain; charset=utf-8"),
        ({"base64": base64.b64encode(b"\x00\xff").decode()}, b"\x00\xff", None),
    ],
)
async def test_a_body_is_sent_as_given(fetching, web, body, sent, media_type):
    """A JSON, text or base64 body is sent with its media type, by any method."""
    web.answer("/", 201)
    response = await fetching(request, request={"method": "put", "url": web.url(), **body})
    [seen] = web.seen

    assert response.status == 201
    assert (seen.method, seen.body, seen.headers.get("content-type")) == ("PUT", sent, media_type)


async def test_a_post_carries_the_job_id_as_idempotency_key(fetching, web):
    """POST is sent with the job's id as Idempotency-Key, unless the caller gave one; GET is not."""
    web.answer("/")
    await fetching(request, request={"method": "POST", "url": web.url()})
    await fetching(request, request={"method": "POST", "url": web.url(), "headers": {"idempotency-key": "mine"}})
    await fetching(request, request={"url": web.url()})

    assert [seen.headers.get("idempotency-key") for seen in web.seen] == [fetching.job_id, "mine", None]


async def test_a_4xx_is_a_result(fetching, web):
    """A 404 is returned like any other response."""
    response = await fetching(request, request={"url": web.url("/nowhere")})

    assert (response.status, response.body) == (404, "no such page")


async def test_raise_for_status_makes_a_4xx_the_end(fetching, web):
    """With `raise_for_status` a 404 ends the job, without user and password of the URL in the message."""
    url = web.url("/nowhere").replace("//", "//user:secret@")

    with pytest.raises(GiveUp, match="404 Not Found from http://127") as caught:
        await fetching(request, request={"url": url, "raise_for_status": True})
    assert "secret" not in str(caught.value)
    assert web.seen[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_in_seconds_is_honoured(fetching, web, status):
    """429 and 503 are tried again after the seconds that Retry-After says."""
    web.answer("/", status, {"Retry-After": "17"})

    with pytest.raises(Retry, match=str(status)) as caught:
        await fetching(request, request={"url": web.url()})
    assert caught.value.after == 17.0


async def test_retry_after_as_a_date_is_honoured(fetching, web):
    """A date in Retry-After becomes the time that is left until then."""
    web.answer("/", 503, {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)})

    with pytest.raises(Retry) as caught:
        await fetching(request, request={"url": web.url()})
    assert 90 < caught.value.after <= 100


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("soon", None),
        ("-5", None),
        ("0", 0.0),
        ("99999999999999", 86400.0),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 0.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 86400.0),
    ],
)
def test_retry_after_is_read_as_its_rfc_says(value, seconds):
    """Retry-After is seconds or a date, a day at most; nonsense counts as none."""
    assert retry_after(value, at_ms=10_000) == seconds


async def test_another_5xx_is_tried_again_by_the_policy(fetching, web):
    """500 is retried with the policy's own backoff, whatever its Retry-After."""
    web.answer("/", 500, {"Retry-After": "1"})

    with pytest.raises(Retry, match="500 Internal Server Error") as caught:
        await fetching(request, request={"url": web.url()})
    assert caught.value.after is None


async def test_a_refused_connection_is_tried_again(fetching, closed_port):
    """Nobody listening is trouble that may pass."""
    with pytest.raises(Retry, match="ConnectError"):
        await fetching(request, request={"url": f"http://127.0.0.1:{closed_port}/"})


async def test_a_name_that_does_not_resolve_is_tried_again(fetching):
    """DNS trouble may pass; the message names the host."""
    with pytest.raises(Retry, match=r"'nowhere\.invalid' cannot be resolved"):
        await fetching(request, request={"url": "http://nowhere.invalid/"})


async def test_a_large_body_is_cut_at_max_bytes(fetching, web):
    """No more than `max_bytes` of a body are kept, and the result says that there was more."""
    web.answer("/", body=b"x" * 5_000_000)
    response = await fetching(request, request={"url": web.url(), "max_bytes": 1000})

    assert (response.size, response.truncated, response.body) == (1000, True, "x" * 1000)


async def test_an_endless_body_is_not_read_to_its_end(fetching, web):
    """Reading stops at the limit: a body that never ends is no trouble."""

    def endless(_seen, handler):
        handler.send_response(200)
        handler.end_headers()
        while not web.closing.is_set():
            handler.wfile.write(b"y" * 65536)

    web.routes["/"] = endless
    response = await fetching(request, request={"url": web.url(), "max_bytes": 100_000})

    assert (response.size, response.truncated) == (100_000, True)


async def test_a_body_that_stops_coming_runs_into_the_timeout(fetching, web):
    """`timeout` is for the whole exchange: a body that dries up is given up on and retried."""

    def stuck(_seen, handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.write(b"abc")
        web.closing.wait()

    web.routes["/"] = stuck

    with pytest.raises(Retry, match=r"(no complete response within 0\.3 s|ReadTimeout)"):
        await fetching(request, request={"url": web.url(), "timeout": 0.3})


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda b: zlib.compress(b)[2:-4])],
)
async def test_a_compressed_body_is_unpacked(fetching, web, encoding, pack):
    """Content in gzip and deflate (with and without zlib's frame) comes back as text."""
    web.answer("/", headers={"Content-Encoding": encoding}, body=pack(b"hello " * 100))
    response = await fetching(request, request={"url": web.url()})

    assert (response.body, response.truncated) == ("hello " * 100, False)


async def test_a_compression_bomb_is_unpacked_to_the_limit_only(fetching, web):
    """100 MB of zeros in 100 kB of gzip give `max_bytes` bytes."""
    web.answer("/", headers={"Content-Encoding": "gzip"}, body=gzip.compress(bytes(100_000_000), 1))
    response = await fetching(request, request={"url": web.url(), "max_bytes": 700_000})

    assert (response.size, response.truncated) == (700_000, True)


async def test_a_body_that_is_no_text_comes_as_base64(fetching, web):
    """Binary content comes back in base64, exactly."""
    web.answer("/", body=b"\x89PNG\x00\xff")
    response = await fetching(request, request={"url": web.url()})

    assert response.encoding == "base64"
    assert base64.b64decode(response.body) == b"\x89PNG\x00\xff"


async def test_a_body_fits_the_result_limit(fetching, web):
    """A body is cut so that the whole result stays under the limit for results, escaped as it will be."""
    web.answer("/", body=b'"\x01' * 500_000)
    response = await fetching(request, request={"url": web.url(), "max_bytes": 1_000_000})

    assert response.truncated
    assert len(request.result_type.to_json(response)) <= fetching.settings.max_result_bytes


async def test_a_body_can_be_kept_as_an_artifact(fetching, web):
    """With `save_as` the body becomes an artifact of that name and of the response's media type."""
    web.answer("/", headers={"Content-Type": "image/png; x=y"}, body=b"\x89PNG" * 1000)
    response = await fetching(request, request={"url": web.url(), "save_as": "logo.png"})

    assert (response.artifact.name, response.artifact.media_type, response.body) == ("logo.png", "image/png", None)
    assert fetching.content(response.artifact) == b"\x89PNG" * 1000


async def test_a_redirect_is_followed(fetching, web):
    """A redirect is followed, and the result names where it ended."""
    web.answer("/old", 302, {"Location": "/new"})
    web.answer("/new", 200, body=b"here")
    response = await fetching(request, request={"method": "POST", "url": web.url("/old"), "text": "x"})

    assert (response.url, response.body, response.redirects) == (web.url("/new"), "here", 1)
    assert [(seen.method, seen.body) for seen in web.seen] == [("POST", b"x"), ("GET", b"")]


async def test_a_redirect_is_a_result_when_not_followed(fetching, web):
    """With `follow_redirects` off the redirect itself is the result."""
    web.answer("/old", 301, {"Location": "/new"})
    response = await fetching(request, request={"url": web.url("/old"), "follow_redirects": False})

    assert (response.status, response.headers["location"], len(web.seen)) == (301, "/new", 1)


async def test_more_than_five_redirects_end_the_job(fetching, web):
    """A redirect loop ends after five hops."""
    web.answer("/", 302, {"Location": "/"})

    with pytest.raises(GiveUp, match="more than 5 redirects"):
        await fetching(request, request={"url": web.url()})
    assert len(web.seen) == 6


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://host:9x/"])
async def test_a_redirect_to_something_else_than_http_ends_the_job(fetching, web, location):
    """Only http and https are followed."""
    web.answer("/", 302, {"Location": location})

    with pytest.raises(GiveUp):
        await fetching(request, request={"url": web.url()})


async def test_secrets_stay_behind_on_a_redirect_to_another_origin(fetching, web):
    """Authorization, cookies and the like are not carried to another origin; harmless headers are."""
    web.answer("/", 307, {"Location": web.url("/next", host="localhost")})
    web.answer("/next")
    headers = {"Authorization": "Bearer x", "X-Api-Key": "x", "Cookie": "a=b", "X-Trace": "kept"}
    await fetching(request, request={"url": web.url(), "headers": headers})
    first, second = web.seen

    assert {"authorization", "x-api-key", "cookie"} <= first.headers.keys()
    assert not {"authorization", "x-api-key", "cookie"} & second.headers.keys()
    assert second.headers["x-trace"] == "kept"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "169.254.169.254",
        "10.1.2.3",
        "[::ffff:127.0.0.1]",
    ],
)
async def test_a_private_address_ends_the_job(run_job, web, host):
    """However it is written, an address that is not public is never connected to."""
    with pytest.raises(GiveUp, match="OFFLOAD_ALLOW_PRIVATE_ADDRESSES"):
        await run_job(request, request={"url": f"http://{host}:{web.port}/"})
    assert web.seen == []


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:{port}/in", "http://169.254.169.254/latest/meta-data", "http://[::1]:{port}/"]
)
async def test_a_redirect_to_a_private_address_ends_the_job(only_this_host, web, target):
    """Each hop of a redirect is judged anew."""
    web.answer("/", 302, {"Location": target.format(port=web.port)})

    with pytest.raises(GiveUp, match="jobs may reach public addresses only"):
        await only_this_host(request, request={"url": web.url()})
    assert [seen.path for seen in web.seen] == ["/"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"url": "file:///etc/passwd"}, "request.url"),
        ({"url": "example.com"}, "request.url"),
        ({"url": "http://"}, "request.url"),
        ({"method": "GET /x"}, "request.method"),
        ({"method": "CONNECT"}, "request.method"),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "request.headers"),
        ({"headers": {"X A": "b"}}, "request.headers"),
        ({"headers": {"Host": "internal"}}, "request.headers"),
        ({"json": {}, "text": "x"}, "request"),
        ({"base64": "%%"}, "request.base64"),
        ({"timeout": 0}, "request.timeout"),
        ({"max_bytes": 11 * 1024 * 1024}, "request.max_bytes"),
        ({"verify": False}, "request.verify"),
    ],
)
async def test_a_request_that_cannot_be_right_is_refused_at_once(fetching, changes, path):
    """Bad URLs, methods, headers and bodies are refused with the path of the field."""
    with pytest.raises(InvalidArguments) as caught:
        await fetching(request, request={"url": "http://example.com/", **changes})
    assert [fault.path for fault in caught.value.fields] == [path]


async def test_the_result_is_json(fetching, web):
    """The result goes through JSON unharmed."""
    web.answer("/", body=b"ok")
    response = await fetching(request, request={"url": web.url()})

    assert json.loads(request.result_type.to_json(response))["body"] == "ok"
