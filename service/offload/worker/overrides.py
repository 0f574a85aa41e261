"""Puts into force where job functions run by somebody's word: the only place that changes what a worker runs by name.

A worker learns of them as it starts, by a word in its inbox, and with the answer to each beat, so none is missed and no
job costs a round trip. What runs already is left alone.
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
    """Keeps the dictionaries of functions that the parts of a worker look into as the overrides say."""

    def __init__(self, redis: RedisClient, known: Sequence[Known]) -> None:
        self._redis = redis
        self._known = known
        self._declared: Known = {name: function for one in known for name, function in one.items()}
        self._now: Mapping[str, Override] = {}
        self._asked = self._heard = 0

    async def look(self) -> None:
        """Ask Redis, and put into force what it says; where it does not answer, the next beat tells."""
        with contextlib.suppress(Unavailable):
            await self.hear(overrides.everything(self._redis))

    async def hear(self, answer: Awaitable[Mapping[str, Override]]) -> None:
        """Await what Redis says, and put it into force; not over what was asked later and answered sooner."""
        self._asked += 1
        mine = self._asked
        found = await answer
        if mine > self._heard:
            self._heard = mine
            self._apply(found)

    def _apply(self, found: Mapping[str, Override]) -> None:
        """Run functions where these say from their next start on, and all others where their code says."""
        before, self._now = self._now, found
        for name in before.keys() | found.keys():
            if before.get(name) != found.get(name) and name in self._declared:
                self._move(self._declared[name], found.get(name))

    def _move(self, declared: JobFunction[Any, Any], override: Override | None) -> None:
        try:
            function = with_override(declared, override)
        except NotMovable as error:  # its code has changed since
            log.warning("override_ignored", function=declared.name, reason=str(error))
            function = declared
        else:
            by = override.by if override is not None else None
            log.info("function_moved", function=declared.name, runs_in=function.runs_in, by=by)
        for one in self._known:
            if declared.name in one:
                one[declared.name] = function
