"""The pages for people: the start page, `/docs`, the files they load, and the page that asks for a key."""

import re
from dataclasses import replace

import pytest

from integration.api.support import calling, is_problem, settings_for
from offload.api.pages import assets
from offload.domain.catalogue import Catalogue
from offload.domain.functions import define

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ALL_ASSETS = [*map(assets.docs_url, assets.DOCS_ASSETS.values()), *map(assets.page_url, assets.PAGE_ASSETS.values())]


def loaded_by(page):
    """The URLs that a page makes a browser load."""
    tags = re.findall(r"<(?:script|img|link)[^>]*>", page.text)
    return [re.search(r'(?:src|href)="([^"]+)"', tag)[1] for tag in tags]


@pytest.mark.parametrize("path", ["/", "/docs", "/problems/not-found"])
async def test_a_page_loads_files_of_this_service_alone(api, path):
    """A page loads files that are served here alone, and has no script or style written into it."""
    page = await api.get(path)
    urls = loaded_by(page)
    answers = [await api.get(url) for url in urls]

    assert len(urls) >= 2
    assert [answer.status_code for answer in answers] == [200] * len(urls)
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>|https?://(?!localhost)", page.text)
    assert "unsafe" not in page.headers["content-security-policy"]


@pytest.mark.parametrize("url", ALL_ASSETS)
async def test_a_file_is_kept_for_ever_under_its_hash(api, url):
    """A file has the right type, may be cached for ever, and is answered to HEAD as well."""
    got, head = await api.get(url), await api.head(url)
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}

    assert got.headers["content-type"].partition(";")[0] == types[url.rpartition(".")[2]]
    assert got.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert int(head.headers["content-length"]) == len(got.content)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    ["/assets/x/pages.css", "/docs/x/docs.js", "/docs/x", "/docs/x/y/z"]
    + [url.replace(".", "/../", 1) for url in ALL_ASSETS[:1]]
    + [assets.page_url(assets.STYLE).replace("/assets", "/docs")]
    + ["/docs/%2e%2e/VENDORED.toml", "/assets/swagger-ui/LICENSE"],
)
async def test_a_file_that_is_not_there_is_a_problem(api, path):
    """Under a wrong hash, name or directory there is nothing, said as everywhere; 404 is not kept by a browser."""
    answer = await api.get(path)

    assert is_problem(answer, 404, "unknown-path")
    assert answer.headers["cache-control"] == "no-store"


async def test_the_icon_is_served(api):
    """A browser that asks for `/favicon.ico` by itself gets one."""
    icon = await api.get("/favicon.ico")

    assert (icon.status_code, icon.headers["content-type"]) == (200, "image/x-icon")
    assert icon.content.startswith(b"\x00\x00\x01\x00")


async def test_the_start_page_describes_the_service(api, catalogue):
    """The start page names the version and every job function, and leads to the API, the probes and the docs."""
    page = await api.get("/")
    links = set(re.findall(r'href="([^"]+)"', page.text))

    assert api.app.version in page.text
    assert all(f"<code>{name}</code>" in page.text for name in catalogue.functions)
    assert links >= {"/docs", "/openapi.json", "/v1/jobs", "/v1/queues", "/v1/workers", "/livez", "/readyz", "/metrics"}
    assert "docs/index.md" in page.text


async def test_the_start_page_does_not_wait_for_redis(tmp_path, catalogue):
    """The start page and `/docs` are answered where no Redis is, in a moment."""
    async with calling(settings_for("unix:///nowhere/redis", tmp_path), catalogue) as api:
        answers = [await api.get(path, timeout=1) for path in ("/", "/docs", "/favicon.ico")]
        ready = await api.get("/readyz")

    assert [answer.status_code for answer in answers] == [200] * 3
    assert ready.status_code == 503


async def test_what_a_function_says_is_escaped(redis_client, settings):
    """Names and descriptions of job functions are text on the start page, whatever they contain."""

    async def evil(ctx, text: str) -> None:
        """Close </code><script>alert("1")</script> & go `on <i>`."""

    name = "a'b<img src=x onerror=alert(1)>"
    catalogue = Catalogue({name: replace(define(evil), name=name, queue="<q&>")})
    async with calling(settings, catalogue) as api:
        page = await api.get("/")

    assert not re.search(r"<script|<img src=x|<i>|<q&>", page.text)
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; go <code>on &lt;i&gt;</code>." in page.text
    assert "<td>&lt;q&amp;&gt;</td>" in page.text
    assert "/v1/functions/a%27b%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E/jobs" in page.text


async def test_the_page_without_functions_says_where_they_come_from(redis_client, settings):
    """Where no job function is loaded the start page names the setting."""
    async with calling(settings, Catalogue()) as api:
        page = await api.get("/")

    assert page.status_code == 200
    assert "OFFLOAD_JOBS" in page.text


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("queue.example.com:8443", "queue.example.com:8443"),
        ("[::1]:80", "[::1]:80"),
        ("x;rm -rf ~", "127.0.0.1:8000"),
        ("$(id)", "127.0.0.1:8000"),
        ("<b>", "127.0.0.1:8000"),
    ],
)
async def test_the_command_shows_the_address_that_was_called(redis_server, tmp_path, catalogue, host, shown):
    """The example has the address that was called, unless that could be more than a host and a port; and the key."""
    settings = settings_for(redis_server.url, tmp_path, api_keys=["k"], open_docs=True)
    async with calling(settings, catalogue) as api:
        page = await api.get("/", headers={"Host": host})
    command = re.search(r"<pre><code>(.*?)</code>", page.text)[1]

    assert command.startswith(f"curl -i http://{shown}/v1/functions/anything/jobs ")
    assert "Authorization: Bearer $OFFLOAD_API_KEY" in command
    assert '<p class="note">' in page.text


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_browser_without_a_key_is_shown_the_way(redis_client, redis_server, tmp_path, catalogue, path):
    """A browser gets 401 as a page that says how to open it; a program gets the problem, and both the challenge."""
    async with calling(settings_for(redis_server.url, tmp_path, api_keys=["k"]), catalogue) as api:
        page = await api.get(path, headers=BROWSER)
        wrong = await api.get(path, headers={**BROWSER, "Authorization": "Bearer no"})
        styles = [(await api.get(url)).status_code for url in loaded_by(page)]
        program = [await api.get(path, headers={"Accept": accept}) for accept in ("*/*", "application/json")]
        elsewhere = await api.get("/v1/jobs", headers=BROWSER)
        right = await api.get(path, headers={**BROWSER, "Authorization": "Bearer k"})

    assert {answer.status_code for answer in (page, wrong, *program, elsewhere)} == {401}
    assert {answer.headers["www-authenticate"] for answer in (page, wrong, *program)} == {"Bearer"}
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "OFFLOAD_OPEN_DOCS=true" in page.text
    assert "numbers.add" not in page.text
    assert set(styles) == {200}
    assert all(is_problem(answer, 401, "unauthorized") for answer in (*program, elsewhere))
    assert right.status_code == 200
