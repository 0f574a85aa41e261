"""`offload enqueue`: enqueue one job, and wait for it if asked."""

from collections.abc import Sequence
from typing import Annotated

import typer

from offload.cli import arguments, documents, output, session
from offload.cli.commands.waiting import print_end, wait_for_end
from offload.domain.functions import EnqueueOptions
from offload.wiring import Backend

Given = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE | @FILE | -",
        help="Arguments as KEY=VALUE; values are parsed as JSON, otherwise taken as text. @FILE and - (stdin) give all "
        "arguments as one JSON object.",
        show_default=False,
    ),
]
Whole = Annotated[str | None, typer.Option("--args", metavar="JSON", help="All arguments as one JSON object.")]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        metavar="[SECONDS]",
        help="Wait for the job to finish and print its result; without SECONDS there is no limit.",
        min=0,
    ),
]


def enqueue(
    name: Annotated[str, typer.Argument(metavar="FUNCTION", help="The job function; see `offload functions`.")],
    given: Given = None,
    whole: Whole = None,
    delay: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Start the job this many seconds from now.")
    ] = None,
    run_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Earliest start time, for example 2026-12-24T18:00:00Z.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(metavar="TIME", help="Mark the job dead if it has not finished by this time.")
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Use this queue instead of the function's default.")] = None,
    priority: Annotated[
        int, typer.Option(metavar="0-9", min=0, max=9, help="Priority within the queue; higher starts first.")
    ] = 0,
    max_tries: Annotated[int | None, typer.Option(metavar="N", help="Maximum number of attempts.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Time limit of each attempt.")] = None,
    keep_result: Annotated[float | None, typer.Option(metavar="SECONDS", help="How long to keep the result.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag to search by. Can be repeated.")] = None,
    callback_url: Annotated[
        str | None, typer.Option(metavar="URL", help="URL to notify with a signed webhook when the job finishes.")
    ] = None,
    unique_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Enqueue only if no job of this function with the same key is waiting or running."
        ),
    ] = None,
    unique_for: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Reject duplicates (by key, or by arguments if no key is given) for this many seconds.",
        ),
    ] = None,
    wait: Wait = None,
    as_json: output.Json = False,
) -> None:
    """Enqueue a job and print its id. With --wait, print its result, and exit with 1 if it failed.

    If a job with this unique key already exists, its id is printed (and waited for).

    Example: offload enqueue mail.send @message.json --delay 60
    """
    options = EnqueueOptions(
        queue=queue,
        delay=delay,
        run_at_ms=arguments.time_ms("--run-at", run_at),
        deadline_ms=arguments.time_ms("--deadline", deadline),
        priority=priority,
        max_tries=max_tries,
        timeout=timeout,
        keep_result=keep_result,
        tags=tuple(tag or ()),
        unique_key=unique_key,
        unique_for=unique_for,
        callback_url=callback_url,
    )

    async def work(offload: Backend) -> None:
        schema = offload.catalogue.function(name).arguments.schema
        stored = await offload.client.enqueue(name, arguments.read_arguments(given or [], whole, schema), options)
        if wait is not None:
            print_end(await wait_for_end(offload, stored.id, wait), as_json=as_json)
        elif as_json:
            record = stored.record if stored.is_new else await offload.inspector.get(stored.id)
            output.print_json(documents.job(record))
        else:
            print(stored.id)

    session.run(work)


def with_wait_filled(words: Sequence[str]) -> list[str]:
    """Give a bare `--wait` the value that means no limit: the parser has no options with an optional value."""
    filled: list[str] = []
    rest = list(words)
    while rest and rest[0] != "--":
        word = rest.pop(0)
        if word == "--wait":
            word = f"--wait={rest.pop(0) if rest and _is_number(rest[0]) else 'inf'}"
        filled.append(word)
    return filled + rest


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
