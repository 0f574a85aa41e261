"""The demo as a client of the HTTP API: it uses nothing else of the service."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from offload.cli.demo.runs import ENDED, Run

OnChange = Callable[[Run], None]


class Caller:
    """Enqueues jobs and follows them; `changed` is called whenever more is known about one."""

    def __init__(self, http: httpx.AsyncClient, changed: OnChange) -> None:
        self._http = http
        self._changed = changed

    async def run(self, run: Run, arguments: dict[str, Any], on_event: Callable[[str], Any] | None = None) -> None:
        """Enqueue a job and follow it to its end; `on_event` gets the name of each event, and is awaited."""
        answer = await self._http.post(f"/v1/functions/{run.function}/jobs", json=arguments)
        _expect(answer, 202)
        run.document = answer.json()
        run.id, run.status = run.document["id"], run.document["status"]
        self._changed(run)
        await self.follow(run, on_event)

    async def follow(self, run: Run, on_event: Callable[[str], Any] | None = None) -> None:
        """Follow a job's server-sent events to its end; resume after the last event if the connection breaks."""
        last_id = ""
        while run.status not in ENDED or "result" not in run.document:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            async with self._http.stream("GET", f"/v1/jobs/{run.id}/events", headers=headers) as stream:
                if stream.status_code != 200:
                    await stream.aread()
                    _expect(stream, 200)
                async for event_id, name, data in events(stream.aiter_lines()):
                    last_id = event_id
                    run.take_event(name, data)
                    self._changed(run)
                    if on_event is not None:
                        await on_event(name)

    async def abort(self, run: Run) -> None:
        """Abort a job."""
        answer = await self._http.post(f"/v1/jobs/{run.id}/abort")
        if answer.status_code not in {200, 202}:
            _expect(answer, 202)

    async def get(self, path: str, **params: str | int) -> Any:
        """Return a JSON document."""
        answer = await self._http.get(path, params=params)
        _expect(answer, 200)
        return answer.json()

    async def content(self, artifact: dict[str, Any]) -> bytes:
        """Return the bytes of an artifact."""
        answer = await self._http.get(f"/v1/artifacts/{artifact['id']}")
        _expect(answer, 200)
        return answer.content


async def events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
    """Read server-sent events (https://html.spec.whatwg.org/#server-sent-events): id, name, data of each."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"])
            fields = {}


def _expect(answer: httpx.Response, status: int) -> None:
    """Raise an error with the answer if its status is not the expected one."""
    if answer.status_code != status:
        request = answer.request
        raise RuntimeError(f"{request.method} {request.url.path} answered {answer.status_code}: {answer.text[:300]}")
