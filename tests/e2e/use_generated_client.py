"""What a program does with a client that was generated from the OpenAPI document; run where that client is.

Prints what came of it as JSON: `python use_generated_client.py ADDRESS KEY`.
"""

import json
import sys

from offload_client import AuthenticatedClient
from offload_client.api.digest import enqueue_digest_pbkdf2
from offload_client.api.functions import list_functions
from offload_client.api.jobs import get_job, list_jobs
from offload_client.models import DigestPbkdf2Arguments, JobDocument, Problem

address, key = sys.argv[1:]
with AuthenticatedClient(base_url=address, token=key, raise_on_unexpected_status=True) as client:
    body = DigestPbkdf2Arguments(password="secret", salt="salt", iterations=1000)
    job = enqueue_digest_pbkdf2.sync(client=client, body=body, wait=20, tag=["generated"])
    assert isinstance(job, JobDocument), job
    ended = get_job.sync(job.id, client=client)
    assert isinstance(ended, JobDocument), ended
    listed = list_jobs.sync(client=client, tag="generated")
    assert len(list_functions.sync(client=client).items) > 5
    wrong = get_job.sync("nobody", client=client)
    assert isinstance(wrong, Problem), wrong
    print(
        json.dumps(
            {
                "status": ended.status,
                "hex": ended.result["hex"],
                "listed": [one.id for one in listed.items] == [job.id],
                "wrong": wrong.type_,
            }
        )
    )
