"""Types of settings, with their validation."""

import re
from importlib.util import find_spec
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from offload.domain import redis_address
from offload.domain.errors import InvalidOptions
from offload.domain.security.api_keys import Keyring
from offload.domain.security.encryption_keys import read_keys
from offload.domain.security.signing import check_secret

SMTP_SCHEMES = ("smtp", "smtps")


def _split(value: object) -> object:
    """Split `a, b`, or one value per line; return lists unchanged."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.replace("\n", ",").split(",") if part.strip()]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _redis_url(url: str) -> str:
    if url == "embedded":
        return url
    if not redis_address.has_known_scheme(url):
        schemes = ", ".join(f"{scheme}://" for scheme in redis_address.SCHEMES)
        raise ValueError(f"must be 'embedded' or start with one of {schemes}")
    try:
        redis_address.parse(url)
    except InvalidOptions as error:
        raise ValueError(str(error)) from None
    return url


def _smtp_url(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in SMTP_SCHEMES or not parts.hostname:
        raise ValueError("must look like smtp://user:password@host:587/?starttls=1 or smtps://host:465")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the port must be a number up to 65535") from None
    return url


def _artifacts_url(url: str) -> str:
    if url and (urlsplit(url).scheme != "file" or not urlsplit(url).path.startswith("/") or urlsplit(url).netloc):
        raise ValueError("must be empty or look like file:///absolute/path")
    return url


def _webhook_secrets(secrets: list[SecretStr]) -> list[SecretStr]:
    return [check_secret(secret) for secret in secrets]


def _api_keys(entries: list[SecretStr]) -> list[SecretStr]:
    Keyring.of([entry.get_secret_value() for entry in entries])
    return entries


def _encryption_keys(keys: list[SecretStr]) -> list[SecretStr]:
    read_keys([key.get_secret_value() for key in keys])
    if keys and find_spec("cryptography") is None:
        raise ValueError("needs the package `cryptography`: pip install 'offload[encryption]'")
    return keys


_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:.]+\](:\d+)?")


def _origins(origins: list[str]) -> list[str]:
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is not an origin; expected a form like https://app.example.com, in lower case"
            )
    return origins


_HOST = re.compile(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]")


def _hosts(hosts: list[str]) -> list[str]:
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is not a host name; expected a name without scheme and port, in lower case")
    return hosts


Names = Annotated[list[str], NoDecode, BeforeValidator(_split)]
ApiKeys = Annotated[list[SecretStr], NoDecode, BeforeValidator(_split), AfterValidator(_api_keys)]
EncryptionKeys = Annotated[list[SecretStr], NoDecode, BeforeValidator(_split), AfterValidator(_encryption_keys)]
Origins = Annotated[list[str], NoDecode, BeforeValidator(_split), AfterValidator(_origins)]
Hosts = Annotated[list[str], NoDecode, BeforeValidator(_split), AfterValidator(_hosts)]
WebhookSecrets = Annotated[
    list[SecretStr], NoDecode, BeforeValidator(_split), AfterValidator(_webhook_secrets), Field(max_length=2)
]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp_url)]
ArtifactsUrl = Annotated[str, AfterValidator(_artifacts_url)]
