"""The files that the pages load: our own, and Swagger UI's as vendored under `static/swagger-ui`.

The URL of a file contains the start of its SHA-256, so a browser may keep it for ever: a changed file has another URL.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

STATIC = Path(__file__).with_name("static")
SWAGGER_UI = STATIC / "swagger-ui"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file with the digest of its content."""

    path: Path
    digest: str

    @classmethod
    def read(cls, name: str) -> "Asset":
        """Return one of our own files under `static`."""
        path = STATIC / name
        return cls(path, sha256(path.read_bytes()).hexdigest())

    @property
    def media_type(self) -> str:
        """The content type; the same on every machine, whatever its table of types says."""
        return _TYPES[self.path.suffix]

    @property
    def key(self) -> tuple[str, str]:
        """The last two parts of its URL."""
        return self.digest[:16], self.path.name


def vendored() -> Mapping[str, str]:
    """Return the SHA-256 of each vendored file by its name, as noted in VENDORED.toml."""
    hashes: dict[str, str] = tomllib.loads((SWAGGER_UI / "VENDORED.toml").read_text())["sha256"]
    return hashes


STYLE = Asset.read("pages.css")
ICON = Asset.read("icon.svg")
FAVICON = Asset.read("favicon.ico")
PAGE_ASSETS = {asset.key: asset for asset in (STYLE, ICON)}
"""Served under `/assets` to everybody: the page that asks for a key needs them."""

_HASHES = vendored()  # trusted here, so that 1.7 MB need not be hashed at each start; a test compares them
SWAGGER_SCRIPT, SWAGGER_STYLE = (
    Asset(SWAGGER_UI / name, _HASHES[name]) for name in ("swagger-ui-bundle.js", "swagger-ui.css")
)
DOCS_SCRIPT, DOCS_STYLE = Asset.read("docs.js"), Asset.read("docs.css")
DOCS_ASSETS = {asset.key: asset for asset in (SWAGGER_SCRIPT, SWAGGER_STYLE, DOCS_SCRIPT, DOCS_STYLE)}
"""Served under `/docs`, to those who may see `/docs`."""


def page_url(asset: Asset) -> str:
    """Return the URL of a file that every page loads."""
    return "/assets/" + "/".join(asset.key)


def docs_url(asset: Asset) -> str:
    """Return the URL of a file that `/docs` alone loads."""
    return "/docs/" + "/".join(asset.key)
