"""digest.pbkdf2."""

import pytest

from offload.domain.errors import InvalidArguments
from offload.jobs.digest import pbkdf2


async def test_a_known_digest_comes_out(run_job):
    """The digest is that of the published test vector (RFC 7914, section 11, first 32 bytes)."""
    digest = await run_job(pbkdf2, password="Password", salt="NaCl", iterations=80000)

    assert digest.hex == "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
    assert (digest.algorithm, digest.iterations, digest.salt) == ("pbkdf2-hmac-sha256", 80000, "NaCl")


def test_the_password_is_declared_secret():
    """The schema marks the password as one, so it is masked wherever arguments are shown."""
    shown = pbkdf2.arguments.masked({"password": "hunter2", "salt": "x"})

    assert shown["password"] != "hunter2"
    assert shown["salt"] == "x"


@pytest.mark.parametrize(
    ("changes", "path"),
    [({"iterations": 0}, "iterations"), ({"iterations": 10_000_001}, "iterations"), ({"password": ""}, "password")],
)
async def test_senseless_arguments_are_refused(run_job, changes, path):
    """An empty password and iterations out of range are refused with the path of the field."""
    with pytest.raises(InvalidArguments) as caught:
        await run_job(pbkdf2, **{"password": "p", "salt": "s", **changes})
    assert [fault.path for fault in caught.value.fields] == [path]
