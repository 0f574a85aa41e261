"""The start page: what this service is, the job functions it offers, and links to everything else.

It is made from the catalogue alone: nothing on it waits for Redis.
"""

import shlex
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import orjson
from starlette.responses import Response

from offload.api.pages import html
from offload.api.pages.samples import sample
from offload.domain.functions import JobFunction

_WAYS = {
    "Read": {
        "/docs": "the HTTP API, to read and to try out",
        "/openapi.json": "the same for programs: OpenAPI 3.1",
        "/v1/functions": "job functions with their schemas and recent figures",
    },
    "Watch": {
        "/v1/jobs": "jobs, the newest first",
        "/v1/queues": "queues: how many wait, since when, and limits",
        "/v1/workers": "live workers and what they run",
        "/v1/schedules": "recurring jobs and when they are due",
        "/v1/stalls": "what held an event loop: job, line and call",
    },
    "Probe": {
        "/livez": "is the process alive?",
        "/readyz": "can it serve? 503 while Redis is unavailable",
        "/metrics": "metrics for Prometheus",
    },
}
_PLACES = {"loop": "event loop", "thread": "thread", "process": "process"}

_BODY = """{masthead}
<main>
<section aria-labelledby="functions">
<h2 id="functions">Job functions</h2>
{functions}
</section>
<section aria-labelledby="ways">
<h2 id="ways">Where to look</h2>
<div class="ways">
{ways}
</div>
{keys}
</section>
<section aria-labelledby="documentation">
<h2 id="documentation">Documentation</h2>
<p>It is in the directory <code>docs/</code> of the repository that this service was installed from; begin with
<code>docs/index.md</code>. The <code>offload</code> command explains itself: <code>offload --help</code>.</p>
</section>
</main>
<footer><p>Offload {version}</p></footer>"""
_LEAD = (
    '<p class="lead">A job queue service for async Python: work goes in over HTTP and is answered at once, Redis holds '
    "it, and workers run it on an event loop, in threads or in processes.</p>"
)
_NO_FUNCTIONS = (
    "<p>None are loaded. <code>OFFLOAD_JOBS</code> names the modules that have them, comma-separated; "
    "<code>offload functions</code> lists what it finds.</p>"
)
_TABLE = """<p>Each is an endpoint. This call enqueues a job of the first; <code>Location</code> in the answer leads
to it:</p>
<pre><code>{curl}</code></pre>
<table>
<thead><tr><th scope="col">Function</th><th scope="col">Queue</th><th scope="col">Runs in</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>"""
_KEYS = (
    '<p class="note">This service asks for a key, which a browser does not send by itself: <code>/metrics</code> and '
    "all under <code>/v1</code> answer 401 here. In <code>/docs</code>, <b>Authorize</b> takes one.</p>"
)


def front(
    functions: Sequence[JobFunction[Any, Any]], *, version: str, address: str, needs_key: bool = False
) -> Response:
    """Return the page; `address` is that of the service, for the example to copy."""
    listed = sorted(functions, key=lambda function: (_is_shipped(function), function.name))
    body = _BODY.format(
        masthead=html.masthead(f'Offload <span class="version">{escape(version)}</span>', _LEAD),
        functions=_functions(listed, address, needs_key=needs_key) if listed else _NO_FUNCTIONS,
        ways="\n".join(_way(title, paths) for title, paths in _WAYS.items()),
        keys=_KEYS if needs_key else "",
        version=escape(version),
    )
    return html.page("Offload", body)


def _is_shipped(function: JobFunction[Any, Any]) -> bool:
    return function.import_path[0].startswith("offload.")


def _functions(listed: Sequence[JobFunction[Any, Any]], address: str, *, needs_key: bool) -> str:
    curl = escape(_curl(listed[0], address, needs_key=needs_key))
    return _TABLE.format(curl=curl, rows="\n".join(_row(function) for function in listed))


def _row(function: JobFunction[Any, Any]) -> str:
    summary = html.inline(function.description.strip().partition("\n")[0])
    return (
        f'<tr><th scope="row"><div><code>{escape(function.name)}</code><span>{summary}</span></div></th>'
        f"<td>{escape(function.queue)}</td><td>{_PLACES[function.runs_in]}</td></tr>"
    )


def _curl(function: JobFunction[Any, Any], address: str, *, needs_key: bool) -> str:
    """Return a command for a shell that enqueues a job, with arguments of the right types."""
    url = f"{address}/v1/functions/{quote(function.name, safe='')}/jobs"
    key = ' -H "Authorization: Bearer $OFFLOAD_API_KEY"' if needs_key else ""
    arguments = orjson.dumps(sample(function.arguments.schema)).decode()
    return f"curl -i {url}{key} -H 'Content-Type: application/json' -d {shlex.quote(arguments)}"


def _way(title: str, paths: dict[str, str]) -> str:
    items = "".join(
        f'<li><a href="{path}">{path}</a> <span>{escape(about)}</span></li>' for path, about in paths.items()
    )
    return f"<div><h3>{title}</h3><ul>{items}</ul></div>"
