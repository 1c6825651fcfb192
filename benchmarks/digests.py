"""Digests of everything that a pipeline writes: whether a change of the code changes any result.

The videos that are named, in every output format: by default, and with all that can be switched on. The sample may be
one of them, made once: its encoder's threads give other bytes each time.

    python benchmarks/digests.py before.txt --videos DIR
    python benchmarks/digests.py after.txt --videos DIR --against before.txt

The second ends with 1 where a file has other bytes, is new or is missing, and names it.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from vidfer.exporters import EXPORTERS

NEED_MOVEMENTS = {"blinks"}  # exports
RUNS = {
    "default": [],
    "all": ["--set", "movements.enabled=true", "--thumbnails", "--chart", "areas", "--chart-size", "paper"],
}


def vidfer(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-P", "-m", "vidfer", *map(str, arguments)], check=True)


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digest of each file of the results; run.json holds times, and .vidfer is the run's own."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json" and ".vidfer" not in path.parts
    }


def take(videos: list[Path], fps: str) -> dict[str, str]:
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="vidfer-digests-") as scratch:
        for name, settings in RUNS.items():
            out = Path(scratch, name)
            exports = ",".join(set(EXPORTERS.names()) - (NEED_MOVEMENTS if name == "default" else set()))
            vidfer("process", *videos, "--out", out, "--fps", fps, "--quiet", "--export", exports, *settings)
            vidfer("report", out, "--quiet")
            found |= {f"{name}/{path}": digest for path, digest in digests_of(out).items()}
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    rows = [f"missing  {path}" for path in before if path not in after]
    rows += [f"new      {path}" for path in after if path not in before]
    return rows + [f"changed  {path}" for path, digest in after.items() if before.get(path, digest) != digest]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where the digests are written")
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--fps", default="5")
    parser.add_argument("--against", type=Path, help="a file of digests to compare with")
    options = parser.parse_args()
    digests = take(options.videos, options.fps)
    options.file.write_text("".join(f"{digest}  {path}\n" for path, digest in digests.items()))
    if options.against is None:
        return 0
    lines = options.against.read_text().splitlines()
    rows = differences({path: digest for digest, path in (line.split("  ", 1) for line in lines)}, digests)
    print("\n".join([*rows, f"{len(digests)} files, {len(rows)} differences"]))
    return 1 if rows else 0


if __name__ == "__main__":
    sys.exit(main())
