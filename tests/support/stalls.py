"""Stalls as a process records them, without holding any loop."""

from typing import Any

from offload.domain import stalls


def stall(**about: Any) -> dict[str, Any]:
    """Return a record as the reporter makes one: of a job `j1` of `fetch.page`, unless said otherwise."""
    record = {
        "kind": "step",
        "process": "worker",
        "worker": "w1",
        "job_id": "j1",
        "function": "fetch.page",
        "route": None,
        "file": "/app/jobs/fetch.py",
        "line": 41,
        "line_exact": True,
        "code": "requests.get(url)",
        "call": "requests.get(url)",
        "callee": "SocketIO.readinto (socket.py)",
        "held_ms": 300,
        "samples": 3,
        "stack": '  File "/app/jobs/fetch.py", line 41 in page',
        "hint": "`requests.get(url)` in jobs/fetch.py:41 held the loop 0.30 s: use httpx.AsyncClient (or ctx.http)",
        **about,
    }
    return {**record, "fingerprint": stalls.fingerprint_of(record)}
