"""Print every requirement of pyproject.toml at its lower bound, as constraints for pip; for `make test-lowest`."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"].values()
for requirement in [*project["dependencies"], *(one for extra in extras for one in extra)]:
    found = re.match(r"([\w.-]+)[>=]=([\w.]+)", requirement)
    if found:
        print("==".join(found.groups()))
