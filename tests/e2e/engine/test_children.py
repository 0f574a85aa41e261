"""The child processes of a worker that runs as a process of its own."""

import json


async def test_a_child_loads_nothing_of_the_worker(b, offload):
    """It needs what a job function needs; to import the worker anew took longer than all else of its start."""
    offload()
    record = await b.run("e.loaded")
    modules = json.loads(record.result)

    assert "service.worker.child" in modules
    assert not {"service.worker.worker", "service.worker.process", "service.worker.parts"} & set(modules)
