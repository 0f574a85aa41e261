"""What an operator can set, and the only reader of the environment.

Everything else is given values. `python -m service.settings` prints `docs/reference/settings.md` from the fields below,
so a setting cannot exist without its documentation.
"""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from service.domain.errors import OffloadError

PREFIX = "OFFLOAD_"
DOTENV = ".env"

# These may come from a file that OFFLOAD_<NAME>_FILE names, as Docker and Kubernetes mount secrets.
SECRETS = ("redis_url", "api_keys", "smtp_url")

REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel")
SMTP_SCHEMES = ("smtp", "smtps")


class SettingsError(OffloadError):
    """The environment holds a bad value; the message has one line for each, named by its variable."""


def _split(value: object) -> object:
    """Read `a, b` or one name a line; leave what is a list already."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.replace("\n", ",").split(",") if part.strip()]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _redis_url(url: str) -> str:
    if url != "embedded" and urlsplit(url).scheme not in REDIS_SCHEMES:
        raise ValueError(f"must be 'embedded' or start with one of {', '.join(s + '://' for s in REDIS_SCHEMES)}")
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


Names = Annotated[list[str], NoDecode, BeforeValidator(_split)]
SecretList = Annotated[list[SecretStr], NoDecode, BeforeValidator(_split)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]

DAY = 86_400
MIB = 1_048_576


class Settings(BaseSettings):
    """Every setting, each read from OFFLOAD_<NAME>; durations are seconds, sizes bytes, unless the name says otherwise.

    A value comes from the first of: an argument, the environment, the file that OFFLOAD_<NAME>_FILE names, `.env`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=DOTENV,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    redis_url: Annotated[str, AfterValidator(_redis_url)] = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,
        description="Where Redis is: `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, or `embedded` for a "
        "server of Offload's own. `offload up` and `offload demo` take `embedded` when it is unset.",
    )
    redis_server: Path | None = Field(
        default=None,
        description="The server program of the embedded Redis. Unset: `valkey-server` or `redis-server` on PATH, else "
        "the one that `offload[embedded]` installs.",
    )
    data_dir: Path = Field(
        default=Path(".offload"),
        description="Directory of the embedded Redis' data and of artifacts.",
    )
    jobs: Names = Field(
        default=["jobs"], min_length=1, description="Python modules that define job functions, comma-separated."
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address that the API listens on. Any but a loopback address needs `OFFLOAD_API_KEYS`.",
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port that the API listens on; 0 takes one that is free."
    )
    api_keys: SecretList = Field(
        default=[], description="Keys that callers of the API must present, comma-separated. Empty: no key is asked."
    )
    queues: Names = Field(
        default=[],
        description="Queues that a worker serves, comma-separated, the most urgent first. Empty: all that its job "
        "functions use.",
    )
    max_jobs: Count = Field(default=100, description="How many jobs one worker process runs at once.")
    job_timeout: PositiveSeconds = Field(default=300, description="Limit of one attempt, unless its function says.")
    keep_result: Seconds = Field(
        default=3600, description="How long a result is kept, unless the function or the call says."
    )
    keep_records: Seconds = Field(
        default=3600, description="How long the record of a finished job outlives its result."
    )
    keep_dead: Seconds = Field(default=30 * DAY, description="How long a dead job is kept for somebody to look at.")
    max_tries: Count = Field(default=5, description="Attempts that a job has, unless its function or the call says.")
    enqueue_replicas: int = Field(
        default=0,
        ge=0,
        description="How many replicas of Redis must have a job before its caller is told that it is stored (`WAIT`).",
    )
    enqueue_fsync: Literal["off", "local", "all"] = Field(
        default="off",
        description="Whose disk must have it too (`WAITAOF`: Redis 7.2 or newer with `appendonly yes`): `local`, that "
        "of the master; `all`, also those of `OFFLOAD_ENQUEUE_REPLICAS` replicas.",
    )
    enqueue_confirm_seconds: float = Field(
        default=3,
        gt=0,
        le=4,
        description="How long a call waits for them, which for a disk that is written once a second must be well over "
        "a second; then it fails with 503, though the job is stored and may run.",
    )
    lease_seconds: float = Field(
        default=10,
        ge=0.1,
        allow_inf_nan=False,
        description="How long a worker's right to run a job lasts without renewal. When a whole machine is lost, its "
        "jobs start elsewhere after this time.",
    )
    shutdown_grace: Seconds = Field(
        default=30, description="How long a stopping worker lets running jobs go on before it puts them back."
    )
    abort_grace: Seconds = Field(
        default=1, description="How long an aborted or timed-out job may clean up before its process is killed."
    )
    stuck_grace: Seconds = Field(
        default=5,
        description="How long after an attempt's timeout a worker whose event loop is held may go on before it is "
        "dumped, killed and replaced.",
    )
    unknown_function_grace: Seconds = Field(
        default=600,
        description="How long a job whose function no worker knows waits for one that does before it is dead.",
    )
    stall_ms: Count = Field(
        default=100, description="Milliseconds that one step may hold the event loop before it is reported as a stall."
    )
    serializer: Literal["json", "pickle"] = Field(
        default="json",
        description="How arguments and results are stored. `pickle` shares queues with stock arq producers; whoever "
        "can write to that Redis can then run code in the workers.",
    )
    artifacts_url: Annotated[str, AfterValidator(_artifacts_url)] = Field(
        default="",
        description="Where files that jobs make are kept: `file:///path`, shared by the API and all workers. Empty: "
        "`artifacts` in `OFFLOAD_DATA_DIR`.",
    )
    smtp_url: Annotated[SecretStr, AfterValidator(_smtp_url)] = Field(
        default=SecretStr("smtp://127.0.0.1:25"),
        description="The mail server: `smtp://user:password@host:587/?starttls=1`, or `smtps://` for TLS from the "
        "start.",
    )
    llm_command: str | None = Field(
        default=None,
        description="Command line that `llm.complete` runs; it reads the prompt from its input and prints the answer.",
    )
    allow_private_addresses: bool = Field(
        default=False,
        description="Let `http.request` and `webhook.deliver` call loopback, private and link-local addresses.",
    )
    max_body_bytes: Count = Field(default=MIB, description="Largest request body that the API takes.")
    max_result_bytes: Count = Field(
        default=MIB, description="Largest serialised result; more belongs into an artifact."
    )
    max_attachment_bytes: Count = Field(default=10 * MIB, description="Largest sum of the attachments of one e-mail.")
    process_recycle: Count = Field(
        default=100, description="Jobs that one child process runs before a fresh one takes its place."
    )
    log_level: LogLevel = Field(default="INFO", description="The least severe event that is logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` is `console` on a terminal and `json` anywhere else."
    )
    lifeline_fd: int | None = Field(
        default=None,
        ge=0,
        description="Set by `offload up` for its children, which stop when this descriptor closes. Not for people.",
    )

    @property
    def artifacts_dir(self) -> Path:
        """The directory of artifacts that `artifacts_url` means."""
        if not self.artifacts_url:
            return self.data_dir / "artifacts"
        return Path(unquote(urlsplit(self.artifacts_url).path))

    def redis_url_or(self, default: str) -> str:
        """Return the Redis URL that somebody set, else `default` (`up` and `demo` say `embedded`)."""
        return self.redis_url if "redis_url" in self.model_fields_set else default

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (a directory of secrets; we take single files)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the files that `_FILE` variables name between the environment and `.env`."""
        return init_settings, env_settings, _SecretFiles(settings_cls), dotenv_settings


class _SecretFiles(PydanticBaseSettingsSource):
    """The values of OFFLOAD_<NAME>_FILE variables: the content of the named file, without the newline at its end."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        variable = variable_of(field_name)
        named = os.environ.get(variable + "_FILE") or _dotenv().get(variable + "_FILE")
        if not named:
            return None, field_name, False
        if os.environ.get(variable):
            raise SettingsError(f"{variable}_FILE: {variable} is set as well; only one of them may be")
        try:
            return Path(named).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SettingsError(f"{variable}_FILE: cannot read {named!r}: {reason}") from error

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(self.settings_cls.model_fields[name], name)[0] for name in SECRETS}
        return {name: value for name, value in values.items() if value is not None}


def variable_of(name: str) -> str:
    """Return the environment variable of a setting: `port` → `OFFLOAD_PORT`."""
    return PREFIX + name.upper()


def load_settings(**overrides: object) -> Settings:
    """Read the settings now; `overrides` (command-line flags) win over the environment.

    Raises SettingsError with one line for each bad value.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(render_errors(error)) from None


@cache
def get_settings() -> Settings:
    """Return the settings of this process, read once; `get_settings.cache_clear()` reads them anew."""
    return load_settings()


def render_errors(error: ValidationError) -> str:
    """Render what pydantic found as one line for each bad value, `OFFLOAD_PORT: …`, without the value of a secret."""
    environment = {**_dotenv(), **os.environ}
    lines = []
    for found in error.errors(include_url=False, include_context=False):
        name = str(found["loc"][0]) if found["loc"] else ""
        variable = variable_of(name) if name in Settings.model_fields else name or "settings"
        message = found["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        value = environment.get(variable)
        shown = f", not {value!r}" if value and name not in SECRETS else ""
        lines.append(f"{variable}: {message}{shown}")
    return "\n".join(dict.fromkeys(lines))


def unknown_variables() -> list[str]:
    """Return a warning for every OFFLOAD_ variable, in the environment or `.env`, that no setting reads."""
    known = [variable_of(name) for name in Settings.model_fields]
    known += [variable_of(name) + "_FILE" for name in SECRETS]
    present = sorted({name for name in (*os.environ, *_dotenv()) if name.startswith(PREFIX)} - set(known))
    warnings = []
    for name in present:
        near = get_close_matches(name, known, n=1)
        warnings.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return warnings


def child_environment(changes: Mapping[str, object] | None = None) -> dict[str, str]:
    """Return the environment for a child process: this one's, with settings changed (`{"redis_url": …}`).

    A list is written comma-separated, None unsets the variable. An unknown name is a KeyError.
    """
    environment = dict(os.environ)
    for name, value in (changes or {}).items():
        _ = Settings.model_fields[name]
        environment.pop(variable_of(name), None)
        environment.pop(variable_of(name) + "_FILE", None)
        if value is not None:
            environment[variable_of(name)] = _as_text(value)
    return environment


def reference() -> str:
    """Return the text of `docs/reference/settings.md`."""
    rows = [
        f"| `{variable_of(name)}` | {_values_of(name, field)} | {_default_of(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    files = ", ".join(f"`{variable_of(name)}_FILE`" for name in SECRETS)
    return "\n".join(
        [
            "# Settings",
            "",
            "<!-- Written by `python -m service.settings`; change the descriptions in `service/settings.py`. -->",
            "",
            "Offload is set by environment variables, or by the same names in a file `.env` in the working directory",
            "(the environment wins). An empty value counts as unset. Durations are seconds and sizes are bytes, unless",
            "the name says otherwise. Lists are comma-separated.",
            "",
            f"{files} name a file that holds the value, for secrets that are mounted.",
            "A variable that starts with `OFFLOAD_` and is not listed here is warned of at the start.",
            "",
            "| variable | values | default | what it does |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _dotenv() -> dict[str, str | None]:
    return dotenv_values(DOTENV, encoding="utf-8")


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(_as_text(part) for part in value)
    return str(value)


def _values_of(name: str, field: FieldInfo) -> str:
    """Describe the values that a field takes, for a reader who does not know Python."""
    words: dict[Any, str] = {
        int: "integer",
        int | None: "integer",
        float: "number",
        bool: "`true` or `false`",
        str: "text",
        SecretStr: "text",
    }
    if name.endswith("_url"):
        return "URL"
    if name in {"redis_server", "data_dir"}:
        return "path"
    choices = getattr(field.annotation, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return ", ".join(f"`{choice}`" for choice in choices)
    if field.annotation in words:
        return words[field.annotation]
    return "list" if choices and choices[0] in {str, SecretStr} and type(None) not in choices else "text"


def _default_of(field: FieldInfo) -> str:
    value = field.default
    if value is None or value in ("", []):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{_as_text(value)}`"


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201  (the page is what this command is for)
