"""A short run of the fuzzer; `make fuzz` is the long one."""

import pytest

from e2e.fuzz import fuzz


@pytest.mark.timeout(120)
def test_schemathesis_finds_nothing():
    """Every operation answers what its OpenAPI says, by every check of schemathesis."""
    code, requests, said = fuzz(
        3, 7, keys=True, jobs="offload.jobs.webhook,fuzz_app", more=("--phases", "examples,fuzzing")
    )

    assert code == 0, said
    assert requests > 100
