"""Threads and processes of the fleet as metrics: their number and their use, by queue."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from offload.domain.records import FleetMetrics

_FIGURES = {
    "threads": {
        "size": "Threads of the live workers for jobs and steps.",
        "busy": "Threads that run a job or a step.",
        "waiting": "Jobs and steps that wait in their worker for a thread.",
        "leaked": "Threads that run a call on after its job was aborted or timed out.",
    },
    "processes": {
        "size": "Processes of the live workers for jobs and steps.",
        "busy": "Processes that run a job or a step.",
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
