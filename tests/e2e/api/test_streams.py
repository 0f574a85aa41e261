"""A thousand open event streams on one API process."""

import asyncio
import contextlib
import signal
import time

import httpx
import pytest

from support.service import REDIS, ApiProcess, until

STREAMS = 1000
ADD = "/v1/functions/h.add/jobs"


async def follow(api, path, heard):
    """Open a stream, and count in `heard` what comes; return when it is open."""
    reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head

    async def listen():
        while data := await reader.read(65536):
            heard[0] += data.count(b"event: queued")

    return writer, asyncio.create_task(listen())


@pytest.mark.timeout(90)
@pytest.mark.serial
async def test_a_thousand_streams_do_not_hold_up_an_enqueue(api, process):
    """Each of a thousand streams hears of every job, and those who enqueue do not notice them."""
    files, memory, heard = process.files, process.memory, [0]
    streams = []
    for _ in range(STREAMS // 50):
        streams += await asyncio.gather(*(follow(api, "/v1/events", heard) for _ in range(50)))
    opened = process.files
    times = []
    for n in range(60):
        began = time.monotonic()
        response = await api.post(ADD, json={"a": n})
        times.append(time.monotonic() - began)
        assert response.status_code == 202
        await asyncio.sleep(0.02)
    await until(lambda: heard[0] >= 60 * STREAMS, 30)
    grown = process.memory - memory
    for writer, task in streams:
        task.cancel()
        writer.close()
    await until(lambda: process.files <= files + REDIS, 20)

    assert opened >= files + STREAMS
    assert heard[0] == 60 * STREAMS
    assert sorted(times)[len(times) // 2] < 0.1
    assert grown < STREAMS * 200_000


async def test_a_stopping_service_lets_its_streams_go(project, own_redis):
    """SIGTERM ends open streams at once, for their readers to go on elsewhere; it does not wait for what has no end."""
    with contextlib.closing(ApiProcess.start(own_redis.url, project, ["hostile_app"])) as process:
        address = await process.listens()
        async with httpx.AsyncClient(base_url=address) as client:
            heard = [0]
            streams = [await follow(client, "/v1/events", heard) for _ in range(20)]
        began = time.monotonic()
        process.kill(signal.SIGTERM)
        code = await process.ended()
        took = time.monotonic() - began
        for writer, task in streams:
            await task
            writer.close()

    assert code == 0
    assert took < 3
    assert process.faults == []
