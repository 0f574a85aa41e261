"""What a set of job modules offers, and how they are found."""

import sys
from types import ModuleType, SimpleNamespace

import arq
import pytest

from offload.domain.catalogue import Catalogue, collect, of_functions
from offload.domain.errors import InvalidArguments, InvalidDefinition, JobsNotLoaded, UnknownFunction
from offload.domain.functions import job
from offload.domain.queues import Queue
from offload.domain.schedules import Schedule
from offload.loader import load


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
    """The error says where both stand."""
    with pytest.raises(InvalidDefinition, match=r"other_send; give one a name=") as refused:
        collect([module(a=send), module(a=other_send)])

    assert "test_catalogue.send and" in str(refused.value)


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


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write modules into a directory that is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return SimpleNamespace(path=tmp_path)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


JOB = "from offload import job\n@job\ndef f(ctx): ...\n"


def named(catalogue):
    """The functions that were asked for: the delivery of callbacks is always there as well."""
    return set(catalogue.functions) - {"webhook.callback"}


def test_a_module_of_the_working_directory_is_loaded(project):
    """As under the arq CLI."""
    project(cat_one=JOB)

    assert named(load(["cat_one"])) == {"cat_one.f"}


def test_all_submodules_of_a_package_are_loaded(project):
    """At any depth; those whose name starts with an underscore are private."""
    (project().path / "cat_pkg" / "sub").mkdir(parents=True)
    (project().path / "cat_pkg" / "__init__.py").write_text("")
    (project().path / "cat_pkg" / "sub" / "__init__.py").write_text(JOB)
    (project().path / "cat_pkg" / "sub" / "deep.py").write_text(JOB)
    (project().path / "cat_pkg" / "_private").mkdir()
    (project().path / "cat_pkg" / "_private" / "__init__.py").write_text("raise RuntimeError")

    assert named(load(["cat_pkg"])) == {"sub.f", "deep.f"}


def test_a_missing_module_is_named(project):
    """The error says where it was looked for."""
    with pytest.raises(JobsNotLoaded, match=r"no module named 'cat_missing'") as refused:
        load(["cat_missing"])

    assert isinstance(refused.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import cat_nowhere\n", ModuleNotFoundError),
        ("def f(:\n", SyntaxError),
        ("raise RuntimeError('no database')\n", RuntimeError),
        ("raise SystemExit(7)\n", SystemExit),
    ],
)
def test_a_broken_module_carries_the_users_own_exception(project, text, cause):
    """Whatever a module does while it is imported, the error names it and keeps its cause."""
    project(cat_broken=text)

    with pytest.raises(JobsNotLoaded, match="'cat_broken' does not import") as refused:
        load(["cat_broken"])

    assert isinstance(refused.value.__cause__, cause)


def test_a_broken_submodule_is_named(project):
    """The package imports; the part that does not is what is said."""
    (project().path / "cat_half").mkdir()
    (project().path / "cat_half" / "__init__.py").write_text("")
    (project().path / "cat_half" / "bad.py").write_text("1/0\n")

    with pytest.raises(JobsNotLoaded, match=r"'cat_half\.bad' does not import: ZeroDivisionError"):
        load(["cat_half"])
