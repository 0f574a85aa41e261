"""The metrics of this process, and of the fleet at the moment of a scrape, in the text format of Prometheus.

Names and labels never change. The values of labels come from lists of our own (routes, statuses, queues, functions),
never from the text of a request, so a caller cannot create series without limit.
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
            "Seconds from the first byte of a request to the last byte of its answer.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._usage = Counter(
            "offload_http_calls", "Successful requests by API key.", ("key", "route"), registry=self._registry
        )
        self._failures = Counter(
            "offload_background_failures",
            "Background tasks that failed after the answer was sent.",
            ("task",),
            registry=self._registry,
        )
        self._fleet = _Fleet()
        self._registry.register(self._fleet)
        self._own = OwnLoop()
        self._registry.register(self._own)
        self._callers: dict[tuple[str, str], Counter] = {}
        self._known: dict[tuple[str, str, int], Histogram] = {}

    def request(self, method: str, route: str, status: int, seconds: float, key: str) -> None:
        """Count a request, and the usage of its key if it succeeded; `route` is the template, `-` without one.

        Called after the answer was sent. As a background task of FastAPI this would cost a request 70 µs.
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
        """Add the metrics of this process's event loop."""
        self._own.loop = loop

    def background_failed(self, task: str) -> None:
        """Count a background task that failed after the answer was sent."""
        self._failures.labels(task).inc()

    def render(self, fleet_metrics: FleetMetrics | None, at_ms: int) -> bytes:
        """Return the text of a scrape; `fleet_metrics` is None if Redis is unavailable."""
        self._fleet.fleet_metrics, self._fleet.at_ms = fleet_metrics, at_ms
        return generate_latest(self._registry)


class _Fleet(Collector):
    """The metrics of the fleet at one scrape."""

    def __init__(self) -> None:
        self.fleet_metrics: FleetMetrics | None = None
        self.at_ms = 0

    def collect(self) -> Iterator[Metric]:
        """Yield the fleet's metrics; only `offload_redis_up 0` if Redis is unavailable."""
        yield GaugeMetricFamily(
            "offload_redis_up", "1 if Redis answered this scrape, else 0.", int(self.fleet_metrics is not None)
        )
        if self.fleet_metrics is None:
            return
        yield _gauge(
            "offload_jobs", "Jobs that have a record, by status.", "status", self.fleet_metrics.statuses.items()
        )
        for name, about, value in _QUEUE:
            yield _gauge(name, about, "queue", ((q.name, value(q, self.at_ms)) for q in self.fleet_metrics.queues))
        ended = CounterMetricFamily(
            "offload_attempts_ended", "Ended attempts since the data was created.", labels=("function", "ending")
        )
        for (ending, function), n in self.fleet_metrics.endings.items():
            ended.add_metric((function, ending), n)
        yield ended
        ran = CounterMetricFamily("offload_run_seconds", "Run time of successful attempts.", labels=("function",))
        for function, ran_ms in self.fleet_metrics.ran_ms.items():
            ran.add_metric((function,), ran_ms / 1000)
        yield ran
        over = CounterMetricFamily(
            "offload_loop_over_budget",
            "Steps that held an event loop for longer than the loop budget.",
            labels=("function",),
        )
        for function, steps in self.fleet_metrics.over_budget.items():
            over.add_metric((function,), steps)
        yield over
        yield GaugeMetricFamily("offload_workers", "Live workers.", self.fleet_metrics.workers)
        yield GaugeMetricFamily("offload_worker_slots", "Slots of the live workers.", self.fleet_metrics.slots)
        yield GaugeMetricFamily(
            "offload_worker_running", "Jobs running in the live workers.", self.fleet_metrics.running
        )
        yield from loops.of_fleet(self.fleet_metrics)
        yield from executors.of_fleet(self.fleet_metrics)


def _age_s(queue: QueueState, at_ms: int) -> float:
    return max(0, at_ms - queue.oldest_ms) / 1000 if queue.oldest_ms else 0.0


_QUEUE = (
    ("offload_queue_depth", "Jobs that are due.", lambda q, _: q.queued),
    ("offload_queue_deferred", "Jobs that are not due yet.", lambda q, _: q.deferred),
    ("offload_queue_running", "Running jobs.", lambda q, _: q.running),
    ("offload_queue_oldest_seconds", "Waiting time of the oldest due job.", _age_s),
    ("offload_queue_paused", "1 if the queue is paused, else 0.", lambda q, _: int(q.paused)),
)


def _gauge(name: str, about: str, label: str, values: object) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=(label,))
    for of, value in values:  # type: ignore[attr-defined]
        family.add_metric((of,), value)
    return family
