"""timeline.parquet: the table of timeline.csv with types and full precision."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from vidfer.exporters import exporter
from vidfer.exporters.table import timeline_table
from vidfer.types import ClipResult

if TYPE_CHECKING:
    import pyarrow as pa


@exporter("parquet", filenames=("timeline.parquet",), version=3)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return timeline.parquet; cells without a value are null.

    The schema's metadata hold ``clip`` and ``start_seconds``, which ``timestamp`` plus it is on the container's clock.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: _arrow_array(column) for name, column in timeline_table(clip).columns.items()}
    buffer = io.BytesIO()
    metadata = {
        "clip": clip.clip_id.encode(errors="backslashreplace"),
        "start_seconds": f"{clip.info.start_seconds:.6f}".encode(),
    }
    pq.write_table(pa.table(arrays).replace_schema_metadata(metadata), buffer)
    del arrays
    pa.default_memory_pool().release_unused()
    return {"timeline.parquet": buffer.getvalue()}


def _arrow_array(column: np.ndarray) -> pa.Array:
    """Return a column (R,) of numbers, NaN for null, or of texts, None for null.

    ``pa.array`` would do, but imports pandas whatever it is given.
    """
    import pyarrow as pa

    if column.dtype == object:
        texts = [b"" if text is None else text.encode() for text in column]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        known = np.array([text is not None for text in column], dtype=np.bool_)
        kind, data = pa.string(), [pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    else:
        assert column.dtype.kind in "iuf", column.dtype
        known = ~np.isnan(column)
        kind, data = pa.from_numpy_dtype(column.dtype), [pa.py_buffer(np.ascontiguousarray(column))]
    nulls = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(kind, len(column), [nulls, *data])
