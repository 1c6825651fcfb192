"""Vectors of face-reidentification-retail-0095 for the faces of FER2013: more people for ``vidfer train identity``.

Runs in an environment of its own (openvino, opencv-python, h5py), never a dependency of vidfer:

    python label_identity.py face-reidentification-retail-0095.xml fer2013plus.h5 OUT/fer_identity.h5
"""

import sys

import cv2
import h5py
import numpy as np
import openvino

SIDE = 128  # px that the network wants
# Where it wants the eyes, the nose and the corners of the mouth, of its side.
TEMPLATE = np.array(
    [[0.3156, 0.4616], [0.6826, 0.4616], [0.5003, 0.6405], [0.3495, 0.8247], [0.6534, 0.8247]], np.float32
)


def aligned(picture, points):
    """Return the face (128, 128, 3) of a picture by five points (5, 2) px: least squares, no reflection."""
    x, y = (points - points.mean(0)).T
    target = TEMPLATE * SIDE
    u, v = (target - target.mean(0)).T
    scaled = np.array([[x @ u + y @ v, y @ u - x @ v], [x @ v - y @ u, x @ u + y @ v]]) / (x @ x + y @ y)
    matrix = np.column_stack([scaled, target.mean(0) - scaled @ points.mean(0)])
    face = cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return face if face.ndim == 3 else np.repeat(face[..., None], 3, axis=2)


def main(weights, pictures, out):
    core = openvino.Core()
    model = core.compile_model(core.read_model(weights), "CPU", {"INFERENCE_NUM_THREADS": 1})
    with h5py.File(pictures) as file:
        rows = np.flatnonzero(file["usage"][:] == 0)
        points, offset, encoded = file["landmarks5"][:], file["offset"][:], file["webp"]
        kept, vectors = [], []
        for row in rows:
            if not np.isfinite(points[row]).all():
                continue
            picture = cv2.imdecode(encoded[offset[row] : offset[row + 1]], cv2.IMREAD_GRAYSCALE)
            planar = aligned(picture, points[row]).transpose(2, 0, 1)[None].astype(np.float32)
            vector = sum(next(iter(model(side).values())).ravel() for side in (planar, planar[..., ::-1].copy()))
            kept.append(row)
            vectors.append(vector / np.linalg.norm(vector))
            if len(kept) % 2000 == 0:
                print(len(kept), "of", len(rows), flush=True)
    with h5py.File(out, "w") as file:
        file["row"], file["vector"] = np.array(kept, np.int64), np.array(vectors, np.float16)


if __name__ == "__main__":
    main(*sys.argv[1:])
