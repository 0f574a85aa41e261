"""All that `make bench` measures, with the goals of the project."""

from benchmarks.figures import http, idling, latency, lists, producing, throughput
from benchmarks.table import Experiment, Figure, Goal

EXPERIMENTS = (
    Experiment(
        "noop",
        throughput.noop,
        (
            Figure("rate", "no-op jobs/s, one worker", Goal("ratio", "least", 10)),
            Figure("two", "no-op jobs/s, two workers", Goal("ratio", "least", 10)),
            Figure("two_to_one", "two workers to one (with two free cores)", Goal("ours", "least", 1.6)),
            Figure("worker_us", "CPU of the worker, µs a job"),
            Figure("redis_us", "CPU of Redis, µs a job"),
            Figure("commands", "Redis commands a job, run (inside scripts too)"),
            Figure("reads", "round trips a job, run", Goal("ours", "most", 0.15)),
        ),
    ),
    Experiment(
        "watch",
        throughput.watched,
        (
            Figure("rate", "no-op jobs/s, the loop watched and not", Goal("ratio", "least", 0.97), "unwatched"),
            Figure("worker_us", "CPU of the worker, µs a job, watched and not", None, "unwatched"),
        ),
        ("offload", "unwatched"),
    ),
    Experiment(
        "nap",
        throughput.nap,
        (Figure("share", "10 ms jobs, 100 slots: % of 10,000/s", Goal("ours", "least", 70)),),
    ),
    Experiment(
        "pickup",
        latency.pickup,
        (
            Figure("p50", "idle pickup, p50 ms", Goal("ours", "most", 2)),
            Figure("p99", "idle pickup, p99 ms", Goal("ours", "most", 10)),
            Figure("trip", "enqueue to result, p50 ms", Goal("ours", "most", 4)),
        ),
    ),
    Experiment(
        "deferred",
        latency.deferred,
        (
            Figure("p50", "deferred: start after due, p50 ms", Goal("ours", "most", 2)),
            Figure("p99", "deferred: start after due, p99 ms", Goal("ours", "most", 10)),
        ),
    ),
    Experiment(
        "enqueue",
        producing.enqueue,
        (
            Figure("single", "enqueue/s, one by one", Goal("ratio", "least", 2)),
            Figure("together", "enqueue/s, 50 callers", Goal("ratio", "least", 4)),
            Figure("bulk", "enqueue/s, bulk (arq: 50 callers)", Goal("ratio", "least", 10)),
            Figure("reads", "round trips a job, 50 callers", Goal("ours", "most", 0.05)),
            Figure("commands", "Redis commands a job, enqueue (inside scripts too)"),
            Figure("redis_us", "CPU of Redis, µs an enqueue"),
        ),
    ),
    Experiment(
        "http",
        http.http,
        (
            Figure("rate", "POST /v1/functions/{name}/jobs, /s", Goal("ratio", "least", 2)),
            Figure("rate", "the same to an empty POST", Goal("ratio", "least", 0.8), "empty"),
            Figure("p99", "the same, p99 ms", Goal("ratio", "most", 1)),
            Figure("batch", "POST /v1/jobs with 1,000, jobs/s", None, None),
            Figure("batch_to_single", "the same to single POST, jobs/s", Goal("ours", "least", 8), None),
            Figure("get", "GET /v1/jobs/{id}, /s, to an empty GET", Goal("ratio", "least", 0.7), "empty"),
            Figure("errors", "answers not 2xx", Goal("ours", "most", 0)),
        ),
        ("offload", "arq", "empty"),
    ),
    Experiment(
        "livez",
        http.livez,
        (
            Figure("idle", "GET /livez, idle, p99 ms", None, None),
            Figure("busy", "the same, CPU-bound jobs and 500 enqueues/s, p99 ms", None, None),
            Figure("busy_to_idle", "the same to idle", Goal("ours", "most", 2), None),
            Figure("errors", "answers not 2xx", Goal("ours", "most", 0), None),
        ),
        ("offload",),
    ),
    Experiment(
        "lists",
        lists.lists,
        (
            *(
                Figure(f"{name} p99", f"GET /v1/jobs by {name}, p99 ms", Goal("ours", "most", 50), None)
                for name in lists.COMBINATIONS
            ),
            Figure("worst p50", "the slowest of these, p50 ms", None, None),
            Figure("dry run", "POST /v1/jobs:retry, dry run by function and error, ms", None, None),
            Figure("retry", "the same, 10,000 dead jobs put back, ms", None, None),
            Figure("bytes", "memory of Redis, bytes a job", None, None),
        ),
        ("offload",),
    ),
    Experiment(
        "start",
        latency.start,
        (Figure("seconds", "worker start to first job, s", Goal("ours", "most", 1.5)),),
    ),
    Experiment(
        "idle",
        idling.idle,
        (
            Figure("cpu", "idle CPU, worker with guardian, % of a core", Goal("ours", "most", 0.8)),
            Figure("pss", "idle PSS, worker with guardian, MiB", Goal("ours", "most", 90)),
        ),
    ),
    Experiment(
        "backlog",
        throughput.backlog,
        (
            Figure("ratio", "throughput, long queue to 10,000", Goal("ours", "least", 0.9)),
            Figure("rss_grows", "worker RSS, long queue less short, MiB", Goal("ours", "most", 2)),
        ),
    ),
    Experiment(
        "crowd",
        idling.crowd,
        (
            Figure("many", "commands a job, 100 idle workers"),
            Figure("growth", "the same to 20 idle workers", Goal("ours", "most", 1.2)),
        ),
    ),
)
