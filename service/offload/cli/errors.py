"""Errors of the command line: their messages on stderr, and the one table of exit codes.

A traceback is shown only for the user's own code: a job module that does not import, without our frames.
"""

import sys
import traceback
from collections.abc import Callable

import typer

from offload.domain.errors import (
    Conflict,
    InvalidArguments,
    InvalidRequest,
    JobFailed,
    JobsNotLoaded,
    NotFinished,
    NotFound,
    OffloadError,
)
from offload.loader import users_traceback
from offload.settings import SettingsError

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
INTERNAL = 70  # EX_SOFTWARE of sysexits.h: a bug of ours, not to be confused with the other codes
INTERRUPTED, TERMINATED = 130, 143  # As shells report a program that Ctrl-C, or SIGTERM, ended.

# The first class that fits decides; every other OffloadError means that the service cannot work here and now.
_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (JobFailed, FAILED),
    (NotFinished, FAILED),
    (InvalidRequest, USAGE),
    (NotFound, USAGE),
    (Conflict, USAGE),
    (OffloadError, UNREACHABLE),
    (OSError, UNREACHABLE),
)


def run_guarded(command: Callable[[], int]) -> int:
    """Run a command; return its exit code. An error is reported on stderr and becomes its own exit code."""
    try:
        return command()
    except typer.TyperException as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _end_quietly()
    except Exception as error:  # noqa: BLE001 - the last place before the shell
        return report(error)


def report(error: BaseException) -> int:
    """Report an error on stderr, as briefly as it can be acted on; return the exit code."""
    write_stderr(explain(error))
    return exit_code(error)


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), INTERNAL)


def explain(error: BaseException) -> str:
    """Return the message of an error: one line, or one for each bad field, setting, or frame of the user's code."""
    match error:
        case InvalidArguments():
            lines = [f"  {field.path or '(arguments)'}: {field.message}" for field in error.fields]
            title = f"error: invalid arguments for {error.function!r} (see: offload functions {error.function})"
            return "\n".join([title, *lines])
        case JobsNotLoaded():
            return f"{users_traceback(error)}error: {error}"
        case SettingsError():
            return "\n".join(f"error: {line}" for line in str(error).splitlines())
        case OffloadError():
            return f"error: {error}"
        case OSError():
            named = f": {error.filename}" if error.filename else ""
            return f"error: {error.strerror or error}{named}"
        case _:
            return f"error: internal error {_place(error)}, please report it: {type(error).__name__}: {error}"


def write_stderr(text: str) -> None:
    """Write to stderr."""
    print(text, file=sys.stderr, flush=True)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"at {frames[-1].filename}:{frames[-1].lineno}" if frames else "(no traceback)"


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if message:  # A group that was called without a command has printed its help already.
        write_stderr(f"error: {message}" + (f" (see: {context.command_path} --help)" if context is not None else ""))
    return error.exit_code


def _end_quietly() -> int:
    """Exit quietly when the reader of our output has closed the pipe, as `head` does."""
    sys.stdout = None  # Python would report it once more while it flushes.
    return DONE
