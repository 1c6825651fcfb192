"""Whether `quality` can be taken at its word: held-back spoilt faces and real clips, the old rule beside the network.

    python benchmarks/quality.py --data ../shared/data --clips ../shared/clips --cases ../shared/cases

Faces: as ``vidfer train quality`` spoils them, of people and pictures that were not learnt from (LFW by person,
FER2013's PublicTest). The truth is whether the backbone's label is that of the clean picture; an inverted face counts
as changed. The old rule was the weakest of sharpness, size, pose and landmark score. Clips: their frames at 5 a second,
as they are, blurred by 6 px on a face of 156 px, and upside down.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from vidfer.config import FacesConfig, parse_section, pipelines_folder, read_toml
from vidfer.faces.quality import QUALITY_SIZE, FaceQuality
from vidfer.labels import EMOTIONS
from vidfer.learning.datasets.spoilt_faces import KINDS, MIXED
from vidfer.learning.evaluation.binary import expected_error, ranking
from vidfer.learning.training.quality import DataConfig, JudgedFaces, QualityRecipe, judged_faces, weights_in_mixture
from vidfer.pipeline.chunk import CHUNK_FRAMES, FrameChunk
from vidfer.pipeline.faces import FacesStage
from vidfer.types import FrameBatch
from vidfer.video.probe import probe
from vidfer.video.reader import open_reader
from vidfer.video.sampling import sample_indices

FPS = 5.0
BLUR = 6 / 156  # standard deviation, of the face's width


def old_rule(aligned: np.ndarray, size_px: np.ndarray, pose: np.ndarray, landmark_score: np.ndarray) -> np.ndarray:
    """Return what quality was before: the weakest of four factors; ``aligned`` is (N, 48, 48) gray 0..1."""
    x = aligned.astype(np.float64)
    x = (x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]) / 4
    x = (x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]) / 4
    laplacian = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * x[:, 1:-1, 1:-1]
    sharpness = laplacian.var((1, 2)) / x.var((1, 2)).clip(1e-5)
    pitch, yaw = np.radians(pose[:, :2]).T
    off_sight = np.degrees(np.arccos(np.clip(np.cos(pitch) * np.cos(yaw), -1, 1)))
    factors = np.stack([np.sqrt(sharpness / 0.045), size_px / 48, (80 - off_sight) / 60, landmark_score])
    return np.clip(np.nan_to_num(factors).min(0), 0, 1)


def report_faces(faces: JudgedFaces, network: FaceQuality, mixture: DataConfig) -> None:
    """Print ranking and calibration on held-back faces, in all and by what was done to them."""
    aligned = torch.from_numpy(faces.aligned)[:, None].float() / 255
    started = time.process_time()
    new = network.judge(aligned, size_px=faces.size_px, pose=faces.pose, landmark_score=faces.landmark_score)
    spent = time.process_time() - started
    old = old_rule(aligned[:, 0].numpy(), faces.size_px, faces.pose, faces.landmark_score)
    upright = faces.kind != "inverted"
    each = 1000 * spent / len(faces)
    print(f"{len(faces)} held-back faces, {faces.kept.mean():.1%} keep their label; {each:.3f} ms a face")
    print(f"{'':<22}{'AUC':>8}{'upright':>9}{'ECE':>8}{'Brier':>8}   quantiles 5, 25, 50, 75, 95 %")
    mixed = weights_in_mixture(faces, mixture)
    for weight, counted in ((mixed, "the mixture"), (np.ones(len(faces)), "as they come")):
        for name, quality in (("old, ", old), ("new, ", new)):
            spread = "  ".join(f"{q:.2f}" for q in np.quantile(quality, (0.05, 0.25, 0.5, 0.75, 0.95)))
            in_all = ranking(quality, faces.kept, weight)
            ranks = ranking(quality[upright], faces.kept[upright], weight[upright])
            brier = np.average((quality - faces.kept) ** 2, weights=weight)
            error = expected_error(quality, faces.kept, weight)
            print(f"{name + counted:<22}{in_all:>8.3f}{ranks:>9.3f}{error:>8.3f}{brier:>8.3f}   {spread}")
    print(f"\n{'kind':<14}{'faces':>7}{'kept':>8}{'old':>7}{'new':>7}{'AUC old':>9}{'new':>7}{'largest':>9}")
    for kind in (*KINDS, MIXED):
        _print_group(kind, faces.kind == kind, faces.kept, old, new)
    print("\nclear faces by what is read from them")
    for number, emotion in enumerate(EMOTIONS):
        _print_group(emotion, (faces.kind == "clear") & (faces.label == number), faces.kept, old, new)
    print("\nquality of the network against the share that keeps its label")
    step = np.minimum((new * 10).astype(int), 9)
    for low in np.unique(step):
        rows = step == low
        kept = np.average(faces.kept[rows], weights=mixed[rows])
        print(f"{low / 10:.1f} to {low / 10 + 0.1:.1f}: {rows.sum():>5} faces, {kept:.2f}")
    print(f"inverted faces above 0.3: {(new[~upright] > 0.3).mean():.1%}")


def _print_group(name: str, rows: np.ndarray, kept: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
    if rows.any():
        print(
            f"{name:<14}{rows.sum():>7}{kept[rows].mean():>8.1%}{old[rows].mean():>7.2f}{new[rows].mean():>7.2f}"
            f"{ranking(old[rows], kept[rows]):>9.3f}{ranking(new[rows], kept[rows]):>7.3f}{new[rows].max():>9.2f}"
        )


Change = Callable[[np.ndarray, float], np.ndarray]
CHANGES: dict[str, Change] = {
    "as it is": lambda image, width: image,
    "blurred": lambda image, width: gaussian_filter(image, (BLUR * width, BLUR * width, 0)),
    "upside down": lambda image, width: np.ascontiguousarray(image[::-1, ::-1]),
}


def qualities(path: Path, stage: FacesStage, change: Change, *, width: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return old and new quality of all faces of a clip (N,), and the mean width of a face in px."""
    old, new, widths = [np.zeros(0)], [np.zeros(0)], []
    for chunk in _chunks(path, lambda image: change(image, width)):
        table = stage.process(chunk)
        rows = np.repeat(np.arange(len(table.num_faces)), table.num_faces)
        gray = chunk.aligned_faces(rows, table.transform, QUALITY_SIZE).mean(1).numpy()
        size = (table.xyxy[:, 2:] - table.xyxy[:, :2]).max(1, initial=0)
        old.append(old_rule(gray, size, table.pose, table.landmark_score))
        new.append(table.quality)
        widths += (table.xyxy[:, 2] - table.xyxy[:, 0]).tolist()
    return np.concatenate(old), np.concatenate(new), float(np.mean(widths)) if widths else 0.0


def _chunks(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> Iterator[FrameChunk]:
    video = probe(path)
    rows = sample_indices((video.frame_pts - video.frame_pts[0]) * float(video.time_base), FPS)
    for batch in open_reader(video).read(rows, batch_size=CHUNK_FRAMES):
        images = np.stack([change(image) for image in batch.images])
        yield FrameChunk(
            FrameBatch(images=images, frame_index=batch.frame_index, pts_seconds=batch.pts_seconds), torch.device("cpu")
        )


def report_clips(paths: list[Path], changes: dict[str, Change], weights: str) -> None:
    """Print quantiles of quality over the faces of each clip."""
    stage = FacesStage(FacesConfig(quality_weights=weights), device="cpu")
    print(f"\n{'clip':<18}{'':<13}{'faces':>6}   old 25, 50 %   new 25, 50 %, largest")
    together: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for path in paths:
        width = 0.0
        for name, change in changes.items():
            old, new, seen = qualities(path, stage, change, width=width)
            width = width or seen
            together.setdefault(name, []).append((old, new))
            _print_clip(path.stem, name, old, new)
    if len(paths) > 1:
        for name, parts in together.items():
            _print_clip("all", name, *(np.concatenate(part) for part in zip(*parts, strict=True)))


def _print_clip(clip: str, change: str, old: np.ndarray, new: np.ndarray) -> None:
    shown = "no face"
    if len(new):
        figures = [*np.quantile(old, (0.25, 0.5)), *np.quantile(new, (0.25, 0.5)), new.max()]
        shown = "  ".join(f"{figure:.2f}" for figure in figures)
    print(f"{clip:<18}{change:<13}{len(new):>6}   {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with faces_in_scenes.h5 and fer2013plus.h5")
    parser.add_argument("--recipe", type=Path, default=pipelines_folder() / "train" / "quality.toml")
    parser.add_argument("--run", type=Path, help="folder of the training run: its faces are not made again")
    parser.add_argument("--weights", default="", help="of the quality network, instead of the embedded ones")
    parser.add_argument("--clips", type=Path, help="folder with clips")
    parser.add_argument("--cases", type=Path, help="folder with mask.mp4")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.data:
        recipe = parse_section(QualityRecipe, read_toml(arguments.recipe), source=str(arguments.recipe))
        found = judged_faces(recipe, arguments.data, "val", kept_in=arguments.run)
        report_faces(found, FaceQuality(weights=arguments.weights), recipe.data)
    if arguments.cases:
        report_clips([arguments.cases / "mask.mp4"], {"as it is": CHANGES["as it is"]}, arguments.weights)
    if arguments.clips:
        report_clips(sorted(arguments.clips.glob("*.mp4")), CHANGES, arguments.weights)


if __name__ == "__main__":
    main()
