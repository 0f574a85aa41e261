"""The head of an answer goes out with the body that follows at once."""

import asyncio

from offload.api.server.cork import Corked


class Transport:
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def write(self, data):
        self.told.append(data)

    def close(self):
        self.told.append("close")

    def is_closing(self):
        return "close" in self.told


def corked():
    """A transport, and what stands before it."""
    transport = Transport()
    return transport, Corked(transport, asyncio.get_running_loop())


async def test_head_and_body_are_one_write():
    """What comes after goes through as it is."""
    transport, cork = corked()
    cork.write(b"head ")
    before = list(transport.told)
    cork.write(b"body")
    cork.write(b"more")
    await asyncio.sleep(0)

    assert before == []
    assert transport.told == [b"head body", b"more"]


async def test_a_head_without_a_body_goes_out_when_the_loop_turns():
    """A stream of events has nothing to say yet, and its reader waits for the head."""
    transport, cork = corked()
    cork.write(b"head")
    await asyncio.sleep(0)
    cork.write(b"first")

    assert transport.told == [b"head", b"first"]


async def test_closing_loses_nothing():
    """What is held is written first."""
    transport, cork = corked()
    cork.write(b"head")
    cork.close()
    await asyncio.sleep(0)

    assert transport.told == [b"head", "close"]
    assert cork.is_closing()
