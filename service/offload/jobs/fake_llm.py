"""Stands in for a language model in the demo and the tests: a program that prints one token every 50 ms.

It is run as a program of its own (`python -m offload.jobs.fake_llm`), as OFFLOAD_LLM_COMMAND would run a real one:
the prompt comes on stdin, each line it prints is one step of progress.
"""

import argparse
import sys
import time

SECONDS_PER_TOKEN = 0.05


def main() -> None:
    """Answer the prompt on stdin with its own words, at a model's pace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-tokens", type=int, default=40)
    options = parser.parse_args()
    words = sys.stdin.read().split()
    tokens = ["You", "said:", *words][: options.max_tokens]
    for token in tokens:
        print(token, flush=True)  # noqa: T201 - printing is what this program is for
        time.sleep(SECONDS_PER_TOKEN)


if __name__ == "__main__":
    main()
