"""Where Python looks for modules: not in the folder that somebody happens to be in, whose json.py is only data.

What this imports was loaded when the interpreter started, so that nothing in that folder can stand in for it.
"""

import os
import sys


def module_path() -> list[str]:
    """Return ``sys.path``, absolute, without the current folder that Python itself puts in front.

    It stays where PYTHONPATH names it. Where only that folder has vidfer, it comes last, behind everything it could
    stand in for.
    """
    entries = [os.path.abspath(entry) for entry in sys.path if entry]
    named = {os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    if entries and entries[0] == _current_folder() and entries[0] not in named and not sys.flags.safe_path:
        del entries[0]
    package_folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return entries if package_folder in entries else [*entries, package_folder]


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been deleted
        return ""
