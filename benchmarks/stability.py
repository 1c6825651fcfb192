"""How far predictions move when a video is re-encoded or scaled: the whole pipeline on copies of real clips.

``python benchmarks/stability.py CLIP... [--seconds 4] [--work DIR]``

The reference is a lossless copy of each clip's beginning. Against it: H.264 at crf 18, 23 and 28, and lossless copies
scaled by 0.75 to 1.5. A face's change is the largest change of any of its eight probabilities; printed are the mean,
the 95th percentile and the maximum over all faces of all frames, for the per-frame network and the temporal output.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vidfer.config import load_pipeline
from vidfer.engine.rerender import load_clip
from vidfer.engine.runner import run
from vidfer.faces.boxes import pairwise_iou
from vidfer.learning.evaluation.calibration import softmax
from vidfer.store.cache import StageCache
from vidfer.store.layout import cache_folder
from vidfer.types import ClipResult
from vidfer.video.find import FoundVideo

SAME_FACE_IOU = 0.5
LOSSLESS = {"qp": "0", "preset": "ultrafast"}


@dataclass(frozen=True)
class Variant:
    """A way of writing a video again: x264's options, and how its sides are scaled."""

    name: str
    options: dict[str, str]
    scale: float = 1.0


REFERENCE = Variant("reference", LOSSLESS)
VARIANTS = (
    *(Variant(f"crf {crf}", {"crf": str(crf), "preset": "medium"}) for crf in (18, 23, 28)),
    *(Variant(f"scaled by {scale}", LOSSLESS, scale) for scale in (0.75, 0.9, 1.25, 1.5)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each clip")
    parser.add_argument("--work", type=Path, help="keep copies and results here; default: a temporary folder")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--per-clip", action="store_true", help="a line for each clip too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        found = results(options.clips, (REFERENCE, *VARIANTS), work, options.seconds, options.set)
        reference = found[REFERENCE.name]
        print("| copy | faces | lost | per frame: mean | 95 % | max | temporal: mean | 95 % | max | label kept |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for variant in VARIANTS:
            moved = {name: changes(reference[name], found[variant.name][name]) for name in reference}
            if options.per_clip:
                for name, part in moved.items():
                    print(row(f"{variant.name}, {name}", [part]))
            print(row(variant.name, list(moved.values())), flush=True)


@dataclass(frozen=True)
class Changes:
    """How far faces moved: (N,) each, 0..1; ``lost``: faces of the reference that the copy has none for."""

    per_frame: np.ndarray
    temporal: np.ndarray
    same_label: np.ndarray
    lost: int


def row(name: str, parts: list[Changes]) -> str:
    per_frame = np.concatenate([part.per_frame for part in parts])
    temporal = np.concatenate([part.temporal for part in parts])
    kept = np.concatenate([part.same_label for part in parts]).mean()
    figures = " | ".join(
        f"{values.mean():.4f} | {np.percentile(values, 95):.4f} | {values.max():.4f}"
        for values in (per_frame, temporal)
    )
    return f"| {name} | {len(per_frame)} | {sum(part.lost for part in parts)} | {figures} | {kept:.1%} |"


def results(
    clips: list[Path], variants: Sequence[Variant], work: Path, seconds: float, settings: list[str]
) -> dict[str, dict[str, ClipResult]]:
    """Write the copies (unless they are there) and process them; by the variant's name, then the clip's."""
    copies = {}
    for variant in variants:
        for clip in clips:
            copy = work / "copies" / variant.name.replace(" ", "_") / f"{clip.stem}.mp4"
            copies[str(copy.absolute())] = variant.name
            if not copy.is_file():
                write_copy(clip, copy, variant, seconds=seconds)
    config = load_pipeline("default", ["output.exports=[]", *settings])
    out = work / "results"
    report = run([FoundVideo(Path(path), Path(path).relative_to(work.absolute())) for path in copies], out, config)
    if report.failed:
        raise SystemExit(str(report.failed[0].failure))
    cache = StageCache(cache_folder(out))
    found: dict[str, dict[str, ClipResult]] = {variant.name: {} for variant in variants}
    for record in report.records:
        found[copies[record.path]][Path(record.path).stem] = load_clip(cache, record, config)
    return found


def write_copy(clip: Path, out: Path, variant: Variant, *, seconds: float) -> None:
    """Write the beginning of a clip again, frame by frame with its own time stamps."""
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_suffix(".part.mp4")
    with av.open(str(clip)) as source, av.open(str(aside), "w") as container:
        video = source.streams.video[0]
        options = {"threads": "1", **variant.options}  # what x264 writes depends on how many it uses
        stream = container.add_stream("libx264", rate=Fraction(video.average_rate or 25), options=options)
        stream.width = 2 * round(video.width * variant.scale / 2)
        stream.height = 2 * round(video.height * variant.scale / 2)
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = video.time_base
        first = None
        for frame in source.decode(video):
            first = frame.pts if first is None else first
            if (frame.pts - first) * video.time_base >= seconds:
                break
            image = frame.reformat(stream.width, stream.height, "yuv420p", interpolation="BICUBIC")
            image.pts, image.time_base = frame.pts - first, video.time_base
            image.pict_type = av.video.frame.PictureType.NONE
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    aside.replace(out)


def changes(reference: ClipResult, copy: ClipResult) -> Changes:
    """Compare the faces of two runs over the same frames; a face is the same where it overlaps most."""
    if len(reference.frames) != len(copy.frames):
        raise SystemExit(f"{reference.clip_id}: {len(reference.frames)} frames became {len(copy.frames)}")
    scale = np.tile([reference.info.width / copy.info.width, reference.info.height / copy.info.height], 2)
    pairs: list[tuple[int, int]] = []
    lost = 0
    kept = np.flatnonzero(reference.tracks.track_id >= 0)
    others = np.flatnonzero(copy.tracks.track_id >= 0)
    for face in kept:
        same_frame = others[copy.faces.frame_row[others] == reference.faces.frame_row[face]]
        overlap = pairwise_iou(reference.faces.xyxy[face : face + 1], copy.faces.xyxy[same_frame] * scale)[0]
        if len(overlap) and overlap.max() >= SAME_FACE_IOU:
            pairs.append((int(face), int(same_frame[overlap.argmax()])))
        else:
            lost += 1
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    before, after = softmax(reference.embeddings.logits[a]), softmax(copy.embeddings.logits[b])
    smooth_before, smooth_after = reference.timeline.probabilities[a], copy.timeline.probabilities[b]
    return Changes(
        per_frame=np.abs(before - after).max(1),
        temporal=np.abs(smooth_before - smooth_after).max(1),
        same_label=smooth_before.argmax(1) == smooth_after.argmax(1),
        lost=lost,
    )


if __name__ == "__main__":
    main()
