"""One cache file: a plain HDF5 file of arrays behind a 512-byte header that vouches for every byte of it.

The header lives in HDF5's user block, so h5py, h5dump and others open the file as usual. It carries the
SHA-256 of everything behind it, which is checked before libhdf5 parses a single byte: that library may crash on
damaged files. The same arrays and attributes always give the same bytes: no times, no names of machines.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vidfer.errors import CacheError

if TYPE_CHECKING:
    import h5py
    import numpy as np

HEADER_BYTES = 512
MAX_FILE_BYTES = 16 << 30  # more than any clip gives: guards against reading nonsense
_MAGIC = b"vidfer cache 1\n"
_CHUNK_BYTES = 64 << 10
KINDS = "biuf"  # what a cache may hold: no objects, no strings, nothing that needs a parser


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the first 512 bytes say.

    Attributes
    ----------
    stage, key
        What the file holds: stage name and the stage's cache key.
    part
        Number of the part, from 0; -1 for a complete table.
    previous
        ``sha256`` of the part before this one; empty for the first part and for complete tables.
    size
        Bytes of the whole file.
    sha256
        Of everything after the header, hexadecimal.
    """

    stage: str
    key: str
    part: int
    previous: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ArrayBlock:
    """Shape and dtype of one array, and how to get its rows piece by piece."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def build(
    layout: Mapping[str, ArrayBlock],
    pieces: Iterable[Mapping[str, np.ndarray]],
    attributes: Mapping[str, Any],
    *,
    stage: str,
    key: str,
    part: int = -1,
    previous: str = "",
) -> memoryview:
    """Return the bytes of a cache file.

    Parameters
    ----------
    layout
        Final shape and dtype of every array. All space is allocated from this, in the order of names, before
        anything is written: the bytes do not depend on how the rows are divided into pieces.
    pieces
        Consecutive rows of the arrays, each with all names of ``layout``.
    attributes
        JSON values, stored as JSON text.
    stage, key, part, previous
        For the header.

    Raises
    ------
    CacheError
        The pieces together are shorter than the layout says.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=HEADER_BYTES) as file:
        for name in sorted(layout):
            _create_dataset(file, name, layout[name])
        shapes = {name: list(layout[name].shape) for name in layout}
        texts = {"attributes": canonical_json(dict(attributes)), "key": key, "rows": canonical_json(shapes)}
        starts = dict.fromkeys(layout, 0)
        for piece in pieces:
            for name, start in starts.items():
                starts[name] = _write_rows(file[name], piece[name], start)
        if any(starts[name] != layout[name].shape[0] for name in layout):
            raise CacheError(f"stage {stage}: expected {shapes}, the pieces gave {starts} rows")
        texts["payload_sha256"] = _payload_digest(file, layout)
        for name in sorted(texts):
            file.attrs[name] = texts[name]
    data = buffer.getbuffer()
    digest = hashlib.sha256(data[HEADER_BYTES:]).hexdigest()
    header = Header(stage=stage, key=key, part=part, previous=previous, size=len(data), sha256=digest)
    data[:HEADER_BYTES] = _encode_header(header)
    return data


def read_header(file: IO[bytes], *, actual_size: int) -> Header:
    """Return the header of an open file; raises CacheError without one, or if the file's size differs from it."""
    raw = file.read(HEADER_BYTES)
    if len(raw) < HEADER_BYTES or not raw.startswith(_MAGIC):
        raise CacheError("not a vidfer cache file, or its header is damaged")
    try:
        header = Header(**json.loads(raw[len(_MAGIC) :].rstrip(b"\0")))
        intact = _encode_header(header) == raw
    except (ValueError, TypeError):
        intact = False
    if not intact:
        raise CacheError("its header is damaged")
    if header.size != actual_size or header.size > MAX_FILE_BYTES:
        raise CacheError(f"expected {header.size} bytes, found {actual_size}: it was cut off or appended to")
    return header


@contextmanager
def open_verified(path: Path, *, stage: str, key: str, part: int = -1) -> Iterator[tuple[Header, h5py.File]]:
    """Open a cache file after checking that it is of this stage and key, and every byte as it was written.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    CacheError
        It is cut off, damaged, or was written for something else.
    OSError
        It cannot be read.
    """
    import h5py

    with path.open("rb") as raw:
        header = read_header(raw, actual_size=path.stat().st_size)
        if (header.stage, header.key, header.part) != (stage, key, part):
            raise CacheError(f"it belongs to another clip or setting (stage {header.stage}, key {header.key[:12]})")
        if hashlib.file_digest(raw, "sha256").hexdigest() != header.sha256:
            raise CacheError("its content is damaged (SHA-256 differs)")
        try:
            file = h5py.File(raw, "r")  # through our handle: HDF5's own locking never comes into play
        except Exception as error:
            raise CacheError(f"it is no readable HDF5 file: {error}") from error
        with file:
            try:
                yield header, file
            except (KeyError, RuntimeError, TypeError, ValueError) as error:  # of h5py: intact, but never written so
                raise CacheError(f"it is no readable HDF5 file: {error}") from error


def read_layout(file: h5py.File, *, key: str) -> dict[str, ArrayBlock]:
    """Check what an opened file declares against what it holds, taking no memory for it yet; return its arrays.

    Raises
    ------
    CacheError
        Key, names, shapes or types differ from the attributes, or an array would need more than the file has.
    """
    import h5py

    if file.attrs.get("key") != key:
        raise CacheError("its key attribute is another's")
    shapes = _json_attribute(file, "rows")
    if not isinstance(shapes, dict) or sorted(shapes) != sorted(file):
        raise CacheError("its arrays are not those that it declares")
    layout = {}
    for name in sorted(shapes):
        item = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
        plain = isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external
        if item is None or not plain or item.dtype.kind not in KINDS or list(item.shape) != shapes[name]:
            raise CacheError(f"its array {name} is not what it declares: {shapes[name]}")
        if item.nbytes > file.id.get_filesize():
            raise CacheError(f"its array {name} declares {item.nbytes} bytes, more than the file has")
        layout[name] = ArrayBlock(shape=item.shape, dtype=item.dtype)
    return layout


def read_arrays(file: h5py.File, layout: Mapping[str, ArrayBlock]) -> dict[str, np.ndarray]:
    """Return all arrays of an opened file whose layout was checked."""
    return {name: file[name][...] for name in layout}


def read_attributes(file: h5py.File) -> dict[str, Any]:
    """Return the JSON attributes given to `build`."""
    value = _json_attribute(file, "attributes")
    if not isinstance(value, dict):
        raise CacheError("its attributes are damaged")
    return value


def _json_attribute(file: h5py.File, name: str) -> Any:
    try:
        return json.loads(file.attrs[name])
    except (KeyError, TypeError, ValueError) as error:
        raise CacheError(f"its attribute {name} is missing or damaged") from error


def _encode_header(header: Header) -> bytes:
    text = _MAGIC + canonical_json(vars(header)).encode() + b"\n"
    if len(text) > HEADER_BYTES:
        raise ValueError(f"cache header of {len(text)} bytes: the stage name {header.stage!r} is too long")
    return text.ljust(HEADER_BYTES, b"\0")


def _create_dataset(file: h5py.File, name: str, block: ArrayBlock) -> None:
    import h5py

    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    row_bytes = block.dtype.itemsize
    for length in block.shape[1:]:
        row_bytes *= length
    if block.shape and block.shape[0] and row_bytes:
        rows = max(1, min(block.shape[0], _CHUNK_BYTES // row_bytes))
        properties.set_chunk((rows, *block.shape[1:]))
        properties.set_fletcher32()  # so that readers other than vidfer notice damage as well
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # where each chunk lies is settled here
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = h5py.h5t.py_create(block.dtype, logical=True)
    h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(block.shape), properties)


def _write_rows(dataset: h5py.Dataset, rows: np.ndarray, start: int) -> int:
    stop = start + len(rows)
    if rows.size:
        dataset[start:stop] = rows
    return stop


def _payload_digest(file: h5py.File, layout: Mapping[str, ArrayBlock]) -> str:
    digest = hashlib.sha256()
    for name in sorted(layout):
        block = layout[name]
        digest.update(canonical_json([name, block.dtype.str, list(block.shape)]).encode())
        step = max(1, (1 << 20) * block.shape[0] // max(1, file[name].nbytes))
        for start in range(0, block.shape[0], step):
            digest.update(file[name][start : start + step].tobytes())
    return digest.hexdigest()
