"""What an operator can set: each field is a variable, its default, its limits and its documentation."""

from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from offload.domain.callbacks import Callbacks
from offload.domain.redis_address import DEFAULT_URL
from offload.domain.retention import Retention
from offload.settings.sources import DOTENV, PREFIX, SecretFiles
from offload.settings.types import (
    ApiKeys,
    ArtifactsUrl,
    Count,
    EncryptionKeys,
    Hosts,
    LogLevel,
    Names,
    Origins,
    PositiveSeconds,
    RedisUrl,
    Seconds,
    SmtpUrl,
    WebhookSecrets,
)

# These may come from a file that OFFLOAD_<NAME>_FILE names, as Docker and Kubernetes mount secrets.
SECRETS = ("redis_url", "api_keys", "encryption_keys", "smtp_url", "webhook_secrets")

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

    redis_url: RedisUrl = Field(
        default=DEFAULT_URL,
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
        default=[],
        description="Python modules that define job functions, comma-separated; of a package, all modules in it. The "
        "working directory is looked in first. Unset: `jobs`, or `offload.jobs` where there is no module `jobs`.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address that the API listens on. Any but a loopback address needs `OFFLOAD_API_KEYS`.",
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port that the API listens on; 0 takes one that is free."
    )
    api_keys: ApiKeys = Field(
        default=[],
        description="Keys that callers of the API must present, comma-separated: each a plain secret, or what "
        "`offload keys new` prints, which has a name, scopes and only a hash. Empty: no key is asked.",
    )
    allowed_hosts: Hosts = Field(
        default=[],
        description="Host names, beside `localhost` and loopback addresses, by which an API without keys may be "
        "called, comma-separated. Others are refused: a web page can make its own name mean this machine.",
    )
    cors_origins: Origins = Field(
        default=[],
        description="Origins whose pages may call the API from a browser (CORS), comma-separated: "
        "`https://app.example.com`. Empty: none.",
    )
    hsts_seconds: int = Field(
        default=0,
        ge=0,
        description="`max-age` of the header `Strict-Transport-Security` on answers over TLS. 0: it is not sent.",
    )
    open_docs: bool = Field(
        default=False,
        description="Show `/`, `/docs` and `/openapi.json` without a key, where keys are set: a browser sends none. "
        "They name every job function with its arguments.",
    )
    encryption_keys: EncryptionKeys = Field(
        default=[],
        description="Keys that encrypt arguments and results in Redis, comma-separated, as `offload keys encryption` "
        "makes them: the first encrypts, all decrypt. Needs `offload[encryption]`. Empty: they are stored as they are.",
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
    stall_ms: int = Field(
        default=100,
        ge=0,
        description="Milliseconds that one step may hold the event loop before it is reported as a stall. 0: the loop "
        "is not watched, and jobs do not know their `loop_ms`.",
    )
    loop_budget_ms: Count | None = Field(
        default=None,
        description="Milliseconds that one step of any async job may hold the event loop before that is logged and "
        "counted, unless its function says `loop_budget_ms`. Unset: only functions that say so have a budget.",
    )
    serializer: Literal["json", "pickle"] = Field(
        default="json",
        description="How arguments and results are stored. `pickle` shares queues with stock arq producers; whoever "
        "can write to that Redis can then run code in the workers.",
    )
    artifacts_url: ArtifactsUrl = Field(
        default="",
        description="Where files that jobs make are kept: `file:///path`, shared by the API and all workers. Empty: "
        "`artifacts` in `OFFLOAD_DATA_DIR`.",
    )
    smtp_url: SmtpUrl = Field(
        default=SecretStr("smtp://127.0.0.1:25"),
        description="The mail server: `smtp://user:password@host:587/?starttls=1`, or `smtps://` for TLS from the "
        "start.",
    )
    llm_command: str | None = Field(
        default=None,
        description="Command line that `llm.complete` runs; it reads the prompt from its input and prints the answer.",
    )
    webhook_secrets: WebhookSecrets = Field(
        default=[],
        description="What signs callbacks, `whsec_` and the base64 of 24 to 64 random bytes; two while a new one is "
        "rolled out, each then signs. The API needs them to take a `callback_url`, the workers to sign.",
    )
    allow_private_addresses: bool = Field(
        default=False,
        description="Let `http.request`, `webhook.deliver` and callbacks call loopback, private and link-local "
        "addresses.",
    )
    max_body_bytes: Count = Field(default=MIB, description="Largest request body that the API takes.")
    request_timeout: PositiveSeconds = Field(
        default=30, description="How long a request, head and body, may take to come in; then it is 408."
    )
    max_result_bytes: Count = Field(
        default=MIB, description="Largest serialised result; more belongs into an artifact."
    )
    max_attachment_bytes: Count = Field(default=10 * MIB, description="Largest sum of the attachments of one e-mail.")
    process_recycle: Count = Field(
        default=100, description="Jobs that one child process runs before a fresh one takes its place."
    )
    max_leaked_threads: int = Field(
        default=10,
        ge=0,
        description="Threads of one worker that may run on after their job was aborted or its time was up; with so "
        "many the worker stops in order and is replaced. 0: however many.",
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

    @property
    def retention(self) -> Retention:
        """How long results, records and dead jobs are kept."""
        return Retention.of(self.keep_result, self.keep_records, self.keep_dead)

    @property
    def callbacks(self) -> Callbacks:
        """What a callback URL may be here."""
        return Callbacks(bool(self.webhook_secrets), self.allow_private_addresses)

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
        return init_settings, env_settings, SecretFiles(settings_cls, SECRETS), dotenv_settings
