"""`/` and `/docs` as a person sees them: in a real browser, which reaches nothing but this machine."""

import asyncio
import contextlib

import pytest

from support.browser import Tab, chromium, colours, executable
from support.service import ApiProcess

KEY = "a-key-of-the-tests"
JOBS = '''"""Job functions of these tests."""

from offload import JobContext, job


@job(queue="letters")
async def greet(ctx: JobContext, name: str, times: int = 1) -> str:
    """Greet <b>somebody</b> & friends."""
    return f"Hello, {name}!" * times


@job
def count(ctx: JobContext, text: str) -> int:
    """Count letters."""
    return len(text)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A directory with a module of job functions."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "letters.py").write_text(JOBS)
    return directory


@pytest.fixture(scope="module")
def addresses(redis_server, project):
    """The addresses of three API processes: one asks for no key, one does, one does but for its pages."""
    executable()  # else nothing needs to be started
    settings = {"open": {}, "closed": {"api_keys": [KEY]}, "keyed": {"api_keys": [KEY], "open_docs": True}}
    with contextlib.ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                contextlib.closing(ApiProcess.start(redis_server.url, project, ["letters", "offload.jobs"], **chosen))
            )
            for name, chosen in settings.items()
        }
        yield {name: asyncio.run(process.listens()) for name, process in processes.items()}


@pytest.fixture(scope="module")
def browser(addresses):
    """One browser for all tests here."""
    with chromium() as launched:
        yield launched


@pytest.fixture
def tab(browser, addresses):
    """Open a tab on one of the services; after the test no tab has complained or asked another origin."""
    tabs = []

    def opened(service="open", **context):
        tabs.append(Tab(browser, addresses[service], **context))
        return tabs[-1]

    yield opened
    complaints = [complaint for opened in tabs for complaint in (*opened.complaints, *opened.elsewhere)]
    for opened in tabs:
        opened.close()
    assert complaints == []


def try_out(page, operation, body=None):
    """Expand an operation of Swagger UI, call it, and return the status and the body that it shows."""
    block = page.locator(f"#{operation}")
    block.locator(".opblock-summary").click()
    block.get_by_role("button", name="Try it out").click()
    if body is not None:
        block.locator("textarea.body-param__text").fill(body)
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    answer.wait_for()
    return answer.locator(".response-col_status").inner_text(), answer.locator("code").first.inner_text()


def test_the_docs_are_drawn(tab, tmp_path):
    """`/docs` shows every operation, wide and narrow, light or dark as the browser prefers."""
    opened = tab()
    page = opened.open("/docs")
    page.locator("#operations-letters-enqueue_letters_greet").wait_for()
    is_dark = []
    for picture in opened.pictures(tmp_path, "docs"):
        assert colours(picture) > 100
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        is_dark.append(page.evaluate("document.documentElement.classList.contains('dark-mode')"))

    assert page.title() == "Offload API"
    assert page.locator(".opblock").count() > 30
    assert page.locator(".info .title").inner_text().startswith("Offload")
    assert is_dark == [False, False, True, True]


def test_a_call_is_tried_out(tab, tmp_path):
    """An operation is expanded and called from the page: the job is enqueued, and can be read."""
    page = tab().open("/docs")
    status, body = try_out(page, "operations-letters-enqueue_letters_greet", '{"name": "Ada"}')
    picture = tmp_path / "tried-out.png"
    page.locator("#operations-letters-enqueue_letters_greet .responses-wrapper").screenshot(path=picture)
    listed, _ = try_out(page, "operations-jobs-list_jobs")

    assert status.startswith("202")
    assert '"function": "letters.greet"' in body
    assert listed.startswith("200")
    assert colours(picture) > 50


def test_a_key_is_given_by_the_authorize_button(tab):
    """Where keys are set, a call without one is 401, and succeeds when Authorize has taken one."""
    opened = tab("keyed")
    page = opened.open("/docs")
    refused, _ = try_out(page, "operations-queues-list_queues")
    refusals = [complaint for complaint in opened.complaints if "401" in complaint]
    opened.forget(refusals)
    page.locator(".auth-wrapper .authorize").click()
    page.locator(".auth-container input").fill(KEY)
    page.locator(".auth-btn-wrapper button.authorize").click()
    page.locator(".auth-btn-wrapper button.btn-done").click()
    accepted, _ = try_out(page, "operations-letters-enqueue_letters_count", '{"text": "abc"}')

    assert refused.startswith("401")
    assert len(refusals) == 1
    assert accepted.startswith("202")


def test_the_start_page_is_drawn(tab, tmp_path):
    """`/` fits the window, wide and narrow, and its texts have the contrast of WCAG AA, light and dark."""
    opened = tab()
    page = opened.open("/")
    for picture in opened.pictures(tmp_path, "front"):
        assert colours(picture) > 50
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(CONTRASTS) == []
    first = page.locator("tbody tr").first.inner_text().split()

    assert first == ["letters.count", "Count", "letters.", "default", "thread"]
    assert page.get_by_text("Greet <b>somebody</b> & friends.").count() == 1


def test_every_link_of_the_start_page_leads_somewhere(tab):
    """Each link is answered, and `/docs` opens from it."""
    opened = tab()
    page = opened.open("/")
    paths = page.eval_on_selector_all("main a", "links => links.map(link => link.getAttribute('href'))")
    answered = {path: page.request.get(path).status for path in paths}
    page.get_by_role("link", name="/docs").click()
    page.locator(".opblock").first.wait_for()

    assert len(paths) > 8
    assert set(answered.values()) == {200}


def test_the_command_of_the_start_page_can_be_copied(tab):
    """A click selects the whole command, which a shell can run as it stands."""
    import subprocess

    page = tab().open("/")
    page.locator("pre code").click()
    command = page.evaluate("getSelection().toString()")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=20)

    assert command.startswith("curl ")
    assert done.stdout.startswith("HTTP/1.1 202")


def test_pages_without_a_key_say_how_to_open_them(tab, tmp_path):
    """Where keys are set and the pages are not opened, a browser is shown a page that says how to open them."""
    opened = tab("closed")
    answers = [opened.page.goto(path) for path in ("/docs", "/")]
    opened.forget([complaint for complaint in opened.complaints if "401" in complaint])
    for picture in opened.pictures(tmp_path, "locked"):
        assert colours(picture) > 50
        assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert opened.page.evaluate(CONTRASTS) == []

    assert [answer.status for answer in answers] == [401, 401]
    assert "OFFLOAD_OPEN_DOCS=true" in opened.page.inner_text("main")


CONTRASTS = """() => {
  const parse = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = parse(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = [];
  for (let text; text = texts.nextNode();) {
    if (!text.textContent.trim()) continue;
    const element = text.parentElement;
    const [a, b] = [parse(getComputedStyle(element).color), ground(element)].map(light);
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) poor.push(`${text.textContent.trim()}: ${contrast.toFixed(2)}`);
  }
  return poor;
}"""
"""Texts whose contrast to the ground they stand on is below 4.5:1."""
