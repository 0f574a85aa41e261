"""Slow digests of passwords, in a thread: hashlib releases the GIL, so the event loop is not blocked."""

import hashlib
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from offload import JobContext, job

ALGORITHM = "sha256"


class Digest(BaseModel):
    """A PBKDF2 digest with all parameters needed to compute it again, except the password."""

    algorithm: str
    iterations: int
    salt: str
    hex: str


@job(runs_in="thread", timeout=60, max_tries=2)
def pbkdf2(
    ctx: JobContext,
    password: Annotated[SecretStr, Field(min_length=1, max_length=4096)],
    salt: Annotated[str, Field(min_length=1, max_length=1024)],
    iterations: Annotated[int, Field(ge=1, le=10_000_000)] = 600_000,
) -> Digest:
    """Derive a key of 32 bytes from a password by PBKDF2-HMAC-SHA256 (RFC 8018).

    The salt is taken as UTF-8. 600,000 iterations are what OWASP asks for with SHA-256; 10 million take some seconds.
    """
    key = hashlib.pbkdf2_hmac(ALGORITHM, password.get_secret_value().encode(), salt.encode(), iterations)
    return Digest(algorithm=f"pbkdf2-hmac-{ALGORITHM}", iterations=iterations, salt=salt, hex=key.hex())
