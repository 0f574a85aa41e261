"""What makes two errors the same."""

import pytest

from offload.domain.fingerprints import fingerprint, is_fingerprint, normalised

TRACEBACK = """Traceback (most recent call last):
  File "{root}/jobs/mail.py", line {line}, in send
    await client.post(url)
  File "/usr/lib/python3.11/site-packages/httpx/_client.py", line 1905, in post
    return await self.request(
httpx.ConnectError: {message}
"""


def of(message="no route", root="/app", line=41, function="mail.send", kind="httpx.ConnectError"):
    """Return the fingerprint of an error with a traceback."""
    return fingerprint(function, kind, message, TRACEBACK.format(root=root, line=line, message=message))


RAISED = TRACEBACK.format(root="/app", line=41, message="no route")


def test_the_same_place_is_the_same_error():
    """The message, the line and the directory of a release may differ."""
    assert of() == of(message="timed out after 3 s", line=57, root="/srv/releases/42")


@pytest.mark.parametrize("other", [{"function": "mail.other"}, {"kind": "ValueError"}])
def test_another_function_or_type_is_another_error(other):
    """Though it came from the same place."""
    assert of(**other) != of()


def test_the_innermost_frame_of_the_user_counts():
    """A library's frames below it do not, nor do those above it."""
    other = RAISED.replace("in send", "in helper")

    assert fingerprint("f", "E", "", other) != fingerprint("f", "E", "", RAISED)
    assert fingerprint("f", "E", "", RAISED.replace("_client.py", "_pool.py")) == fingerprint("f", "E", "", RAISED)


def test_of_a_chain_the_last_exception_counts():
    """The one that was raised, not the one it came from."""
    first = RAISED.replace("in send", "in cause")
    chain = f"{first}\nThe above exception was the direct cause of the following exception:\n\n{RAISED}"

    assert fingerprint("f", "E", "", chain) == fingerprint("f", "E", "", RAISED)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user 17 is gone", "user 4 is gone"),
        ("no such file: '/tmp/a'", "no such file: '/tmp/b'"),
        ('no key "x"', 'no key "y"'),
        ("can't open 'a'", "can't open 'b'"),
        ("at 0x7f31aa", "at 0x55d02c"),
        ("job 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "job 0cb4ddf2-4f89-11d3-9a0c-0305e82c3302"),
        ("commit deadbeef01", "commit 0badcafe99"),
    ],
)
def test_without_a_frame_the_message_counts_but_not_what_varies_in_it(one, other):
    """Numbers, ids and quoted parts are not part of what went wrong."""
    assert normalised(one) == normalised(other)
    assert fingerprint("f", "E", one) == fingerprint("f", "E", other)
    assert fingerprint("f", "E", one) != fingerprint("f", "E", "something else")


def test_a_lost_worker_is_one_error_of_each_function():
    """Whichever worker it was: the scripts write the same."""
    assert fingerprint("f", "WorkerLost", "w1 was killed") == fingerprint("f", "WorkerLost", "w2 ran out of memory")


def test_a_fingerprint_is_twelve_hex_digits():
    """So it can be told from anything else, and stand in a URL."""
    assert is_fingerprint(of())
    assert not any(map(is_fingerprint, ["", "0" * 11, "0" * 13, "g" * 12, "0" * 12 + "\n"]))
