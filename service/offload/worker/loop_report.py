"""What a worker says of its event loop in each beat, for the list of workers and for metrics; all of it is bounded."""

from offload.documents.fleet import LoopDocument
from offload.loopwatch.watch import WatchedLoop

_FUNCTIONS = 10


def of(watched: WatchedLoop | None) -> LoopDocument | None:
    """Return the figures of a loop since they were asked for last; None where it is not watched."""
    if watched is None or watched.watch is None:
        return None
    figures, reporter = watched.watch.figures(), watched.reporter
    most = sorted(figures.loop_ns.items(), key=lambda one: one[1], reverse=True)[:_FUNCTIONS]
    return {
        "lag_ms": round(figures.lag_ms, 1),
        "max_lag_ms": round(figures.max_lag_ms, 1),
        "busy": round(figures.busy, 4),
        "functions": {name: round(ns / 1e6, 1) for name, ns in most},
        "stalls": reporter.kinds(),
        "stalls_dropped": reporter.dropped,
        "stalls_lost": reporter.lost,
    }
