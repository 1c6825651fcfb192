"""``python -m vidfer``: the command line, where ``vidfer`` is not on the path.

Python looks in the current folder first then; what it needed before it came here it has taken from there.
``python -P -m vidfer`` looks nowhere else than ``vidfer`` does.
"""

import sys

from vidfer.module_path import module_path

if __name__ == "__main__":
    sys.path[:] = module_path()
    from vidfer.cli import main

    sys.exit(main())
