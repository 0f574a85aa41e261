"""What is masked by name, and what is cut out of texts by value."""

import pytest

from offload.domain.security.secrets import MASK, Redaction, mask


@pytest.mark.parametrize(
    "name",
    ["password", "db_passwd", "client_secret", "access_token", "API-Key", "private_key", "Authorization", "set_cookie",
     "signing_key", "pwd", "smtp_pwd"],
)  # fmt: skip
def test_a_telling_name_is_masked(name):
    """A value under a name that says what it is is replaced, at any depth."""
    assert mask({"a": [{name: "hunter2"}, {name: {"deep": "hunter2"}}]}) == {"a": [{name: MASK}, {name: MASK}]}


@pytest.mark.parametrize("name", ["max_tokens", "key", "passage", "token_count", "keyboard", "author"])
def test_an_ordinary_name_is_not_masked(name):
    """Names that only look alike are left."""
    assert mask({name: "seen"}) == {name: "seen"}


def test_the_password_in_a_url_is_masked():
    """A URL keeps its host and its user; the password goes, wherever the URL stands."""
    shown = mask({"url": "https://ada:hunter2@example.com/a?b=c@d", "more": ["redis://:hunter2@db/0", "a@b.example"]})

    assert shown["url"] == f"https://ada:{MASK}@example.com/a?b=c@d"
    assert shown["more"] == [f"redis://:{MASK}@db/0", "a@b.example"]


def test_known_values_are_cut_out_of_texts():
    """Secret arguments are cut out of any text they stand in: as they are, by line, quoted by repr, as numbers."""
    given = {
        "name": "ada",
        "password": "hun'ter\\2",
        "private_key": "-----BEGIN\nAAAABBBB\n",
        "pin": 123456,
        "relay": {"url": "smtp://u:opensesame@host"},
    }
    hide = Redaction(given, frozenset({"pin"}))
    text = "ada said hun'ter\\2, " + repr("hun'ter\\2") + ", AAAABBBB, 123456 and opensesame"

    assert hide.text(text) == f'ada said {MASK}, "{MASK}", {MASK}, {MASK} and {MASK}'
    assert hide.of({"a": ["AAAABBBB", 7]}) == {"a": [MASK, 7]}


def test_short_values_are_left_in_texts():
    """A value of three letters stands in ordinary words as well, and cutting it out would hide nothing."""
    hide = Redaction({"password": "ing", "token": True, "secret": None})

    assert not hide
    assert hide.text("nothing is missing") == "nothing is missing"
