"""How far the gaze agrees with gaze-estimation-adas-0002, another public network, on frames of clips.

    python benchmarks/gaze_agreement.py --clips DIR --teacher FILE.xml [--packages DIR with openvino] [--fit] CLIP [...]

``--fit`` also fits the constants of ``vidfer/movements/gaze.py`` to it: do so on clips that the network learnt from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import least_squares

from vidfer.config import FacesConfig, MovementsConfig, load_pipeline
from vidfer.faces.align import warp_faces
from vidfer.learning.training.movements import correlation
from vidfer.movements import gaze
from vidfer.movements.eyes import CORNERS, eye_centres
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.faces import FacesStage
from vidfer.pipeline.movements import MovementsStage
from vidfer.pipeline.pipeline import Pipeline
from vidfer.types import FaceDetections
from vidfer.video.probe import probe

EVERY = 6  # frames
EYE_PX, EYE_WIDTHS = 60, 1.8  # what the other network sees of an eye, as in OpenVINO's gaze_estimation_demo


def other_network(path: Path) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Return a function from the left and the right eye (60, 60, 3) RGB 0..255 and head angles to a vector."""
    import openvino as ov

    core = ov.Core()
    model = core.compile_model(core.read_model(path), "CPU")

    def look(left: np.ndarray, right: np.ndarray, angles: np.ndarray) -> np.ndarray:
        pictures = [eye[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) for eye in (left, right)]
        named = {"left_eye_image": pictures[0], "right_eye_image": pictures[1], "head_pose_angles": angles[None]}
        vector = next(iter(model(named).values())).ravel()
        return np.asarray(vector / np.linalg.norm(vector))

    return look


def eye_squares(faces: FaceDetections) -> np.ndarray:
    """Return transforms (N, 2, 2, 3) of both eyes, upright in the head's roll, not mirrored."""
    landmarks = np.asarray(faces.landmarks)
    roll = np.radians(faces.pose[:, 2])
    cos, sin = np.cos(roll), np.sin(roll)
    out = np.zeros((len(landmarks), 2, 2, 3), np.float32)
    for eye, (outer, inner) in enumerate(CORNERS):
        scale = 1 / (EYE_WIDTHS * np.linalg.norm(landmarks[:, outer] - landmarks[:, inner], axis=1))
        linear = scale[:, None, None] * np.stack([np.stack([cos, sin], 1), np.stack([-sin, cos], 1)], 1)
        centre = eye_centres(landmarks)[:, eye]
        out[:, eye] = np.concatenate([linear, (0.5 - np.einsum("nij,nj->ni", linear, centre))[..., None]], 2)
    return out


def measure(
    path: Path,
    look: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    stages: tuple[FacesStage, MovementsStage],
) -> dict[str, np.ndarray]:
    """Return what both networks see in every sixth frame."""
    pipeline = Pipeline(load_pipeline("default"), device="cpu")
    reader, indices = pipeline.opened(pipeline.turned(probe(path)), "pyav")
    found: dict[str, list[np.ndarray]] = {}
    for batch in reader.read(indices[::EVERY], batch_size=8):
        chunk = FrameChunk(batch, torch.device("cpu"))
        tables = {"faces": stages[0].process(chunk)}
        faces = tables["faces"].detections()
        seen = stages[1].process(chunk, tables)
        eyes = warp_faces(
            chunk.images, np.repeat(faces.frame_row, 2), eye_squares(faces).reshape(-1, 2, 3), size=EYE_PX
        )
        eyes = (eyes * 255).permute(0, 2, 3, 1).numpy().reshape(len(faces), 2, EYE_PX, EYE_PX, 3)
        vectors = []
        for right_left, pose in zip(eyes, faces.pose, strict=True):
            angles = np.array(
                [pose[1], -pose[0], 0.0], np.float32
            )  # its pitch is positive downwards; roll is taken out
            x, y, z = look(right_left[1], right_left[0], angles)
            roll = np.radians(pose[2])
            x, y = x * np.cos(roll) + y * np.sin(roll), y * np.cos(roll) - x * np.sin(roll)
            vectors.append([np.degrees(np.arctan2(x, -z)), np.degrees(np.arcsin(y))])
        row = {
            "other": np.array(vectors).reshape(-1, 2),
            "ours": seen.gaze,
            "iris": seen.iris,
            "open": seen.values[:, :2],
        }
        row |= {"landmarks": np.asarray(faces.landmarks), "transform": faces.transform, "pose": faces.pose}
        for name, values in row.items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--packages")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    if options.packages:
        sys.path.append(options.packages)
    torch.set_num_threads(1)
    look = other_network(options.teacher)
    stages = FacesStage(FacesConfig(), device="cpu"), MovementsStage(MovementsConfig(), device="cpu")
    parts = [measure(next(options.clips.rglob(f"{name}.*")), look, stages) for name in options.names]
    data = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rows = np.isfinite(data["ours"]).all(1) & (np.abs(data["pose"][:, 1]) < 40) & (data["open"].min(1) > 0.4)
    data = {name: values[rows] for name, values in data.items()}
    for axis, name in enumerate(("across", "up and down")):
        ours, other, head = data["ours"][:, axis], data["other"][:, axis], data["pose"][:, 1 - axis]
        away = ours - other
        print(
            f"{name}: {len(ours)} frames, r {correlation(ours, other):.3f}, difference {away.mean():.1f}, "
            f"absolute {np.abs(away).mean():.1f} degrees; spread ours {ours.std():.1f}, other {other.std():.1f}; "
            f"r with the head ours {correlation(ours, head):.2f}, other {correlation(other, head):.2f}"
        )
    if options.fit:
        fit(data)


def fit(data: dict[str, np.ndarray]) -> None:
    """Print the constants that agree best with the other network."""
    landmarks, transform, pose = data["landmarks"], data["transform"], data["pose"]
    iris = np.einsum("nij,nej->nei", transform[:, :, :2], data["iris"] - eye_centres(landmarks))

    def away(constants: np.ndarray) -> np.ndarray:
        gaze.BALL_CENTRE, gaze.IRIS_DISTANCE = np.array([0.0, constants[0], constants[1]]), constants[2]
        return ((gaze.gaze_angles(iris, landmarks, transform, pose).mean(1) - data["other"]) / 10).ravel()

    found = least_squares(away, [0.0, 4.0, 11.0], loss="soft_l1")
    print(f"BALL_CENTRE y {found.x[0]:.2f}, z {found.x[1]:.2f}; IRIS_DISTANCE {found.x[2]:.2f} mm")


if __name__ == "__main__":
    main()
