"""The stage cache: which table belongs to which stage and key, on disk, verified whenever it is read.

A file is immutable and published whole (`vidfer.store.atomic`). What fails verification is renamed ``.bad``,
reported in `StageCache.problems` and the log, and then counts as missing, so that it is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import re
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vidfer.errors import CacheError
from vidfer.store import cachefile
from vidfer.store.atomic import reported_as_output_error, write_bytes
from vidfer.store.cachefile import ArrayBlock, Header, canonical_json

if TYPE_CHECKING:
    import h5py
    import numpy as np

    from vidfer.types.stored import StoredArray

T = TypeVar("T")

logger = logging.getLogger(__name__)
_STAGE = re.compile(r"[a-z][a-z0-9_]{0,40}")
_KEY = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"\.part\d{6}\.h5$")


@dataclass(frozen=True, kw_only=True)
class CachedTable:
    """What one cache file holds.

    Attributes
    ----------
    stage, key
        Whose result it is.
    arrays
        By name, with the shapes and dtypes that were stored.
    attributes
        The JSON values that were stored with them.
    """

    stage: str
    key: str
    arrays: Mapping[str, np.ndarray]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CacheProblem:
    """A cache file that could not be used: ``path`` (before it was set aside), its stage, and why."""

    path: str
    stage: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}: set aside as .bad and computed again"


class StageCache:
    """Tables of stages below one folder: ``<root>/<stage>/<key[:2]>/<key>.h5``.

    Several processes may use one folder at once: files are only ever published whole, and two writers of one key
    write the same bytes.

    Parameters
    ----------
    root
        The cache folder; made when something is stored.

    Attributes
    ----------
    problems
        The files that this object had to set aside, in order.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.problems: list[CacheProblem] = []

    def path(self, stage: str, key: str) -> Path:
        """Return where the complete table of a stage and key lies, or would lie."""
        return self._folder(stage, key) / f"{key}.h5"

    def contains(self, stage: str, key: str) -> bool:
        """Tell from header and size whether a complete table is there, without reading its content.

        Sees missing, cut-off, foreign and half-written files; a flipped bit in the content only `load` sees.
        """
        path = self.path(stage, key)
        try:
            header = _header_of(path)
        except (OSError, CacheError):
            return False
        return (header.stage, header.key, header.part) == (stage, key, -1)

    def keys(self, stage: str) -> frozenset[str]:
        """Return the keys of all of a stage's tables, by their names: for a look at many clips at once."""
        found: set[str] = set()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for folder in os.scandir(self.root / stage):
                found.update(name[:-3] for name in os.listdir(folder.path) if len(name) == 67 and name.endswith(".h5"))
        return frozenset(found)

    def load(self, stage: str, key: str, *, only: Collection[str] | None = None) -> CachedTable | None:
        """Return a stage's table, every byte verified; None without one, or if it had to be set aside.

        ``only`` names the arrays to take into memory, None for all.
        """
        return self._read(self.path(stage, key), stage, key, -1, _table_of(stage, key, only))

    def open_array(self, stage: str, key: str, name: str) -> StoredArray | None:
        """Return one array of a stage's table, which stays on disk; every byte is verified now; None as in ``load``.

        The file is open for as long as the array is in use. Reading rows raises CacheError where it was damaged since.
        """
        from vidfer.types.stored import StoredArray

        path = self.path(stage, key)
        with self._setting_aside(path, stage), ExitStack() as opened:
            _, file = opened.enter_context(cachefile.open_verified(path, stage=stage, key=key))
            block = cachefile.read_layout(file, key=key)[name]
            array = StoredArray(block.shape, block.dtype, _row_reader(file[name], path))
            weakref.finalize(array, opened.pop_all().close)
            return array
        return None

    def store(
        self, stage: str, key: str, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any] | None = None
    ) -> None:
        """Publish a stage's complete table.

        Parameters
        ----------
        arrays
            Boolean, integer or float arrays of one dimension or more; any length, zero too.
        attributes
            JSON values; nothing that differs from run to run, so that files of equal results are equal.

        Raises
        ------
        OutputError
            Disk full, or no permission. Nothing half-written is left.
        """
        layout, piece = _normalised(arrays)
        data = cachefile.build(layout, [piece], attributes or {}, stage=stage, key=key)
        write_bytes(self.path(stage, key), data)

    def store_part(
        self,
        stage: str,
        key: str,
        index: int,
        arrays: Mapping[str, np.ndarray],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Publish rows that continue those of part ``index - 1``; each part names the one before by its digest.

        Raises
        ------
        CacheError
            The part before it is not there any more.
        OutputError
            Disk full, or no permission.
        """
        previous = ""
        if index > 0:
            try:
                previous = _header_of(self._part_path(stage, key, index - 1)).sha256
            except (OSError, CacheError) as error:
                if self.contains(stage, key):
                    return  # another worker had the same video under another name, and has finished it
                raise CacheError(f"part {index - 1} of {self.path(stage, key)} was removed while in use") from error
        layout, piece = _normalised(arrays)
        data = cachefile.build(layout, [piece], attributes or {}, stage=stage, key=key, part=index, previous=previous)
        write_bytes(self._part_path(stage, key, index), data)

    def iter_parts(self, stage: str, key: str) -> Iterator[CachedTable]:
        """Yield the valid parts from 0 on, one in memory at a time, up to the first that is missing or damaged.

        That is what a killed run had finished of this table.
        """
        return self._iter_parts(stage, key, _table_of(stage, key))

    def part_attributes(self, stage: str, key: str) -> list[dict[str, Any]]:
        """Return the attributes of each part that `iter_parts` would yield: verified as well, but no array is kept."""
        return list(self._iter_parts(stage, key, cachefile.read_attributes))

    def finish(self, stage: str, key: str, attributes: Mapping[str, Any] | None = None, *, num_parts: int) -> None:
        """Join parts 0 to ``num_parts - 1`` into the complete table, publish it, and delete the parts.

        The bytes are those that `store` would have written for the same rows, however they were divided. Besides
        the new file, one part is in memory at a time.

        Raises
        ------
        CacheError
            A part is missing or damaged (then it was set aside: the caller continues from `iter_parts`).
        OutputError
            Disk full, or no permission; the parts stay.
        """
        if num_parts < 1:
            raise ValueError(f"finish: expected at least one part (it may have no rows), got {num_parts}")
        try:
            layout = self._joined_layout(stage, key, num_parts)
            pieces = (table.arrays for table in itertools.islice(self.iter_parts(stage, key), num_parts))
            data = cachefile.build(layout, pieces, attributes or {}, stage=stage, key=key)
        except CacheError:
            if not self.contains(stage, key):
                raise
            # see store_part: the other worker removed the parts while they were read here
        else:
            write_bytes(self.path(stage, key), data)
        self.remove_parts(stage, key)

    def remove_parts(self, stage: str, key: str) -> None:
        """Delete all parts of a table; from the last to the first, so that a kill in between leaves a valid start."""
        folder = self._folder(stage, key)
        with reported_as_output_error(folder):
            for path in sorted(folder.glob(f"{key}.part*.h5"), reverse=True):
                path.unlink(missing_ok=True)

    def remove(self, stage: str, key: str) -> None:
        """Delete everything that is kept for a stage and key: table, parts and failure."""
        with reported_as_output_error(self.path(stage, key)):
            self.path(stage, key).unlink(missing_ok=True)
            self._failure_path(stage, key).unlink(missing_ok=True)
        self.remove_parts(stage, key)

    def remove_leftovers(self) -> int:
        """Delete parts of tables that are complete, which a kill at the wrong moment leaves; return how many.

        Reads the whole cache folder's listing: meant for the start of a run whose predecessor was killed.
        """
        removed = 0
        for folder, _, names in os.walk(self.root):
            complete = {name.removesuffix(".h5") for name in names if _KEY.fullmatch(name.removesuffix(".h5"))}
            for name in names:
                if _PART.search(name) and name[:64] in complete:
                    Path(folder, name).unlink(missing_ok=True)
                    removed += 1
        return removed

    def store_failure(self, stage: str, key: str, error: Mapping[str, Any]) -> None:
        """Keep a permanent failure as ``<key>.err.json``, so that it is not tried again unasked."""
        body = {"stage": stage, "key": key, "error": dict(error)}
        body["sha256"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
        write_bytes(self._failure_path(stage, key), (json.dumps(body, indent=1, sort_keys=True) + "\n").encode())

    def load_failure(self, stage: str, key: str) -> dict[str, Any] | None:
        """Return what `store_failure` kept; None without it, or if it had to be set aside."""
        path = self._failure_path(stage, key)
        try:
            body = json.loads(path.read_bytes())
            digest = body.pop("sha256")
            if (body["stage"], body["key"]) != (stage, key):
                raise CacheError("it belongs to another clip or setting")
            if hashlib.sha256(canonical_json(body).encode()).hexdigest() != digest:
                raise CacheError("its content is damaged (SHA-256 differs)")
            return dict(body["error"])
        except FileNotFoundError:
            return None
        except CacheError as error:
            self._set_aside(path, stage, str(error))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._set_aside(path, stage, f"it cannot be read: {error}")
        return None

    def remove_failure(self, stage: str, key: str) -> None:
        """Forget a kept failure."""
        with reported_as_output_error(self._failure_path(stage, key)):
            self._failure_path(stage, key).unlink(missing_ok=True)

    def _read(self, path: Path, stage: str, key: str, part: int, read: Callable[[h5py.File], T]) -> T | None:
        """Return what ``read`` makes of a verified file; None if it is missing or had to be set aside."""
        with self._setting_aside(path, stage), cachefile.open_verified(path, stage=stage, key=key, part=part) as opened:
            return read(opened[1])
        return None

    @contextlib.contextmanager
    def _setting_aside(self, path: Path, stage: str) -> Iterator[None]:
        """Leave the block where the file is missing; where it cannot be used, set it aside as well."""
        try:
            yield
        except FileNotFoundError:
            pass
        except CacheError as error:
            self._set_aside(path, stage, str(error))
        except OSError as error:
            self._set_aside(path, stage, f"it cannot be read: {error.strerror or error}")

    def _iter_parts(self, stage: str, key: str, read: Callable[[h5py.File], T]) -> Iterator[T]:
        previous = ""
        for index in itertools.count():
            path = self._part_path(stage, key, index)
            try:
                header = _header_of(path)
            except FileNotFoundError:
                return
            except (OSError, CacheError):
                header = None  # _read says what is wrong with it
            if header is not None and (header.key, header.part) == (key, index) and header.previous != previous:
                return  # left over from an earlier attempt that was divided otherwise
            content = self._read(path, stage, key, index, read)
            if content is None or header is None:
                return
            previous = header.sha256
            yield content

    def _joined_layout(self, stage: str, key: str, num_parts: int) -> dict[str, ArrayBlock]:
        parts = self._iter_parts(stage, key, lambda file: cachefile.read_layout(file, key=key))
        layouts = list(itertools.islice(parts, num_parts))
        if len(layouts) < num_parts:
            raise CacheError(f"{self.path(stage, key)}: not all of its {num_parts} parts are intact: run again")
        joined = {}
        for name in sorted(set().union(*layouts)):
            blocks = [layout[name] for layout in layouts if name in layout]
            kinds = {(block.shape[1:], block.dtype) for block in blocks}
            if len(blocks) < num_parts or len(kinds) > 1:
                raise ValueError(f"stage {stage}: array {name} is missing or of another shape or type in some parts")
            rows = sum(block.shape[0] for block in blocks)
            joined[name] = ArrayBlock(shape=(rows, *blocks[0].shape[1:]), dtype=blocks[0].dtype)
        return joined

    def _set_aside(self, path: Path, stage: str, reason: str) -> None:
        problem = CacheProblem(path=str(path), stage=stage, reason=reason)
        self.problems.append(problem)
        logger.warning("%s", problem)
        try:
            os.replace(path, path.with_name(path.name + ".bad"))
        except OSError as error:
            logger.warning("%s: could not be renamed to .bad: %s", path, error.strerror)

    def _folder(self, stage: str, key: str) -> Path:
        if not _STAGE.fullmatch(stage) or not _KEY.fullmatch(key):
            raise ValueError(f"expected a stage name and a key of 64 hexadecimal digits, got {stage!r}, {key!r}")
        return self.root / stage / key[:2]

    def _part_path(self, stage: str, key: str, index: int) -> Path:
        return self._folder(stage, key) / f"{key}.part{index:06d}.h5"

    def _failure_path(self, stage: str, key: str) -> Path:
        return self._folder(stage, key) / f"{key}.err.json"


def _table_of(stage: str, key: str, only: Collection[str] | None = None) -> Callable[[h5py.File], CachedTable]:
    def read(file: h5py.File) -> CachedTable:
        layout = cachefile.read_layout(file, key=key)
        if only is not None:
            layout = {name: block for name, block in layout.items() if name in only}
        attributes = cachefile.read_attributes(file)
        return CachedTable(stage=stage, key=key, arrays=cachefile.read_arrays(file, layout), attributes=attributes)

    return read


def _row_reader(dataset: h5py.Dataset, path: Path) -> Callable[[int, int], np.ndarray]:
    def read(first: int, last: int) -> np.ndarray:
        try:
            rows: np.ndarray = dataset[first:last]
        except OSError as error:
            raise CacheError(f"{path} was damaged while in use: run the same command again") from error
        return rows

    return read


def _header_of(path: Path) -> Header:
    with path.open("rb", buffering=0) as file:
        return cachefile.read_header(file, actual_size=os.fstat(file.fileno()).st_size)


def _normalised(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, ArrayBlock], dict[str, np.ndarray]]:
    """Return layout and arrays with little-endian, contiguous memory, the same on every machine."""
    import numpy as np

    layout = {}
    piece = {}
    for name, array in arrays.items():
        if not name.isidentifier() or array.ndim < 1 or array.dtype.kind not in cachefile.KINDS:
            raise ValueError(f"array {name}: expected numbers in 1 dimension or more, got {array.dtype} {array.shape}")
        piece[name] = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        layout[name] = ArrayBlock(shape=piece[name].shape, dtype=piece[name].dtype)
    return layout, piece
