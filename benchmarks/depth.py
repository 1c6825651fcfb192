"""Compares the landmarks' depth by the mean face, and by a small network, with MediaPipe's face mesh: docs/methods.md.

First in an environment with mediapipe, h5py and pillow, then in vidfer's::

    python benchmarks/depth.py points --data DIR --task face_landmarker.task --points depth.npz
    python benchmarks/depth.py compare --points depth.npz

``points`` looks at the faces of ``faces_in_scenes.h5`` from 40 px, turned ones first. ``compare`` trains a network of
two layers on the faces of ``train`` (seconds of one core) and prints mean errors on ``val`` by yaw, in per cent of the
distance between the eyes; of each face the mean depth is taken off, as only differences of depth can be seen.
"""

from __future__ import annotations

import argparse
import io
from itertools import pairwise
from pathlib import Path

import numpy as np

# Where each of the 68 landmarks lies among MediaPipe's 478 points.
# fmt: off
MESH = [
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389, 70, 63, 105, 66, 107, 336, 296,
    334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61,
    39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
]
# fmt: on
CROP, MARGIN = 256, 1.9  # px of a crop, and its side per the box's longer one
MIN_WIDTH, MAX_DISAGREEMENT, TURNED = 40, 0.06, 0.25
EDGES = (0, 15, 30, 90)  # degrees of yaw
HIDDEN, EPOCHS, BATCH, NOISE = 96, 60, 128, 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["points", "compare"])
    parser.add_argument("--data", type=Path, help="folder with faces_in_scenes.h5")
    parser.add_argument("--task", type=Path, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--points", type=Path, required=True, help="the file between the steps")
    parser.add_argument("--count", type=int, default=2600, help="faces that are looked at")
    options = parser.parse_args()
    if options.step == "points":
        look(options.data / "faces_in_scenes.h5", options.task, options.points, options.count)
    else:
        compare(options.points)


def look(scenes: Path, task: Path, out: Path, count: int) -> None:
    import h5py
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision
    from PIL import Image

    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(task)), num_faces=1)
    network = vision.FaceLandmarker.create_from_options(options)
    with h5py.File(scenes, "r", locking=False) as file:
        xyxy, image_row = file["face/xyxy"][:], file["face/image_row"][:]
        landmarks, apart = file["face/landmarks68"][:].astype(np.float32), file["face/landmark_disagreement"][:]
        offset, data, split = file["offset"][:], file["jpeg"][:], file["split"][:].astype(str)[image_row]
    good = np.isfinite(landmarks).all((1, 2)) & (apart < MAX_DISAGREEMENT) & (xyxy[:, 2] - xyxy[:, 0] >= MIN_WIDTH)
    eyes = landmarks[:, 42:48].mean(1) - landmarks[:, 36:42].mean(1)
    nose = landmarks[:, 30] - landmarks[:, 36:48].mean(1)
    aside = np.abs((nose * eyes).sum(1)) / np.maximum((eyes**2).sum(1), 1e-6) > TURNED
    order = np.random.default_rng(0).permutation(len(good))
    chosen = np.concatenate([order[good[order] & aside[order]], order[good[order] & ~aside[order]]])[:count]
    points, rows = [], []
    for row in chosen.tolist():
        image = data[offset[image_row[row]] : offset[image_row[row] + 1]]
        low, high = xyxy[row, :2], xyxy[row, 2:]
        side = MARGIN * float((high - low).max())
        left, top = ((low + high) / 2 - side / 2).tolist()
        picture = Image.open(io.BytesIO(image.tobytes())).convert("RGB")
        crop = picture.transform(
            (CROP, CROP), Image.Transform.EXTENT, (left, top, left + side, top + side), Image.Resampling.BILINEAR
        )
        found = network.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.asarray(crop)))
        if found.face_landmarks:
            mesh = np.array([[p.x, p.y, p.z] for p in found.face_landmarks[0]], np.float32)[MESH]
            points.append(mesh * side + [left, top, 0])
            rows.append(row)
    np.savez(out, points=np.array(points, np.float32), landmarks68=landmarks[rows], split=split[rows])
    print(f"{len(rows)} of {len(chosen)} faces in {out}")


def compare(file: Path) -> None:
    from vidfer.faces.landmarks.frontal import depth_of_landmarks, pose_from_afar

    stored = np.load(file)
    mesh, landmarks, train = stored["points"], stored["landmarks68"], stored["split"] == "train"
    unit, scale = upright(landmarks)
    depth = mesh[..., 2] - mesh[..., 2].mean(1, keepdims=True)
    said = trained(unit[train], (depth / scale)[train])
    found = {"a small network": said(unit[~train]) * scale[~train]}
    of_mean_face = depth_of_landmarks(landmarks[~train])
    found["the mean face"] = of_mean_face - of_mean_face.mean(1, keepdims=True)
    found["no depth"] = np.zeros_like(of_mean_face)
    eyes = np.linalg.norm(mesh[~train, 36:42].mean(1) - mesh[~train, 42:48].mean(1), axis=1)
    yaw = np.abs(pose_from_afar(landmarks[~train])[:, 1])
    parts = [np.flatnonzero((yaw >= low) & (yaw < high)) for low, high in pairwise(EDGES)]
    titles = [
        f"{low} to {high} degrees: {len(rows)} faces" for (low, high), rows in zip(pairwise(EDGES), parts, strict=True)
    ]
    print(f"| depth by | {' | '.join(titles)} |\n|" + "---|" * (len(parts) + 1))
    for name, values in found.items():
        error = np.abs(values - depth[~train]).mean(1) / eyes
        print(f"| {name} | {' | '.join(f'{error[rows].mean():.1%}' for rows in parts)} |")


def upright(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return landmarks (N, 68, 2) turned until the eyes are level, about 0 and of size 1, and their size (N, 1)."""
    eyes = landmarks[:, 42:48].mean(1) - landmarks[:, 36:42].mean(1)
    cosine, sine = (eyes / np.linalg.norm(eyes, axis=1, keepdims=True)).T
    turn = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], 1)  # (N, 2, 2)
    level = np.einsum("nij,npj->npi", turn, landmarks - landmarks.mean(1, keepdims=True))
    size = np.sqrt((level**2).sum(2).mean(1))[:, None]
    return (level / size[..., None]).astype(np.float32), size


def trained(unit: np.ndarray, depth: np.ndarray):  # type: ignore[no-untyped-def]  # a function of (N, 68, 2)
    import torch
    from torch import nn

    from vidfer.faces.align import MIRRORED_LANDMARKS

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [nn.Linear(136, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 68)]
    network = nn.Sequential(nn.Flatten(), *layers)
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters, {len(unit)} faces to learn from\n")
    x, z = torch.from_numpy(unit), torch.from_numpy(depth.astype(np.float32))
    x = torch.cat([x, x[:, MIRRORED_LANDMARKS] * torch.tensor([-1.0, 1.0])])
    z = torch.cat([z, z[:, MIRRORED_LANDMARKS]])
    steps = EPOCHS * len(x) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (BATCH,))
        loss = (network(x[rows] + NOISE * torch.randn(BATCH, 68, 2)) - z[rows]).abs().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()

    def said(points: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(points)).numpy()

    return said


if __name__ == "__main__":
    main()
