"""Asking for a job again: its document is sent only when it has changed."""

import pytest

from offload.api.etags import is_named


async def test_a_job_that_stands_as_it_did_is_304(api, enqueue):
    """With the same tag and without a body."""
    job = await enqueue()
    first = await api.get(f"/v1/jobs/{job['id']}")
    again = await api.get(f"/v1/jobs/{job['id']}", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["etag"].startswith('"')
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


async def test_a_job_that_has_changed_is_sent(api, enqueue, worker):
    """With another tag."""
    job = await enqueue()
    first = await api.get(f"/v1/jobs/{job['id']}")
    await worker.start()
    again = await api.get(f"/v1/jobs/{job['id']}", headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.json()["status"]) == (200, "running")
    assert again.headers["etag"] != first.headers["etag"]


async def test_waiting_for_a_change_in_vain_is_304(api, enqueue):
    """`wait` and `If-None-Match` go together."""
    job = await enqueue()
    tag = (await api.get(f"/v1/jobs/{job['id']}")).headers["etag"]
    again = await api.get(f"/v1/jobs/{job['id']}", params={"wait": 0.05}, headers={"If-None-Match": tag})

    assert again.status_code == 304


@pytest.mark.parametrize("asked", ["*", '"a"', 'W/"a"', '"b", "a"', '"b" ,W/"a"'])
def test_a_tag_is_named_in_every_way_of_the_standard(asked):
    """RFC 9110, 13.1.2: a list, compared weakly, or any at all."""
    assert is_named('"a"', asked)


@pytest.mark.parametrize("asked", ["", '"b"', "a", '"aa"', '"b", "c"'])
def test_another_tag_is_not_the_same(asked):
    """Then the document is sent."""
    assert not is_named('"a"', asked)
