"""What is advised for real calls that hold a real loop: each of the table is made, sampled, and read as advice."""

# ruff: noqa: ASYNC210, ASYNC221, ASYNC230, ASYNC251, PTH123 - it is what they warn of that is made here

import asyncio
import concurrent.futures
import hashlib
import json
import os
import pickle
import queue
import re
import select
import smtplib
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from contextlib import closing
from dataclasses import replace
from functools import partial
from time import sleep as doze
from types import SimpleNamespace

import httpx
import pytest
from PIL import Image
from redis import Redis

from offload.loopwatch.describe import record
from offload.loopwatch.step_clock import Scope, drive
from offload.loopwatch.watch import LoopWatch

HOLD_S = 0.15
THREAD = "await ctx.to_thread"
PROCESS = 'runs_in="process"'


@pytest.fixture(autouse=True)
def may_block(blocking):
    """These calls block on purpose."""
    blocking.deactivate()


@pytest.fixture(scope="module")
def silent():
    """The port of a listener that accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def locked(tmp_path):
    """A database that another connection writes to for as long as the test lasts."""
    path = tmp_path / "locked.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("create table t (x)")
    other.execute("begin exclusive")
    yield path
    other.close()


@pytest.fixture
def fifo(tmp_path):
    """A pipe that nobody writes to before it has been waited for."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def soon(act):
    """Do something when the loop has been held for long enough."""
    threading.Timer(HOLD_S, act).start()


def sized(work, make=lambda size: size, grow=lambda size: 2 * size, size=100_000):
    """Return what `make` makes of a size for which the work on it takes long enough on this machine."""
    made = make(size)
    while took(partial(work, made)) < 1.5 * HOLD_S:
        size = grow(size)
        made = make(size)
    return made


def took(work):
    """How many seconds of a processor it took, whatever else the machine does."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


async def sleeps():
    time.sleep(HOLD_S)


async def sleeps_by_another_name():
    doze(HOLD_S)


async def reads_a_url(silent):
    with pytest.raises(OSError, match="timed out"):
        urllib.request.urlopen(f"http://127.0.0.1:{silent}/", timeout=HOLD_S)


async def reads_over_lines(silent):
    with pytest.raises(OSError, match="timed out"):
        urllib.request.urlopen(
            f"http://127.0.0.1:{silent}/",
            timeout=HOLD_S,
        )


async def asks_with_httpx(silent):
    with pytest.raises(httpx.TimeoutException):
        httpx.get(f"http://127.0.0.1:{silent}/", timeout=HOLD_S, trust_env=False, verify=False)


async def sends_mail(silent):
    with pytest.raises(OSError, match="timed out"):
        smtplib.SMTP("127.0.0.1", silent, timeout=HOLD_S)


async def asks_redis(silent):
    client = Redis(port=silent, socket_timeout=HOLD_S, retry_on_timeout=False)
    with pytest.raises(Exception, match="imeout"):
        client.ping()
    client.close()


async def receives(silent):
    with socket.create_connection(("127.0.0.1", silent)) as conn:
        conn.settimeout(HOLD_S)
        with pytest.raises(TimeoutError):
            conn.recv(1)


async def selects():
    ends = os.pipe()
    select.select([ends[0]], [], [], HOLD_S)
    for end in ends:
        os.close(end)


async def queries_a_locked_database(locked):
    conn = sqlite3.connect(locked, timeout=HOLD_S)
    with pytest.raises(sqlite3.OperationalError):
        conn.execute("insert into t values (1)")
    conn.close()


async def computes_in_a_database():
    conn = sqlite3.connect(":memory:")
    conn.execute(QUERY.format(PLENTY.rows)).fetchall()
    conn.close()


async def runs_a_program():
    subprocess.run([sys.executable, "-c", f"import time; time.sleep({HOLD_S})"], check=True)


async def runs_a_shell():
    os.system(f"sleep {HOLD_S}")


async def opens_a_pipe(fifo):
    soon(lambda: fifo.write_text("x"))
    with open(fifo) as file:
        file.read()


async def reads_a_path(fifo):
    soon(lambda: fifo.write_text("x"))
    fifo.read_text()


async def waits_for_a_lock():
    lock = threading.Lock()
    lock.acquire()
    soon(lock.release)
    lock.acquire()


async def waits_with_a_lock():
    lock = threading.Lock()
    lock.acquire()
    soon(lock.release)
    with lock:
        pass


async def waits_for_an_event():
    done = threading.Event()
    done.wait(HOLD_S)


async def waits_for_a_queue():
    waiting = queue.Queue()
    with pytest.raises(queue.Empty):
        waiting.get(timeout=HOLD_S)


async def waits_for_a_future():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(time.sleep, HOLD_S)
        future.result()


async def hashes():
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", PLENTY.rounds)


async def compresses():
    zlib.compress(PLENTY.noise, 9)


async def resizes():
    image = Image.new("RGB", (2000, 2000))
    image.resize((PLENTY.side, PLENTY.side), Image.Resampling.LANCZOS)


async def serialises():
    json.dumps(PLENTY.numbers)


async def pickles():
    pickle.dumps(PLENTY.objects)


async def matches():
    re.match(r"(a+)+$", "a" * PLENTY.letters + "b")


async def counts():
    sum(n * n for n in range(PLENTY.count))


PLENTY = SimpleNamespace()
QUERY = "with recursive c(x) as (select 1 union all select x + 1 from c limit {}) select sum(x) from c"


@pytest.fixture(scope="module")
def plenty():
    """How much of each takes long enough on this machine."""
    with closing(sqlite3.connect(":memory:")) as conn:
        PLENTY.rows = sized(lambda n: conn.execute(QUERY.format(n)).fetchall())
    PLENTY.rounds = sized(lambda n: hashlib.pbkdf2_hmac("sha256", b"x", b"y", n))
    PLENTY.noise = sized(lambda noise: zlib.compress(noise, 9), os.urandom)
    PLENTY.numbers = sized(json.dumps, lambda n: list(range(n)))
    PLENTY.objects = sized(pickle.dumps, lambda n: [{"n": i} for i in range(n)])
    PLENTY.count = sized(lambda n: sum(i * i for i in range(n)))
    PLENTY.letters = sized(lambda n: re.match(r"(a+)+$", "a" * n + "b"), grow=lambda n: n + 1, size=18)
    image = Image.new("RGB", (2000, 2000))
    PLENTY.side = sized(lambda n: image.resize((n, n), Image.Resampling.LANCZOS), size=1000)


CASES = {
    sleeps: "use `await asyncio.sleep(…)`; or " + "`" + THREAD,
    sleeps_by_another_name: "use `await asyncio.sleep(…)`",
    reads_a_url: "use httpx.AsyncClient, or ctx.http; or",
    reads_over_lines: "use httpx.AsyncClient, or ctx.http; or",
    asks_with_httpx: "use httpx.AsyncClient, or ctx.http; or",
    sends_mail: "use aiosmtplib, or the job `mail.send`; or",
    asks_redis: "use redis.asyncio, or ctx.redis; or",
    receives: "use asyncio.open_connection; or",
    selects: "use the loop's own add_reader",
    queries_a_locked_database: "use aiosqlite; or",
    computes_in_a_database: "it gives up the GIL while it computes",
    runs_a_program: "use asyncio.create_subprocess_exec; or",
    runs_a_shell: "use asyncio.create_subprocess_shell; or",
    opens_a_pipe: "use aiofiles; or",
    reads_a_path: "use aiofiles; or",
    waits_for_a_lock: "use asyncio.Lock",
    waits_with_a_lock: "use asyncio.Lock",
    waits_for_an_event: "use asyncio.Lock, asyncio.Event",
    waits_for_a_queue: "use asyncio.Queue; or",
    waits_for_a_future: "use `await asyncio.wrap_future(…)`",
    hashes: "it gives up the GIL while it computes",
    compresses: "it gives up the GIL while it computes",
    resizes: "it gives up the GIL while it computes",
    serialises: "it computes while it holds the GIL, so a thread would not help",
    pickles: "it computes while it holds the GIL, so a thread would not help",
    matches: "it computes while it holds the GIL, so a thread would not help",
    counts: PROCESS,
}


async def held(call):
    """Hold a watched loop with a call, and return the record of it."""
    stalls, there = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def sink(stall):
        stalls.append(stall)
        loop.call_soon_threadsafe(there.set)

    watch = LoopWatch(loop, sink)
    await watch.start()
    try:
        scope = Scope("job", "1", "t.holds", call.cr_code.co_filename, call.cr_code.co_firstlineno)
        await drive(call, scope, watch.slot)
        async with asyncio.timeout(10):
            while not any(stall.scope is scope and stall.is_over for stall in stalls):
                there.clear()
                await there.wait()
    finally:
        await watch.stop()
    stall = next(stall for stall in stalls if stall.scope is scope and stall.is_over)
    return record(replace(stall, kind="step"), "worker", "w")


@pytest.mark.parametrize("call", CASES, ids=[case.__name__ for case in CASES])
async def test_a_call_that_holds_the_loop_gets_its_remedy(call, request, plenty):
    """With the name of the job function, the line and the call."""
    names = call.__code__.co_varnames[: call.__code__.co_argcount]
    given = [request.getfixturevalue(name) for name in names]
    found = await held(call(*given))

    assert CASES[call] in found["hint"], found
    assert f"in t.holds (loopwatch/test_hints.py:{found['line']}) held the loop" in found["hint"]
