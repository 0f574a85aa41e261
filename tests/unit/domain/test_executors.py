"""What an attempt took of threads and processes, and the sum over workers."""

from offload.domain.executors import Used, read, total


def test_what_was_written_is_read_again():
    """In µs and bytes; what ran in no process has no processor time and no peak."""
    used, waited = Used(waited_ns=1_500_000), Used(waited_ns=2_000)
    used.add(cpu_ns=3_000_000, peak_rss=1000)
    used.add(cpu_ns=1_000_000, peak_rss=700)

    assert read(used.written()) == {"executor_wait_ms": 1.5, "cpu_ms": 4.0, "peak_rss_bytes": 1000}
    assert read(waited.written()) == {"executor_wait_ms": 0.002, "cpu_ms": None, "peak_rss_bytes": None}


def test_the_sum_is_by_kind_and_queue():
    """A worker that says nothing, for it is of an older version, counts for nothing."""
    one = {"queue": "q", "kind": "thread", "size": 2, "busy": 1, "waiting": 0, "leaked": 1}
    other = {**one, "kind": "process", "leaked": 0}
    found = total([{"executors": [one, other]}, {"executors": [one]}, {}])

    assert found == {
        ("thread", "q"): {"size": 4, "busy": 2, "waiting": 0, "leaked": 2},
        ("process", "q"): {"size": 2, "busy": 1, "waiting": 0, "leaked": 0},
    }
