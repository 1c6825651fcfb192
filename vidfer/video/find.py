"""Find the videos that a user means: files, folders searched through, globs."""

from __future__ import annotations

import codecs
import glob
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidfer.errors import VidferError

logger = logging.getLogger(__name__)

_VIDEO = """
    .mp4 .m4v .mov .qt .avi .mkv .webm .ts .mts .m2ts .m2t .mpg .mpeg .mpe .m1v .m2v .vob .wmv .asf .flv .f4v .3gp
    .3g2 .ogv .mxf .divx .h264 .264 .h265 .265 .hevc .ivf .y4m .dv .rm .rmvb .mjpeg .mjpg .nut
"""
_OTHER = """
    .txt .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .cfg .md .rst .html .htm .css .js .py .ipynb .c .h .cpp
    .sh .log .pdf .doc .docx .xls .xlsx .ppt .pptx .odt .ods .tex .rtf .png .jpg .jpeg .bmp .tif .tiff .webp .heic
    .svg .ico .raw .dng .psd .wav .mp3 .flac .aac .m4a .ogg .oga .opus .wma .aiff .mid .srt .vtt .ass .sub
    .zip .gz .bz2 .xz .zst .7z .rar .tar .tgz .h5 .hdf5 .npy .npz .mat .pkl .parquet .feather .db .sqlite .pt .pth
    .ckpt .safetensors .onnx .bin .exe .dll .so .whl .eaf .textgrid .lock .tmp .part .bak .ds_store .db-wal .url
    .lnk
"""
OWN_VIDEOS = frozenset({"overlay.mp4", "overlay_blurred.mp4"})  # what exporters write into results folders
RESULTS_MARK = ".vidfer"  # in a results folder everything below it is not for users to read
VIDEO_SUFFIXES = frozenset(_VIDEO.split())
_ALSO_PROGRAMS = frozenset({".ts", ".mts"})  # of TypeScript, too, and translations of Qt
OTHER_SUFFIXES = frozenset(_OTHER.split())


@dataclass(frozen=True)
class FoundVideo:
    """A video and where its results belong.

    Attributes
    ----------
    path
        The file.
    relative
        Its path below the folder (or the fixed part of the glob) that was given; the file's name for a single file.
    """

    path: Path
    relative: Path


def find_videos(paths: Sequence[str | Path]) -> list[FoundVideo]:
    """Return the videos that the paths mean, in their order, each file once.

    A file is taken whatever it is. A folder is searched recursively, sorted by name, without hidden files and folders;
    symbolic links are followed, each folder once. In a folder a known video suffix is enough (a broken file is to be
    reported, not overlooked; but a ``.ts`` that holds text is TypeScript), suffixes known as something else are passed
    over, and the rest is opened and looked into (``.gif``, too: one that moves is a video, a single picture is not).
    Videos that vidfer itself wrote into a results folder in there are passed over as well. A folder that cannot be
    opened is logged as a warning.
    A pattern (``*``, ``?``, ``[...]``, ``**``) that is no existing file stands for its matches.

    Raises
    ------
    VidferError
        A path does not exist, a pattern matches nothing, or a folder holds no video.
    """
    found: list[FoundVideo] = []
    seen: set[str] = set()
    for given in paths:
        for video in _expand(given):
            identity = os.path.realpath(video.path)
            if identity not in seen:
                seen.add(identity)
                found.append(video)
    if not found:
        raise VidferError("no videos: no path was given")
    return found


def _expand(given: str | Path) -> list[FoundVideo]:
    path = Path(given).expanduser()
    if path.is_dir():
        videos = list(_walk(path, below=path))
        if not videos:
            raise VidferError(f"{path}: no video in this folder or below it, {_what_is_there(path)}")
        return videos
    if path.exists():
        return [FoundVideo(path, Path(path.name))]
    if path.is_symlink():
        raise VidferError(f"{path}: this link points to {os.readlink(path)}, which does not exist")
    if not glob.has_magic(str(path)):
        raise VidferError(f"{path}: no such file or folder" + ("" if path.is_absolute() else f" in {Path.cwd()}"))
    return _matches(path)


def _matches(pattern: Path) -> list[FoundVideo]:
    below = Path(*_until_magic(pattern))
    videos: list[FoundVideo] = []
    for match in sorted(glob.glob(str(pattern), recursive=True)):
        path = Path(match)
        if path.is_dir():
            videos.extend(_walk(path, below=below))
        elif _is_listed(path):
            videos.append(FoundVideo(path, path.relative_to(below)))
    if not videos:
        raise VidferError(f"{pattern}: no video matches this pattern")
    return videos


def _until_magic(pattern: Path) -> Iterator[str]:
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _walk(folder: Path, *, below: Path) -> Iterator[FoundVideo]:
    visited: set[tuple[int, int]] = set()
    results: list[str] = []  # results folders come before what is below them
    for root, folders, files in os.walk(folder, followlinks=True, onerror=_warn):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()  # a symbolic link back to where we have been
            continue
        visited.add((status.st_dev, status.st_ino))
        if RESULTS_MARK in folders:
            results.append(os.path.join(root, ""))
        is_result = root.startswith(tuple(results))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            if name.startswith(".") or (is_result and name in OWN_VIDEOS) or not _is_listed(path):
                continue
            yield FoundVideo(path, path.relative_to(below))


def _warn(error: OSError) -> None:
    logger.warning("%s: cannot be opened (%s): videos in there are left out", error.filename, error.strerror)


def _what_is_there(folder: Path) -> str:
    """Return what a folder without videos has, for people."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return f"which cannot be opened: {error.strerror}"
    seen = [name for name in names if not name.startswith(".")]
    if not seen:
        return "only hidden files and folders, which are not looked at" if names else "it is empty"
    return f"only {', '.join(seen[:3])}" + (f" and {len(seen) - 3} more files and folders" if len(seen) > 3 else "")


def _is_listed(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return suffix not in _ALSO_PROGRAMS or not _is_text(path)
    if suffix in OTHER_SUFFIXES or not path.is_file():
        return False
    from vidfer.video.probe import is_video  # PyAV and NumPy: only where a file must be opened

    return is_video(path)


def _is_text(path: Path) -> bool:
    """Return whether a file begins as text does, e.g. a TypeScript program; an empty one is a recording that failed."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False  # to be reported, as a broken video is
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text) and all(character >= " " or character in "\t\n\r\f" for character in text)
