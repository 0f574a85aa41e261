"""The files that pages load are those that were vendored, and what each says of itself is true."""

import tomllib
from hashlib import sha256
from pathlib import Path

from offload.api.pages import assets


def test_the_vendored_files_are_those_that_were_published():
    """Each file of Swagger UI has the SHA-256 that VENDORED.toml notes, and no file is without a note."""
    hashes = {path.name: sha256(path.read_bytes()).hexdigest() for path in assets.SWAGGER_UI.iterdir()}
    del hashes["VENDORED.toml"]

    assert hashes == assets.vendored()


def test_the_vendored_files_name_version_and_licence():
    """The note says which package of which version this is; its licence and notice lie beside it."""
    note = tomllib.loads((assets.SWAGGER_UI / "VENDORED.toml").read_text())

    assert (note["package"], note["licence"]) == ("swagger-ui-dist", "Apache-2.0")
    assert all(part.isdecimal() for part in note["version"].split("."))
    assert "Apache License" in (assets.SWAGGER_UI / "LICENSE").read_text()
    assert "SmartBear" in (assets.SWAGGER_UI / "NOTICE").read_text()
    assert "MIT" in (assets.SWAGGER_UI / "swagger-ui-bundle.js.LICENSE.txt").read_text()


def test_a_url_has_the_hash_of_the_file():
    """The URL of every file has the start of its hash, so a changed file has another URL."""
    served = [*assets.DOCS_ASSETS.values(), *assets.PAGE_ASSETS.values(), assets.FAVICON]

    assert {asset.path: asset.digest for asset in served} == {
        asset.path: sha256(asset.path.read_bytes()).hexdigest() for asset in served
    }
    assert assets.page_url(assets.STYLE) == f"/assets/{assets.STYLE.digest[:16]}/pages.css"
    assert assets.docs_url(assets.DOCS_SCRIPT) == f"/docs/{assets.DOCS_SCRIPT.digest[:16]}/docs.js"


def test_our_own_files_load_nothing():
    """Neither style sheet nor script nor icon of ours names another origin."""
    own = [path for path in Path(assets.STATIC).iterdir() if path.suffix in (".css", ".js", ".svg")]
    texts = [path.read_text().replace("http://www.w3.org/2000/svg", "") for path in own]

    assert len(own) == 4
    assert [text for text in texts if "://" in text or "url(" in text or "@import" in text] == []
