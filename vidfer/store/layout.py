"""Where each clip's results go below --out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from vidfer.errors import ClipFolderError
from vidfer.video.find import RESULTS_MARK, FoundVideo

PEOPLE_FILE = "people.csv"  # who is who and who counts, for users to edit
PEOPLE_PICTURE = "people.png"  # in a clip's folder: a picture of each person
RESERVED = frozenset(  # names that vidfer gives itself next to the clips' folders
    {RESULTS_MARK, "assets", "summary.csv", "failures.csv", "run.json", "index.html"}
    | {"batch_share.png", "batch_average.png", PEOPLE_FILE, "summary_people.csv"}
)
MAX_NAME_BYTES = 240  # of one folder name; file systems allow 255


def private_folder(out: Path) -> Path:
    """Return where vidfer keeps what it needs itself."""
    return out / RESULTS_MARK


def cache_folder(out: Path) -> Path:
    """Return the folder of the stage cache."""
    return out / RESULTS_MARK / "cache"


def journal_file(out: Path) -> Path:
    """Return the file that remembers what became of each clip."""
    return out / RESULTS_MARK / "clips.jsonl"


def batch_file(out: Path) -> Path:
    """Return the file that remembers from what the files of the whole batch were written."""
    return out / RESULTS_MARK / "batch.json"


def clip_folder(out: Path, clip_id: str) -> Path:
    """Return the folder of a clip's results.

    Raises
    ------
    ClipFolderError
        A symbolic link on the way leads out of ``out``, where everything must stay, or a file lies there.
    """
    folder = out / clip_id
    if not stays_inside(clip_id) or not folder.resolve().is_relative_to(out.resolve()):
        raise ClipFolderError(f"{folder}: a symbolic link leads out of {out}: remove it, or choose another --out")
    if folder.exists() and not folder.is_dir():
        raise ClipFolderError(f"{folder}: a file lies where this clip's results go: move it, or choose another --out")
    return folder


def settings_file(out: Path) -> Path:
    """Return the file with the settings of the last run."""
    return out / RESULTS_MARK / "pipeline.json"


def clip_ids(videos: Sequence[FoundVideo]) -> list[str]:
    """Return one distinct folder per video, as a POSIX path below --out that mirrors the input tree.

    The suffix is dropped where that leaves the name unique (``a.mp4`` and ``a.mov`` side by side keep theirs). Where
    two inputs still coincide (two folders given, each with ``a.mp4``), the name of the folder that was given goes in
    front, and a number behind where even that is not enough. No id leaves --out or hits one of vidfer's own files.
    """
    full = [_safe(PurePosixPath(*video.relative.parts)) for video in videos]
    short = [path.with_suffix("") if path.suffix and path.stem else path for path in full]
    ids = _resolve([_unreserved(path) for path in short], [_unreserved(path) for path in full])
    rooted = [PurePosixPath(_folder_name(video), path) for video, path in zip(videos, ids, strict=True)]
    ids = _resolve(ids, rooted)
    return [str(path) for path in _numbered(ids)]


def stays_inside(clip_id: str) -> bool:
    """Return whether a clip id, read from a file, is one that names a folder below --out, as those of `clip_ids` do."""
    parts = clip_id.split("/")
    named = any(part not in ("", ".") for part in parts)
    return named and not clip_id.startswith("/") and ".." not in parts and "\0" not in clip_id


def _resolve(preferred: list[PurePosixPath], otherwise: list[PurePosixPath]) -> list[PurePosixPath]:
    count = Counter(_folded(path) for path in preferred)
    return [p if count[_folded(p)] == 1 else o for p, o in zip(preferred, otherwise, strict=True)]


def _numbered(paths: list[PurePosixPath]) -> list[PurePosixPath]:
    taken: set[str] = set()
    result = []
    for path in paths:
        candidate, number = path, 1
        while _folded(candidate) in taken:
            number += 1
            candidate = path.with_name(f"{path.name}-{number}")
        taken.add(_folded(candidate))
        result.append(candidate)
    return result


def _folded(path: PurePosixPath) -> str:
    return str(path).casefold()  # some file systems do not tell upper from lower case


def _safe(path: PurePosixPath) -> PurePosixPath:
    parts = [part for part in path.parts if part not in ("/", ".", "..")]
    return PurePosixPath(*(_shortened(part) for part in parts or ["video"]))


def _shortened(name: str) -> str:
    data = name.encode(errors="surrogateescape")
    if len(data) <= MAX_NAME_BYTES:
        return name
    return data[:MAX_NAME_BYTES].decode(errors="ignore")


def _unreserved(path: PurePosixPath) -> PurePosixPath:
    first = path.parts[0]
    return path if first.casefold() not in RESERVED else PurePosixPath(f"{first}_", *path.parts[1:])


def _folder_name(video: FoundVideo) -> str:
    depth = len(video.relative.parts)
    parents = video.path.absolute().parents
    return _shortened(parents[depth - 1].name or "root") if depth <= len(parents) else "root"
