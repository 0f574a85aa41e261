"""Fuzz the whole HTTP API with schemathesis: a real Redis, the API and a worker as processes, every check there is.

`make fuzz`, or `python tests/e2e/fuzz.py [--examples 200] [--seed 1] [--keys]`; exits with 1 where anything is wrong.
"""

import argparse
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from offload.store.embedded.server import EmbeddedRedis

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEY = "a-key-for-the-fuzzer"
EXAMPLES = 150
_GENERATED = re.compile(r"(\d[\d,]*) generated")


def environment(url: str, directory: Path, **more: str) -> dict[str, str]:
    """Return the environment of the processes that are fuzzed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OFFLOAD_")}
    ours = {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
        "OFFLOAD_REDIS_URL": url,
        "OFFLOAD_DATA_DIR": str(directory / "data"),
        "OFFLOAD_LOG_FORMAT": "json",
        "OFFLOAD_LOG_LEVEL": "WARNING",
        "OFFLOAD_WEBHOOK_SECRETS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }
    return {**kept, **ours, **more}


@contextlib.contextmanager
def service(directory: Path, *, keys: bool, jobs: str, served_by: str = "fuzz_app") -> Iterator[tuple[str, Path]]:
    """Run Redis, the API with the functions of some modules, and a worker; yield the API's address, and its log."""
    log = directory / "api.log"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    more = {"OFFLOAD_API_KEYS": KEY, "OFFLOAD_OPEN_DOCS": "true"} if keys else {}
    api = [sys.executable, "-m", "uvicorn", "--factory", "fuzz_app:create", "--port", str(port)]
    worker = [sys.executable, "-m", "offload", "worker"]
    with (
        EmbeddedRedis.start(directory / "redis", durable=False) as redis,
        log.open("w") as out,
        contextlib.ExitStack() as stack,
    ):
        for command, env in (
            ([*api, "--log-level", "warning"], environment(redis.url, directory, OFFLOAD_JOBS=jobs, **more)),
            (worker, environment(redis.url, directory, OFFLOAD_JOBS=served_by)),
        ):
            process = subprocess.Popen(command, env=env, cwd=directory, stdout=out, stderr=out)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        address = f"http://127.0.0.1:{port}"
        _until_it_answers(address)
        yield address, log


def _until_it_answers(address: str) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError("the API did not start")


def fuzz(
    examples: int, seed: int | None, *, keys: bool = False, jobs: str = "jobs,fuzz_app", more: tuple[str, ...] = ()
) -> tuple[int, int, str]:
    """Fuzz the API with the functions of some modules; return the exit code, the number of requests, and what was said.

    `more` are options of `schemathesis run`.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as temporary,
        service(Path(temporary), keys=keys, jobs=jobs) as (address, log),
    ):
        config = Path(temporary) / "schemathesis.toml"
        auth = f'\n[auth.openapi.key]\nbearer = "{KEY}"\n' if keys else ""
        config.write_text((HERE / "schemathesis.toml").read_text() + auth)
        command = [
            str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config),
            "run", f"{address}/openapi.json", "--url", address,
            "--max-examples", str(examples), "--continue-on-failure", "--no-color",
            "--generation-database", "none", "--request-timeout", "20", "--suppress-health-check", "all",
            *(["--seed", str(seed)] if seed is not None else []),
            *more,
        ]  # fmt: skip
        env = {**os.environ, "SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": str(HERE)}
        ran = subprocess.run(command, env=env, cwd=temporary, capture_output=True, text=True, check=False)
        said = ran.stdout + ran.stderr
        faults = [line for line in log.read_text().splitlines() if '"request_failed"' in line or "Traceback" in line]
        if faults:
            said += "\nfaults in the log of the API:\n" + "\n".join(faults[:20])
        counted = _GENERATED.search(said)
        return ran.returncode or bool(faults), int(counted[1].replace(",", "")) if counted else 0, said


def main() -> int:
    """Fuzz, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="cases that each operation is fuzzed with")
    parser.add_argument("--seed", type=int, default=None, help="of a run that is to be repeated")
    parser.add_argument("--keys", action="store_true", help="ask for a key, and fuzz without it as well")
    told, more = parser.parse_known_args()
    code, requests, said = fuzz(told.examples, told.seed, keys=told.keys, more=tuple(more))
    print(said)
    print(f"{requests:,} requests, {'all is well' if code == 0 else 'something is wrong'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
