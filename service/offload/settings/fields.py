"""The settings: each field is a variable with its default, its limits and its documentation."""

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

# OFFLOAD_<NAME>_FILE may name a file with the value, as Docker and Kubernetes mount secrets.
SECRETS = ("redis_url", "api_keys", "encryption_keys", "smtp_url", "webhook_secrets")

DAY = 86_400
MIB = 1_048_576


class Settings(BaseSettings):
    """All settings, each read from OFFLOAD_<NAME>; durations are seconds, sizes bytes, unless the name says otherwise.

    A value comes from the first of: an argument, the environment, the file named by OFFLOAD_<NAME>_FILE, `.env`.
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
        description="Address of Redis: `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, or `embedded` for a "
        "server that Offload runs itself, which is the default of `offload up` and `offload demo`.",
    )
    redis_server: Path | None = Field(
        default=None,
        description="Server program of the embedded Redis. Unset: `valkey-server` or `redis-server` on PATH, otherwise "
        "the one installed by `offload[embedded]`.",
    )
    data_dir: Path = Field(
        default=Path(".offload"),
        description="Directory for the data of the embedded Redis and for artifacts.",
    )
    jobs: Names = Field(
        default=[],
        description="Python modules that define job functions, comma-separated; a package includes all its modules. "
        "The working directory is searched first. Unset: `jobs`, or `offload.jobs` if there is no module `jobs`. "
        "While `offload up` runs, other commands in its directory use the modules that it loaded.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address that the API listens on. Any address but loopback requires `OFFLOAD_API_KEYS`.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port that the API listens on; 0 picks a free one.")
    api_keys: ApiKeys = Field(
        default=[],
        description="Keys for clients of the API, comma-separated. Each is a plain secret, or an entry printed by "
        "`offload keys new`, which has a name, scopes and a hash in place of the secret. Empty: no key is required.",
    )
    allowed_hosts: Hosts = Field(
        default=[],
        description="Host names under which an API without keys may be called, comma-separated, in addition to "
        "`localhost` and loopback addresses. Others are rejected, since a web page can point its own name to this "
        "machine (DNS rebinding).",
    )
    cors_origins: Origins = Field(
        default=[],
        description="Origins that may call the API from a browser (CORS), comma-separated, for example "
        "`https://app.example.com`. Empty: none.",
    )
    hsts_seconds: int = Field(
        default=0,
        ge=0,
        description="`max-age` of the header `Strict-Transport-Security` in responses over TLS. 0: not sent.",
    )
    open_docs: bool = Field(
        default=False,
        description="Serve `/`, `/docs` and `/openapi.json` without a key even if keys are set: browsers send none. "
        "They list every job function with its arguments.",
    )
    encryption_keys: EncryptionKeys = Field(
        default=[],
        description="Keys that encrypt arguments and results in Redis, comma-separated, as printed by "
        "`offload keys encryption`. The first encrypts, all decrypt. Requires `offload[encryption]`. Empty: no "
        "encryption.",
    )
    queues: Names = Field(
        default=[],
        description="Queues that a worker processes, comma-separated, most urgent first. Empty: all queues of its job "
        "functions.",
    )
    max_jobs: Count = Field(
        default=100, description="Maximum number of jobs that one worker process runs at the same time."
    )
    job_timeout: PositiveSeconds = Field(
        default=300, description="Time limit of an attempt, unless the function sets its own."
    )
    keep_result: Seconds = Field(
        default=3600, description="How long a result is kept, unless the function or the call sets it."
    )
    keep_records: Seconds = Field(
        default=3600, description="How long the record of a finished job is kept after its result."
    )
    keep_dead: Seconds = Field(default=30 * DAY, description="How long a dead job is kept for inspection and retry.")
    max_tries: Count = Field(
        default=5, description="Maximum number of attempts, unless the function or the call sets it."
    )
    enqueue_replicas: int = Field(
        default=0,
        ge=0,
        description="Number of Redis replicas that must have a job before the enqueue call succeeds (`WAIT`).",
    )
    enqueue_fsync: Literal["off", "local", "all"] = Field(
        default="off",
        description="Disks that must have the job too (`WAITAOF`: Redis 7.2 or newer with `appendonly yes`). `local`: "
        "the master's; `all`: also those of `OFFLOAD_ENQUEUE_REPLICAS` replicas.",
    )
    enqueue_confirm_seconds: float = Field(
        default=3,
        gt=0,
        le=4,
        description="How long an enqueue call waits for these confirmations before it fails with 503, although the job "
        "is stored and may run. Must be well over a second if Redis writes to disk once a second.",
    )
    lease_seconds: float = Field(
        default=10,
        ge=0.1,
        allow_inf_nan=False,
        description="How long a worker's lease on a job lasts without renewal. If a whole machine is lost, its jobs "
        "start elsewhere after this time.",
    )
    shutdown_grace: Seconds = Field(
        default=30, description="How long a stopping worker waits for running jobs before it requeues them."
    )
    abort_grace: Seconds = Field(
        default=1, description="How long an aborted or timed-out job may clean up before its process is killed."
    )
    stuck_grace: Seconds = Field(
        default=5,
        description="How long after an attempt's timeout a worker with a blocked event loop is tolerated before its "
        "stack is dumped and it is killed and replaced.",
    )
    unknown_function_grace: Seconds = Field(
        default=600,
        description="How long a job waits for a worker that knows its function before it is dead.",
    )
    stall_ms: int = Field(
        default=100,
        ge=0,
        description="Milliseconds that one step may block the event loop before it is reported as a stall. 0: the loop "
        "is not watched, and jobs have no `loop_ms`.",
    )
    loop_budget_ms: Count | None = Field(
        default=None,
        description="Milliseconds that one step of an async job may block the event loop before it is logged and "
        "counted, unless the function sets its own `loop_budget_ms`. Unset: only functions that set one have a budget.",
    )
    serializer: Literal["json", "pickle"] = Field(
        default="json",
        description="Format of stored arguments and results. `pickle` shares queues with stock arq producers, but lets "
        "anyone who can write to that Redis run code in the workers.",
    )
    artifacts_url: ArtifactsUrl = Field(
        default="",
        description="Location of files made by jobs: `file:///path`, shared by the API and all workers. Empty: "
        "`artifacts` in `OFFLOAD_DATA_DIR`.",
    )
    smtp_url: SmtpUrl = Field(
        default=SecretStr("smtp://127.0.0.1:25"),
        description="Mail server: `smtp://user:password@host:587/?starttls=1`, or `smtps://` for TLS from the start.",
    )
    llm_command: str | None = Field(
        default=None,
        description="Command line that `llm.complete` runs; it reads the prompt from stdin and prints the answer.",
    )
    webhook_secrets: WebhookSecrets = Field(
        default=[],
        description="Secrets that sign callbacks: `whsec_` followed by the base64 of 24 to 64 random bytes. Two during "
        "a rotation; each then signs. The API requires them to accept a `callback_url`, the workers to sign.",
    )
    allow_private_addresses: bool = Field(
        default=False,
        description="Allow `http.request`, `webhook.deliver` and callbacks to call loopback, private and link-local "
        "addresses.",
    )
    max_body_bytes: Count = Field(default=MIB, description="Maximum size of a request body.")
    request_timeout: PositiveSeconds = Field(
        default=30,
        description="How long a client may take to send a request, head and body, before it is answered with 408.",
    )
    max_result_bytes: Count = Field(
        default=MIB, description="Maximum size of a serialised result; return larger data as an artifact."
    )
    max_attachment_bytes: Count = Field(
        default=10 * MIB, description="Maximum total size of the attachments of an e-mail."
    )
    process_recycle: Count = Field(
        default=100, description="Number of jobs that a child process runs before it is replaced."
    )
    max_leaked_threads: int = Field(
        default=10,
        ge=0,
        description="Number of threads still running after their job was aborted or timed out at which a worker stops "
        "gracefully and is replaced. 0: no limit.",
    )
    log_level: LogLevel = Field(default="INFO", description="Lowest level of logged events.")
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="Format of the log; `auto` is `console` on a terminal and `json` elsewhere."
    )
    lifeline_fd: int | None = Field(
        default=None,
        ge=0,
        description="Internal; do not set. `offload up` sets it for its children, which stop when this descriptor "
        "closes.",
    )

    @property
    def artifacts_dir(self) -> Path:
        """The directory of `artifacts_url`."""
        if not self.artifacts_url:
            return self.data_dir / "artifacts"
        return Path(unquote(urlsplit(self.artifacts_url).path))

    @property
    def retention(self) -> Retention:
        """The times for which results, records and dead jobs are kept."""
        return Retention.of(self.keep_result, self.keep_records, self.keep_dead)

    @property
    def callbacks(self) -> Callbacks:
        """The rules for callback URLs: whether they are accepted, and whether private addresses are."""
        return Callbacks(bool(self.webhook_secrets), self.allow_private_addresses)

    def redis_url_or(self, default: str) -> str:
        """Return the Redis URL if it is set, else `default` (`embedded` for `up` and `demo`)."""
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
