"""timeline.parquet: the table of timeline.csv with types and full precision."""

from __future__ import annotations

import io

from vidfer.exporters import exporter
from vidfer.exporters.table import timeline_table
from vidfer.types import ClipResult


@exporter("parquet", filenames=("timeline.parquet",), version=2)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return timeline.parquet; cells without a value are null.

    The schema's metadata hold ``clip`` and ``start_seconds``, which ``timestamp`` plus it is on the container's clock.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = timeline_table(clip)
    arrays = {
        name: pa.array(column, type=pa.string() if name == "emotion" else None, from_pandas=True)  # NaN -> null
        for name, column in table.columns.items()
    }
    buffer = io.BytesIO()
    metadata = {
        "clip": clip.clip_id.encode(errors="backslashreplace"),
        "start_seconds": f"{clip.info.start_seconds:.6f}".encode(),
    }
    pq.write_table(pa.table(arrays).replace_schema_metadata(metadata), buffer)
    del arrays
    pa.default_memory_pool().release_unused()
    return {"timeline.parquet": buffer.getvalue()}
