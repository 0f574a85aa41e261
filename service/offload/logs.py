"""The one shape of everything that Offload logs: one event a line, on stderr, as JSON or for a person to read.

Records of the standard library's loggers (uvicorn, arq, asyncio, the user's own) come out in the same shape.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Iterable
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import Processor

# These bring handlers of their own, which would print a second copy in another shape.
_ADOPTED = ("arq", "arq.worker", "arq.jobs", "arq.cron", "uvicorn", "uvicorn.access", "uvicorn.error", "uvicorn.asgi")

# Their INFO speaks once per request or connection, and can hold URLs with secrets.
_QUIETED = ("aiosmtplib", "fontTools", "fpdf", "hpack", "httpcore", "httpx", "PIL", "watchfiles")


class _Stderr:
    """The stderr of the moment of writing: a test, or a supervisor, may have replaced it since the configuration.

    A line that cannot be written is dropped: its reader may have been killed, and the work that it reports (a job that
    must be requeued, say) has to go on.
    """

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed.
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


class _Handler(logging.StreamHandler[_Stderr]):
    """Ours, so that a second configuration replaces it and leaves the handlers of others alone."""


def configure(
    level: str = "INFO", log_format: Literal["auto", "json", "console"] = "auto", *, colors: bool | None = None
) -> None:
    """Send every event of this process to stderr, from `level` up; may be called again, the last call holds.

    `auto` is `console` when stderr is a terminal, else `json`. `colors` of None means: when stderr is a terminal.
    Tracebacks never show local variables, since they hold arguments.
    """
    is_terminal = sys.stderr.isatty()
    as_json = log_format == "json" or (log_format == "auto" and not is_terminal)
    shared = _shared_processors()
    finish = _json_processors() if as_json else _console_processors(is_terminal if colors is None else colors)
    stderr = _Stderr()
    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stderr),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    _route_stdlib(level, shared, finish, stderr)


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _json_processors() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        _lead_with("timestamp", "level", "event"),
        structlog.processors.JSONRenderer(serializer=_dumps),
    ]


def _console_processors(colors: bool) -> list[Processor]:  # noqa: FBT001
    return [
        structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=24, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    ]


def _lead_with(*names: str) -> Processor:
    """Put the fields that every event has first, so that a person can read JSON lines as well."""

    def reorder(_logger: Any, _method: str, event: Any) -> Any:
        first = {name: event.pop(name) for name in names if name in event}
        return {**first, **event}

    return reorder


def _drop_copies(_logger: Any, _method: str, event: Any) -> Any:
    """Drop what other formatters leave on a record: uvicorn's coloured copy of the message, and the rendered one."""
    event.pop("color_message", None)
    event.pop("message", None)
    return event


def _dumps(value: Any, **_: Any) -> str:
    """Serialise an event; a value that JSON does not know becomes its text, since a log line must never fail."""
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # A lone surrogate, as in a file name that is not UTF-8.
        return json.dumps(value, default=repr)


def _route_stdlib(level: str, shared: Iterable[Processor], finish: Iterable[Processor], stderr: _Stderr) -> None:
    handler = _Handler(stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared, structlog.stdlib.ExtraAdder(), _drop_copies],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if not isinstance(other, _Handler)] + [handler]
    root.setLevel(level)
    for name in _ADOPTED:
        adopted = logging.getLogger(name)
        adopted.handlers = []
        adopted.propagate = True
        adopted.disabled = False
        adopted.setLevel(logging.NOTSET)
    for name in _QUIETED:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.captureWarnings(capture=True)
