"""Asks until there is an answer: which failures are tried again, after what pause, and when to give up."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from offload.sdk import errors
from offload.sdk.effects import Emit, Lost, Open, Pause, Plan, Read, Reply, Request, Send, Stream
from offload.sdk.events import Event
from offload.sdk.sse import Decoder

BASE_S = 0.25
LIMIT_S = 8.0
LONGEST_PAUSE_S = 30.0  # a service that asks for more than this is one to come back to, not to wait for
_AWAY = frozenset({502, 503, 504})
_CUT = Lost("the stream of events was cut off", was_sent=True)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is repeated, at most, and where chance and time come from.

    A pause is what `Retry-After` asks for and, so that many callers do not come back in one moment, a random share of
    `0.25 * 2 ** (failures - 1)` seconds, at most of 8.
    """

    retries: int
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def pause(self, request: Request, answer: Reply | Lost, failures: int) -> float | None:
        """Return how long to wait before the request is sent again; None where that would be wrong, or too often."""
        if failures > self.retries or not _may_repeat(request, answer):
            return None
        asked = (isinstance(answer, Reply) and errors.retry_after(answer)) or 0.0
        if asked > LONGEST_PAUSE_S:
            return None
        return asked + self.backoff(failures)

    def backoff(self, failures: int) -> float:
        """Return a random pause, longer the more failures there were in a row."""
        return self.jitter() * min(BASE_S * 2.0 ** (failures - 1), LIMIT_S)


def ask(request: Request, patience: RetryPolicy, until: float = float("inf")) -> Plan[Reply]:
    """Send a request until it succeeds, but not after `until` on the clock. Raises OffloadAPIError."""
    failures = 0
    while True:
        answer: Reply | Lost = yield Send(request)
        if isinstance(answer, Reply) and (
            answer.status < 300 or (failures and answer.status in request.done_when_repeated)
        ):
            return answer
        failures += 1
        pause = patience.pause(request, answer, failures)
        if pause is None or patience.clock() + pause > until:
            raise _error(answer)
        yield Pause(pause)


def listen(request: Request, patience: RetryPolicy, last_id: str, until: frozenset[str] = frozenset()) -> Stream[Event]:
    """Emit the events of a stream; where the connection is cut, open another and go on after the last one emitted.

    Ends after an event named in `until`, or when the service says that nothing more will come (204). A stream that
    brought something may be cut as often as it likes; `retries` counts failures in a row. Raises OffloadAPIError.
    """
    failures = 0
    while True:
        resuming = {"Last-Event-ID": last_id} if last_id else {}
        answer: Reply | Lost = yield Open(replace(request, headers=resuming))
        if isinstance(answer, Reply) and answer.status == 204:
            return
        if isinstance(answer, Reply) and answer.status == 200:
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise errors.stranger(answer, "a stream of events")
            decoder = Decoder(last_id)
            while isinstance(chunk := (yield Read()), bytes):
                failures = 0
                for message in decoder.feed(chunk):
                    yield Emit(Event(message.id, message.event, json.loads(message.data)))
                    if message.event in until:
                        return
                last_id = decoder.last_id
            answer = _CUT
        failures += 1
        pause = patience.pause(request, answer, failures)
        if pause is None:
            raise _error(answer)
        yield Pause(pause)


def _may_repeat(request: Request, answer: Reply | Lost) -> bool:
    match answer:
        case Lost(was_sent=was_sent):
            return request.is_repeatable or not was_sent
        case Reply(status=408 | 429):  # it was not looked at
            return True
        case Reply(status=status) if status in _AWAY:
            return request.is_repeatable
        case _:
            return errors.is_in_use(answer)


def _error(answer: Reply | Lost) -> errors.OffloadAPIError:
    return errors.unreachable(answer) if isinstance(answer, Lost) else errors.problem(answer)
