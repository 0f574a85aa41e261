"""Runs arq's own test-suite with our Worker in place of arq's: `make arq-suite`.

It fetches the sdist of arq 0.28.0, makes an environment with the versions that the suite needs (its pytest-asyncio is
older than ours), starts a real Redis and runs every test. Nothing of arq's is kept in this repository. What fails
must be one of `DIFFERENT`, each of which docs/migrating-from-arq.md names with the reason; one of these that passes is
reported too. Exit code 0 when that is so.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARQ = "arq==0.28.0"
NEEDS = [
    "dirty-equals",
    "msgpack",
    "pytest-asyncio<1",
    "pytest-mock",
    "pytest-timeout",
    "pytest<9",
    "pytz",
    "tzdata",
    "watchfiles",
]
LEFT_OUT = "the suite looks at every key in Redis, and finds ours beside arq's"
UNKNOWN = "a job whose function a worker does not know is put back for a worker that does"
DIFFERENT = {
    "test_worker.py::test_set_health_check_key": LEFT_OUT,
    "test_worker.py::test_remain_keys": LEFT_OUT,
    "test_worker.py::test_remain_keys_no_results": LEFT_OUT,
    "test_worker.py::test_remain_keys_keep_results_forever_in_function": LEFT_OUT,
    "test_worker.py::test_remain_keys_keep_results_forever": LEFT_OUT,
    "test_worker.py::test_job_job_not_found": UNKNOWN,
    "test_worker.py::test_job_job_not_found_run_check": UNKNOWN,
    "test_worker.py::test_multi_exec": "it calls `Worker.start_jobs`, which our engine does not use",
}
# The suite starts its Redis with testcontainers, which needs Docker; this stands in for it.
CONTAINER = """
import os

class RedisContainer:
    port = 6379

    def __init__(self, *args, **kwargs): ...
    def __enter__(self): return self
    def __exit__(self, *about): ...
    def get_container_host_ip(self): return "127.0.0.1"
    def get_exposed_port(self, port): return int(os.environ["REDIS_PORT"])
"""


def main() -> int:
    """Run the suite and compare what failed with what may fail."""
    with tempfile.TemporaryDirectory(prefix="arq-suite-") as name:
        place = Path(name)
        python = _environment(place)
        suite = _sdist(place, python)
        redis, port = _redis(place)
        try:
            failed, passed, skipped = _run(place, python, suite, port)
        finally:
            redis.terminate()
            redis.wait()
    surprises = sorted(failed - DIFFERENT.keys())
    agreed = sorted(DIFFERENT.keys() - failed)
    print(f"{passed} passed, {len(failed)} failed, {skipped} skipped; {len(DIFFERENT)} are meant to differ")
    for test in surprises:
        print(f"failed, and should not: {test}")
    for test in agreed:
        print(f"passed, and is listed as different: {test}")
    return 1 if surprises or agreed or not passed else 0


def _environment(place: Path) -> Path:
    venv.create(place / "venv", with_pip=True)
    python = place / "venv" / "bin" / "python"
    constraints = [
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("pytest")
    ]
    (place / "constraints.txt").write_text("\n".join(constraints))
    command = [python, "-m", "pip", "install", "-q", "-c", place / "constraints.txt", "-e", ROOT, *NEEDS]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    stand_in = place / "stand_in" / "testcontainers"
    stand_in.mkdir(parents=True)
    (stand_in / "__init__.py").touch()
    (stand_in / "redis.py").write_text(CONTAINER)
    return python


def _sdist(place: Path, python: Path) -> Path:
    command = [python, "-m", "pip", "download", "-q", "--no-binary", ":all:", "--no-deps", "-d", place, ARQ]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    archive = next(place.glob("arq-*.tar.gz"))
    subprocess.run(["tar", "xzf", archive, "-C", place], check=True)
    return place / archive.name.removesuffix(".tar.gz")


def _redis(place: Path) -> tuple["subprocess.Popen[bytes]", int]:
    sys.path.insert(0, str(ROOT))
    import socket

    from offload.store.embedded.server import find_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [find_server(None), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(place)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        time.sleep(0.01)


def _run(place: Path, python: Path, suite: Path, port: int) -> tuple[set[str], int, int]:
    """Run each test in a process of its own: one that hangs must not take the others along."""
    env = {**os.environ, "REDIS_PORT": str(port), "PYTHONPATH": str(place / "stand_in")}
    common = [python, "-m", "pytest", "-q", "-p", "offload.arq", "-p", "no:cacheprovider"]
    # redis-py 5.3 warns of `close()`, which arq's fixtures call, and leaves connections to the garbage collector.
    common += ["-p", "no:unraisableexception", "-W", "ignore::DeprecationWarning", "--timeout", "10"]
    run = partial(subprocess.run, check=False, cwd=suite, env=env, capture_output=True, text=True)
    listed = run([*common, "--collect-only", "tests"])
    tests = re.findall(r"^tests/(\S+::.+)$", listed.stdout, re.MULTILINE)
    failed: set[str] = set()
    skipped = 0
    for test in tests:
        try:
            done = run([*common, f"tests/{test}"], timeout=15)
        except subprocess.TimeoutExpired:
            failed.add(test)
            continue
        if done.returncode != 0:
            failed.add(test)
            if test not in DIFFERENT:
                print(done.stdout[-3000:])
        skipped += " skipped" in done.stdout and " passed" not in done.stdout
    return failed, len(tests) - len(failed) - skipped, skipped


if __name__ == "__main__":
    raise SystemExit(main())
