"""The peers of the HTTP benchmarks: FastAPI applications that do less than ours, or the same with stock arq.

`python -m benchmarks.peers empty|arq --port N [--socket PATH]`: one uvicorn process with uvloop, httptools and no
access log, as our API runs.
"""

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from arq import create_pool
from arq.connections import RedisSettings
from fastapi import Body, FastAPI

from benchmarks.payload import Letter

SOCKET = "BENCH_REDIS_SOCKET"
PATH = "/v1/functions/workload.post/jobs"


def empty() -> FastAPI:
    """Check the same typed body and answer; answer a `GET` with what stands ready."""
    app = FastAPI()

    @app.post(PATH, status_code=202)
    async def post(letter: Annotated[Letter, Body(embed=True)]) -> dict[str, Any]:
        return {"id": "0", "status": "queued", "to": len(letter.to)}

    @app.get("/v1/jobs/{job_id}")
    async def get(job_id: str) -> dict[str, Any]:
        return {"id": job_id, "status": "succeeded"}

    return app


def stock() -> FastAPI:
    """Check the same typed body and put it into arq's queue, as a user of arq would write it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await create_pool(RedisSettings(unix_socket_path=os.environ[SOCKET]))
        yield
        await app.state.pool.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.post(PATH, status_code=202)
    async def post(letter: Annotated[Letter, Body(embed=True)]) -> dict[str, Any]:
        job = await app.state.pool.enqueue_job("workload.post", letter.model_dump())
        return {"id": job.job_id, "status": "queued"}

    return app


def main() -> None:
    """Serve one of them until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=("empty", "arq"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--socket", default="")
    asked = parser.parse_args()
    os.environ[SOCKET] = asked.socket
    app = {"empty": empty, "arq": stock}[asked.which]()
    uvicorn.run(app, port=asked.port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
