"""`offload stalls` on a real Redis."""

import os
import queue
import subprocess
import sys
import threading
from contextlib import contextmanager

import orjson
import pytest

from offload.store.connection.blocking import connect, portable
from offload.store.connection.connection import settings_of
from offload.store.fleet.stalls import StallWriter
from support.server import restartable
from support.stalls import stall

GC = {"kind": "gc", "function": None, "job_id": None, "file": None, "line": None, "call": None, "code": None}


@pytest.fixture
def writer(on_redis, redis_server):
    """Where the reporter of a worker puts records."""
    made = StallWriter(lambda: connect(portable(settings_of(redis_server.url))), "w1")
    yield made
    made.close()


def test_stalls_are_listed_with_line_call_and_what_to_do(on_redis, writer):
    """Newest first, one line each; below, what to do instead, once for each cause."""
    assert on_redis("stalls").out == "no stalls\n"

    writer.keep(stall(held_ms=3020))
    writer.keep(stall(held_ms=250, job_id="j2"))
    writer.keep(stall(**GC, hint="Python collected garbage"))
    said = on_redis("stalls")
    head, first, second, third, _, *hints = said.out.splitlines()

    assert head.split() == ["ended", "duration", "kind", "source", "line", "call"]
    assert first.split()[1:] == ["300", "ms", "gc", "(worker)", "?"]
    assert second.split()[1:4] == ["250", "ms", "step"]
    assert third.split()[1:] == ["3.02", "s", "step", "fetch.page", "jobs/fetch.py:41", "requests.get(url)"]
    assert hints == [stall()["hint"], "Python collected garbage"]
    assert (said.code, said.err) == (0, "")


def test_the_options_choose(on_redis, writer):
    """As the filters of GET /v1/stalls; a window may be said by how long ago."""
    for one in (stall(), stall(kind="callback", worker="w2", job_id="j2"), stall(**GC)):
        writer.keep(one)

    def kinds(*words):
        return [one["kind"] for one in on_redis("stalls", "--json", *words).json["items"]]

    assert kinds() == ["gc", "callback", "step"]
    assert kinds("--kind", "gc") == ["gc"]
    assert kinds("--function", "fetch.page", "--worker", "w2") == ["callback"]
    assert kinds("--job", "j1") == kinds("--fingerprint", stall()["fingerprint"]) == ["step"]
    assert kinds("--route", "GET /x") == []
    assert kinds("--since", "1h") == ["gc", "callback", "step"]
    assert kinds("--before", "2020-01-01T00:00:00Z") == []
    assert on_redis("stalls", "--since", "2100-01-01T00:00:00Z").out == "no stalls match\n"


def test_pages_go_on_where_one_ended(on_redis, writer):
    """A page names the next one."""
    for line in range(3):
        writer.keep(stall(line=line))
    first = on_redis("stalls", "--json", "--limit", "2").json
    rest = on_redis("stalls", "--json", "--cursor", first["next"]).json

    assert [one["line"] for one in (*first["items"], *rest["items"])] == [2, 1, 0]
    assert "more: --cursor" in on_redis("stalls", "--limit", "2").out


def test_what_lasts_stands_first(on_redis, writer):
    """It has no end yet."""
    writer.blocked(stall(held_ms=4000), is_news=True)
    said = on_redis("stalls")

    assert said.out.splitlines()[1].startswith("ongoing  ")
    assert [one["job_id"] for one in on_redis("stalls", "--json").json["ongoing"]] == ["j1"]


def test_causes_are_listed_worst_first(on_redis, writer):
    """How often, how long in all and at most, where, and what to do instead."""
    for ms in (300, 900):
        writer.keep(stall(held_ms=ms))
    writer.keep(stall(file="/app/jobs/other.py", held_ms=5000))
    first, _, second, hint = on_redis("stalls", "--groups").out.splitlines()
    groups = on_redis("stalls", "--groups", "--json").json["items"]

    assert first.startswith("5 s in 1 stall, longest 5 s  step  fetch.page  jobs/other.py:41  requests.get(url)  last ")
    assert second.startswith("1.2 s in 2 stalls, longest 900 ms  ")
    assert hint.strip() == stall()["hint"]
    assert [(one["count"], one["held_ms"]) for one in groups] == [(1, 5000), (2, 1200)]


def test_a_build_fails_where_somebody_is_to_blame(on_redis, writer):
    """A step or callback that fits makes the exit code 1, and stderr names it; the machine's doing does not."""
    for kind in ("gc", "starved", "saturated", "gil-other-thread", "startup"):
        writer.keep(stall(kind=kind))
    innocent = on_redis("stalls", "--fail-on-stall", "--since", "1h")
    writer.keep(stall(held_ms=3020))
    writer.keep(stall(held_ms=200))
    for _ in range(3):
        writer.keep(stall(kind="gc"))
    guilty = on_redis("stalls", "--fail-on-stall", "--limit", "1", "--json")
    others = on_redis("stalls", "--fail-on-stall", "--function", "mail.send")

    assert (innocent.code, innocent.err, others.code) == (0, "", 0)
    assert (guilty.code, len(guilty.json["items"])) == (1, 1)
    assert guilty.err.splitlines() == [
        "error: 2 stalls of an event loop",
        f"  fetch.page at jobs/fetch.py:41: 3.02 s, 2 times: {stall()['hint']}",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["--since", "soon"],
        ["--fingerprint", "x"],
        ["--groups", "--function", "a"],
        ["--groups", "--follow"],
        ["--follow", "--since", "1h"],
        ["--kind", "slow"],
    ],
)
def test_what_makes_no_sense_is_refused(on_redis, words):
    """With exit code 2, and one line that says why."""
    said = on_redis("stalls", *words)

    assert said.code == 2
    assert len(said.err.splitlines()) == 1


class Following:
    """`offload stalls --follow` as a process; its lines come as they are printed."""

    def __init__(self, process):
        self.process = process
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def until(self, again):
        """Repeat an action until a line is printed; return the line."""
        while True:
            again()
            try:
                return self.lines.get(timeout=0.2)
            except queue.Empty:
                assert self.process.poll() is None, self.process.stderr.read()

    def next(self):
        return self.lines.get(timeout=20)


@contextmanager
def following(*words, **settings):
    command = [sys.executable, "-P", "-m", "offload", "stalls", "--follow", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **settings}
    ) as process:
        try:
            yield Following(process)
        finally:
            process.kill()


def test_what_happens_is_told_while_it_happens(writer):
    """That a loop is blocked, and that it was; what to do instead once for each cause."""
    with following("--function", "fetch.page") as said:
        first = said.until(lambda: writer.blocked(stall(held_ms=1000), is_news=True))
        writer.keep(stall(function="mail.send"))
        writer.keep(stall(held_ms=3020, file="/app/jobs/last.py"))
        while "blocked" in (line := said.next()):
            pass
        hint = said.next()

    assert first.split()[1:] == ["blocked", "1", "s", "step", "fetch.page", "jobs/fetch.py:41", "requests.get(url)"]
    assert line.split()[1:] == ["stalled", "3.02", "s", "step", "fetch.page", "jobs/last.py:41", "requests.get(url)"]
    assert hint.strip() == stall()["hint"]


def test_a_program_follows_by_lines_of_json_until_somebody_is_to_blame(writer):
    """With --fail-on-stall it ends with 1 at the first step or callback."""
    with following("--json", "--fail-on-stall") as said:
        first = orjson.loads(said.until(lambda: writer.keep(stall(kind="gc"))))
        writer.keep(stall())
        while orjson.loads(line := said.next())["kind"] == "gc":
            pass
        code, complaint = said.process.wait(20), said.process.stderr.read()

    assert (first["event"], first["kind"], first["at"][-1]) == ("stalled", "gc", "Z")
    assert (orjson.loads(line)["job_id"], code) == ("j1", 1)
    assert "fetch.page at jobs/fetch.py:41" in complaint


def test_following_outlives_an_outage_of_redis(offload):
    """Stalls after the outage are printed as those before."""
    with restartable() as server, following(OFFLOAD_REDIS_URL=server.url) as said:
        writer = StallWriter(lambda: connect(portable(settings_of(server.url))), "w1")
        first = said.until(lambda: writer.keep(stall(line=1)))
        server.kill()
        server.start()
        writer.keep(stall(line=2))
        writer.close()
        while "fetch.py:2" not in (line := said.next()):
            pass

    assert "fetch.py:1" in first
    assert line.split()[1] == "stalled"
