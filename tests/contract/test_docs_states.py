"""docs/states.md against the table of moves and against the scripts that make them."""

import re
from pathlib import Path
from typing import Any

from offload.domain.states import MOVES, TERMINAL, Status
from offload.store.connection import scripts
from offload.store.connection.script_arguments import NAMED
from offload.store.jobs.enqueue import NewJob
from offload.store.jobs.leases import AttemptEnd

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
NEW = "(new)"


def table(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without code marks."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]


ROWS = table("Transitions")
DOCUMENTED = {(row[0], row[1]) for row in ROWS if row[0] != NEW}


def test_the_page_names_every_state_and_which_of_them_end():
    """The list of states is that of the code, with the terminal ones marked."""
    named = {row[0]: row[2] == "yes" for row in table("The states")}

    assert named == {status.value: status in TERMINAL for status in Status}


def test_every_documented_move_may_exist():
    """Each line of the table is a move that MOVES allows."""
    allowed = {(a.value, b.value) for a, targets in MOVES.items() for b in targets}

    assert allowed >= DOCUMENTED


def test_every_move_that_is_made_is_documented():
    """MOVES holds nothing that the page does not tell."""
    allowed = {(a.value, b.value) for a, targets in MOVES.items() for b in targets}

    assert allowed <= DOCUMENTED


def test_the_diagram_shows_the_moves_that_a_reader_sees():
    """The diagram has every move of the table but those that skip `queued`, which a reader never sees."""
    drawn = set(re.findall(r"^ {4}(\w+) --> (\w+)", PAGE, re.MULTILINE))
    unseen = {("deferred", "running"), ("retrying", "running")}

    assert drawn == DOCUMENTED - unseen


class Ledger:
    """Runs scripts one by one at times of its own, and writes down which moved a job from where to where."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self.now = 1_800_000_000_000
        self.claims = 0
        self.ids: set[str] = set()
        self.moves: set[tuple[str, str, str]] = set()

    async def run(self, script: str, *args: scripts.Arg, later_ms: int = 0) -> Any:
        """Run a script and note every job whose state it changed."""
        self.now += later_ms
        before = {i: await self.status(i) for i in self.ids}
        names = NAMED[script][1:]
        named = dict(zip(names, args, strict=False))
        answer = await scripts.run(self.redis, script, *args[len(names) :], now=self.now, **named)
        for job_id, old in before.items():
            if (new := await self.status(job_id)) != old:
                self.moves.add((script, old, new))
        return answer

    async def status(self, job_id: str) -> str:
        """The stored state of a job, `(new)` where there is none."""
        found = await self.redis.hget(f"offload:job:{job_id}", "status")
        return found.decode() if found else NEW

    async def put(self, job_id: str, delay_ms: int = 0, **fields: int) -> str:
        """Enqueue."""
        self.ids.add(job_id)
        due_ms = self.now + delay_ms if delay_ms else 0
        await self.run("enqueue", *NewJob(job_id, "default", due_ms, b"{}", {"function": "f", **fields}).argv())
        return job_id

    async def claim(self, later_ms: int = 0) -> None:
        """Claim whatever is due."""
        self.claims += 1
        await self.run("claim", "w", self.claims, 10_000, 100, 60_000, 5_000, "default", 100, later_ms=later_ms)

    async def running(self, job_id: str, **fields: int) -> str:
        """Enqueue and claim."""
        await self.put(job_id, **fields)
        await self.claim()
        return job_id

    async def finish(self, job_id: str, verb: str, due_ms: int = 0) -> str:
        """Record an ending by the claim that holds the job."""
        token = (await self.redis.get(f"arq:in-progress:{job_id}")).decode()
        ending = AttemptEnd(job_id, token, verb, "f", record_ttl_ms=60_000, due_ms=due_ms)
        await self.run("finish", "w", *ending.argv())
        return job_id

    async def retrying(self, job_id: str) -> str:
        """Enqueue, claim, and let the attempt fail with a second to wait."""
        return await self.finish(await self.running(job_id), "retry", self.now + 1000)

    async def abort(self, job_id: str) -> str:
        """Abort."""
        await self.run("abort", 60_000, 60_000, 1, "default", job_id, "", "f")
        return job_id

    async def replay(self, job_id: str) -> None:
        """Put back by hand."""
        await self.run("replay", job_id)

    async def look(self, later_ms: int = 0) -> None:
        """List jobs."""
        await self.run("list", 100, 100, 1, "-inf", "+inf", "", "", 1, "queued", later_ms=later_ms)


async def test_scripts_make_the_documented_moves_and_no_other(redis):
    """Each script, run on jobs in every state that it meets, makes exactly the moves that the table tells of it."""
    ledger = Ledger(redis)
    for job_id in ("a", "b", "c"):
        await ledger.put(job_id, delay_ms=1000)
    await ledger.look(later_ms=2000)  # deferred, its time has come
    await ledger.put("d", delay_ms=1000)
    await ledger.claim(later_ms=2000)
    await ledger.replay(await ledger.put("e", delay_ms=1000))
    await ledger.replay(await ledger.abort(await ledger.put("f", delay_ms=1000)))
    await ledger.abort(await ledger.put("g"))
    for verb in ("succeeded", "dead", "aborted", "requeued"):
        await ledger.finish(await ledger.running(f"ends-{verb}"), verb)
    await ledger.replay("ends-dead")
    for job_id in ("r1", "r2", "r3", "r4"):
        await ledger.retrying(job_id)
    await ledger.replay("r1")
    await ledger.abort("r2")
    await ledger.look(later_ms=2000)
    await ledger.retrying("r5")
    await ledger.claim(later_ms=2000)
    await redis.delete("arq:in-progress:" + await ledger.running("lost"))
    await ledger.abort("lost")
    await ledger.running("given-back")
    await ledger.running("last-try", max_tries=1)
    await ledger.run("release", "w", 5, 60_000, '{"error": {}}', "")
    ledger.ids |= {"stock", "tick:1"}
    await redis.set("arq:job:stock", b"{}", px=60_000)
    await redis.zadd("arq:queue", {"stock": ledger.now})
    await ledger.claim()
    for _ in range(2):  # the first call notes the schedule, the second fires
        await ledger.run("tick", "s", ledger.now, ledger.now + 1000, "tick:1", "default", b"{}", "function", "f")
    await redis.flushall()

    assert ledger.moves == {(script, row[0], row[1]) for row in ROWS for script in row[2].split(", ")}
