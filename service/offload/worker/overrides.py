"""Applies overrides of where job functions run to the functions of one worker.

A worker reads them when it starts, at a message in its inbox, and with the answer to each heartbeat, so none is missed
and no job costs a round trip. Attempts that run already are left alone.
"""

import contextlib
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import structlog

from offload.domain.errors import NotMovable, Unavailable
from offload.domain.functions import JobFunction
from offload.domain.overrides import Override, with_override
from offload.store.connection.connection import RedisClient
from offload.store.fleet import overrides

log = structlog.get_logger(__name__)

Known = dict[str, JobFunction[Any, Any]]


class Overrides:
    """Keeps the dictionaries of functions that the parts of a worker read in line with the overrides."""

    def __init__(self, redis: RedisClient, known: Sequence[Known]) -> None:
        self._redis = redis
        self._known = known
        self._declared: Known = {name: function for functions in known for name, function in functions.items()}
        self._applied: Mapping[str, Override] = {}
        self._asked = self._answered = 0

    async def look(self) -> None:
        """Read the overrides from Redis and apply them; where it does not answer, the next heartbeat brings them."""
        with contextlib.suppress(Unavailable):
            await self.hear(overrides.everything(self._redis))

    async def hear(self, answer: Awaitable[Mapping[str, Override]]) -> None:
        """Await overrides and apply them, unless those of a later request have come first."""
        self._asked += 1
        number = self._asked
        current = await answer
        if number > self._answered:
            self._answered = number
            self._apply(current)

    def _apply(self, current: Mapping[str, Override]) -> None:
        """Move functions to where these say from their next start on, and all others to where their code says."""
        before, self._applied = self._applied, current
        for name in before.keys() | current.keys():
            if before.get(name) != current.get(name) and name in self._declared:
                self._move(self._declared[name], current.get(name))

    def _move(self, declared: JobFunction[Any, Any], override: Override | None) -> None:
        try:
            function = with_override(declared, override)
        except NotMovable as error:  # its code has changed since
            log.warning("override_ignored", function=declared.name, reason=str(error))
            function = declared
        else:
            by = override.by if override is not None else None
            log.info("function_moved", function=declared.name, runs_in=function.runs_in, by=by)
        for functions in self._known:
            if declared.name in functions:
                functions[declared.name] = function
