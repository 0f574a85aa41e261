"""The output of the children of `offload up`, on one terminal."""

import pytest

from offload.cli.local import console
from offload.cli.local.console import ProcessConsole

EVENT = "2026-11-22T05:00:00Z [info     ] worker_started"


class Heard:
    """Voices, and what they wrote."""

    def __init__(self, **options):
        self.lines = []
        self.reasons = []
        self.console = ProcessConsole(
            self.lines.append, write_refusal=self.reasons.append, **{"colours": False, **options}
        )


async def test_each_line_has_its_speaker():
    """A line stands behind the name of who says it, in columns."""
    heard = Heard()
    heard.console.note_line("api", "one")
    heard.console.note_line("worker", "two")

    assert heard.lines == ["api    | one", "worker | two"]


async def test_json_is_passed_on_as_it_is():
    """With OFFLOAD_LOG_FORMAT=json a program reads the lines, so nothing is put before them."""
    heard = Heard(plain=True)
    heard.console.note_line("api", '{"event": "x"}')

    assert heard.lines == ['{"event": "x"}']


async def test_two_that_refuse_for_one_reason_say_it_once():
    """Lines before the first log event are held; as the reason of a refusal they are printed once, without names."""
    heard = Heard()
    for name in ("api", "worker"):
        heard.console.note_start(name)
        heard.console.note_line(name, "Traceback")
        heard.console.note_line(name, "error: broken")
    for name in ("api", "worker"):
        heard.console.note_refusal(name)

    assert heard.reasons == ["Traceback\nerror: broken"]
    assert heard.lines == []


async def test_a_child_that_starts_slowly_refuses_in_its_own_words(monkeypatch):
    """Its lines are held from the first on, however long it took to say anything."""
    import asyncio

    monkeypatch.setattr(console, "HELD_FOR", 0.0)
    heard = Heard()
    heard.console.note_start("worker")
    await asyncio.sleep(0.01)
    monkeypatch.setattr(console, "HELD_FOR", 60.0)
    heard.console.note_line("worker", "error: broken")
    heard.console.note_refusal("worker")

    assert (heard.reasons, heard.lines) == (["error: broken"], [])


async def test_after_a_change_the_reason_is_told_again():
    """A module that is still broken after a change says so again."""
    heard = Heard()
    for _ in range(2):
        heard.console.forget_refusals()
        heard.console.note_start("api")
        heard.console.note_line("api", "error: broken")
        heard.console.note_refusal("api")

    assert heard.reasons == ["error: broken", "error: broken"]


async def test_the_first_log_event_ends_the_holding():
    """A child that logs an event works; held lines are printed before it, in order."""
    heard = Heard()
    heard.console.note_start("worker")
    heard.console.note_line("worker", "a print at import")
    before = list(heard.lines)
    heard.console.note_line("worker", EVENT)
    heard.console.note_line("worker", "more")

    assert before == []
    assert heard.lines == ["worker | a print at import", f"worker | {EVENT}", "worker | more"]


async def test_nothing_is_held_for_long(monkeypatch):
    """A child that says something and then nothing is heard all the same."""
    import asyncio

    monkeypatch.setattr(console, "HELD_FOR", 0.01)
    printed = asyncio.Event()
    heard = ProcessConsole(lambda _line: printed.set(), write_refusal=print, colours=False)
    heard.note_start("api")
    heard.note_line("api", "hm")

    await asyncio.wait_for(printed.wait(), 5)


@pytest.mark.parametrize(("level", "code"), [("warning", "33"), ("error", "1;31")])
async def test_colours_are_for_names_and_for_what_is_wrong(level, code):
    """On a terminal each name has a colour, and so has the level of a line that somebody should look at."""
    heard = Heard(colours=True)
    heard.console.note_start("api")
    heard.console.note_line("api", f"now [{level:<9}] it_happened")

    assert heard.lines == [f"\x1b[36mapi    │\x1b[0m now \x1b[{code}m[{level:<9}]\x1b[0m it_happened"]
