"""What a callback URL may be, and what has to be there for one to be delivered."""

import pytest

from offload.domain.arguments import Arguments
from offload.domain.callbacks import FUNCTION, LONGEST_URL, Callbacks, callback_id, check_callback_url, why_private
from offload.domain.errors import InvalidOptions
from offload.domain.functions import EnqueueOptions


class Deliverer:
    """Stands for the shipped job function."""

    arguments = Arguments.untyped(FUNCTION)


KNOWN = {FUNCTION: Deliverer}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks?job=1&k=%20#x",
        "http://example.com:8080",
        "https://[2606:4700::1111]/x",
        "HTTPS://E.org",
    ],
)
def test_a_complete_web_address_is_taken(url):
    """Plain or TLS, any port, a query, an address in brackets."""
    assert check_callback_url(url) == url
    assert EnqueueOptions(callback_url=url).callback_url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://example.com/", "complete http"),
        ("/hooks", "complete http"),
        ("http:///hooks", "complete http"),
        ("https://user:secret@example.com/", "must not contain a user or password"),
        ("https://user@example.com/", "must not contain a user or password"),
        ("https://example.com:99999/", "not a URL"),
        ("https://example.com/a b", "ASCII without spaces"),
        ("https://example.com/\r\nX-Evil: 1", "ASCII without spaces"),
        ("https://exämple.com/", "ASCII without spaces"),
        ("https://example.com/" + "a" * LONGEST_URL, f"it may have {LONGEST_URL}"),
        ("", "complete http"),
    ],
)
def test_anything_else_is_refused_with_the_reason(url, said):
    """A wrong scheme, no host, credentials, a bad port, what no header may carry, too long; no secret is repeated."""
    with pytest.raises(InvalidOptions, match=said) as caught:
        EnqueueOptions(callback_url=url)
    assert "secret@" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:9/x", "loopback"),
        ("http://localhost/", "loopback"),
        ("http://api.localhost./", "loopback"),
        ("http://169.254.169.254/latest", "link-local"),
        ("http://[::ffff:10.0.0.1]/", "private"),
        ("http://[fd00:ec2::254]/", "private"),
        ("http://10.0.0.1./", "private"),
        ("http://example.com/", None),
        ("http://1.1.1.1/", None),
    ],
)
def test_a_private_address_is_told_by_its_looks(url, kind):
    """Only literally: what a name leads to is judged when it is delivered."""
    assert why_private(url) == kind


@pytest.mark.parametrize(
    ("callbacks", "functions", "code"),
    [
        (Callbacks(has_secrets=True), {}, "callback_no_job"),
        (Callbacks(), KNOWN, "callback_no_secret"),
        (Callbacks(has_secrets=True), KNOWN, "callback_private_address"),
    ],
)
def test_a_callback_that_could_not_be_delivered_is_refused(callbacks, functions, code):
    """The job function, a secret, a public address: the error names which is missing, and its field."""
    with pytest.raises(InvalidOptions) as caught:
        callbacks.check("http://127.0.0.1/", functions)
    assert [(field.path, field.code) for field in caught.value.fields] == [("callback_url", code)]


def test_a_private_address_may_be_allowed():
    """OFFLOAD_ALLOW_PRIVATE_ADDRESSES holds for callbacks too."""
    Callbacks(has_secrets=True, allow_private=True).check("http://127.0.0.1/", KNOWN)


def test_callbacks_are_numbered_by_end():
    """As the scripts number them."""
    assert callback_id("a:b", 2) == "callback:a:b:2"
