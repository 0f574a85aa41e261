"""Repeats requests: decides which failures are retried, after which pause, and when to give up."""

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
LONGEST_PAUSE_S = 30.0  # a call does not wait longer than this for the service; the caller may
_UNAVAILABLE = frozenset({502, 503, 504})
_CUT = Lost("the stream of events was cut off", was_sent=True)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The maximum number of repetitions of a call, with the sources of randomness and time.

    A pause is the time of `Retry-After` plus, so that many callers do not return at one moment, a random share of
    `0.25 * 2 ** (failures - 1)` seconds, which is 8 seconds at most.
    """

    retries: int
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def pause(self, request: Request, answer: Reply | Lost, failures: int) -> float | None:
        """Return the seconds to wait before the request is sent again; None if it may not be sent again."""
        if failures > self.retries or not _may_repeat(request, answer):
            return None
        asked = (isinstance(answer, Reply) and errors.retry_after(answer)) or 0.0
        if asked > LONGEST_PAUSE_S:
            return None
        return asked + self.backoff(failures)

    def backoff(self, failures: int) -> float:
        """Return a random pause, which grows with the number of failures in a row."""
        return self.jitter() * min(BASE_S * 2.0 ** (failures - 1), LIMIT_S)


def send_with_retries(request: Request, policy: RetryPolicy, until: float = float("inf")) -> Plan[Reply]:
    """Send a request until it succeeds, but not after `until` on the clock. Raises OffloadAPIError."""
    failures = 0
    while True:
        answer: Reply | Lost = yield Send(request)
        if isinstance(answer, Reply) and (
            answer.status < 300 or (failures and answer.status in request.done_when_repeated)
        ):
            return answer
        failures += 1
        pause = policy.pause(request, answer, failures)
        if pause is None or policy.clock() + pause > until:
            raise _error(answer)
        yield Pause(pause)


def follow_events(
    request: Request, policy: RetryPolicy, last_id: str, until: frozenset[str] = frozenset()
) -> Stream[Event]:
    """Emit the events of a stream; where the connection breaks, open another and resume after the last event.

    Ends after an event named in `until`, or when the service answers that the stream is over (204). `retries` counts
    failures in a row, without data in between. Raises OffloadAPIError.
    """
    failures = 0
    while True:
        resuming = {"Last-Event-ID": last_id} if last_id else {}
        answer: Reply | Lost = yield Open(replace(request, headers=resuming))
        if isinstance(answer, Reply) and answer.status == 204:
            return
        if isinstance(answer, Reply) and answer.status == 200:
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise errors.unexpected_answer(answer, "a stream of events")
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
        pause = policy.pause(request, answer, failures)
        if pause is None:
            raise _error(answer)
        yield Pause(pause)


def _may_repeat(request: Request, answer: Reply | Lost) -> bool:
    match answer:
        case Lost(was_sent=was_sent):
            return request.is_repeatable or not was_sent
        case Reply(status=408 | 429):  # it was refused unread
            return True
        case Reply(status=status) if status in _UNAVAILABLE:
            return request.is_repeatable
        case _:
            return errors.is_key_in_use(answer)


def _error(answer: Reply | Lost) -> errors.OffloadAPIError:
    return errors.unreachable(answer) if isinstance(answer, Lost) else errors.problem(answer)
