"""E-mail over SMTP: built in a thread, sent on the event loop, one connection for one message."""

import hashlib
import re
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate
from mimetypes import guess_type
from typing import Annotated, Self
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from offload import Backoff, GiveUp, JobContext, Retry, job
from offload.domain.clock import now_ms
from offload.domain.security.addresses import is_loopback
from offload.jobs.inputs import FileInput

CONNECT_TIMEOUT = 10.0
STEP_TIMEOUT = 20.0

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS = re.compile(
    r"""\s*(?P<name>[^<>]*(?=<))?(?P<open><)?(?P<local>[^\s<>(),:;"\\@\[\]]+)@(?P<domain>[^\s<>(),:;"\\@]+)(?(open)>)\s*"""
)
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_SET_BY_US = frozenset(
    {"from", "sender", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "mime-version", "received"}
)
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")


def check_line(text: str) -> str:
    """Return a text for a header, or raise ValueError if a line break could inject another header."""
    if _CONTROL.search(text):
        msg = "must be one line without control characters"
        raise ValueError(msg)
    return text


def check_address(text: str) -> str:
    """Return `user@example.com` or `Name <user@example.com>`, or raise ValueError."""
    check_line(text)
    if _ADDRESS.fullmatch(text) is None:
        msg = "must be an address such as user@example.com or Name <user@example.com>"
        raise ValueError(msg)
    return text


def parts_of(address: str) -> tuple[str, str, str]:
    """Return name, local part and domain (in ASCII, IDNA) of an address; raise GiveUp on an impossible domain."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        msg = f"{address!r} is not a mail address"
        raise GiveUp(msg)
    try:
        domain = match["domain"].encode("idna").decode("ascii")
    except UnicodeError:
        msg = f"{address!r} has an invalid domain"
        raise GiveUp(msg) from None
    return (match["name"] or "").strip().strip('"'), match["local"], domain


def check_mail_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return additional headers, or raise ValueError for one that is malformed or has its own field."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            msg = f"{name!r} is not a valid header name"
            raise ValueError(msg)
        if name.lower() in _SET_BY_US or name.lower().startswith(("content-", "resent-")):
            msg = f"header {name!r} cannot be set here; use the field for it"
            raise ValueError(msg)
        check_line(value)
    return headers


def check_media_type(text: str) -> str:
    """Return a media type such as `application/pdf`, or raise ValueError."""
    if not _MEDIA_TYPE.fullmatch(text):
        msg = "must be a media type such as application/pdf, without parameters"
        raise ValueError(msg)
    return text


Address = Annotated[str, Field(max_length=320), AfterValidator(check_address)]
Line = Annotated[str, Field(max_length=900), AfterValidator(check_line)]


class Attachment(FileInput):
    """An attachment: either base64 content, or an artifact of another job."""

    name: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(check_line)]
    media_type: Annotated[str, AfterValidator(check_media_type)] | None = None


class Email(BaseModel):
    """A message: `text`, `html` or both (as alternatives). `bcc` receives it without being named in it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    to: Annotated[list[Address], Field(min_length=1, max_length=50)]
    cc: Annotated[list[Address], Field(max_length=50)] = []
    bcc: Annotated[list[Address], Field(max_length=50)] = []
    from_: Address = Field(alias="from")
    reply_to: Address | None = None
    subject: Line
    text: str | None = None
    html: str | None = None
    headers: Annotated[dict[str, str], Field(max_length=50), AfterValidator(check_mail_headers)] = {}
    attachments: Annotated[list[Attachment], Field(max_length=50)] = []

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.text is None and self.html is None:
            msg = "specify text, html or both"
            raise ValueError(msg)
        return self


class Refusal(BaseModel):
    """The server's reason for rejecting one recipient."""

    code: int
    message: str


class Receipt(BaseModel):
    """The server's response: it accepted the message for `accepted` and rejected `refused`."""

    message_id: str
    accepted: list[str]
    refused: dict[str, Refusal]
    response: str


@job(queue="mail", timeout=30, max_tries=6, keep_result=86400, backoff=Backoff(base=5.0, factor=3.0))
async def send(ctx: JobContext, message: Email) -> Receipt:
    """Send an e-mail through the SMTP server of OFFLOAD_SMTP_URL.

    4xx answers, timeouts and connection trouble are tried again; 5xx is final. The Message-ID follows from the job's
    id, so a message that was sent twice because an answer was lost is one message to whoever receives it. If the server
    accepts it for some recipients only, the receipt names the others, and they are not tried again.
    """
    server = _server(ctx.settings.smtp_url)
    attachments = await ctx.to_thread(_contents, ctx, message.attachments)
    message_id = _message_id(ctx.id, message.from_)
    built = await ctx.to_thread(_build, message, attachments, message_id, now_ms() / 1000)
    recipients = list(dict.fromkeys(_bare(a) for a in (*message.to, *message.cc, *message.bcc)))
    refused, response = await _deliver(ctx, server, _bare(message.from_), recipients, built)
    return Receipt(
        message_id=message_id,
        accepted=[address for address in recipients if address not in refused],
        refused=refused,
        response=response,
    )


class Server(BaseModel):
    """Address and options of the SMTP server."""

    host: str
    port: int
    username: str | None
    password: str | None
    use_tls: bool
    start_tls: bool | None


def _server(url: SecretStr) -> Server:
    """Read `smtp[s]://[user:password@]host[:port][?starttls=0|1]`; raise GiveUp, which never repeats it.

    Without `starttls`, TLS is used when the server offers it, and required before a password goes to another machine.
    """
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        msg = "no mail server is set; example: OFFLOAD_SMTP_URL=smtp://user:password@mail.example.com:587/?starttls=1"
        raise GiveUp(msg)
    use_tls = parts.scheme == "smtps"
    wanted = parse_qs(parts.query).get("starttls", [""])[-1].lower()
    start_tls = {"1": True, "true": True, "0": False, "false": False}.get(wanted)
    if start_tls is None and parts.username and not is_loopback(parts.hostname or ""):
        start_tls = True
    return Server(
        host=parts.hostname,
        port=parts.port or (465 if use_tls else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password or "") if parts.username else None,
        use_tls=use_tls,
        start_tls=False if use_tls else start_tls,
    )


def _contents(ctx: JobContext, attachments: list[Attachment]) -> list[tuple[str, str, bytes]]:
    """Return `(name, media type, content)` of each; raise GiveUp if one is missing or the total is too large."""
    limit = ctx.settings.max_attachment_bytes
    found: list[tuple[str, str, bytes]] = []
    total = 0
    for attachment in attachments:
        artifact, content = attachment.read(ctx)
        guessed = artifact.media_type if artifact else guess_type(attachment.name)[0]
        total += len(content)
        if total > limit:
            msg = (
                f"the attachments exceed the limit of {limit:,} bytes (at {attachment.name!r}, "
                f"{len(content):,} bytes): send a link instead, or increase OFFLOAD_MAX_ATTACHMENT_BYTES"
            )
            raise GiveUp(msg)
        found.append((attachment.name, attachment.media_type or guessed or "application/octet-stream", content))
    return found


def _message_id(job_id: str, sender: str) -> str:
    """Return the same Message-ID for every attempt of a job."""
    local = job_id if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", job_id) else hashlib.sha256(job_id.encode()).hexdigest()[:32]
    return f"<{local}@{parts_of(sender)[2]}>"


def _bare(address: str) -> str:
    """Return the address without a name."""
    _, local, domain = parts_of(address)
    return f"{local}@{domain}"


def _mailbox(address: str) -> Mailbox:
    return Mailbox(*parts_of(address))


def _build(message: Email, attachments: list[tuple[str, str, bytes]], message_id: str, at: float) -> bytes:
    """Build the message as bytes (RFC 5322, MIME); everything except non-ASCII addresses is encoded in ASCII."""
    built = EmailMessage(policy=SMTP)
    built["Message-ID"] = message_id
    built["Date"] = formatdate(at, usegmt=True)
    built["From"] = _mailbox(message.from_)
    built["To"] = [_mailbox(address) for address in message.to]
    if message.cc:
        built["Cc"] = [_mailbox(address) for address in message.cc]
    if message.reply_to:
        built["Reply-To"] = _mailbox(message.reply_to)
    built["Subject"] = message.subject
    for name, value in message.headers.items():
        built[name] = value
    if message.text is not None:
        built.set_content(message.text)
    if message.html is not None:
        (built.add_alternative if message.text is not None else built.set_content)(message.html, subtype="html")
    for name, media_type, content in attachments:
        main, _, sub = media_type.partition("/")
        built.add_attachment(content, maintype=main, subtype=sub, filename=name)
    policy = SMTP if all(a.isascii() for a in _all_addresses(message)) else SMTPUTF8
    return built.as_bytes(policy=policy.clone(cte_type="7bit"))


def _all_addresses(message: Email) -> list[str]:
    named = [message.from_, *message.to, *message.cc, *message.bcc, *([message.reply_to] if message.reply_to else [])]
    return [_bare(address) for address in named]


async def _deliver(
    ctx: JobContext, server: Server, sender: str, recipients: list[str], message: bytes
) -> tuple[dict[str, Refusal], str]:
    """Hand the message to the server; return the recipients it refused and its answer, or raise Retry or GiveUp."""
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        use_tls=server.use_tls,
        start_tls=server.start_tls,
        timeout=STEP_TIMEOUT,
    )
    options = [] if all(a.isascii() for a in (sender, *recipients)) else ["SMTPUTF8"]
    where = f"SMTP server {server.host}:{server.port}"
    try:
        await client.connect(timeout=CONNECT_TIMEOUT)
        ctx.progress(0.3, f"connected to {server.host}:{server.port}")
        refused, response = await client.sendmail(sender, recipients, message, mail_options=options)
        await _quit(ctx, client)
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _all_refused(where, error) from error
    except aiosmtplib.SMTPResponseException as error:
        msg = f"{where} responded with {error.code} {error.message}"
        raise (GiveUp(msg) if _is_permanent(error.code) else Retry(msg)) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        if type(error) in (
            aiosmtplib.SMTPException,
            aiosmtplib.SMTPNotSupported,
        ):  # it does not support what the URL asks for
            msg = f"{where}: {error}"
            raise GiveUp(msg) from error
        msg = f"{where} failed: {str(error) or type(error).__name__} (address from OFFLOAD_SMTP_URL)"
        raise Retry(msg) from error
    finally:
        client.close()
    return {
        address: Refusal(code=refusal.code, message=refusal.message) for address, refusal in refused.items()
    }, response


async def _quit(ctx: JobContext, client: aiosmtplib.SMTP) -> None:
    """Send QUIT; the message is already accepted, so an error here must not retry the job."""
    try:
        await client.quit(timeout=2.0)
    except (aiosmtplib.SMTPException, OSError) as error:
        ctx.log.info("smtp_quit_failed", error=str(error))


def _is_permanent(code: int) -> bool:
    return 500 <= code <= 599


def _all_refused(where: str, error: aiosmtplib.SMTPRecipientsRefused) -> GiveUp | Retry:
    reasons = "; ".join(f"{one.recipient}: {one.code} {one.message}" for one in error.recipients)
    msg = f"{where} rejected every recipient: {reasons}"
    return GiveUp(msg) if all(_is_permanent(one.code) for one in error.recipients) else Retry(msg)
