"""Event loops as metrics: this process's own, and those of the workers, from their last heartbeats."""

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
    """The metrics of this process's event loop; `loop` is None until it is watched."""

    def __init__(self) -> None:
        self.loop: WatchedLoop | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; nothing before the loop is watched."""
        if self.loop is None or self.loop.watch is None:
            return
        reporter, figures = self.loop.reporter, self.loop.watch.figures()
        labels = ("kind", "name")
        count = CounterMetricFamily(
            "offload_loop_stalls", "Stalls of this process's event loop, by what held it.", labels=labels
        )
        seconds = CounterMetricFamily(
            "offload_loop_stall_seconds", "Seconds that stalls held this process's event loop.", labels=labels
        )
        for of, (times, held) in sorted(reporter.counts.items()):
            count.add_metric(of, times)
            seconds.add_metric(of, held)
        yield count
        yield seconds
        yield CounterMetricFamily(
            "offload_loop_stalls_dropped", "Stalls of this process dropped by a full buffer.", value=reporter.dropped
        )
        yield CounterMetricFamily(
            "offload_loop_stalls_lost",
            "Stalls of this process that could not be written to Redis.",
            value=reporter.lost,
        )
        yield GaugeMetricFamily(
            "offload_loop_lag_seconds", "Lag of this process's event loop at the last check.", figures.lag_ms / 1000
        )
        most = figures.max_lag_ms / 1000
        yield GaugeMetricFamily(
            "offload_loop_lag_max_seconds", "Highest lag of this process's event loop since the last scrape.", most
        )
        yield GaugeMetricFamily(
            "offload_loop_busy_ratio", "Share of time in which requests held this process's event loop.", figures.busy
        )
        taken = CounterMetricFamily(
            "offload_loop_route_seconds", "Seconds that requests held this process's event loop.", labels=("route",)
        )
        for route, ns in sorted(figures.loop_ns.items()):
            taken.add_metric((route,), ns / 1e9)
        yield taken


def of_fleet(fleet_metrics: FleetMetrics) -> Iterator[Metric]:
    """Yield the stalls of the fleet's event loops, and the lag and load of the workers' loops."""
    labels = ("kind", "name")
    count = CounterMetricFamily(
        "offload_stalls", "Stalls of the fleet's event loops since the data was created.", labels=labels
    )
    seconds = CounterMetricFamily(
        "offload_stalled_seconds", "Seconds that stalls held the fleet's event loops.", labels=labels
    )
    for of, (times, held_ms) in sorted(fleet_metrics.stalls.items()):
        count.add_metric(of, times)
        seconds.add_metric(of, held_ms / 1000)
    yield count
    yield seconds
    yield GaugeMetricFamily("offload_stalls_ongoing", "Event loops that are held now.", fleet_metrics.ongoing)
    yield from _of_workers(fleet_metrics.loops)


_SIZES = (
    ("lag_seconds", "lag_ms", 1000, max, "Highest event loop lag of a worker at its last heartbeat."),
    ("lag_max_seconds", "max_lag_ms", 1000, max, "Highest event loop lag of a worker between its last two heartbeats."),
    ("busy", "busy", 1, sum, "Sum over the workers of the share of time in which jobs held the event loop."),
    ("busy_max", "busy", 1, max, "Highest share of time in which jobs held the event loop of a worker."),
    ("stalls_dropped", "stalls_dropped", 1, sum, "Stalls of the live workers dropped by a full buffer."),
    ("stalls_lost", "stalls_lost", 1, sum, "Stalls of the live workers that could not be written to Redis."),
)


def _of_workers(loops: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    for name, member, scale, together, about in _SIZES:
        values = [float(loop.get(member) or 0) / scale for loop in loops]
        yield GaugeMetricFamily(f"offload_worker_loop_{name}", about, together(values) if values else 0)
    yield _summed(
        "function_seconds",
        "functions",
        1000,
        loops,
        "Seconds that jobs held the live workers' event loops.",
        "function",
    )
    yield _summed("stalls", "stalls", 1, loops, "Stalls of the live workers' event loops.", "kind")


def _summed(
    name: str, member: str, scale: float, loops: Sequence[Mapping[str, Any]], about: str, label: str
) -> GaugeMetricFamily:
    """Add up by label; the names beyond the largest 200 are counted together as `other`."""
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
