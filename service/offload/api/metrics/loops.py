"""Event loops as metrics: this process's own, and those of the workers as each described it at its last beat."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from offload.domain.records import FleetMetrics
from offload.loopwatch.watch import WatchedLoop

_MOST_NAMES = 200
_OTHER = "other"


class OwnLoop(Collector):
    """Turns what is known of this process's loop into metrics; `loop` is None until it is watched."""

    def __init__(self) -> None:
        self.loop: WatchedLoop | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield what is known; nothing before the loop is watched."""
        if self.loop is None or self.loop.watch is None:
            return
        reporter, figures = self.loop.reporter, self.loop.watch.figures()
        labels = ("kind", "name")
        count = CounterMetricFamily("offload_loop_stalls", "What held this process's event loop.", labels=labels)
        seconds = CounterMetricFamily("offload_loop_stall_seconds", "For how long.", labels=labels)
        for of, (times, held) in sorted(reporter.counts.items()):
            count.add_metric(of, times)
            seconds.add_metric(of, held)
        yield count
        yield seconds
        yield CounterMetricFamily("offload_loop_stalls_dropped", "Stalls that found no room.", value=reporter.dropped)
        yield CounterMetricFamily("offload_loop_stalls_lost", "Stalls that Redis was not told.", value=reporter.lost)
        yield GaugeMetricFamily("offload_loop_lag_seconds", "How late the last beat was.", figures.lag_ms / 1000)
        most = figures.max_lag_ms / 1000
        yield GaugeMetricFamily("offload_loop_lag_max_seconds", "The most of it since the scrape before.", most)
        yield GaugeMetricFamily("offload_loop_busy_ratio", "Share of it in steps of requests.", figures.busy)
        taken = CounterMetricFamily("offload_loop_route_seconds", "What routes took of the loop.", labels=("route",))
        for route, ns in sorted(figures.loop_ns.items()):
            taken.add_metric((route,), ns / 1e9)
        yield taken


def of_fleet(fleet_metrics: FleetMetrics) -> Iterator[Metric]:
    """Yield what held event loops of the fleet, and how the workers' loops are doing."""
    labels = ("kind", "name")
    count = CounterMetricFamily("offload_stalls", "What held an event loop, since Redis is there.", labels=labels)
    seconds = CounterMetricFamily("offload_stalled_seconds", "For how long.", labels=labels)
    for of, (times, held_ms) in sorted(fleet_metrics.stalls.items()):
        count.add_metric(of, times)
        seconds.add_metric(of, held_ms / 1000)
    yield count
    yield seconds
    yield GaugeMetricFamily("offload_stalls_ongoing", "Event loops that are held just now.", fleet_metrics.ongoing)
    yield from _of_workers(fleet_metrics.loops)


_SIZES = (
    ("lag_seconds", "lag_ms", 1000, max, "How late the last beat of the workers' loops was, at most."),
    ("lag_max_seconds", "max_lag_ms", 1000, max, "The most of it since each worker's beat before."),
    ("busy", "busy", 1, sum, "Shares of time in which steps of jobs held the workers' loops, together."),
    ("busy_max", "busy", 1, max, "The share of the busiest."),
    ("stalls_dropped", "stalls_dropped", 1, sum, "Stalls that found no room, of the live workers."),
    ("stalls_lost", "stalls_lost", 1, sum, "Stalls that Redis was not told, of the live workers."),
)


def _of_workers(loops: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    for name, member, scale, together, about in _SIZES:
        values = [float(loop.get(member) or 0) / scale for loop in loops]
        yield GaugeMetricFamily(f"offload_worker_loop_{name}", about, together(values) if values else 0)
    yield _summed(
        "function_seconds", "functions", 1000, loops, "What jobs took of the live workers' loops.", "function"
    )
    yield _summed("stalls", "stalls", 1, loops, "What held the workers' loops.", "kind")


def _summed(
    name: str, member: str, scale: float, loops: Sequence[Mapping[str, Any]], about: str, label: str
) -> GaugeMetricFamily:
    """Add up by label; of more names than a page of metrics should have, the smallest are `other`."""
    sums: Counter[str] = Counter()
    for loop in loops:
        sums.update(loop.get(member) or {})
    shown = dict(sums.most_common(_MOST_NAMES))
    if rest := sum(sums.values()) - sum(shown.values()):
        shown[_OTHER] = shown.get(_OTHER, 0) + rest
    family = GaugeMetricFamily(f"offload_worker_loop_{name}", about, labels=(label,))
    for of, value in sorted(shown.items()):
        family.add_metric((of,), value / scale)
    return family
