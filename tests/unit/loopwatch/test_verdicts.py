"""What a stall was, from the values that were measured."""

import time

from offload.loopwatch.loop_state import Beat
from offload.loopwatch.samples import Sample
from offload.loopwatch.step_clock import Scope, SlowStep
from offload.loopwatch.verdicts import Late, Waited, Window, stalls

MS = 1_000_000
JOB = Scope("job", "1", "mail.send")


def beat(at, *, due=None, cpu=0, switches=0, busy=0, gc=0, process=0):
    """A beat; times in ms."""
    return Beat(at * MS, (at if due is None else due) * MS, cpu * MS, switches, busy * MS, gc * MS, process * MS)


def slow(held, *, started=1010, step=7):
    """A step of a job that was slow."""
    return SlowStep(step, JOB, started * MS, held * MS)


def sample(at, *, step=7, base=1, stack=((time.sleep.__class__, 0),)):
    """A look at the loop's thread."""
    return Sample(at * MS, 1000 * MS, step, JOB, stack, base, "Task-1")


def judged(first, last, *, slow=(), samples=(), lates=(), waited=0, looks=(), startup=0):
    """The kinds and holders of what was seen between two beats."""
    waits = [Waited(900 * MS, 0), *looks, Waited(last.at_ns, waited * MS)]
    seen = Window([first, last], slow, samples, lates, waits, 100 * MS, startup * MS)
    return [(one.kind, one.scope, round(one.held_ns / MS)) for one in stalls(seen)]


def test_a_slow_step_is_the_jobs():
    """With what it held, also where the beat was late for it: one stall, not two."""
    found = judged(beat(1000), beat(1260, due=1050, cpu=5), slow=[slow(250)], samples=[sample(1100)])

    assert found == [("step", JOB, 250)]


def test_a_late_beat_without_a_slow_step_is_a_callback():
    """When all samples saw the same one."""
    found = judged(beat(1000), beat(1260, due=1050), samples=[sample(1100), sample(1150)])

    assert found == [("callback", None, 210)]


def test_many_short_steps_blame_nobody():
    """Neither where the samples saw several, nor where steps took most of the time."""
    several = judged(beat(1000), beat(1260, due=1050), samples=[sample(1100), sample(1150, step=8)])
    busy = judged(beat(1000), beat(1260, due=1050, busy=200), samples=[sample(1100)])

    assert [kind for kind, *_ in several + busy] == ["saturated", "saturated"]


def test_garbage_collection_is_nobodys():
    """Where it took most of the time, or where there would have been no stall without it."""
    most = judged(beat(1000), beat(1310, due=1050, gc=200), slow=[slow(300)])
    decisive = judged(beat(1000), beat(1140, due=1050, gc=40), slow=[slow(120)])

    assert [kind for kind, *_ in most + decisive] == ["gc", "gc"]


def test_a_process_without_a_processor_is_starved():
    """The kernel says how long the thread waited for one; a step that would have been too long all the same is not."""
    most = judged(beat(1000), beat(1310, due=1050), slow=[slow(300)], waited=250)
    long = judged(beat(1000), beat(1310, due=1050), slow=[slow(300)], waited=150)
    decisive = judged(beat(1000), beat(1140, due=1050), slow=[slow(120)], waited=40)
    hardly = judged(beat(1000), beat(1140, due=1050), slow=[slow(120)], waited=10)

    assert [kind for kind, *_ in most + long + decisive + hardly] == ["starved", "step", "starved", "step"]


def test_waiting_counts_also_where_somebody_looked_before_the_beat_told_of_it():
    """The kernel may have counted it when an earlier beat was judged."""
    looks = [Waited(1200 * MS, 250 * MS)]
    found = judged(beat(1000), beat(1310, due=1050), slow=[slow(300)], looks=looks, waited=250)

    assert [kind for kind, *_ in found] == ["starved"]


def test_a_process_that_stood_still_is_starved():
    """The watchdog stood still too, and did not ask for the GIL meanwhile, as it does where C code holds it."""
    stopped = judged(beat(1000), beat(1310, due=1050), slow=[slow(290)], lates=[Late(1300 * MS, 280 * MS, 1)])
    in_c = judged(beat(1000), beat(1310, due=1050), slow=[slow(290)], lates=[Late(1300 * MS, 280 * MS, 55)])

    assert [kind for kind, *_ in stopped + in_c] == ["starved", "step"]


def test_the_gil_in_another_thread_blames_nobody():
    """The loop's thread and the watchdog kept asking for it, while another thread computed."""
    after = beat(1310, due=1050, cpu=10, switches=60, process=250)
    lates = [Late(1300 * MS, 280 * MS, 55)]
    in_step = judged(beat(1000), after, slow=[slow(290)], lates=lates)
    outside = judged(beat(1000), after, lates=lates)

    assert [kind for kind, *_ in in_step + outside] == ["gil-other-thread", "gil-other-thread"]


def test_lateness_before_the_stall_says_nothing_of_it():
    """The watchdog may have been kept from looking by something else."""
    lates = [Late(1005 * MS, 280 * MS, 1)]
    found = judged(beat(1000), beat(1310, due=1050), slow=[slow(290)], lates=lates)

    assert found == [("step", JOB, 290)]


def test_what_holds_a_start_is_nobodys_but_a_jobs_own_step_is_the_jobs():
    """The first seconds are imports and hooks; a step of a job is exact all the same."""
    hook = judged(beat(1000), beat(1260, due=1050), samples=[sample(1100)], startup=5000)
    step = judged(beat(1000), beat(1260, due=1050), slow=[slow(250)], samples=[sample(1100)], startup=5000)
    later = judged(beat(1000), beat(1260, due=1050), samples=[sample(1100)], startup=900)

    assert [kind for kind, *_ in hook + step + later] == ["startup", "step", "callback"]
