"""`python -m adainkit`: the command, also where the scripts folder is not on the path."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
