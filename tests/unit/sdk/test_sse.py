"""Reading server-sent events from bytes, however a network cuts them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from offload.sdk.sse import Decoder, Message

STREAM = (
    ": keep-alive\n\n"
    'id: 1-0\nevent: running\ndata: {"a": 1}\n\n'
    "event:log\r\ndata:two\r\ndata: lines \u2028 é\r\n\r\n"
    "id: 2-0\rdata\r\r"
    "retry: 10\nunknown: x\nid: with\0null\ndata: last\n\n"
    "id: 9-9\ndata: cut off\n"
).encode()
WHOLE = [
    Message("1-0", "running", '{"a": 1}'),
    Message("1-0", "log", "two\nlines \u2028 é"),
    Message("2-0", "message", ""),
    Message("2-0", "message", "last"),
]


def decoded(*chunks, last_id=""):
    decoder = Decoder(last_id)
    return [message for chunk in chunks for message in decoder.feed(chunk)]


def test_events_are_read_as_the_specification_says():
    """All three line ends, comments, several data lines, ids that stay, unknown fields; what is cut off is dropped."""
    assert decoded(STREAM) == WHOLE


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts):
    """Any division into chunks gives the same events, within a character and between CR and LF too."""
    places = [0, *sorted(cuts), len(STREAM)]

    assert decoded(*(STREAM[a:b] for a, b in pairwise(places))) == WHOLE


def test_a_block_of_an_id_alone_says_where_to_resume():
    """It is no event, and still the place to go on from; one that is cut off is not."""
    decoder = Decoder("1-0")
    events = list(decoder.feed(b"id: 2-0\n\nid: 3-0\n"))

    assert (events, decoder.last_id) == ([], "2-0")


def test_an_event_without_an_id_has_the_one_that_was_resumed_from():
    """Whoever resumes after an event that had no id goes on from where it was."""
    assert decoded(b"data: x\n\n", last_id="7-0") == [Message("7-0", "message", "x")]
