"""`python -m offload`: the command line, for where the script `offload` is not on PATH."""

from offload.cli import run_command

if __name__ == "__main__":
    run_command()
