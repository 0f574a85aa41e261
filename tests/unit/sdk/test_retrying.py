"""When a call is sent again, after what pause, and when it is given up: plans against answers that are written down."""

import json

import pytest

from offload.sdk import errors
from offload.sdk.calls import Calls
from offload.sdk.effects import Emit, Lost, Open, Pause, Read, Reply, Request, Send
from offload.sdk.retrying import RetryPolicy, follow_events, send_with_retries

LOST = Lost("ReadTimeout", was_sent=True)
REFUSED = Lost("ConnectError", was_sent=False)
OK = Reply(200, {}, b"{}")
STREAM = Reply(200, {"content-type": "text/event-stream; charset=utf-8"})
READ = Request("GET", "/x")
ONCE = Request("POST", "/x", is_repeatable=False)


class Clock:
    """A clock that pauses and held answers move on."""

    now = 100.0

    def __call__(self):
        return self.now


def policy(retries=5, clock=None):
    return RetryPolicy(retries, lambda: 1.0, clock or Clock())


def played(plan, *answers, clock=None):
    """Play a plan against answers: return what it sent, how long it paused each time, what it emitted, its value."""
    sent, paused, emitted, left, answer = [], [], [], list(answers), None
    try:
        while True:
            match plan.send(answer):
                case Send(request) | Open(request):
                    sent.append(request)
                    answer = left.pop(0)
                    if clock:
                        clock.now += request.hold
                case Read():
                    answer = left.pop(0)
                case Pause(seconds):
                    paused.append(seconds)
                    answer = None
                    if clock:
                        clock.now += seconds
                case Emit(item):
                    emitted.append(item)
                    answer = None
    except StopIteration as done:
        return sent, paused, emitted, done.value


def problem(status, slug="x", **headers):
    body = {"type": f"/problems/{slug}", "title": "t", "status": status, "detail": "d", "request_id": "r1"}
    return Reply(status, {"content-type": "application/problem+json", **headers}, json.dumps(body).encode())


def test_pauses_grow_and_follow_retry_after():
    """Each pause doubles; what `Retry-After` asks for comes on top."""
    away = problem(503, "redis-unavailable", **{"retry-after": "2"})
    _, paused, _, answer = played(send_with_retries(READ, policy()), LOST, REFUSED, away, Reply(502, {}), OK)

    assert paused == [0.25, 0.5, 2 + 1.0, 2.0]
    assert answer is OK


def test_a_call_is_given_up_after_its_retries():
    """With two retries it is sent three times, and the last answer is what is raised."""
    with pytest.raises(errors.TryLater) as raised:
        played(
            send_with_retries(READ, policy(retries=2)),
            LOST,
            LOST,
            problem(503, "redis-unavailable", **{"retry-after": "2"}),
        )

    assert (raised.value.status, raised.value.retry_after, raised.value.request_id) == (503, 2.0, "r1")
    assert raised.value.type == "/problems/redis-unavailable"


@pytest.mark.parametrize("answer", [LOST, Reply(503, {}), Reply(504, {})])
def test_what_may_have_happened_is_not_done_twice(answer):
    """A call that does more when it is made twice is not sent again once the service may have carried it out."""
    with pytest.raises(errors.TryLater):
        played(send_with_retries(ONCE, policy()), answer)


@pytest.mark.parametrize("answer", [REFUSED, Reply(429, {"retry-after": "1"})])
def test_what_cannot_have_happened_is_tried_again(answer):
    """Such a call is sent again where it never arrived, or was refused for coming too often."""
    sent, *_ = played(send_with_retries(ONCE, policy()), answer, OK)

    assert len(sent) == 2


def test_a_call_under_way_is_waited_for():
    """A key that is in use belongs to the first try of the same call, whose answer was lost."""
    sent, paused, *_ = played(
        send_with_retries(READ, policy()), LOST, problem(409, "idempotency-key-in-use", **{"retry-after": "1"}), OK
    )

    assert len(sent) == 3
    assert paused == [0.25, 1.5]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(400, "malformed-json"), errors.InvalidCall),
        (problem(401, "unauthorized"), errors.NotAllowed),
        (problem(403, "insufficient-scope"), errors.NotAllowed),
        (problem(404, "not-found"), errors.NotFound),
        (problem(404, "unknown-function"), errors.UnknownFunction),
        (problem(409, "conflict"), errors.Conflict),
        (problem(409, "job-failed"), errors.JobFailed),
        (problem(409, "not-finished"), errors.NotFinished),
        (problem(410, "result-expired"), errors.ResultExpired),
        (problem(413, "body-too-large"), errors.InvalidCall),
        (problem(422, "invalid-arguments"), errors.InvalidArguments),
        (problem(422, "invalid-batch"), errors.InvalidArguments),
        (problem(422, "invalid-parameters"), errors.InvalidCall),
        (problem(422, "idempotency-key-reused"), errors.KeyReused),
        (problem(500, "internal-error"), errors.ServiceFault),
        (Reply(302, {}), errors.ServiceFault),
        (Reply(404, {"content-type": "text/html"}, b"<html>"), errors.NotFound),
    ],
)
def test_a_problem_is_raised_at_once_as_what_a_caller_can_do(answer, kind):
    """What will be no different next time is not tried again; its class says what to do."""
    with pytest.raises(errors.OffloadAPIError) as raised:
        played(send_with_retries(READ, policy()), answer)

    assert type(raised.value) is kind


def test_a_service_that_asks_for_more_than_a_minute_is_not_waited_for():
    """A long `Retry-After` is raised, for the caller to come back."""
    with pytest.raises(errors.TooManyCalls) as raised:
        played(send_with_retries(READ, policy()), Reply(429, {"retry-after": "3600"}))

    assert raised.value.retry_after == 3600


def test_a_job_that_is_gone_when_forgetting_is_repeated_was_forgotten():
    """404 on a repeated DELETE means that the first one did it; on the first it is an error."""
    calls = Calls(policy())
    *_, value = played(calls.forget("a"), LOST, problem(404, "not-found"))

    assert value is None
    with pytest.raises(errors.NotFound):
        played(calls.forget("a"), problem(404, "not-found"))


def test_every_try_of_an_enqueue_has_the_same_key():
    """The service knows a repeated enqueue by its idempotency key; the next enqueue has another."""
    calls = Calls(policy())
    tries, *_ = played(calls.enqueue("f", {"a": 1}), LOST, LOST, OK)
    others, *_ = played(calls.enqueue("f", {"a": 1}), OK)

    assert len({request.headers["Idempotency-Key"] for request in tries}) == 1
    assert others[0].headers["Idempotency-Key"] != tries[0].headers["Idempotency-Key"]


def test_an_enqueue_that_is_never_repeated_needs_no_key():
    """With `retries=0` the service is spared the work of remembering the call, unless the caller gave a key."""
    calls = Calls(policy(retries=0))
    (without,), *_ = played(calls.enqueue("f"), OK)
    (given,), *_ = played(calls.enqueue("f", idempotency_key="mine"), OK)

    assert "Idempotency-Key" not in without.headers
    assert given.headers["Idempotency-Key"] == "mine"


def test_many_jobs_go_in_steps_with_keys_of_their_own():
    """2,500 jobs are three calls, which keep their order; each has its own key, made of the caller's."""
    calls = Calls(policy())
    answers = [Reply(202, {}, json.dumps({"items": [{"id": n}]}).encode()) for n in range(3)]
    sent, _, _, stored = played(calls.enqueue_many([{"function": "f"}] * 2500, idempotency_key="k"), *answers)

    assert [len(json.loads(request.content)["jobs"]) for request in sent] == [1000, 1000, 500]
    assert [request.headers["Idempotency-Key"] for request in sent] == ["k", "k-1", "k-2"]
    assert [job["id"] for job in stored] == [0, 1, 2]


def running(**more):
    return Reply(200, {}, json.dumps({"id": "j", "status": "running", **more}).encode())


def test_a_long_wait_is_asked_for_in_steps():
    """70 seconds are three calls of at most 30, and end in a TimeoutError that has the job."""
    clock = Clock()
    plan = Calls(policy(clock=clock)).wait("j", 70)
    with pytest.raises(TimeoutError, match="still running after 70 s") as raised:
        played(plan, *[running()] * 3, clock=clock)

    assert clock.now == 170
    assert isinstance(raised.value, errors.WaitTimeout)
    assert raised.value.job["status"] == "running"


def test_a_service_that_answers_early_is_not_asked_without_a_pause():
    """An answer long before its time, as from a service that stops, does not make a loop that turns at once."""
    calls = Calls(policy())
    _, paused, *_ = played(calls.wait("j"), running(), running(), running(status="dead"))

    assert paused == [0.25, 0.5]


def test_no_retry_goes_beyond_the_time_of_a_wait():
    """A wait that is almost over raises what it met instead of pausing for longer than the caller has."""
    with pytest.raises(errors.TryLater):
        played(Calls(policy()).wait("j", 1), Reply(503, {"retry-after": "2"}))


def event(event_id, name):
    return f'id: {event_id}\nevent: {name}\ndata: {{"n": "{event_id}"}}\n\n'.encode()


def test_a_stream_that_is_cut_goes_on_after_the_last_event():
    """However the connection ends, the next says which event was seen last, also one that was cut off half-way."""
    stream = follow_events(READ, policy(retries=1), "", frozenset({"dead"}))
    half = event("3", "progress")[:-1]
    sent, paused, emitted, _ = played(
        stream, STREAM, event("1", "queued") + event("2", "running") + half, LOST, STREAM, event("3", "progress"), None,
        STREAM, b": keep-alive\n\n", LOST, STREAM, event("4", "dead"),
    )  # fmt: skip

    assert [request.headers.get("Last-Event-ID") for request in sent] == [None, "2", "3", "3"]
    assert [(e.id, e.name, e.data) for e in emitted] == [
        (n, name, {"n": n}) for n, name in [("1", "queued"), ("2", "running"), ("3", "progress"), ("4", "dead")]
    ]
    assert paused == [0.25, 0.25, 0.25]


def test_a_stream_that_brings_nothing_is_given_up():
    """Connections that are cut before anything came count as failures in a row."""
    with pytest.raises(errors.Unreachable, match="cut off"):
        played(follow_events(READ, policy(retries=2), ""), STREAM, None, STREAM, None, STREAM, None)


def test_a_stream_that_has_nothing_more_to_say_ends():
    """204 says not to connect again."""
    sent, *_ = played(follow_events(READ, policy(), "9.end"), Reply(204, {}))

    assert sent[0].headers == {"Last-Event-ID": "9.end"}


def test_an_answer_that_is_not_json_is_a_fault():
    """A page of a proxy, or another service at the address, is said to be that."""
    with pytest.raises(errors.ServiceFault, match="not JSON"):
        played(Calls(policy()).get("j"), Reply(200, {}, b"<html>"))
    with pytest.raises(errors.ServiceFault, match="not a stream of events"):
        played(Calls(policy()).events("j"), Reply(200, {"content-type": "text/html"}))


def test_a_bulk_call_goes_on_until_none_is_left():
    """More than one call may change are changed in steps, and counted together; a dry run asks once."""
    steps = [{"matched": 10, "done": 9, "dry_run": False, "ids": ["a"], "more": more} for more in (True, True, False)]
    answers = [Reply(200, {}, json.dumps(step).encode()) for step in steps]
    calls = Calls(policy())
    sent, _, _, outcome = played(calls.retry_all(status="dead"), *answers)
    counted, *_ = played(calls.retry_all(status="dead", dry_run=True), answers[0])
    limited, *_ = played(calls.retry_all(status="dead", limit=5), answers[0])

    assert [len(sent), len(counted), len(limited)] == [3, 1, 1]
    assert (outcome["matched"], outcome["done"], outcome["more"]) == (30, 27, False)
    assert json.loads(limited[0].content) == {"filter": {"status": "dead"}, "dry_run": False, "limit": 5}
