"""The metrics of this process, and of the fleet as Redis has it at the moment of a scrape, in Prometheus' text format.

Names and labels never change. A label comes from a list of ours (routes, statuses, queues, functions), never from what
a caller sent, so that nobody can make series without end.
"""

from collections.abc import Iterator
from http import HTTPMethod

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from offload.api.metrics import executors, loops
from offload.api.metrics.loops import OwnLoop
from offload.domain.records import FleetMetrics, QueueState
from offload.loopwatch.watch import WatchedLoop

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_METHODS = frozenset(HTTPMethod)


class Metrics:
    """The instruments of one process, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Histogram(
            "offload_http_request_duration_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._usage = Counter(
            "offload_http_calls", "Calls that were answered, by API key.", ("key", "route"), registry=self._registry
        )
        self._failures = Counter(
            "offload_background_failures", "Work after an answer that failed.", ("task",), registry=self._registry
        )
        self._fleet = _Fleet()
        self._registry.register(self._fleet)
        self._own = OwnLoop()
        self._registry.register(self._own)
        self._callers: dict[tuple[str, str], Counter] = {}
        self._known: dict[tuple[str, str, int], Histogram] = {}

    def request(self, method: str, route: str, status: int, seconds: float, key: str) -> None:
        """Count a request, and the usage of its key where it was answered; `route` is the template, `-` for none.

        Called when the answer is out. A background task of FastAPI's would cost a request 70 µs for these two.
        """
        labels = method if method in _METHODS else "other", route, status
        series = self._known.get(labels)
        if series is None:
            series = self._known[labels] = self._requests.labels(*labels)
        series.observe(seconds)
        if status < 400 and route.startswith("/v1/"):
            calls = self._callers.get((key, route))
            if calls is None:
                calls = self._callers[key, route] = self._usage.labels(key, route)
            calls.inc()

    def watches(self, loop: WatchedLoop) -> None:
        """Show how this process's loop is doing."""
        self._own.loop = loop

    def background_failed(self, task: str) -> None:
        """Count work after an answer that failed."""
        self._failures.labels(task).inc()

    def render(self, fleet_metrics: FleetMetrics | None, at_ms: int) -> bytes:
        """Return the text of a scrape; `fleet_metrics` is None if Redis is unavailable."""
        self._fleet.fleet_metrics, self._fleet.at_ms = fleet_metrics, at_ms
        return generate_latest(self._registry)


class _Fleet(Collector):
    """Turns the figures of the fleet at one scrape into metrics."""

    def __init__(self) -> None:
        self.fleet_metrics: FleetMetrics | None = None
        self.at_ms = 0

    def collect(self) -> Iterator[Metric]:
        """Yield the fleet's metrics; only `offload_redis_up 0` if Redis is unavailable."""
        yield GaugeMetricFamily(
            "offload_redis_up", "Whether Redis answered this scrape.", int(self.fleet_metrics is not None)
        )
        if self.fleet_metrics is None:
            return
        yield _gauge("offload_jobs", "Kept jobs.", "status", self.fleet_metrics.statuses.items())
        for name, about, value in _QUEUE:
            yield _gauge(name, about, "queue", ((q.name, value(q, self.at_ms)) for q in self.fleet_metrics.queues))
        ended = CounterMetricFamily(
            "offload_attempts_ended", "Attempts that ended, since Redis is there.", labels=("function", "ending")
        )
        for (ending, function), n in self.fleet_metrics.endings.items():
            ended.add_metric((function, ending), n)
        yield ended
        ran = CounterMetricFamily("offload_run_seconds", "Time that attempts ran that succeeded.", labels=("function",))
        for function, ran_ms in self.fleet_metrics.ran_ms.items():
            ran.add_metric((function,), ran_ms / 1000)
        yield ran
        over = CounterMetricFamily(
            "offload_loop_over_budget",
            "Steps that held an event loop for longer than their budget.",
            labels=("function",),
        )
        for function, steps in self.fleet_metrics.over_budget.items():
            over.add_metric((function,), steps)
        yield over
        yield GaugeMetricFamily("offload_workers", "Live workers.", self.fleet_metrics.workers)
        yield GaugeMetricFamily("offload_worker_slots", "Jobs that they can run at once.", self.fleet_metrics.slots)
        yield GaugeMetricFamily("offload_worker_running", "Jobs that they run.", self.fleet_metrics.running)
        yield from loops.of_fleet(self.fleet_metrics)
        yield from executors.of_fleet(self.fleet_metrics)


def _age_s(queue: QueueState, at_ms: int) -> float:
    return max(0, at_ms - queue.oldest_ms) / 1000 if queue.oldest_ms else 0.0


_QUEUE = (
    ("offload_queue_depth", "Jobs that are due.", lambda q, _: q.queued),
    ("offload_queue_deferred", "Jobs that are not due yet.", lambda q, _: q.deferred),
    ("offload_queue_running", "Jobs that run.", lambda q, _: q.running),
    ("offload_queue_oldest_seconds", "For how long the oldest due job has waited.", _age_s),
    ("offload_queue_paused", "Whether it is paused.", lambda q, _: int(q.paused)),
)


def _gauge(name: str, about: str, label: str, values: object) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=(label,))
    for of, value in values:  # type: ignore[attr-defined]
        family.add_metric((of,), value)
    return family
