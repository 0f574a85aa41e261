"""A real browser, Debian's chromium, that reaches this machine alone and reports all that it complains of."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

REQUIRED = "TEST_BROWSER"
"""With the value `required` a missing browser fails the tests instead of skipping them."""

_ARGUMENTS = [
    "--no-sandbox",  # root has no other way
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
_HEAR_VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", event =>
  violations.push(`${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`));
"""


def executable() -> str:
    """Return where chromium is; without one the test is skipped, or fails where it is required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "no chromium on PATH: `apt-get install chromium`, or another package that brings it"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(f"{reason} ({REQUIRED}=required)")
        pytest.skip(reason)
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run one browser, for as many pages as a module of tests opens."""
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """One page in a context of its own; `complaints` and `elsewhere` must be empty at the end."""

    def __init__(self, browser: Browser, address: str, **context: Any) -> None:
        self.address = address
        self._context = browser.new_context(base_url=address, service_workers="block", **context)
        self._context.add_init_script(_HEAR_VIOLATIONS)
        self.page: Page = self._context.new_page()
        self._errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._errors.append(f"uncaught: {error}"))
        self.page.on("requestfailed", lambda request: self._errors.append(f"failed: {request.url}"))
        self._context.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: str) -> Page:
        """Load a page and return it."""
        self.page.goto(path)
        return self.page

    def pictures(self, directory: Path, name: str) -> Iterator[Path]:
        """Photograph the page wide and narrow, light and dark; it can be looked at before the next is taken."""
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            for width in (1600, 380):
                self.page.set_viewport_size({"width": width, "height": 1000})
                path = directory / f"{name}-{scheme}-{width}.png"
                self.page.screenshot(path=path)
                yield path

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the console, uncaught exceptions, requests that failed, violations of the policy."""
        return [*self._errors, *self.page.evaluate("window.violations")]

    def forget(self, complaints: list[str]) -> None:
        """Leave out complaints that the test has provoked."""
        self._errors = [error for error in self._errors if error not in complaints]

    @property
    def elsewhere(self) -> list[str]:
        """Requests that left the origin of the service."""
        host = urlsplit(self.address).netloc
        return [url for url in self.requests if not url.startswith("data:") and urlsplit(url).netloc != host]

    def close(self) -> None:
        """Close the page and forget its cookies and cache."""
        self._context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._errors.append(f"{message.type}: {message.text}")


def colours(path: Path) -> int:
    """Return the number of colours of a picture: a blank one has very few."""
    with Image.open(path) as picture:
        return len(picture.convert("RGB").getcolors(1 << 24))
