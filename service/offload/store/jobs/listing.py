"""Walks of the lists of jobs: the jobs that match a filter, newest first, a bounded piece at a time.

Each piece is one call of list.lua, which looks at a few thousand candidates of the smallest list. Where lists hold many
jobs but share few, a walk ends when its time is up, with the jobs found so far and a cursor to continue from.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from offload.domain.errors import InvalidOptions
from offload.domain.filters import Filter
from offload.domain.states import Status
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis

CANDIDATES = 2000
"""The most candidates of one call: about two milliseconds of Redis for each list besides the first."""
_OF_EACH_STATUS = [str(status) for status in Status]
"""The lists that hold all jobs, each job in one of them."""
_MOVED_BY_TIME = (Status.DEFERRED, Status.QUEUED, Status.RETRYING)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a walk: behind a job, by the time of its enqueue and its id, even if that job is gone."""

    score: str = ""
    job_id: str = ""

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """Read the `next` of a page; raises InvalidOptions."""
        if not text:
            return cls()
        score, found, job_id = text.partition("~")
        if not found or not (score.isascii() and score.isdigit()) or len(score) > 15:
            msg = f"{text!r} is not a cursor; pass the `next` of a page unchanged"
            raise InvalidOptions(msg)
        return cls(score, job_id)

    def __str__(self) -> str:
        return f"{self.score}~{self.job_id}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some ids of a walk, newest first; `following` is the position to continue from, None at its end."""

    ids: tuple[str, ...]
    following: Cursor | None


def lists(which: Filter) -> list[str]:
    """Return the lists that a job must be in, as the scripts name them; none if all jobs are wanted."""
    named = (
        (keys.JOBS, which.status),
        (keys.OF_FUNCTION, which.function),
        (keys.OF_QUEUE, which.queue),
        (keys.WITH_TAG, which.tag),
        (keys.WITH_ERROR, which.error),
    )
    return [(prefix + value).removeprefix(keys.JOBS) for prefix, value in named if value is not None]


async def pieces(
    redis: RedisClient, which: Filter, limit: int, cursor: Cursor, *, seconds: float
) -> AsyncIterator[Piece]:
    """Yield matching ids, up to `limit`, some at a time, for `seconds` at most; the last piece has the cursor."""
    loop = asyncio.get_running_loop()
    now, longest, names = loop.time(), 0.0, lists(which)
    ends = now + seconds
    after, before = _or("-inf", which.enqueued_after_ms), _or("+inf", which.enqueued_before_ms)
    walked, is_union = (names, 0) if names else (_OF_EACH_STATUS, 1)
    moves = int(which.status in _MOVED_BY_TIME)
    left, following = limit, cursor
    while True:
        answer = await scripts.run(
            redis,
            "list",
            *walked,
            limit=left,
            candidates=CANDIDATES,
            promotes=moves,
            after=after,
            before=before,
            score=following.score,
            job_id=following.job_id,
            is_union=is_union,
        )
        ids = tuple(one.decode() for one in answer[0])
        following, moves, left = Cursor(answer[1].decode(), answer[2].decode()), 0, left - len(ids)
        last, now = now, loop.time()
        longest = max(longest, now - last)
        yield Piece(ids, following if answer[3] else None)
        if not answer[3] or left <= 0 or now + longest >= ends:  # another piece may take as long again
            return


async def walk(redis: RedisClient, which: Filter, limit: int, cursor: Cursor, *, seconds: float) -> Piece:
    """Return matching ids, up to `limit`, or those that are found within `seconds`."""
    ids: list[str] = []
    following: Cursor | None = None
    async for piece in pieces(redis, which, limit, cursor, seconds=seconds):
        ids += piece.ids
        following = piece.following
    return Piece(tuple(ids), following)


async def count(redis: RedisClient, which: Filter, *, seconds: float) -> tuple[int, tuple[str, ...], bool]:
    """Count matching jobs for `seconds` at most: `(count, the first ids, True if that is all)`."""
    if len(names := lists(which)) <= 1:
        window = _or("-inf", which.enqueued_after_ms), f"({_or('+inf', which.enqueued_before_ms)}"
        with reaching_redis():
            pipe = redis.pipeline(transaction=False)
            for name in names or _OF_EACH_STATUS:
                pipe.zcount(keys.JOBS + name, *window)
            found = sum(await pipe.execute())
        first = await walk(redis, which, 100, Cursor(), seconds=seconds)
        return found, first.ids, True
    n, ids, is_all = 0, (), False  # type: int, tuple[str, ...], bool
    async for piece in pieces(redis, which, 1 << 53, Cursor(), seconds=seconds):
        n, ids, is_all = n + len(piece.ids), (ids + piece.ids)[:100], piece.following is None
    return n, ids, is_all


async def sweep(redis: RedisClient, which: Filter, ids: Sequence[str]) -> None:
    """Remove ids without a record from the lists in which they were found."""
    names = lists(which) or _OF_EACH_STATUS
    await scripts.run(redis, "sweep", *names, *ids, list_count=len(names))


def _or(otherwise: str, at_ms: int | None) -> str:
    return otherwise if at_ms is None else str(at_ms)
