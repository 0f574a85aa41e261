"""mail.send against a real SMTP server."""

import asyncio
import base64

import pytest
from pydantic import SecretStr

from offload import GiveUp, Retry
from offload.domain.errors import InvalidArguments
from offload.jobs.mail import send


def letter(**changes):
    """Return a message that is right, but for the changes."""
    return {"to": ["ann@example.com"], "from": "shop@example.org", "subject": "Hello", "text": "Hi Ann", **changes}


@pytest.fixture
def mailing(run_job, mail_server):
    """Let jobs send through the mail server."""
    run_job.configure(smtp_url=SecretStr(mail_server.url))
    return run_job


async def test_a_message_arrives_as_it_was_written(mailing, mail_server):
    """Text, HTML, names, umlauts and an attachment arrive at the server as they were given."""
    receipt = await mailing(
        send,
        message=letter(
            to=["Ann Müller <ann@example.com>", "bob@example.com"],
            cc=["cc@example.com"],
            reply_to="help@example.org",
            subject="Grüße ✓",
            html="<p>Hi <b>Ann</b></p>",
            headers={"X-Campaign": "spring"},
            attachments=[{"name": "prix été.csv", "content_base64": base64.b64encode(b"a,b\n1,2\n").decode()}],
        ),
    )
    [message] = mail_server.messages
    [attachment] = message.iter_attachments()

    assert message["Subject"] == "Grüße ✓"
    assert message["To"] == "Ann Müller <ann@example.com>, bob@example.com"
    assert message["Reply-To"] == "help@example.org"
    assert message["X-Campaign"] == "spring"
    assert message["Date"].endswith(("+0000", "GMT"))
    assert message.get_body(("plain",)).get_content().strip() == "Hi Ann"
    assert "<b>Ann</b>" in message.get_body(("html",)).get_content()
    assert attachment.get_filename() == "prix été.csv"
    assert attachment.get_content_type() == "text/csv"
    assert attachment.get_content().replace("\r\n", "\n") == "a,b\n1,2\n"
    assert receipt.accepted == ["ann@example.com", "bob@example.com", "cc@example.com"]
    assert receipt.refused == {}
    assert "4711" in receipt.response
    assert receipt.message_id == message["Message-ID"]


async def test_bcc_receives_the_message_without_being_named(mailing, mail_server):
    """A bcc address is a recipient and stands in no header."""
    await mailing(send, message=letter(bcc=["hidden@example.com"]))
    [envelope] = mail_server.envelopes

    assert envelope.rcpt_tos == ["ann@example.com", "hidden@example.com"]
    assert b"hidden" not in envelope.content


async def test_every_attempt_carries_the_same_message_id(mailing, mail_server):
    """A repeated attempt of one job sends the same Message-ID, so a receiver sees one message."""
    await mailing(send, message=letter())
    mailing.attempt = 2
    await mailing(send, message=letter())
    first, second = mail_server.messages

    assert first["Message-ID"] == second["Message-ID"] == f"<{mailing.job_id}@example.org>"


async def test_an_artifact_is_attached_by_its_id(mailing, mail_server):
    """An attachment given as an artifact carries that artifact's bytes and media type."""
    artifact = mailing.put("report.pdf", b"%PDF-1.7 \x00\xff", "application/pdf")
    await mailing(send, message=letter(attachments=[{"name": "report.pdf", "artifact_id": artifact.id}]))
    [attachment] = mail_server.messages[0].iter_attachments()

    assert attachment.get_content_type() == "application/pdf"
    assert attachment.get_content() == b"%PDF-1.7 \x00\xff"


async def test_a_missing_artifact_ends_the_job(mailing):
    """An artifact that is not there ends the job with its id in the message."""
    with pytest.raises(GiveUp, match="no artifact 'nowhere'"):
        await mailing(send, message=letter(attachments=[{"name": "x", "artifact_id": "nowhere"}]))


async def test_attachments_over_the_limit_end_the_job(mailing, mail_server):
    """Attachments that are too much together end the job before anything is sent, naming limit and setting."""
    mailing.configure(max_attachment_bytes=1000)
    half = base64.b64encode(bytes(600)).decode()
    attachments = [{"name": "a.bin", "content_base64": half}, {"name": "b.bin", "content_base64": half}]

    with pytest.raises(GiveUp, match=r"1,000 bytes .*'b\.bin'.*OFFLOAD_MAX_ATTACHMENT_BYTES"):
        await mailing(send, message=letter(attachments=attachments))
    assert mail_server.envelopes == []


async def test_a_refused_recipient_is_named_in_the_receipt(mailing, mail_server):
    """When the server takes a message for some recipients, the receipt names the others with the reason."""
    mail_server.refuse_recipient["gone@example.com"] = "550 5.1.1 no such mailbox"
    receipt = await mailing(send, message=letter(to=["ann@example.com", "gone@example.com"]))

    assert receipt.accepted == ["ann@example.com"]
    assert receipt.refused["gone@example.com"].code == 550
    assert "no such mailbox" in receipt.refused["gone@example.com"].message


@pytest.mark.parametrize(
    ("answer", "expected"), [("550 5.1.1 no such mailbox", GiveUp), ("450 4.2.1 mailbox busy", Retry)]
)
async def test_no_recipient_left_follows_the_code(mailing, mail_server, answer, expected):
    """When every recipient is refused, 5xx ends the job and 4xx is tried again, with code and text."""
    mail_server.refuse_recipient["ann@example.com"] = answer

    with pytest.raises(expected, match=f"ann@example.com: {answer}"):
        await mailing(send, message=letter())


@pytest.mark.parametrize(
    ("answer", "expected"), [("554 5.7.1 looks like spam", GiveUp), ("451 4.3.0 try again later", Retry)]
)
async def test_a_refused_message_follows_the_code(mailing, mail_server, answer, expected):
    """5xx after the content ends the job with code and text, 4xx is tried again by the policy's backoff."""
    mail_server.answer_data = answer

    with pytest.raises(expected, match=answer) as caught:
        await mailing(send, message=letter())
    assert getattr(caught.value, "after", None) is None


async def test_an_unreachable_server_is_tried_again(run_job, closed_port):
    """A refused connection is retried, and the message names address and setting."""
    run_job.configure(smtp_url=SecretStr(f"smtp://127.0.0.1:{closed_port}"))

    with pytest.raises(Retry, match=f"127.0.0.1:{closed_port} failed: .*OFFLOAD_SMTP_URL"):
        await run_job(send, message=letter())


async def test_a_dropped_connection_is_tried_again(run_job):
    """A server that hangs up in the middle is retried."""

    async def hang_up(reader, writer):
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        run_job.configure(smtp_url=SecretStr(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        with pytest.raises(Retry, match="failed: "):
            await run_job(send, message=letter())


async def test_a_silent_server_is_tried_again(run_job, monkeypatch):
    """A server that accepts and then says nothing runs into the timeout and is retried."""
    monkeypatch.setattr("offload.jobs.mail.CONNECT_TIMEOUT", 0.1)
    held = []
    async with await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0) as server:
        run_job.configure(smtp_url=SecretStr(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        with pytest.raises(Retry, match=r"(?i)timed out"):
            await run_job(send, message=letter())
        for writer in held:
            writer.close()


async def test_trouble_after_acceptance_does_not_send_it_again(mailing, mail_server):
    """A failing goodbye after the message was accepted is a success."""
    mail_server.answer_quit = "421 4.3.2 shutting down"
    receipt = await mailing(send, message=letter())

    assert receipt.accepted == ["ann@example.com"]
    assert len(mail_server.envelopes) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_user_and_password_of_the_url_are_used(run_job, mail_server):
    """The URL's user and password, percent-decoded, log in."""
    url = mail_server.require("shop@example.org", "p:ss/wörd").removeprefix("smtp://")
    run_job.configure(smtp_url=SecretStr(f"smtp://shop%40example.org:p%3Ass%2Fw%C3%B6rd@{url}"))
    await run_job(send, message=letter())

    assert len(mail_server.envelopes) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_wrong_password_ends_the_job_and_is_not_repeated(run_job, mail_server):
    """A refused login ends the job with the server's code, and the password is in no message."""
    url = mail_server.require("shop", "right").removeprefix("smtp://")
    run_job.configure(smtp_url=SecretStr(f"smtp://shop:wr0ng-one@{url}"))

    with pytest.raises(GiveUp, match="535") as caught:
        await run_job(send, message=letter())
    assert "wr0ng-one" not in str(caught.value)


async def test_starttls_that_the_server_does_not_offer_ends_the_job(run_job, mail_server):
    """`starttls=1` is a demand: without it nothing is sent in the clear."""
    run_job.configure(smtp_url=SecretStr(mail_server.url + "/?starttls=1"))

    with pytest.raises(GiveUp, match="STARTTLS"):
        await run_job(send, message=letter())
    assert mail_server.envelopes == []


async def test_an_address_beyond_ascii_needs_a_server_that_takes_it(mailing, mail_server):
    """A domain beyond ASCII is sent in its ASCII form."""
    receipt = await mailing(send, message=letter(to=["ann@müller.example"]))

    assert receipt.accepted == ["ann@xn--mller-kva.example"]
    assert mail_server.envelopes[0].rcpt_tos == ["ann@xn--mller-kva.example"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"subject": "Hi\r\nBcc: all@example.com"}, "message.subject"),
        ({"to": ["ann@example.com\nBcc: all@example.com"]}, "message.to.0"),
        ({"from": "Shop\r\nX: y <shop@example.org>"}, "message.from"),
        ({"headers": {"X-A": "b\nBcc: all@example.com"}}, "message.headers"),
        ({"headers": {"X-A: b\nBcc": "all@example.com"}}, "message.headers"),
        ({"headers": {"Bcc": "all@example.com"}}, "message.headers"),
        ({"headers": {"Content-Type": "text/html"}}, "message.headers"),
        ({"attachments": [{"name": "a\r\nb", "content_base64": ""}]}, "message.attachments.0.name"),
        ({"attachments": [{"name": "a", "content_base64": "%%%"}]}, "message.attachments.0.content_base64"),
        ({"attachments": [{"name": "a"}]}, "message.attachments.0"),
        ({"to": []}, "message.to"),
        ({"to": ["a@example.com"] * 51}, "message.to"),
        ({"to": ["nobody"]}, "message.to.0"),
        ({"text": None}, "message"),
        ({"sender": "x@example.com"}, "message.sender"),
    ],
)
async def test_a_message_that_cannot_be_right_is_refused_at_once(mailing, mail_server, changes, path):
    """Header injection, bad addresses, bad base64 and unknown fields are refused with the path of the field."""
    with pytest.raises(InvalidArguments) as caught:
        await mailing(send, message=letter(**changes))
    assert [fault.path for fault in caught.value.fields] == [path]
    assert mail_server.envelopes == []
