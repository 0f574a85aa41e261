"""A catalogue of job functions, queues and schedules."""

from types import ModuleType

import arq
import pytest

from offload.domain.catalogue import Catalogue, collect, of_functions
from offload.domain.errors import InvalidArguments, InvalidDefinition, UnknownFunction
from offload.domain.functions import job
from offload.domain.queues import Queue
from offload.domain.schedules import Schedule


@job(name="mail.send", queue="mail")
async def send(ctx, to: str = "a"): ...


@job(name="mail.send")
async def other_send(ctx): ...


async def stock(ctx): ...


def module(**names):
    made = ModuleType("made")
    vars(made).update(names)
    return made


def test_functions_queues_and_schedules_are_collected_from_modules():
    """What stands in a module's namespace counts, under its own name."""
    found = collect([module(a=send, b=Queue("mail", max_running=2), c=Schedule("daily", "mail.send", every=1))])

    assert (set(found.functions), set(found.queues), set(found.schedules)) == ({"mail.send"}, {"mail"}, {"daily"})


def test_an_imported_function_is_the_same_function():
    """A function that two modules import is found once."""
    assert set(collect([module(a=send), module(b=send)]).functions) == {"mail.send"}


def test_two_functions_of_one_name_are_refused():
    """The error says where both are defined, and proposes names."""
    with pytest.raises(InvalidDefinition, match=r"two job functions are named 'mail\.send'") as refused:
        collect([module(a=send), module(a=other_send)])

    assert "test_catalogue.send and" in str(refused.value)
    assert str(refused.value).endswith('test_catalogue.other_send")')


@pytest.mark.parametrize(
    ("modules", "proposed"),
    [
        (("acme.billing.jobs", "acme.users.jobs"), '@job(name="billing.send") and @job(name="users.send")'),
        (("jobs", "acme.jobs"), '@job(name="acme.send")'),
        (("acme.jobs", "acme.billing.jobs"), '@job(name="acme.send") and @job(name="billing.send")'),
    ],
)
def test_names_are_proposed_after_what_differs(modules, proposed):
    """Projects with a `jobs.py` in each package meet this: the proposal has the package's name."""
    functions = []
    for name in modules:

        async def send(ctx): ...

        send.__module__, send.__qualname__ = name, "send"
        functions.append(job(send))
    with pytest.raises(InvalidDefinition) as refused:
        collect([module(a=functions[0]), module(a=functions[1])])

    assert str(refused.value) == (
        f"two job functions are named 'jobs.send': {modules[0]}.send and {modules[1]}.send; "
        f"give them names of their own, such as {proposed}"
    )


def test_two_queues_of_one_name_are_refused_unless_they_are_equal():
    """The same limits said twice are one declaration."""
    assert collect([module(a=Queue("q", 1)), module(a=Queue("q", 1))]).queues == {"q": Queue("q", 1)}
    with pytest.raises(InvalidDefinition, match="two queues are named 'q'"):
        collect([module(a=Queue("q", 1), b=Queue("q", 2))])


def test_a_schedule_of_no_function_is_refused():
    """It would fail at its first tick, at night: the nearest name is said at import."""
    with pytest.raises(InvalidDefinition, match=r"'daily'.*did you mean 'mail.send'"):
        collect([module(a=send, b=Schedule("daily", "mail.sent", every=1))])


def test_a_schedule_with_wrong_arguments_is_refused():
    """Its arguments are those of every tick."""
    with pytest.raises(InvalidArguments, match="to"):
        collect([module(a=send, b=Schedule("daily", "mail.send", every=1, args={"to": 1}))])


@pytest.mark.parametrize("settings", [dict, lambda **given: type("WorkerSettings", (), given)])
def test_an_arq_worker_settings_is_read(settings):
    """Its functions and cron jobs are job functions, be it a class or a dict."""
    made = settings(functions=[stock, arq.func(stock, name="named"), send], cron_jobs=[arq.cron(stock)])

    assert set(collect([module(WorkerSettings=made)]).functions) == {"stock", "named", "mail.send", "cron:stock"}


def test_an_unknown_function_is_refused_with_the_nearest_name():
    """A catalogue knows what it has."""
    with pytest.raises(UnknownFunction, match=r"mail\.send"):
        Catalogue(of_functions([send])).function("mail.snd")


def test_queues_are_served_by_priority_then_name():
    """Those that functions name and those that are declared, and default."""
    found = collect([module(a=send, b=Queue("zz", priority=5), c=Queue("aa"))])

    assert found.queue_names == ["zz", "aa", "default", "mail"]
    assert found.queue("never") == Queue("never")
