"""The bytes in arq's keys, read back by arq's own functions."""

import asyncio
import pickle
from datetime import UTC, datetime

import orjson
import pytest
from arq.jobs import deserialize_job, deserialize_result, serialize_job, serialize_result

from offload.domain.errors import ErrorInfo
from offload.store.jobs.codec import Codec, Payload, RemoteError, Undecodable, json_deserializer, json_serializer

AT = 1_700_000_000_000
PAYLOAD = Payload("t.f", (1, "x"), {"k": [True, None]}, None, AT)
ERROR = ErrorInfo("ValueError", "no", "Traceback …")


def dumps(document):
    return b"!" + pickle.dumps(document)


def loads(data):
    assert data[:1] == b"!"
    return pickle.loads(data[1:])


CODECS = {
    "json": (Codec(), json_serializer, json_deserializer),
    "pickle": (Codec.named("pickle"), pickle.dumps, pickle.loads),
    "custom": (Codec.custom(dumps, loads), dumps, loads),
}


@pytest.fixture(params=CODECS)
def codec(request):
    return CODECS[request.param]


def test_arq_reads_our_jobs(codec):
    """Function, arguments and enqueue time are where arq looks for them."""
    ours, _, their_loads = codec
    read = deserialize_job(ours.encode_job("t.f", {"a": [1], "b": {"c": None}}, AT), deserializer=their_loads)

    assert (read.function, read.args, read.kwargs) == (
        "t.f",
        [] if ours.kind == "json" else (),
        {"a": [1], "b": {"c": None}},
    )
    assert (read.job_try, read.enqueue_time) == (None, datetime.fromtimestamp(AT / 1000, UTC))


def test_we_read_arqs_jobs(codec):
    """Positional and named arguments, and the attempt that a producer asked for."""
    ours, their_dumps, _ = codec
    data = serialize_job("t.f", (1, "x"), {"k": [True, None]}, 3, AT, serializer=their_dumps)

    assert ours.decode_job(data) == Payload("t.f", (1, "x"), {"k": [True, None]}, 3, AT)


def test_arq_reads_our_results(codec):
    """A success with its value, times and queue."""
    ours, _, their_loads = codec
    data = ours.encode_result("j", "arq:queue", PAYLOAD, 2, AT, AT + 5, result=b'{"x":1}', value=None)
    read = deserialize_result(data, deserializer=their_loads)

    assert (read.success, read.result, read.job_try, read.job_id) == (True, {"x": 1}, 2, "j")
    assert (read.queue_name, read.finish_time.microsecond) == ("arq:queue", 5000)


def test_we_read_our_results_and_arqs(codec):
    """Whoever wrote them."""
    ours, their_dumps, _ = codec
    own = ours.encode_result("j", "arq:queue", PAYLOAD, 1, AT, AT, result=b"7")
    arqs = serialize_result(
        "t.f", (1, "x"), {"k": [True, None]}, 1, AT, True, 7, AT, AT, "j", "arq:queue", "j", serializer=their_dumps
    )

    assert ours.decode_result(own).value == ours.decode_result(arqs).value == 7
    assert ours.decode_result(own).success


def test_a_failure_is_data_in_json():
    """Type, message and traceback; no object of ours is needed to read it."""
    data = Codec().encode_result("j", "arq:queue", PAYLOAD, 1, AT, AT, error=ERROR, exception=ValueError("no"))

    assert orjson.loads(data)["r"] == {"type": "ValueError", "message": "no", "traceback": "Traceback …"}
    assert not deserialize_result(data, deserializer=json_deserializer).success


def test_a_failure_is_the_exception_itself_in_pickle():
    """Arq's Job.result() raises what it finds; where there is no object, an error that says the same."""
    codec = Codec.named("pickle")
    raised = codec.encode_result("j", "arq:queue", PAYLOAD, 1, AT, AT, error=ERROR, exception=KeyError("k"))
    described = codec.encode_result("j", "arq:queue", PAYLOAD, 1, AT, AT, error=ERROR)

    assert isinstance(deserialize_result(raised).result, KeyError)
    assert isinstance(deserialize_result(described).result, RemoteError)
    assert str(deserialize_result(described).result) == "ValueError: no"


def test_a_value_that_cannot_be_pickled_is_replaced_as_arq_does():
    """The job's end is recorded all the same."""
    data = Codec.named("pickle").encode_result("j", "arq:queue", PAYLOAD, 1, AT, AT, result=b"null", value=lambda: 1)
    read = deserialize_result(data)

    assert (read.success, read.result) == (False, "unable to serialize result")


def test_an_aborted_job_reads_as_arqs_job_abort_expects(codec):
    """A failure; under pickle a CancelledError, whether the payload was known or not."""
    ours, _, their_loads = codec
    for payload in (PAYLOAD, None):
        read = deserialize_result(ours.encode_aborted("j", "arq:queue", payload, AT), deserializer=their_loads)

        assert not read.success
        assert ours.kind == "json" or isinstance(read.result, asyncio.CancelledError)


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("pickle was read",))


def test_pickle_is_not_read_unless_it_is_set():
    """The error says which setting would; nothing of it is executed."""
    evil = pickle.dumps({"t": None, "f": "x", "a": (), "k": {"x": Evil()}, "et": AT})

    with pytest.raises(Undecodable, match="OFFLOAD_SERIALIZER=pickle"):
        Codec().decode_job(evil)
    with pytest.raises(Undecodable, match="OFFLOAD_SERIALIZER=pickle"):
        Codec().decode_result(evil)
    with pytest.raises(Undecodable):
        Codec().decode_job(pickle.dumps({"k": Evil()}, protocol=0))


def test_the_pickle_codec_reads_json_as_well():
    """A queue can be moved from one to the other while it is in use."""
    codec = Codec.named("pickle")

    assert codec.decode_job(Codec().encode_job("t.f", {"a": 1}, AT)).kwargs == {"a": 1}
    assert codec.decode_result(Codec().encode_result("j", "q", PAYLOAD, 1, AT, AT, result=b"7")).value == 7


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b"nonsense", b"\x80nonsense", b'{"f":1,"a":2,"k":3,"t":4,"et":5}']
)
def test_what_cannot_be_read_is_one_kind_of_error(codec, data):
    """Whatever the bytes are, the serializer's own exception does not get out."""
    with pytest.raises(Undecodable):
        codec[0].decode_job(data)
    with pytest.raises(Undecodable):
        codec[0].decode_result(data)


def test_a_worker_without_serializers_pickles_as_arq_does():
    """And one with ours speaks JSON; anything else is taken as it is."""
    assert Codec.custom(None, None).kind == "pickle"
    assert Codec.custom(json_serializer, json_deserializer).kind == "json"
    assert Codec.custom(dumps, None).kind == "custom"


def test_pickled_arguments_need_no_class_of_ours():
    """Models and dataclasses are sent as plain values: a stock worker unpickles them."""
    read = deserialize_job(Codec.named("pickle").encode_job("t.f", {"at": datetime(2026, 1, 1, tzinfo=UTC)}, AT))

    assert read.kwargs == {"at": "2026-01-01T00:00:00Z"}
