"""`python -m service`: the command line, for where the script `offload` is not on PATH."""

from service.cli import main

if __name__ == "__main__":
    main()
