"""How the demo tells what came of a job: a line for a person, a document for a program."""

import pytest

from offload.cli.demo import show
from offload.cli.demo.runs import Run


@pytest.mark.parametrize(
    ("is_checked", "problems", "mark"),
    [(True, [], "ok    "), (True, ["the job is dead, expected succeeded"], "FAILED"), (False, [], "FAILED")],
)
def test_only_a_job_that_was_checked_and_found_right_is_told_as_right(is_checked, problems, mark):
    """In its line, with whatever was wrong, as in `--json`."""
    run = Run("prompt 1", "llm.complete", status="succeeded", attempt=1, problems=problems, is_checked=is_checked)
    line, document = show.line(run), run.describe()

    assert line.startswith(f"{mark} llm.complete ")
    assert line.endswith("".join(problems))
    assert (document["ok"], document["problems"]) == (mark == "ok    ", problems)


async def test_a_job_is_told_once_when_it_has_been_checked(capsys):
    """Where there is no terminal; with `--json` never."""
    run = Run("prompt 1", "llm.complete", is_checked=True)
    loud, quiet = show.Show(quiet=False), show.Show(quiet=True)
    for one in (loud, loud, quiet):
        one.changed(run)

    assert capsys.readouterr().out.count("llm.complete") == 1
