"""Logs: one event a line, in one shape, whoever speaks."""

import json
import logging

import pytest
import structlog

from offload import logs


@pytest.fixture(autouse=True)
def restored_logging():
    """Logging is left as it was found."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    logging.captureWarnings(capture=False)


def lines(capsys):
    """What stderr has got so far."""
    return capsys.readouterr().err.splitlines()


def test_an_event_is_one_json_line(capsys):
    """An event is one JSON object on one line of stderr, time, level and name first."""
    logs.configure("INFO", "json")

    structlog.get_logger().info("job_started", job_id="j1", attempt=2, note="two\nlines")

    (line,) = lines(capsys)
    event = json.loads(line)
    assert list(event) == ["timestamp", "level", "event", "job_id", "attempt", "note"]
    assert event["event"] == "job_started"
    assert event["timestamp"].endswith("Z")


def test_a_person_reads_one_line_too(capsys):
    """The console form is one line without colours when stderr is no terminal."""
    logs.configure("INFO", "console")

    structlog.get_logger().warning("lease_lost", job_id="j1", note="two\nlines")

    (line,) = lines(capsys)
    assert "lease_lost" in line
    assert "job_id=j1" in line
    assert "\x1b" not in line


def test_auto_is_json_when_stderr_is_no_terminal(capsys):
    """`auto` is for machines unless a person sits at the terminal."""
    logs.configure()

    structlog.get_logger().info("ready")

    assert json.loads(lines(capsys)[0])["event"] == "ready"


def test_auto_is_for_a_person_at_a_terminal(capsys, monkeypatch):
    """`auto` is the console form on a terminal."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    logs.configure(colors=False)

    structlog.get_logger().info("ready")

    assert not lines(capsys)[0].startswith("{")


@pytest.mark.parametrize("name", ["uvicorn.access", "arq.worker", "somebody.else"])
def test_standard_loggers_speak_the_same_shape_once(capsys, name):
    """A record of a library's logger is one JSON line, also when the library had brought its own handler."""
    logging.getLogger(name).addHandler(logging.StreamHandler()) if name != "somebody.else" else None
    logs.configure("INFO", "json")

    logging.getLogger(name).info("%s took %d ms", "GET /", 3, extra={"color_message": "\x1b[1m", "route": "/"})

    (line,) = lines(capsys)
    event = json.loads(line)
    assert (event["event"], event["level"], event["logger"]) == ("GET / took 3 ms", "info", name)
    assert event["route"] == "/"
    assert "color_message" not in event


def test_an_exception_is_part_of_its_line(capsys):
    """A traceback stays within the line of its event and shows no local variable."""
    logs.configure("INFO", "json")

    def fail():
        password = "hunter" + str(2)  # Not a literal, which the traceback would quote.
        raise RuntimeError("no" if password else "")

    for logger in (structlog.get_logger(), logging.getLogger("arq.worker")):
        try:
            fail()
        except RuntimeError:
            logger.exception("job_failed")

    first, second = lines(capsys)
    assert "RuntimeError: no" in json.loads(first)["exception"]
    assert "RuntimeError: no" in json.loads(second)["exception"]
    assert "hunter2" not in first + second


def test_what_json_cannot_say_is_still_logged(capsys):
    """A value that JSON has no word for is logged as its text: a log line never fails."""
    logs.configure("INFO", "json")

    structlog.get_logger().info("odd", value={1, 2}, key={3: b"\xff"}, text="\ud800")

    assert json.loads(lines(capsys)[0])["event"] == "odd"


def test_below_the_level_nothing_is_said(capsys):
    """Events under the level are dropped, of ours and of others."""
    logs.configure("WARNING", "json")

    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")

    assert lines(capsys) == []


def test_configuring_twice_does_not_double_lines(capsys):
    """The last configuration holds, alone."""
    logs.configure("INFO", "console")
    logs.configure("INFO", "json")

    logging.getLogger("x").warning("once")

    assert len(lines(capsys)) == 1


def test_context_is_carried(capsys):
    """What is bound to the context of a task stands in each of its events, those of libraries included."""
    logs.configure("INFO", "json")

    with structlog.contextvars.bound_contextvars(job_id="j1"):
        logging.getLogger("library").warning("hm")

    assert json.loads(lines(capsys)[0])["job_id"] == "j1"
