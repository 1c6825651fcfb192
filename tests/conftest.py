"""Puts tests/ on sys.path, so that tests import shared factories as ``fixtures.<name>``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
