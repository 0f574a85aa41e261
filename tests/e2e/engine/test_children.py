"""The child processes of a worker that runs as a process of its own."""

import json


async def test_a_child_loads_nothing_of_the_worker(b, offload):
    """It needs what a job function needs; to import the worker anew took longer than all else of its start."""
    offload()
    record = await b.run("e.loaded")
    modules = json.loads(record.result)

    assert "offload.worker.executors.child" in modules
    assert not {"offload.worker.worker", "offload.worker.process", "offload.worker.engine"} & set(modules)
