"""`offload jobs list|abort|retry` with filters, as `GET /v1/jobs` has them."""

import pytest


@pytest.fixture
def jobs(on_redis):
    """Three jobs that wait, and the ids of those with a tag."""
    tagged = [on_redis("enqueue", "demo.tick", "--tag", "x").out.strip() for _ in range(2)]
    on_redis("enqueue", "demo.sleep", "seconds=1", "--queue", "other", "--delay", "60")
    return tagged


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--status", "deferred"], 1),
        (["--function", "demo.tick"], 2),
        (["--queue", "other"], 1),
        (["--tag", "x", "--status", "queued"], 2),
        (["--error", "0" * 12], 0),
        (["--enqueued-after", "2001-01-01T00:00:00Z"], 3),
        (["--enqueued-before", "2001-01-01T00:00:00Z"], 0),
    ],
)
def test_a_list_takes_every_filter(on_redis, jobs, words, count):
    """And shows what fits all of them."""
    assert len(on_redis("jobs", "list", "--json", *words).json["items"]) == count


def test_all_that_fits_is_counted_aborted_and_put_back(on_redis, jobs):
    """First a dry run, which changes nothing."""
    counted = on_redis("jobs", "abort", "--tag", "x", "--dry-run").out
    unchanged = on_redis("jobs", "list", "--status", "aborted").out
    aborted = on_redis("jobs", "abort", "--tag", "x", "--json").json
    retried = on_redis("jobs", "retry", "--tag", "x", "--status", "aborted", "--limit", "1").out

    assert (counted, unchanged) == ("2 jobs match; nothing was changed\n", "no jobs match\n")
    assert (aborted["matched"], aborted["done"], sorted(aborted["ids"])) == (2, 2, sorted(jobs))
    assert retried == "retried 1 job (limit); more match\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["abort"], "specify job ids or filters"),
        (["retry", "--dry-run"], "specify job ids or filters"),
        (["retry", "an-id", "--tag", "x"], "not both"),
        (["abort", "an-id", "--dry-run"], "not both"),
        (["retry", "--status", "succeeded"], "no succeeded job can be retried; only dead"),
        (["list", "--error", "KeyError"], "'KeyError' is not a fingerprint"),
        (["list", "--enqueued-after", "soon"], "--enqueued-after: invalid time 'soon'"),
    ],
)
def test_what_names_no_jobs_is_usage(on_redis, words, said):
    """One line that says what would have been right."""
    answer = on_redis("jobs", *words)

    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
