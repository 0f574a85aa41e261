"""Offload's API with a few routes of the kind that people write first: the slow work in the web process itself."""

import asyncio

from fastapi import BackgroundTasks, FastAPI

from benchmarks.placement.place_jobs import WORK
from offload.app import create_app


def create() -> FastAPI:
    """Build it; `uvicorn --factory` serves it."""
    app = create_app()

    @app.post("/where/background-async/{work}")
    async def background_async(work: str, seconds: float, tasks: BackgroundTasks) -> None:
        async def task() -> None:
            WORK[work](seconds)

        tasks.add_task(task)

    @app.post("/where/background-def/{work}")
    async def background_def(work: str, seconds: float, tasks: BackgroundTasks) -> None:
        tasks.add_task(WORK[work], seconds)

    @app.post("/where/to-thread/{work}")
    async def to_thread(work: str, seconds: float) -> None:
        await asyncio.to_thread(WORK[work], seconds)

    return app
