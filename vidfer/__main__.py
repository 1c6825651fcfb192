"""``python -m vidfer``: the command line, where ``vidfer`` is not on the path."""

import sys

from vidfer.cli import main

if __name__ == "__main__":
    sys.exit(main())
