"""The use that an attempt made of threads and processes, and the sum over workers."""

from offload.domain.executors import ExecutorUsage, total, usage_fields
from offload.store.jobs.leases import LoopUsage


def test_the_record_has_the_usage_by_its_own_names():
    """In ms and bytes; an attempt without a process has no processor time and no peak."""
    used, waited = ExecutorUsage(waited_ns=1_500_000), ExecutorUsage(waited_ns=2_000)
    used.add(cpu_ns=3_000_000, peak_rss=1000)
    used.add(cpu_ns=1_000_000, peak_rss=700)

    assert usage_fields(used.as_json()) == {"executor_wait_ms": 1.5, "cpu_ms": 4.0, "peak_rss_bytes": 1000}
    assert usage_fields(waited.as_json()) == {"executor_wait_ms": 0.002, "cpu_ms": None, "peak_rss_bytes": None}


def test_the_sum_is_by_kind_and_queue():
    """A worker that says nothing, for it is of an older version, counts for nothing."""
    one = {"queue": "q", "kind": "thread", "size": 2, "busy": 1, "waiting": 0, "leaked": 1}
    other = {**one, "kind": "process", "leaked": 0}
    found = total([{"executors": [one, other]}, {"executors": [one]}, {}])

    assert found == {
        ("thread", "q"): {"size": 4, "busy": 2, "waiting": 0, "leaked": 2},
        ("process", "q"): {"size": 2, "busy": 1, "waiting": 0, "leaked": 0},
    }


def test_what_a_record_keeps_is_short():
    """Up to 64 bytes, also after an hour on the loop and 64 GiB: a longer field costs the record its compact form."""
    day = 86_400 * 10**9
    usage = ExecutorUsage(waited_ns=day // 24, cpu_ns=day, peak_rss=2**36)

    assert len(usage.as_json()) <= 64
    assert len(LoopUsage.of(day // 24, 10**6, day // 1440, 10**3).json) <= 64
