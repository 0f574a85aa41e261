"""A client that openapi-python-client generates from the OpenAPI document works, without a line of ours in it.

`make client` installs the generator apart, since it holds other packages back, and runs this.
"""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from e2e.fuzz import KEY, service

GENERATOR = shutil.which("openapi-python-client")


@pytest.mark.skipif(GENERATOR is None, reason="`make client` runs it: openapi-python-client is not on PATH")
@pytest.mark.timeout(120)
def test_a_generated_client_enqueues_a_job_and_reads_its_result(tmp_path):
    """Typed arguments go in, typed documents come back, a problem is a problem; the generator leaves nothing out."""
    python = Path(GENERATOR).with_name("python")
    program = Path(__file__).with_name("use_generated_client.py")

    def run(*command):
        env = {"PYTHONPATH": str(tmp_path), "PATH": str(python.parent)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    with service(tmp_path, keys=True, jobs="jobs", served_by="jobs") as (address, _):
        (tmp_path / "openapi.json").write_bytes(httpx.get(f"{address}/openapi.json").content)
        document = ["--path", "openapi.json", "--output-path", "offload_client", "--meta", "none"]
        generated = run(GENERATOR, "generate", *document)
        used = run(python, program, address, KEY)

    assert generated.returncode == 0, generated.stderr
    assert "ERROR" not in generated.stdout + generated.stderr
    assert "parse" not in (generated.stdout + generated.stderr).lower()
    assert used.returncode == 0, used.stderr
    assert json.loads(used.stdout) == {
        "status": "succeeded",
        "hex": hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 1000).hex(),
        "listed": True,
        "wrong": "/problems/not-found",
    }
