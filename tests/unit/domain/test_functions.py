"""Declaring job functions, and what a caller may say about one job."""

import arq
import pytest

from offload.domain.catalogue import as_job_function
from offload.domain.errors import InvalidDefinition, InvalidOptions
from offload.domain.functions import EnqueueOptions, JobFunction, job
from offload.domain.policy import Backoff


@job
async def on_the_loop(ctx, a: int) -> int:
    """Add one.

    More words.
    """
    return a + 1


@job(queue="mail", timeout=30, max_tries=6, keep_result=60, retry_on=[OSError], give_up_on=[FileNotFoundError])
def in_a_thread(ctx): ...


@job(runs_in="process", name="other.name")
def in_a_process(ctx): ...


def test_a_job_function_says_where_it_runs():
    """An async def runs on the loop, a def in a thread, or in a process where it says so."""
    assert [f.runs_in for f in (on_the_loop, in_a_thread, in_a_process)] == ["loop", "thread", "process"]


def test_a_job_function_is_named_by_its_module_and_function():
    """The last part of the module and the function, unless name= says otherwise."""
    assert on_the_loop.name == "test_functions.on_the_loop"
    assert in_a_process.name == "other.name"


async def test_a_job_function_can_be_called_as_it_is():
    """Calling it calls the function, as a unit test would; it keeps its name and docstring."""
    assert await on_the_loop(None, 1) == 2
    assert (on_the_loop.__name__, on_the_loop.description.splitlines()[0]) == ("on_the_loop", "Add one.")


def test_the_policy_of_a_job_is_its_own_or_the_functions_or_the_workers():
    """max_tries of the call counts before that of the function, and that before the worker's."""
    assert in_a_thread.retry_policy(5, 2).max_tries == 2
    assert in_a_thread.retry_policy(5).max_tries == 6
    assert on_the_loop.retry_policy(5).max_tries == 5
    assert in_a_thread.retry_policy(5).retry_on == (OSError,)
    assert on_the_loop.retry_policy(5).backoff == Backoff()


async def coroutine(ctx): ...


async def generates(ctx):
    yield 1


def refused(fn, **options):
    with pytest.raises(InvalidDefinition) as error:
        job(**options)(fn)
    return str(error.value)


@pytest.mark.parametrize("place", ["thread", "process"])
def test_an_async_def_elsewhere_is_refused(place):
    """The error says what to do instead."""
    said = refused(coroutine, runs_in=place)

    assert f"await ctx.to_{place}(f, ...)" in said
    assert "test_functions.coroutine" in said


@pytest.mark.parametrize(
    ("fn", "options", "advice"),
    [
        (in_a_thread.fn, {"loop_budget_ms": 50}, "not async def, so it does not run on the event loop"),
        (coroutine, {"loop_budget_ms": 0}, "loop_budget_ms=0 must be more than 0"),
        (coroutine, {"loop_budget_ms": 50, "over_budget": "kill"}, "use 'warn' or 'fail'"),
        (coroutine, {"over_budget": "fail"}, "needs loop_budget_ms"),
    ],
)
def test_a_loop_budget_that_says_nothing_is_refused(fn, options, advice):
    """It is for async def, more than nothing, and warns or fails."""
    assert advice in refused(fn, **options)


def test_a_declaration_that_cannot_work_is_refused():
    """Each mistake has words of its own."""

    def local(ctx): ...

    def star(ctx, *args): ...

    def stars(ctx, **kwargs): ...

    def gives(ctx):
        yield 1

    def no_context(): ...

    def keyword_only(*, a): ...

    assert "top of its module" in refused(local, runs_in="process")
    assert "name each argument" in refused(star)
    assert "name each argument" in refused(stars)
    assert "generator" in refused(gives)
    assert "generator" in refused(generates)
    assert "ctx: JobContext" in refused(no_context)
    assert "ctx: JobContext" in refused(keyword_only)
    assert "'fork'" in refused(local, runs_in="fork")
    assert "functions" in refused(int)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": -1}, {"max_tries": 0}, {"keep_result": -1}, {"queue": "a b"}]
)
def test_an_option_out_of_its_range_is_refused_at_import(options):
    """The value is named."""
    assert str(next(iter(options.values()))) in refused(coroutine, **options)


def test_an_unknown_option_is_refused():
    """A typing error in the decorator does not pass unseen."""
    with pytest.raises(TypeError, match="max_trys"):
        job(max_trys=3)(coroutine)


def test_an_arq_function_keeps_what_it_says():
    """arq.func's name, timeout, TTL and tries hold; ordinary exceptions are not retried."""
    made = as_job_function(arq.func(coroutine, name="stock", timeout=7, keep_result=9, max_tries=2))

    assert (made.name, made.timeout, made.keep_result, made.max_tries) == ("stock", 7, 9, 2)
    assert (made.is_plain, made.runs_in, made.retry_on) == (True, "loop", ())


def test_an_arq_cron_job_and_a_bare_coroutine_function_are_taken():
    """They are named as arq names them."""
    assert as_job_function(arq.cron(coroutine, hour=3)).name == "cron:coroutine"
    assert as_job_function(coroutine).name == "coroutine"


def test_results_of_arq_functions_may_be_kept_for_ever():
    """keep_result_forever reads as -1."""
    assert as_job_function(arq.func(coroutine, keep_result_forever=True)).keep_result == -1


def test_what_is_no_job_function_is_refused():
    """A plain def in a list of functions is a mistake."""
    with pytest.raises(InvalidDefinition, match="@job"):
        as_job_function(lambda ctx: None)


def test_two_functions_are_never_equal():
    """Identity counts: the same declaration twice is two functions."""
    assert isinstance(on_the_loop, JobFunction)
    assert job(coroutine) != job(coroutine)


@pytest.mark.parametrize(
    "options",
    [
        {"delay": 1, "run_at_ms": 1},
        {"delay": -1},
        {"max_tries": 0},
        {"max_tries": 1001},
        {"timeout": 0},
        {"keep_result": -1},
        {"queue": "a b"},
        {"run_at_ms": -1},
        {"priority": 10},
        {"priority": -1},
        {"unique_key": ""},
        {"unique_key": "x" * 201},
        {"unique_for": 0},
        {"unique_for": 1e12},
    ],
)
def test_an_enqueue_option_out_of_its_range_is_refused(options):
    """The caller is told, not the worker."""
    with pytest.raises(InvalidOptions):
        EnqueueOptions(**options)


def test_a_delay_counts_from_now():
    """run_at is a time, delay a distance, neither is now."""
    assert EnqueueOptions(delay=1.5).due_ms(1000) == 2500
    assert EnqueueOptions(run_at_ms=7).due_ms(1000) == 7
    assert EnqueueOptions().due_ms(1000) == 1000
