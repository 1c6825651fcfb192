"""run.json: what a run was. Settings, versions, and per clip its video, time taken and keys."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import vidfer
from vidfer.config import PipelineConfig
from vidfer.pipeline.provenance import package_version, runtime_package
from vidfer.store.atomic import temporary_beside
from vidfer.store.journal import ClipRecord


def write_run_json(path: Path, records: Iterable[ClipRecord], cached: frozenset[str], config: PipelineConfig) -> None:
    """Write the file clip by clip, so that a hundred thousand take no memory; raises OutputError.

    Bytes of a file name that are no text become ``\\udcXX``, which is how JSON spells them.
    """
    body = {
        "vidfer": vidfer.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {
            name: package_version(name) for name in (runtime_package(config), "av", "decord", "numpy", "h5py")
        },
        "pipeline": config.model_dump(mode="json"),
    }
    with temporary_beside(path) as temporary, temporary.open("x", encoding="utf-8", errors="backslashreplace") as file:
        file.write(json.dumps(body, indent=1, ensure_ascii=False).removesuffix("\n}") + ',\n "clips": {')
        separator = "\n"
        for record in records:
            clip = json.dumps(_clip(record, cached), ensure_ascii=False)
            file.write(f"{separator}  {json.dumps(record.clip_id, ensure_ascii=False)}: {clip}")
            separator = ",\n"
        file.write("\n }\n}\n")


def _clip(record: ClipRecord, cached: frozenset[str]) -> dict[str, Any]:
    return {
        "path": record.path,
        "fingerprint": record.fingerprint,
        "status": record.status,
        "reader": record.reader,
        "keys": record.keys,
        "seconds": round(record.seconds, 3),
        "computed_frames": record.computed_frames,
        "frames_per_second": round(record.computed_frames / record.seconds, 1) if record.seconds else None,
        "cached": record.clip_id in cached,
    }
