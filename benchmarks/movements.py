"""Figures of the movements network and of what is made of it, for vidfer/assets/movements.md.

    python benchmarks/movements.py PART [...] --data DIR [--faces RUN] [--unseen FILE]

DIR is the folder that ``vidfer train movements`` learns from (see pipelines/train/movements.toml), RUN its run folder,
where the faces are kept that it has cut out.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from made_clips import write_clip
from PIL import Image, ImageDraw

from vidfer.config import load_pipeline, parse_section, pipelines_folder, read_toml
from vidfer.faces.align import five_points, landmark_boxes, similarity_transforms, warp_faces
from vidfer.faces.landmarks import LANDMARKERS, FaceLandmarker
from vidfer.learning.datasets.movement_faces import BORDER, LABELS_FILE, SIDE, TILE, MovementFaces, movement_values
from vidfer.learning.evaluation.binary import ranking
from vidfer.learning.training.augment import AugmentConfig
from vidfer.learning.training.movements import MovementsRecipe, correlation, read_movement_faces, views
from vidfer.movements import MIRRORED, MOVEMENT_NETWORKS, MOVEMENTS, REPORTED, Movements, trust
from vidfer.movements.eyes import eye_transforms
from vidfer.pipeline.pipeline import Pipeline
from vidfer.timeline.blinks import find_blinks
from vidfer.timeline.face_movements import SMILE
from vidfer.types.movements import Blink

BOX_OF_ALIGNED = 1.18  # a face's box is so many times the side of its aligned face (median of LFW's)
SIZES = (24, 32, 40, 48, 64, 96, 200)  # px of the face's box
YAWS = ((0, 10), (10, 20), (20, 35), (35, 90))
CLOSED, OPEN = 0.2, 0.5  # the teacher's opening: surely closed below, surely open above
BLINK_MATCH_SECONDS = 0.15
LARGE_ERROR = 0.15  # against the teacher: here ``movement_quality`` should be a half


class Measuring:
    """The held-back faces and the network that measures them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.recipe = parse_section(MovementsRecipe, read_toml(pipelines_folder() / "train" / "movements.toml"))
        self.network = MOVEMENT_NETWORKS.get("embedded")(device="cpu", weights=options.weights)
        self._faces: MovementFaces | None = None
        self.curves: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = {}

    @property
    def faces(self) -> MovementFaces:
        if self._faces is None:
            self._faces = read_movement_faces(self.recipe, self.options.data, "val", kept_in=self.options.faces)
        return self._faces

    def predict(
        self, faces: MovementFaces, *, side: int = SIDE, change: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> Movements:
        still = self.recipe.model_copy(update={"augment": AugmentConfig()})
        parts = []
        for rows in np.array_split(np.arange(len(faces)), max(1, len(faces) // 256)):
            part = faces.take(rows)
            if change is not None:
                tiles = np.stack([change(tile) for tile in part.tiles])
                part = MovementFaces(**{**vars(part), "tiles": tiles})
            made = views(part, still, torch.Generator(), side=min(side, SIDE))
            parts.append(self.network.predict(made.faces, made.eyes))
        names = ("values", "iris", "error")
        return Movements(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def groups(self) -> Iterator[tuple[str, np.ndarray]]:
        yield "LFW, Flickr8k", np.isin(self.faces.source, ("lfw", "flickr8k"))
        yield "LFW", self.faces.source == "lfw"
        yield "FER2013", self.faces.source == "fer"
        yield "clips", np.isin(self.faces.source, self.recipe.data.held_back)


def teacher(m: Measuring) -> None:
    """Print correlation with the teacher, closed against open, and how quality follows error."""
    seen = m.predict(m.faces)
    print("| movement | " + " | ".join(f"r, {name} ({rows.sum()})" for name, rows in m.groups()) + " | mean error |")
    for i, name in enumerate(MOVEMENTS):
        cells = [correlation(seen.values[rows, i], m.faces.values[rows, i]) for _, rows in m.groups()]
        error = np.abs(seen.values[:, i] - m.faces.values[:, i]).mean()
        print(f"| {name} | " + " | ".join(f"{r:.3f}" for r in cells) + f" | {error:.3f} |")
    for axis, name in enumerate(("iris, across", "iris, up and down")):
        cells = []
        for _, rows in m.groups():
            known = rows & np.isfinite(m.faces.iris).all((1, 2)) & (m.faces.values[:, :2].min(1) > 0.3)
            cells.append(correlation(seen.iris[known, :, axis].mean(1), m.faces.iris[known, :, axis].mean(1)))
        print(f"| {name} | " + " | ".join(f"{r:.3f}" for r in cells) + " | |")
    for name, rows in m.groups():
        truth, value = m.faces.values[rows, :2].mean(1), seen.values[rows, :2].mean(1)
        sure = (truth < CLOSED) | (truth > OPEN)
        print(
            f"closed against open, {name}: AUC {ranking(value[sure], (truth > OPEN)[sure]):.4f}, "
            f"{(truth < CLOSED).sum()} closed of {sure.sum()}"
        )
    quality_table(m)


def quality_table(m: Measuring) -> None:
    """Print the mean error of faces by their movement_quality, over all sizes."""
    parts = [(m.predict(m.faces, side=round(size / BOX_OF_ALIGNED)), m.faces.values) for size in (16, 24, 40, 96, 200)]
    quality = np.concatenate([trust(seen.error) for seen, _ in parts])
    reported = [MOVEMENTS.index(name) for name in REPORTED]
    error = np.concatenate([np.abs(seen.values - truth)[:, reported] for seen, truth in parts])
    worst = np.maximum(error[:, :2].mean(1), error[:, 2:].mean(1))
    print("| movement_quality | faces | error, eyes | error, others | larger of both | above 0.15 |")
    for low in np.arange(0, 1, 0.1):
        rows = (quality >= low) & (quality < low + 0.1)
        if rows.sum() > 20:
            e = error[rows]
            print(
                f"| {low:.1f} to {low + 0.1:.1f} | {rows.sum()} | {e[:, :2].mean():.3f} | {e[:, 2:].mean():.3f} | "
                f"{worst[rows].mean():.3f} | {(worst[rows] > LARGE_ERROR).mean():.2f} |"
            )
    wrong, low = worst > LARGE_ERROR, quality < 0.5
    print(
        f"error over {LARGE_ERROR}: {wrong.mean():.2f} of faces; quality under 0.5 in {low[wrong].mean():.2f} of "
        f"them and {low[~wrong].mean():.2f} of the others; mean error {worst[low].mean():.3f} under 0.5, "
        f"{worst[~low].mean():.3f} from there; AUC {ranking(-quality, wrong):.3f}"
    )


def conditions(m: Measuring) -> None:
    """Print the correlations by the face's size, the head's turn, light, and with glasses drawn."""
    stills = m.faces.take(np.flatnonzero((m.faces.source == "lfw") & (m.faces.size_px > 90)))
    clips = m.faces.take(np.flatnonzero(np.isin(m.faces.source, m.recipe.data.held_back)))
    rows: list[tuple[str, MovementFaces, Movements]] = [
        (f"{name}, {size} px", faces, m.predict(faces, side=round(size / BOX_OF_ALIGNED)))
        for name, faces in (("stills", stills), ("clips", clips))
        for size in SIZES
    ]
    seen = m.predict(clips)
    yaw = np.abs(clips.pose[:, 1])
    for low, high in YAWS:
        part = np.flatnonzero((yaw >= low) & (yaw < high))
        if len(part) > 50:
            rows.append(
                (
                    f"clips, head turned {low} to {high}°",
                    clips.take(part),
                    Movements(values=seen.values[part], iris=seen.iris[part], error=seen.error[part]),
                )
            )
    ramp = np.linspace(0.3, 1.7, TILE)
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "dark (a quarter)": lambda tile: (tile * 0.25).astype(np.uint8),
        "bright (gamma 0.5)": lambda tile: (255 * np.sqrt(tile / 255)).astype(np.uint8),
        "light from the side": lambda tile: (tile * ramp).clip(0, 255).astype(np.uint8),
    }
    for name, change in changes.items():
        rows.append((f"stills, {name}", stills, m.predict(stills, change=change)))
    glasses = MovementFaces(
        **{
            **vars(stills),
            "tiles": np.stack([with_glasses(t, e) for t, e in zip(stills.tiles, stills.eyes, strict=True)]),
        }
    )
    rows.append(("stills, glasses drawn", stills, m.predict(glasses)))
    print("| faces | " + " | ".join((*MOVEMENTS, "iris x", "iris y", "quality")) + " |")
    for name, faces, found in rows:
        cells = [correlation(found.values[:, i], faces.values[:, i]) for i in range(len(MOVEMENTS))]
        known = np.isfinite(faces.iris).all((1, 2)) & (faces.values[:, :2].min(1) > 0.3)
        cells += [correlation(found.iris[known, :, a].mean(1), faces.iris[known, :, a].mean(1)) for a in range(2)]
        print(f"| {name} | " + " | ".join(f"{r:.2f}" for r in (*cells, trust(found.error).mean())) + " |")


def with_glasses(tile: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Return a tile with dark frames drawn around both eyes."""
    picture = Image.fromarray(tile)
    pen = ImageDraw.Draw(picture)
    centres = eyes * SIDE + BORDER
    for x, y in centres:
        pen.ellipse((x - 19, y - 14, x + 19, y + 16), outline=25, width=3)
    (x0, y0), (x1, y1) = centres
    pen.line((x0 + 19, y0, x1 - 19, y1), fill=25, width=3)
    return np.asarray(picture)


def mirror(m: Measuring) -> None:
    """Print how far a face and its mirror image differ once left and right are exchanged."""
    stills = m.faces.take(np.flatnonzero(m.faces.source == "lfw"))
    eyes = stills.eyes[:, ::-1] * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    turned = MovementFaces(**{**vars(stills), "tiles": stills.tiles[:, :, ::-1].copy(), "eyes": eyes.copy()})
    one, other = m.predict(stills), m.predict(turned)
    apart = np.abs(one.values - other.values[:, list(MIRRORED)]).mean(0)
    print("mirror: mean difference " + ", ".join(f"{n} {d:.3f}" for n, d in zip(MOVEMENTS, apart, strict=True)))
    print(f"iris across: r with the mirror's {correlation(one.iris[:, 0, 0], -other.iris[:, 1, 0]):.3f}")


def movements_of(m: Measuring, path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the columns of the face seen longest in a clip, and its times."""
    settings = ["movements.enabled=true", "run.device=cpu"]
    if m.options.weights:
        settings.append(f"movements.weights={m.options.weights}")
    clip = Pipeline(load_pipeline("default", settings)).video(path).result
    ids, counts = np.unique(clip.timeline.track_id[clip.timeline.track_id >= 0], return_counts=True)
    rows = np.flatnonzero(clip.timeline.track_id == ids[counts.argmax()])
    assert clip.movements is not None
    columns = {name: values[rows] for name, values in clip.movements.columns.items()}
    return columns, clip.frames.pts_seconds[clip.timeline.frame_row[rows]]


def still(m: Measuring) -> None:
    """Print how much each column moves on a photograph that is shown as a video, coded as videos are."""
    with h5py.File(m.options.data / "faces_in_scenes.h5") as file:
        names = file["split"][:].astype(str), file["source"][:].astype(str)
        chosen = np.flatnonzero((names[0] == "val") & (names[1] == "lfw"))[:: m.options.every]
        offset = file["offset"][:]
        pictures = [Image.open(io.BytesIO(file["jpeg"][offset[i] : offset[i + 1]].tobytes())) for i in chosen[:12]]
    spread: dict[str, list[float]] = {}
    for number, picture in enumerate(pictures):
        path = m.options.scratch / f"still{number}.mp4"
        write_clip(path, [np.asarray(picture.convert("RGB").resize((500, 500)))] * 48, rate=24, crf="26")
        columns, _ = movements_of(m, path)
        for name, values in columns.items():
            spread.setdefault(name, []).append(float(np.nanstd(values)))
    print("still photographs as video: standard deviation, median and largest of", len(pictures))
    for name, values in spread.items():
        print(f"| {name} | {np.nanmedian(values):.4f} | {np.nanmax(values):.4f} |")


def matched(found: list[Blink], truth: list[tuple[float, float]]) -> int:
    """Return how many found blinks lie where one truly is, each used once."""
    free, hits = list(truth), 0
    for one in found:
        near = [t for t in free if t[0] - BLINK_MATCH_SECONDS <= one.closed_seconds <= t[1] + BLINK_MATCH_SECONDS]
        if near:
            free.remove(near[0])
            hits += 1
    return hits


def blinks(m: Measuring) -> None:
    """Print precision and recall of blinks against those in the teacher's curve, on clips of people not learnt from."""
    total = np.zeros(3, int)
    for clip in m.recipe.data.held_back:
        opening, seconds, at, values = curves_of(m, clip)
        found, count = find_blinks(seconds, opening, track_id=0)
        truth, _ = find_blinks(at, values, track_id=0)
        hits = matched(found, [(b.start_seconds, b.end_seconds) for b in truth])
        total += (hits, len(found), len(truth))
        print(f"| {clip} | {len(truth)} | {len(found)} | {hits} | {count.per_minute or 0:.0f} a minute |")
    print(f"precision {total[0] / total[1]:.3f}, recall {total[0] / total[2]:.3f} of {total[2]}")


def made(m: Measuring) -> None:
    """Print precision and recall of blinks put together of a clip's own frames at known times, by the frame rate.

    Of each moment the frame is shown whose eyes are, by the teacher, as far open as they should be then.
    """
    for fps in (15, 25, 30, 60):
        random, total = np.random.default_rng(5), np.zeros(3, int)
        for clip in m.recipe.data.held_back:
            opening, seconds, at, truth = curves_of(m, clip)
            known = np.interp(seconds, at, truth.mean(1))
            usual = np.percentile(known, 70)
            if known.min() > 0.15:
                continue  # it has no closed eyes
            times = np.arange(0.8, 9.2, 1.4) + random.uniform(-0.3, 0.3, 6)
            lasts = random.uniform(0.16, 0.32, 6)
            moments = np.arange(0, 10, 1 / fps)
            wanted = usual * (1 - closing(moments, times, lasts)) + random.normal(0, 0.02, len(moments))
            shown = np.abs(known[None] - wanted[:, None]).argmin(1)
            found, _ = find_blinks(moments, opening[shown].astype(np.float64), track_id=0)
            total += (matched(found, list(zip(times - lasts, times + lasts, strict=True))), len(found), 6)
        precision, recall = total[0] / max(1, total[1]), total[0] / total[2]
        print(f"| {fps} frames a second | precision {precision:.3f} | recall {recall:.3f} | {total[2]} blinks |")


def curves_of(m: Measuring, clip: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the opening of both eyes (T, 2) with its times, and the teacher's times and opening."""
    if clip not in m.curves:
        columns, seconds = movements_of(m, next((m.options.data / "clips").rglob(f"{clip}.*")))
        with h5py.File(m.options.data / LABELS_FILE) as file:
            at = file[clip]["pts_seconds"][:]
            values = movement_values(file[clip]["blendshape"][:], list(file.attrs["blendshape_names"]))
        opening = np.stack([columns["eye_open_left"], columns["eye_open_right"]], 1)
        m.curves[clip] = opening, seconds, at - at[0], values[:, :2].astype(np.float64)
    return m.curves[clip]


def located(landmarker: FaceLandmarker, image: torch.Tensor, box: np.ndarray) -> np.ndarray:
    """Return the landmarks (1, 68, 2) of a picture's face, looked for twice as in videos."""
    for _ in range(2):
        points, _ = landmarker.locate(image, np.zeros(1, int), box)
        box = landmark_boxes(points)
    return points


def closing(seconds: np.ndarray, times: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Return how far the lids are closed (T,): down in a third of a blink's time, up in the rest."""
    closed = np.zeros(len(seconds))
    for time_, last in zip(times, lasts, strict=True):
        part = (seconds - (time_ - last / 3)) / last
        shape = np.where(part < 1 / 3, part * 3, (1 - part) * 1.5).clip(0, 1)
        closed = np.maximum(closed, np.where((part > 0) & (part < 1), shape, 0))
    return closed


def seen_in(m: Measuring, image: torch.Tensor, points: np.ndarray) -> Movements:
    """Return what is seen in the face of one picture (1, H, W, C) with landmarks (1, 68, 2)."""
    transform = similarity_transforms(five_points(points))
    aligned = warp_faces(image, np.zeros(1, int), transform, size=m.network.face_size)
    transforms = eye_transforms(points, transform).reshape(-1, 2, 3)
    eyes = warp_faces(image, np.zeros(2, int), transforms, size=m.network.eye_size, gray=True)
    return m.network.predict(aligned, eyes[None])


def apex(m: Measuring) -> None:
    """Print which movements rise from onset to apex in CK+, by emotion: AUC (0.5: none)."""
    with h5py.File(m.options.unseen) as file:
        corpus, label, phase = (file[name][:].astype(str) for name in ("corpus", "label", "phase"))
        offset = file["offset"][:]
        rows = np.flatnonzero(np.char.lower(corpus) == "ck+")
        pictures = [
            Image.open(io.BytesIO(file["webp"][offset[i] : offset[i + 1]].tobytes())).convert("RGB") for i in rows
        ]
    landmarker = LANDMARKERS.get("embedded")(device="cpu", weights="")
    values = []
    for picture in pictures:
        image = torch.from_numpy(np.asarray(picture).copy())[None]
        points = located(landmarker, image, np.array([[0, 0, picture.width, picture.height]], np.float32))
        values.append(seen_in(m, image, points).values[0])
    seen, label, phase = np.stack(values), label[rows], phase[rows]
    emotions = [name for name in np.unique(label[phase == "apex"]) if (label[phase == "apex"] == name).sum() >= 10]
    onset = phase == "onset"
    print(f"{onset.sum()} onsets")
    print("| movement | " + " | ".join(f"{e} ({((label == e) & (phase == 'apex')).sum()})" for e in emotions) + " |")
    for i, name in enumerate(MOVEMENTS):
        cells = []
        for emotion in emotions:
            risen = (label == emotion) & (phase == "apex")
            cells.append(
                ranking(np.r_[seen[risen, i], seen[onset, i]], np.r_[np.ones(risen.sum()), np.zeros(onset.sum())])
            )
        print(f"| {name} | " + " | ".join(f"{auc:.2f}" for auc in cells) + " |")


def speech(m: Measuring) -> None:
    """Print how much mouth and smile move in clips of people who talk."""
    print("| clip | mouth_open, sd | smile, sd | time with a smile | r of mouth and smile |")
    talking = sorted((m.options.data / "clips").rglob("t*.mp4"))
    for path in [*(m.options.data / "clips").rglob("d20.mp4"), *talking]:
        columns, _ = movements_of(m, path)
        smile = (columns["smile_left"] + columns["smile_right"]) / 2
        mouth = columns["mouth_open"]
        print(
            f"| {path.stem} | {np.nanstd(mouth):.3f} | "
            f"{np.nanstd(smile):.3f} | "
            f"{np.mean(smile >= SMILE):.2f} | {correlation(mouth, smile):.2f} |"
        )


def cost(m: Measuring) -> None:
    """Print the time per face on one core, with cutting out the eyes."""
    images = torch.randint(0, 255, (16, 720, 1280, 3), dtype=torch.uint8)
    landmarks = np.random.default_rng(0).uniform(200, 400, (64, 68, 2)).astype(np.float32)
    transform = np.tile(np.array([[[0.005, 0, -1], [0, 0.005, -1]]], np.float32), (64, 1, 1))
    rows = np.repeat(np.arange(16), 4)
    faces = warp_faces(images, rows, transform, size=m.network.face_size)
    best = {"eyes": 1e9, "network": 1e9}
    for _ in range(8):
        start = time.process_time()
        eyes = warp_faces(
            images,
            np.repeat(rows, 2),
            eye_transforms(landmarks, transform).reshape(-1, 2, 3),
            size=m.network.eye_size,
            gray=True,
        )
        middle = time.process_time()
        m.network.predict(faces, eyes.unflatten(0, (-1, 2)))
        end = time.process_time()
        best = {"eyes": min(best["eyes"], middle - start), "network": min(best["network"], end - middle)}
    print(", ".join(f"{name} {1000 * seconds / 64:.2f} ms a face" for name, seconds in best.items()))


PARTS: dict[str, Callable[[Measuring], None]] = {
    f.__name__: f for f in (teacher, conditions, mirror, still, blinks, made, apex, speech, cost)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--unseen", type=Path)
    parser.add_argument("--weights", default="")
    parser.add_argument("--scratch", type=Path, default=Path("."))
    parser.add_argument("--every", type=int, default=80)
    options = parser.parse_args()
    torch.set_num_threads(1)
    measuring = Measuring(options)
    for part in options.parts:
        print(f"\n## {part}")
        PARTS[part](measuring)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
