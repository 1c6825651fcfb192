"""How far boxes of living faces and of pictures of faces stray: what tells a poster from a person (`people.figures`).

A still of one clip's face is put into a corner of the others, with noise, and compressed.

    python benchmarks/still_faces.py --clips DIR
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from made_clips import write_clip
from PIL import Image

from vidfer import Pipeline
from vidfer.people.figures import figures_of
from vidfer.types import ClipResult

KINDS = [(60, 23, 0.0), (100, 28, 3.0), (160, 32, 6.0)]  # width of the still, px; crf of x264; noise, gray values
CORNER = 8  # px


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def with_still(frames: list[np.ndarray], still: Image.Image, *, width: int, noise: float) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    picture = np.asarray(still.resize((width, width)))
    for frame in frames:
        image = frame.astype(np.float32)
        image[CORNER : CORNER + width, CORNER : CORNER + width] = picture
        image += random.normal(0, noise, image.shape) if noise else 0
        yield image.clip(0, 255).astype(np.uint8)


def tell(name: str, clip: ClipResult) -> None:
    assert clip.roster is not None
    for person in clip.roster.people:
        figures = figures_of(clip, np.flatnonzero(clip.roster.person_id == person.number))
        left, top = clip.faces.xyxy[clip.roster.person_id == person.number][0, :2].tolist()
        still = name.startswith("still") and max(left, top) < CORNER + figures.median_size_px
        kind, verdict = "picture" if still else "living", "poster" if figures.never_moves else ""
        stray, size = figures.stray_px, figures.median_size_px
        seen = f"{figures.seconds_on_screen:5.1f} s {size:5.0f} px"
        print(f"{name:28} {kind:8} {seen}  stray {stray:7.3f} px = {stray / size:8.3%}  {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips, one living face in each")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each clip with a still")
    options = parser.parse_args()
    paths = sorted(options.clips.rglob("*.mp4"))
    pipeline = Pipeline(settings=["video.fps=10"])
    source = pipeline.video(paths[0]).result
    left, top, right, bottom = source.faces.xyxy[len(source.faces) // 2].tolist()
    half = 0.9 * max(right - left, bottom - top)
    middle = ((left + right) / 2, (top + bottom) / 2)
    square = tuple(round(value) for value in (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half))
    frame = frames_of(paths[0])[int(source.frames.frame_index[source.faces.frame_row[len(source.faces) // 2]])]
    still = Image.fromarray(frame).crop(square)
    for path in paths:
        tell(path.stem, pipeline.video(path).result)
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(paths[1:]):
            width, crf, noise = KINDS[number % len(KINDS)]
            shown = with_still(frames_of(path)[: round(options.seconds * 25)], still, width=width, noise=noise)
            made = write_clip(Path(folder) / "made.mp4", shown, rate=25, crf=str(crf), preset="veryfast")
            tell(f"still {width} px crf {crf} in {path.stem}", pipeline.video(made).result)


if __name__ == "__main__":
    main()
