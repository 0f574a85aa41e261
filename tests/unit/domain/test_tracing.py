"""The W3C trace context of a request."""

import pytest

from offload.domain.tracing import trace_id, traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    "valid", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01-what-comes"]
)
def test_a_valid_context_is_taken_as_it_is(valid):
    """Versions that are not known yet are taken too, whatever follows the parts that are."""
    assert traceparent(valid) == valid
    assert trace_id(valid) == TRACE


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 300,
    ],
)
def test_a_malformed_context_is_ignored(malformed):
    """Section 3.2: a receiver that cannot parse it starts a trace of its own."""
    assert traceparent(malformed) is None
