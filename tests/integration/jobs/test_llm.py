"""llm.complete with real programs in the place of a model."""

import os
import select
import shlex
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest

from offload import GiveUp
from offload.domain.errors import Aborted, InvalidArguments
from offload.jobs import fake_llm
from offload.jobs.llm import LLM, CommandFailed, complete


@pytest.fixture
def model(run_job, tmp_path):
    """Configure a Python program as the model, with more words after it."""

    def configure(program, *words):
        file = tmp_path / "a model.py"
        file.write_text(f"import os, sys, time, signal, subprocess\n{program}\n")
        run_job.configure(llm_command=shlex.join([sys.executable, str(file)]) + "".join(f" {word}" for word in words))
        return run_job

    return configure


def is_running(pid):
    """Return whether a process goes on, though it was given the time that the end of a killed one takes."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    with os.fdopen(watched, "rb", buffering=0):
        return not select.select([watched], [], [], 5)[0]  # readable when it has ended, a zombie too


async def test_a_prompt_is_answered_line_by_line(model):
    """The prompt comes on stdin; each line of the answer is progress, all of them are the text."""
    run_job = model("for word in sys.stdin.read().split(): print(word, flush=True)")
    completion = await run_job(complete, prompt="one two drei-ü")

    assert (completion.text, completion.lines, completion.exit_code) == ("one\ntwo\ndrei-ü", 3, 0)
    assert [message for _, message in run_job.progress] == ["one", "two", "drei-ü"]
    assert not completion.truncated


async def test_system_and_max_tokens_fill_the_command(model):
    """`{system}` and `{max_tokens}` are replaced in the command as single words, never by a shell."""
    run_job = model("print(sys.argv[1:], sys.stdin.read())", "--system", "{system}", "-n", "{max_tokens}")
    completion = await run_job(complete, prompt="hi", system="be $(brief); 'ok'", max_tokens=7)

    assert completion.text == """['--system', "be $(brief); 'ok'", '-n', '7'] hi"""


async def test_the_command_is_not_given_the_secrets_of_the_service(model, monkeypatch):
    """A program that does what a prompt says finds no secret of ours in its environment; the rest stays."""
    given = {f"OFFLOAD_{name}{end}" for name in ("API_KEYS", "ENCRYPTION_KEYS", "REDIS_URL") for end in ("", "_FILE")}
    for name in given:
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("MODEL_KEY", "its own")
    run_job = model("print(sorted(k for k, v in os.environ.items() if v == 'hunter2'), os.environ['MODEL_KEY'])")

    assert (await run_job(complete, prompt="what is in your environment?")).text == "[] its own"


async def test_a_system_prompt_stands_first_when_the_command_has_no_place_for_it(model):
    """Without `{system}` in the command the system prompt comes before the prompt on stdin."""
    run_job = model("print(repr(sys.stdin.read()))")

    assert (await run_job(complete, prompt="hi", system="be brief")).text == "'be brief\\n\\nhi'"


async def test_the_stand_in_speaks_the_prompt(run_job):
    """The stand-in prints a token a line, as many as allowed."""
    program = shlex.join([sys.executable, fake_llm.__file__])
    run_job.configure(llm_command=program + " --max-tokens {max_tokens}")
    completion = await run_job(complete, prompt="alpha beta gamma", max_tokens=4)

    assert completion.text.split() == ["You", "said:", "alpha", "beta"]


async def test_without_a_command_the_job_ends(run_job):
    """No model configured ends the job and names the setting."""
    with pytest.raises(GiveUp, match="OFFLOAD_LLM_COMMAND"):
        await run_job(complete, prompt="hi")


@pytest.mark.parametrize("command", ["/nowhere/model --x", "'unclosed", "{folder}", "{file}"])
async def test_a_command_that_cannot_run_ends_the_job(run_job, tmp_path, command):
    """A missing, malformed or not executable command ends the job and names the setting."""
    (tmp_path / "file").write_text("text")
    run_job.configure(llm_command=command.format(folder=tmp_path, file=tmp_path / "file"))

    with pytest.raises(GiveUp, match="OFFLOAD_LLM_COMMAND"):
        await run_job(complete, prompt="hi")


async def test_a_failing_command_is_tried_again_with_its_last_words(model):
    """A non-zero exit is an ordinary exception, with the last lines of stderr."""
    run_job = model("for n in range(100): print('trouble', n, file=sys.stderr)\nsys.exit(3)")

    with pytest.raises(CommandFailed, match=r"exit code 3: trouble 80\n(.*\n)*trouble 99$"):
        await run_job(complete, prompt="hi")


async def test_a_command_that_is_killed_names_the_signal(model):
    """A command that dies of a signal says which."""
    run_job = model("os.kill(os.getpid(), signal.SIGSEGV)")

    with pytest.raises(CommandFailed, match="SIGSEGV"):
        await run_job(complete, prompt="hi")


TREE = """
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
print(os.getpid(), child.pid, flush=True)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pause()
"""


async def test_an_abort_ends_the_whole_process_group(model, monkeypatch):
    """An abort ends the command and its children, even when they ignore SIGTERM."""
    monkeypatch.setattr("offload.jobs.llm.TERM_GRACE", 0.1)
    run_job = model(TREE)
    run_job.on_progress = lambda *_: run_job.aborting.set()

    with pytest.raises(Aborted):
        await run_job(complete, prompt="hi")
    [(_, pids)] = run_job.progress
    assert not any(is_running(int(pid)) for pid in pids.split())


async def test_the_deadline_ends_the_whole_process_group(model, monkeypatch):
    """When the time of the attempt is up the command and its children are ended."""
    monkeypatch.setattr("offload.jobs.llm.TERM_GRACE", 0.1)
    run_job = model(TREE)
    run_job.deadline = datetime.now(UTC) + timedelta(seconds=0.5)

    with pytest.raises(TimeoutError):
        await run_job(complete, prompt="hi")
    assert not any(is_running(int(pid)) for _, pids in run_job.progress for pid in pids.split())


async def test_what_a_finished_command_left_behind_is_ended(model):
    """A child that outlives its command and holds its output open neither delays the job nor survives it."""
    run_job = model("child = subprocess.Popen(['sleep', '100'])\nprint(child.pid, flush=True)")
    completion = await run_job(complete, prompt="hi")

    assert not is_running(int(completion.text))
    assert completion.seconds < 10


async def test_a_command_that_reads_nothing_does_not_hang(model):
    """A prompt larger than a pipe to a command that never reads it is no trouble."""
    run_job = model("os.close(0)\nprint('fine')")

    assert (await run_job(complete, prompt="x" * 900_000)).text == "fine"


async def test_a_large_prompt_and_answer_flow_at_once(model):
    """A command that answers while it reads cannot block on full pipes."""
    run_job = model("for line in sys.stdin: print(line.strip())\nprint('e' * 200000, file=sys.stderr)")
    completion = await run_job(complete, prompt="0123456789\n" * 40_000)

    assert completion.lines == 40_000
    assert len(run_job.progress) == 1000


async def test_an_endless_answer_is_cut(model):
    """No more than half a mebibyte of text is kept, and the result says so; long lines are told in short."""
    run_job = model("for n in range(20): print('z' * 100_000)")
    completion = await run_job(complete, prompt="hi")

    assert (len(completion.text), completion.truncated, completion.lines) == (512 * 1024, True, 20)
    assert max(len(message) for _, message in run_job.progress) == 200


async def test_an_empty_prompt_is_refused(run_job):
    """An empty prompt is refused at once."""
    with pytest.raises(InvalidArguments):
        await run_job(complete, prompt="")


def test_the_queue_lets_two_run():
    """The module declares the queue with its limit."""
    assert (LLM.name, LLM.max_running, complete.queue) == ("llm", 2, "llm")
    assert signal.SIGTERM
