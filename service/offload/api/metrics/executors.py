"""Threads and processes of the fleet as metrics: how many there are for each queue, and what they do."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from offload.domain.records import FleetMetrics

_FIGURES = {
    "threads": {
        "size": "Threads that the live workers have for the jobs and steps of a queue.",
        "busy": "Threads that run something.",
        "waiting": "Jobs and steps that wait in their worker for a thread.",
        "leaked": "Threads that run what was to end: its job was aborted, or its time was up.",
    },
    "processes": {
        "size": "Processes that the live workers have for the jobs and steps of a queue.",
        "busy": "Processes that run something.",
        "waiting": "Jobs and steps that wait in their worker for a process.",
    },
}
_KINDS = {"threads": "thread", "processes": "process"}


def of_fleet(fleet_metrics: FleetMetrics) -> Iterator[Metric]:
    """Yield a gauge for each figure, by queue."""
    for plural, figures in _FIGURES.items():
        of_kind = [(queue, sums) for (kind, queue), sums in fleet_metrics.executors.items() if kind == _KINDS[plural]]
        for name, about in figures.items():
            gauge = GaugeMetricFamily(f"offload_worker_{plural}_{name}", about, labels=("queue",))
            for queue, sums in of_kind:
                gauge.add_metric((queue,), sums[name])
            yield gauge
