"""Fingerprints of errors: jobs that failed by the same fault share one, so that they can be found and retried together.

The time, the ids and the line numbers of an error change from job to job and from release to release; the job function,
the type of the error and the place in the user's code do not.
"""

import hashlib
import re
from pathlib import Path

_DIGITS = 12
_VALID = re.compile(rf"[0-9a-f]{{{_DIGITS}}}")
_MESSAGE_LIMIT = 200
_FRAME = re.compile(r'^[ |]*File "([^"\n]+)", line \d+, in ([^\n]+)$', re.MULTILINE)
_CHAINED = re.compile(r"^[ |]*(?:The above exception was the direct cause|During handling of the above)", re.MULTILINE)
_OURS = f"{Path(__file__).parent.parent}/"
_LIBRARY = re.compile(r"^<|[/\\](?:site-packages|dist-packages|lib[/\\]python\d[^/\\]*)[/\\]")
_SEPARATOR = re.compile(r"[/\\]")
_VARYING = (
    (re.compile(r"(?<!\w)'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"), "'…'"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "…"),
    (re.compile(r"\b(?:0[xX])?(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{6,}\b"), "…"),
    (re.compile(r"\d+"), "#"),
)


def fingerprint(function: str, error_type: str, message: str, traceback: str = "") -> str:
    """Return 12 hex digits that jobs that failed in the same way share.

    They are from a SHA-1 over function, error type, and the innermost frame of the user's code (file name and function)
    or, without such a frame, the message without its varying parts. SHA-1, since the Lua of Redis has no other hash:
    attempts that are lost with their worker are recorded by a script, which makes the same fingerprint of `WorkerLost`.
    """
    place = "" if error_type == "WorkerLost" else _place(traceback) or normalised(message)
    identity = f"{function}\n{error_type}\n{place}"
    return hashlib.sha1(identity.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:_DIGITS]


def is_fingerprint(text: str) -> bool:
    """Return True for a text that has the form of a fingerprint."""
    return _VALID.fullmatch(text) is not None


def normalised(message: str) -> str:
    """Return a message without quoted parts, ids and numbers, which differ from job to job."""
    for varying, placeholder in _VARYING:
        message = varying.sub(placeholder, message[: 4 * _MESSAGE_LIMIT])
    return message[:_MESSAGE_LIMIT]


def _place(traceback: str) -> str:
    """Return the innermost frame that is neither a library's nor Python's, of the exception that was raised last."""
    last = _CHAINED.split(traceback)[-1]
    for file, name in reversed(_FRAME.findall(last)):
        if not file.startswith(_OURS) and not _LIBRARY.search(file):
            return f"{_SEPARATOR.split(file)[-1]}:{name}"
    return ""
