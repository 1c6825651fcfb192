"""What following faces between detections saves, and how near it comes to detecting in every frame; prints a table.

    python benchmarks/following.py --clips ../shared/clips

Both ways run through the stages that `vidfer process` runs, on every frame; faces that no track keeps do not count,
as nobody gets to see them. Differences are in face sizes: the largest move of a side of the final box, and the mean
move of the 68 landmarks. Time is processor time of one thread for the whole stage (detector, landmarks, alignment,
pose, quality), without decoding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vidfer.config import FacesConfig, TracksConfig
from vidfer.faces.boxes import pair_up, pairwise_iou
from vidfer.pipeline.chunk import CHUNK_FRAMES, FrameChunk
from vidfer.pipeline.faces import FacesStage
from vidfer.pipeline.tables import FacesTable
from vidfer.pipeline.tracks import TracksStage
from vidfer.types import FaceDetections, FrameBatch
from vidfer.video.probe import probe
from vidfer.video.reader import open_reader

CPU = torch.device("cpu")
SAME_FACE_IOU = 0.3


@dataclass(frozen=True, kw_only=True)
class FollowingError:
    """Differences of the faces that both ways found, in face sizes (root of the box's area), and those of one only.

    Attributes
    ----------
    box
        (N,) the largest move of a side of the final box.
    landmarks
        (N,) the mean move of the 68 landmarks.
    missing, extra
        Faces that only detecting in every frame found, and that only following found.
    """

    box: np.ndarray
    landmarks: np.ndarray
    missing: int
    extra: int


def following_error(searched: FaceDetections, followed: FaceDetections) -> FollowingError:
    """Compare the faces of the same frames, found by detecting in every frame and by following.

    Faces of a frame are paired by the overlap of their boxes.
    """
    first: list[np.ndarray] = [np.zeros(0, np.int64)]
    second: list[np.ndarray] = [np.zeros(0, np.int64)]
    for row in np.intersect1d(searched.frame_row, followed.frame_row):
        a, b = np.flatnonzero(searched.frame_row == row), np.flatnonzero(followed.frame_row == row)
        overlap = pairwise_iou(searched.xyxy[a], followed.xyxy[b])
        i, j = pair_up(-overlap)
        same = overlap[i, j] >= SAME_FACE_IOU
        first.append(a[i[same]])
        second.append(b[j[same]])
    i, j = np.concatenate(first), np.concatenate(second)
    size = np.sqrt((searched.xyxy[i, 2:] - searched.xyxy[i, :2]).prod(axis=1))
    apart = np.linalg.norm(searched.landmarks[i] - followed.landmarks[j], axis=2)  # (N, 68)
    return FollowingError(
        box=np.abs(searched.xyxy[i] - followed.xyxy[j]).max(axis=1, initial=0.0) / size,
        landmarks=apart.mean(axis=1) / size,
        missing=len(searched) - len(i),
        extra=len(followed) - len(j),
    )


def chunks_of(clip: Path) -> Iterator[FrameBatch]:
    """Return the frames of a clip as the engine hands them to the stages."""
    video = probe(clip)
    return open_reader(video).read(np.arange(video.num_frames), batch_size=CHUNK_FRAMES)


def tracked_faces(tables: list[FacesTable]) -> FaceDetections:
    """Return the faces of a clip that belong to somebody."""
    table = FacesTable.stack(tables)
    faces = table.detections()
    kept = TracksStage(TracksConfig()).process({"faces": table}).track_id >= 0
    return faces.take(np.flatnonzero(kept))


def measure(clip: Path, searching: FacesStage, following: FacesStage) -> tuple[int, FollowingError, float, float]:
    """Return frames, differences, and the seconds of searching every frame and of following."""
    tables: tuple[list[FacesTable], list[FacesTable]] = ([], [])
    seconds = [0.0, 0.0]
    for batch in chunks_of(clip):
        for i, stage in enumerate((searching, following)):
            started = time.process_time()
            tables[i].append(stage.process(FrameChunk(batch, CPU)))
            seconds[i] += time.process_time() - started
    error = following_error(tracked_faces(tables[0]), tracked_faces(tables[1]))
    return sum(len(table.frame_index) for table in tables[0]), error, seconds[0], seconds[1]


def print_row(name: str, frames: int, error: FollowingError, searching: float, following: float) -> None:
    figures = [f(values) for values in (error.box, error.landmarks) for f in (np.median, _most, np.max)]
    cells = "".join(f"{value:>8.2%}" for value in figures)
    times = f"{searching * 1000 / frames:>8.2f}{following * 1000 / frames:>8.2f}{1 - following / searching:>8.0%}"
    print(f"{name:<8}{frames:>7}{len(error.box):>7}{error.missing:>8}{error.extra:>7}{cells}{times}", flush=True)


def _most(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.95))


def report_following(clips: Path, *, detect_every: int = FacesConfig().detect_every) -> None:
    """Print differences and times for each clip and all of them."""
    searching = FacesStage(FacesConfig(detect_every=1), device="cpu")
    following = FacesStage(FacesConfig(detect_every=detect_every), device="cpu")
    for stage in (searching, following):
        stage.load()
    print(f"{'':<37}{'box':>20}{'landmarks':>26}{'ms per frame':>22}")
    names = ("faces", "missing", "extra", "median", "95 %", "max", "median", "95 %", "max", "each", "follow", "saved")
    widths = (7, 8, 7, *(8,) * 9)
    heads = "".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    print(f"{'clip':<8}{'frames':>7}{heads}")
    rows = []
    for clip in sorted(clips.glob("*.mp4")):
        rows.append(measure(clip, searching, following))
        print_row(clip.stem, *rows[-1])
    everything = FollowingError(
        box=np.concatenate([row[1].box for row in rows]),
        landmarks=np.concatenate([row[1].landmarks for row in rows]),
        missing=sum(row[1].missing for row in rows),
        extra=sum(row[1].extra for row in rows),
    )
    print_row("all", sum(row[0] for row in rows), everything, sum(row[2] for row in rows), sum(row[3] for row in rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips (*.mp4)")
    parser.add_argument("--detect-every", type=int, default=FacesConfig().detect_every)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report_following(arguments.clips, detect_every=arguments.detect_every)


if __name__ == "__main__":
    main()
