"""Label the frames of clips with MediaPipe FaceLandmarker: what ``vidfer train movements`` learns closed eyes from.

Runs in an environment of its own (mediapipe, av, h5py), never a dependency of vidfer:

    python label_clips.py face_landmarker.task OUT/movement_labels.h5 CLIP [...]
"""

import sys
from pathlib import Path

import av
import h5py
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def label(network, path):
    """Return times (F,), points (F, 478, 2) px and blendshapes (F, 52); NaN where no face was found."""
    times, points, shapes, names = [], [], [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            rgb = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
            found = network.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb))
            times.append(frame.time)
            if not found.face_blendshapes:
                points.append(np.full((478, 2), np.nan)), shapes.append(np.full(52, np.nan))
                continue
            names = [category.category_name for category in found.face_blendshapes[0]]
            points.append([(p.x * rgb.shape[1], p.y * rgb.shape[0]) for p in found.face_landmarks[0]])
            shapes.append([category.score for category in found.face_blendshapes[0]])
    return np.array(times), np.array(points, np.float32), np.array(shapes, np.float32), names


def main(task, out, clips):
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=task),
        output_face_blendshapes=True,
        num_faces=1,
        min_face_detection_confidence=0.3,
        min_face_presence_confidence=0.3,
    )
    with vision.FaceLandmarker.create_from_options(options) as network, h5py.File(out, "w") as file:
        for clip in map(Path, clips):
            times, points, shapes, names = label(network, clip)
            group = file.create_group(clip.stem)
            group["pts_seconds"], group["points"], group["blendshape"] = times, points, shapes
            file.attrs["blendshape_names"] = names
            print(clip.stem, len(times), np.isfinite(shapes[:, 0]).mean(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
