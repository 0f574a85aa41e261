"""Errors become a line on stderr and an exit code."""

import pytest

from offload import loader
from offload.cli import errors
from offload.domain.errors import (
    Conflict,
    FieldError,
    InvalidArguments,
    InvalidDefinition,
    JobFailed,
    JobsNotLoaded,
    NotFinished,
    NotFound,
    Unavailable,
    UnknownFunction,
)
from offload.settings import SettingsError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobFailed("1", "dead", None), 1),
        (NotFinished("job 1 is still running"), 1),
        (UnknownFunction("a"), 2),
        (InvalidArguments("f", []), 2),
        (NotFound("job", "1"), 2),
        (Conflict("it runs"), 2),
        (Unavailable("no Redis"), 3),
        (JobsNotLoaded("broken"), 3),
        (InvalidDefinition("two of one name"), 3),
        (SettingsError("OFFLOAD_PORT: bad"), 3),
        (PermissionError(13, "Permission denied", "/x"), 3),
        (ZeroDivisionError("oh"), 70),
    ],
)
def test_every_error_has_an_exit_code(error, code, capsys):
    """1 the job failed, 2 usage, 3 the service cannot work here and now, and a code apart for a fault of ours."""
    assert errors.report(error) == code
    assert capsys.readouterr().err.startswith("error: ")


def test_every_invalid_argument_has_a_line():
    """Invalid arguments are listed by path, each on its line."""
    error = InvalidArguments("mail.send", [FieldError("message.to.0", "no address", "x"), FieldError("", "odd", "y")])

    assert errors.explain(error).splitlines() == [
        "error: invalid arguments for 'mail.send' (see: offload functions mail.send)",
        "  message.to.0: no address",
        "  (arguments): odd",
    ]


def test_a_fault_of_ours_is_one_line(capsys):
    """An unexpected exception is reported with its place, and never as a traceback."""
    code = errors.run_guarded(lambda: 1 // 0)
    said = capsys.readouterr().err

    assert code == 70
    assert said.count("\n") == 1
    assert "error: internal error at " in said
    assert "ZeroDivisionError" in said


def test_a_reader_that_is_gone_is_no_error(capsys, monkeypatch):
    """Output into a closed pipe, as of `head`, ends the command without a word."""

    def command():
        raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", None)

    assert errors.run_guarded(command) == 0
    assert capsys.readouterr().err == ""


def test_ctrl_c_is_quiet():
    """Ctrl-C gives the code that shells give for it."""

    def command():
        raise KeyboardInterrupt

    assert errors.run_guarded(command) == 130


MODULES = {
    "raises": (
        "def helper():\n    return {}['missing']\n\nhelper()\n",
        ["line 4, in <module>", "line 2, in helper", "KeyError"],
    ),
    "chained": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('x') from e\n",
        ["ZeroDivisionError", "direct cause", "ValueError: x"],
    ),
    "syntax": ("def x(:\n", ["line 1", "SyntaxError"]),
    "declares": (
        "from offload import job\n\n@job(runs_in='thread')\nasync def f(ctx): ...\n",
        ["line 3, in <module>", "InvalidDefinition: declares.f is async def"],
    ),
    "imports": ("import no_such_module_at_all\n", ["line 1, in <module>", "No module named 'no_such_module_at_all'"]),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_job_module_that_does_not_import_shows_its_own_traceback(name, tmp_path, monkeypatch):
    """The traceback has every frame of the user's, in order, and none of ours or of the import machinery."""
    source, expected = MODULES[name]
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(JobsNotLoaded) as raised:
        loader.load([name])
    said = errors.explain(raised.value)
    places = [said.find(part) for part in expected]

    assert -1 not in places
    assert places == sorted(places)
    assert "importlib" not in said
    assert "service/offload/" not in said
    assert said.splitlines()[-1].startswith(f"error: the job module '{name}' does not import: ")


def test_a_module_that_is_not_there_needs_no_traceback():
    """For a job module that does not exist the line says it all."""
    with pytest.raises(JobsNotLoaded) as raised:
        loader.load(["no_such_module_at_all"])

    assert errors.explain(raised.value).splitlines()[0].startswith("error: no module named 'no_such_module_at_all'")
