"""Many idle workers in one process: `python -m benchmarks.idle_workers offload|arq URL COUNT`."""

import asyncio
import logging
import signal
import sys
from typing import Any

import uvloop


def _stock(url: str) -> Any:
    from benchmarks import stock  # noqa: PLC0415 - only one of the two may be loaded

    return stock.worker(url.removeprefix("unix://"), 10, handle_signals=False)


def _offload(url: str) -> Any:
    from offload import logs  # noqa: PLC0415 - only one of the two may be loaded
    from offload.loader import load  # noqa: PLC0415 - only one of the two may be loaded
    from offload.store.connection.connection import settings_of  # noqa: PLC0415
    from offload.store.jobs.codec import json_deserializer, json_serializer  # noqa: PLC0415
    from offload.worker import Worker  # noqa: PLC0415
    from offload.worker.options import WorkerOptions  # noqa: PLC0415

    logs.configure("WARNING", "json")
    catalogue = load(["benchmarks.workload"])
    options = WorkerOptions(queues=catalogue.queue_names, catalogue=catalogue, has_guardian=False)
    return Worker(
        functions=list(catalogue.functions.values()),
        redis_settings=settings_of(url),
        job_serializer=json_serializer,
        job_deserializer=json_deserializer,
        handle_signals=False,
        max_jobs=10,
        offload=options,
    )


async def _run(side: str, url: str, count: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    workers = [{"arq": _stock, "offload": _offload}[side](url) for _ in range(count)]
    tasks = [asyncio.create_task(one.main()) for one in workers]
    ended = asyncio.create_task(stop.wait())
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    logging.basicConfig(level="WARNING")
    uvloop.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
