"""The benchmarks run, and say what they found; what they find is for quiet machines, not for tests."""

import asyncio
import json
import sys
from pathlib import Path

from benchmarks import hangs

REPOSITORY = Path(__file__).parents[2]


async def test_a_quick_benchmark_prints_its_table_and_writes_its_values(tmp_path):
    """Both sides are measured, each figure has its ratio, and a goal its verdict."""
    found = tmp_path / "found.json"
    command = [
        "-m",
        "benchmarks",
        "--quick",
        "--runs",
        "1",
        "--only",
        "enqueue",
        "--only",
        "start",
        "--json",
        str(found),
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    lines = json.loads(found.read_text())["lines"] if process.returncode == 0 else []

    assert process.returncode == 0, err.decode()
    assert {line["experiment"] for line in lines} == {"enqueue", "start"}
    assert all(len(line["offload"]) == len(line["arq"]) == 1 for line in lines)
    assert all(bool(line["goal"]) == (line["verdict"] in ("pass", "MISS")) for line in lines)
    assert "enqueue/s, 50 callers" in out.decode()


async def test_a_hang_is_measured_from_its_limit():
    """When its worker was dumped, when another was there, and whether job and line were named."""
    [row] = await hangs.measure(kinds=["C deadlock, GIL held"])

    assert 0 < row.dumped_ms < row.replaced_ms < row.ran_ms
    assert (row.has_job, row.has_line) == (True, True)
