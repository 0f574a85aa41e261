"""`python -m offload`: the command line, for where the script `offload` is not on PATH."""

from offload.cli import main

if __name__ == "__main__":
    main()
