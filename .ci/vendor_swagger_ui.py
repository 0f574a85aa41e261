"""Renew the vendored files of Swagger UI from the npm package `swagger-ui-dist`: `make vendor [VERSION=5.35.0]`.

`npm pack` asks the registry that the user's npm is configured for; the version, the licence and hashes of all files
are noted in VENDORED.toml beside them, which a test compares with the files.
"""

import argparse
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "swagger-ui-dist"
TARGET = Path(__file__).parents[1] / "service/offload/api/pages/static/swagger-ui"
FILES = ("swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css", "LICENSE", "NOTICE")


def main() -> None:
    """Fetch the package, copy what `/docs` needs of it, and write VENDORED.toml."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?", default="latest", help="a version of swagger-ui-dist (default: latest)")
    version = parser.parse_args().version
    with tempfile.TemporaryDirectory() as directory:
        command = ["npm", "pack", f"{PACKAGE}@{version}", "--json", "--pack-destination", directory]
        packed = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        (about,) = packed.values() if isinstance(packed, dict) else packed
        with tarfile.open(next(Path(directory).glob("*.tgz"))) as archive:
            contents = {name: read(archive, name) for name in ("package.json", *FILES)}
    licence = json.loads(contents.pop("package.json"))["license"]
    TARGET.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Written by `make vendor`; do not edit the files of this directory.",
        f'package = "{PACKAGE}"',
        'registry = "npm"',
        f'version = "{about["version"]}"',
        f'licence = "{licence}"',
        f'integrity = "{about["integrity"]}"',
        "",
        "[sha256]",
    ]
    for name, content in sorted(contents.items()):
        (TARGET / name).write_bytes(content)
        lines.append(f'"{name}" = "{hashlib.sha256(content).hexdigest()}"')
    (TARGET / "VENDORED.toml").write_text("\n".join([*lines, ""]))
    print(f"{PACKAGE} {about['version']}: {len(contents)} files in {TARGET}")


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """Return a file of the package as it is."""
    member = archive.extractfile(f"package/{name}")
    if member is None:
        raise SystemExit(f"{PACKAGE} has no file {name}")
    return member.read()


if __name__ == "__main__":
    main()
