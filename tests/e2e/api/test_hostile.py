"""What clients may do to a real API process: no 5xx but 503, no hang, no traceback, nothing left behind."""

import asyncio
import contextlib
import json
import time

import httpx
import pytest

from support.service import REDIS, until

HOST = b"Host: localhost\r\n"
ECHO = "/v1/functions/h.echo/jobs"


def nested(depth, opening, closing, middle="1"):
    """A deep JSON text."""
    return opening * depth + middle + closing * depth


def args(value):
    """The arguments of a call, with a JSON text as value."""
    return f'{{"value": {value}}}'


BODIES = {
    "deep lists": args(nested(900, "[", "]")),
    "deeper than json allows": args(nested(100_000, "[", "]")),
    "deep objects": args(nested(300, '{"a":', "}")),
    "at the writer's limit": args(nested(254, "[", "]")),
    "unclosed": "[" * 100_000,
    "nan": '{"value": NaN}',
    "infinity": '{"value": -Infinity}',
    "too large a float": '{"value": 1e999}',
    "an enormous integer": args("9" * 4000),
    "beyond 64 bits": '{"value": 18446744073709551616}',
    "null byte": '{"value": "a\\u0000b", "\\u0000": 1}',
    "raw null byte": b'{"value": "a\x00b"}',
    "lone surrogate": '{"value": "\\ud800"}',
    "invalid utf-8": b'{"value": "\xff\xfe"}',
    "utf-16": '{"value": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"value": 1}',
    "duplicate keys": '{"value": 1, "value": 2}',
    "many keys": json.dumps({f"k{n}": n for n in range(20_000)}),
    "a number": "1",
    "null": "null",
    "a string": '"x"',
    "a list": "[]",
    "nothing": "",
    "blanks": "   ",
    "half": '{"value": ',
    "two": "{}{}",
}


@pytest.mark.parametrize(
    "path", [ECHO, "/v1/functions/h.add/jobs", "/v1/functions/h.deep/jobs", "/v1/jobs", "/v1/jobs:retry"]
)
async def test_no_json_breaks_anything(api, path):
    """Whatever the body, it is taken or refused as the client's fault, and what was taken can be read back."""
    made, codes = [], {}
    for name, body in BODIES.items():
        response = await api.post(path, content=body, headers={"Content-Type": "application/json"})
        codes[name] = response.status_code
        assert "Traceback" not in response.text
        if response.status_code == 202:
            made.append(response.json()["id"])
    read = [(await api.get(f"/v1/jobs/{job_id}")).status_code for job_id in made]
    listed = await api.get("/v1/jobs")

    assert set(codes.values()) <= {200, 202, 400, 413, 422}, codes
    assert set(read) <= {200}
    assert listed.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        f'{{"jobs": [{{"function": "h.echo", "args": {args(nested(300, "[", "]"))}}}]}}',
        '{"jobs": [{"function": "h.echo", "args": {"value": 1e999}}]}',
        '{"jobs": [{"function": "h.echo", "args": {"value": 99999999999999999999999999}}]}',
        '{"jobs": [{"function": "h.echo", "args": {"value": "\\u0000"}, "options": {"tags": ["\\u0000"]}}]}',
        '{"jobs": [{"function": "\\u0000"}]}',
        '{"jobs": [{"function": "h.echo", "options": {"delay": 1e308}}]}',
        '{"jobs": [{"function": "h.echo", "options": {"max_tries": 99999999999999999999}}]}',
        '{"jobs": [null, 1, [], {}]}',
        '{"jobs": {}}',
    ],
)
async def test_no_batch_breaks_anything(api, body):
    """The same for a batch: all of it is refused, or all of it taken."""
    response = await api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code in {202, 400, 422}, response.text


PATHS = [
    "/%ff", "/v1/jobs/%ff%fe", "/v1/jobs/%00", "/v1/jobs/a%00b/events", "/v1/jobs/" + "a" * 4000, "/v1/functions/%00",
    "/v1/functions/%ff/jobs", "/v1/jobs/..%2f..%2fetc%2fpasswd", "/v1/artifacts/..%2f..%2f..%2fetc%2fpasswd",
    "/v1/artifacts/%00", "/v1/artifacts/" + "0" * 64, "/v1/queues/%00", "/v1/queues/%ff/pause", "/v1/schedules/%ff",
    "/problems/%ff", "//v1//jobs", "/v1/jobs/%E2%80%AE/result", "/v1/jobs/%0d%0aX:%20y", "/v1/jobs/a?wait=%ff",
    "/v1/jobs?cursor=%ff", "/v1/jobs?cursor=1~%00", "/v1/jobs?cursor=%C2%B2~a", "/v1/jobs?cursor=1.1.1~a",
    "/v1/jobs?cursor=" + "9" * 5000 + "~a", "/v1/jobs?limit=%D9%A1", "/v1/jobs?limit=" + "9" * 5000,
    "/v1/jobs?tag=%00", "/v1/jobs?tag=%ff", "/v1/jobs?error=%00", "/v1/jobs?function=%00", "/v1/jobs?queue=%00",
    "/v1/jobs?enqueued_after=0001-01-01T00:00:00Z", "/v1/jobs?enqueued_before=9999-12-31T23:59:59-23:59",
    "/v1/jobs?enqueued_after=2026-13-45T99:99:99Z", "/v1/jobs/a?wait=nan", "/v1/jobs/a?wait=inf", "/v1/jobs/a?wait=-1",
    "/v1/jobs/a?wait=1e-400", "/v1/events?last_event_id=%00", "/v1/events?last_event_id=" + "9" * 5000 + "-0",
    "/v1/events?function=%00&last_event_id=-1", "/v1/jobs/a/events?last_event_id=%D9%A1-0", "/v1/stalls?cursor=%00",
    "/v1/stalls?cursor=" + "9" * 5000, "/v1/audit?cursor=%ff", "/v1/audit?limit=0", "/v1/audit?cursor=1-1-1",
    "/v1/stats?x=1",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=[path[:60] for path in PATHS])
async def test_no_path_and_no_query_breaks_anything(api, path):
    """Invalid UTF-8, null bytes, numbers without end: each is a 4xx, or is ignored where it means nothing."""
    for method in ("GET", "POST", "DELETE"):
        async with api.stream(method, path) as response:
            assert response.status_code < 500, (method, path)
            if response.status_code >= 400:
                assert response.headers["content-type"] in {"application/problem+json", "text/html; charset=utf-8"}
                assert "Traceback" not in (await response.aread()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Last-Event-ID": b"\xff"},
        {"Last-Event-ID": b"9" * 5000 + b"-0"},
        {"If-None-Match": b'"' * 5000},
        {"Idempotency-Key": b"\xff" * 300},
        {"Idempotency-Key": b""},
        {"Prefer": b"wait=" + b"9" * 5000},
        {"Prefer": b"wait=-1; wait=nan, wait"},
        {"traceparent": b"00-" + b"f" * 5000},
        {"Range": b"bytes=" + b"9" * 5000 + b"-"},
        {"Accept": b"\xff\xfe"},
        {"Authorization": b"Bearer \xff\x80"},
        {"Content-Type": b"application/json; charset=\xff"},
        {"Content-Encoding": b"gzip"},
        {"X-Request-ID": b"\x80" * 100},
        {"Host": b"evil.example"},
    ],
    ids=str,
)
async def test_no_header_breaks_anything(api, headers):
    """A header with other bytes than it should have is refused, or ignored."""
    calls = [("POST", ECHO, b"{}"), ("GET", "/v1/jobs/a/events", None), ("GET", "/v1/artifacts/00", None)]
    for method, path, body in calls:
        content = (
            {"content": body, "headers": {"Content-Type": "application/json", **headers}}
            if body
            else {"headers": headers}
        )
        with contextlib.suppress(httpx.RemoteProtocolError):  # the connection may be cut off instead
            response = await api.request(method, path, **content)
            assert response.status_code < 500 or response.status_code == 501, (method, path)


async def raw(api):
    """One plain connection to the process."""
    return await asyncio.open_connection(api.base_url.host, api.base_url.port)


async def test_clients_that_leave_in_the_midst_leave_nothing(api, process):
    """Streams, waits, half a body, half a head: the client goes, and so does all that was held for it."""
    job = (await api.post("/v1/functions/h.sleep/jobs", json={"seconds": 60})).json()
    asks = [
        b"GET /v1/events HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/jobs/%s/events HTTP/1.1\r\n" % job["id"].encode() + HOST + b"\r\n",
        b"GET /v1/jobs/%s?wait=60 HTTP/1.1\r\n" % job["id"].encode() + HOST + b"\r\n",
        b"POST /v1/functions/h.sleep/jobs?wait=60 HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 13\r\n"
        + HOST + b'\r\n{"seconds":9}',
        b"POST /v1/functions/h.echo/jobs HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 90\r\n"
        + HOST + b"\r\n{",
        b"GET /v1/jobs HTTP/1.1\r\nHo",
    ]  # fmt: skip
    before = process.files
    writers = []
    for _ in range(30):
        for ask in asks:
            _, writer = await raw(api)
            writer.write(ask)
            writers.append(writer)
    await until(lambda: process.files >= before + len(writers))
    for n, writer in enumerate(writers):
        if n % 2:
            writer.transport.abort()
        else:
            writer.close()
    await until(lambda: process.files <= before + REDIS)


@pytest.mark.serial
async def test_a_thousand_connections_at_once_are_served(api, process):
    """A thousand clients connect in one moment; each gets its answer, by few connections to Redis."""
    files = process.files

    async def ask(number):
        reader, writer = await raw(api)
        path = b"/v1/jobs?limit=1" if number % 2 else b"/livez"
        writer.write(b"GET %s HTTP/1.1\r\n" % path + HOST + b"Connection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer[:12]

    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(ask(number) for number in range(1000)))
    await until(lambda: process.files <= files + REDIS)

    assert set(answers) == {b"HTTP/1.1 200"}


async def test_half_closed_connections_are_let_go(api, process):
    """A client that closed its side after asking does not hold a place for as long as it might wait."""
    job = (await api.post("/v1/functions/h.sleep/jobs", json={"seconds": 60})).json()
    before = process.files
    connections = [await raw(api) for _ in range(20)]
    for _, writer in connections:
        writer.write(b"GET /v1/jobs/%s?wait=60 HTTP/1.1\r\n" % job["id"].encode() + HOST + b"\r\n")
        writer.write_eof()
    async with asyncio.timeout(10):
        answers = [await reader.read() for reader, _ in connections]
    await until(lambda: process.files <= before + REDIS)
    for _, writer in connections:
        writer.close()

    assert all(answer == b"" for answer in answers)


@pytest.mark.serial
async def test_trickling_bodies_are_given_up_and_hold_up_nobody(api):
    """Fifty clients that send a byte now and then are told 408 in time; others are served meanwhile."""

    async def trickle():
        reader, writer = await raw(api)
        writer.write(b"POST /v1/functions/h.echo/jobs HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST)
        writer.write(b"Content-Length: 1000\r\n\r\n")
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(b" ")
            await asyncio.wait([answer], timeout=0.3)
        writer.close()
        return answer.result()[:12]

    slow = asyncio.gather(*(trickle() for _ in range(50)))
    latencies = []
    async with asyncio.timeout(15):
        while not slow.done():
            began = time.monotonic()
            assert (await api.post(ECHO, json={"value": 1})).status_code == 202
            latencies.append(time.monotonic() - began)

    assert set(slow.result()) == {b"HTTP/1.1 408"}
    assert sorted(latencies)[len(latencies) * 9 // 10] < 0.5


async def test_redis_lost_in_mid_request(api, own_redis):
    """Killed during a wait, a stream and a rush of enqueues: 503, and all is well when it is back."""
    job = (await api.post("/v1/functions/h.sleep/jobs", json={"seconds": 60})).json()
    lost = asyncio.Event()
    codes = []

    async def wait():
        return (await api.get(f"/v1/jobs/{job['id']}", params={"wait": 15})).status_code

    async def rush():
        while not lost.is_set() or 503 not in codes:
            codes.append((await api.post(ECHO, json={"value": 1})).status_code)

    async def follow():
        async with api.stream("GET", "/v1/events") as response:
            async for line in response.aiter_lines():
                if line.startswith("data:") and lost.is_set() and came_back.is_set():
                    break
            return response.status_code

    came_back = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        waiting, following = group.create_task(wait()), group.create_task(follow())
        rushing = [group.create_task(rush()) for _ in range(5)]
        await until(lambda: len(codes) >= 50)
        await asyncio.to_thread(own_redis.kill)
        lost.set()
        await asyncio.wait(rushing)
        alive = await api.get("/livez")
        away = await api.get(f"/v1/jobs/{job['id']}", params={"wait": 15})
        await asyncio.to_thread(own_redis.start)
        while (await api.get("/readyz")).status_code != 200:
            pass
        came_back.set()
        while not following.done():
            again = (await api.post(ECHO, json={"value": 1})).status_code
            await asyncio.sleep(0.05)
        await api.post(f"/v1/jobs/{job['id']}/abort")

    assert set(codes) == {202, 503}
    assert alive.status_code == 200
    assert away.status_code == 503
    assert again == 202
    assert waiting.result() in {200, 503}
    assert following.result() == 200
