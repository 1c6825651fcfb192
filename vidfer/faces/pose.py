"""Head pose from 68 landmarks: perspective-n-point with a mean three-dimensional face.

A weak-perspective solution (POS, DeMenthon and Davis 1995) starts Gauss-Newton steps on the reprojection error under
full perspective, all faces at once.
"""

from __future__ import annotations

import numpy as np

from vidfer.types import NUM_LANDMARKS

# The mean face in mm, axes as in ``rotation_matrices``, iBUG 300-W order. Measured by us: rigid structure from motion
# (weak perspective, alternating least squares, left and right made symmetric) over the 68 points of 2,789 of the LFW
# training faces at least 60 px wide whose teachers agree within 4 %. Scaled to 90 mm between the outer eye corners.
# Nothing else was fitted, yet nose protrusion (19.5 mm), nasion to subnasale (51 mm) and nasion to chin (120 mm) come
# out as anthropometry has them for adults (about 20, 50-55 and 110-125 mm). Pitch 0 is those photographs' median.
# fmt: off
MEAN_FACE = np.array([
    # jaw line
    [-73.2, -13.5, 75.4], [-73.0, 5.3, 72.5], [-71.2, 24.6, 69.9], [-67.2, 43.8, 66.9], [-59.8, 61.3, 60.9],
    [-48.7, 76.4, 51.9], [-34.8, 88.8, 40.9], [-18.6, 97.9, 30.1], [0.0, 101.1, 26.3], [18.6, 97.9, 30.1],
    [34.8, 88.8, 40.9], [48.7, 76.4, 51.9], [59.8, 61.3, 60.9], [67.2, 43.8, 66.9], [71.2, 24.6, 69.9],
    [73.0, 5.3, 72.5], [73.2, -13.5, 75.4],
    # right brow
    [-56.7, -30.8, 35.1], [-47.8, -36.9, 28.1], [-36.0, -38.2, 21.5], [-24.0, -36.4, 16.2], [-13.1, -33.0, 12.4],
    # left brow
    [13.1, -33.0, 12.4], [24.0, -36.4, 16.2], [36.0, -38.2, 21.5], [47.8, -36.9, 28.1], [56.7, -30.8, 35.1],
    # nose bridge
    [0.0, -17.9, 9.9], [0.0, -5.7, 3.5], [0.0, 6.0, -3.3], [0.0, 17.7, -10.1],
    # nostrils
    [-15.6, 28.2, 8.9], [-8.1, 30.9, 5.0], [0.0, 32.6, 2.5], [8.1, 30.9, 5.0], [15.6, 28.2, 8.9],
    # right eye
    [-45.0, -15.8, 30.2], [-36.1, -20.3, 25.9], [-27.0, -20.3, 24.4], [-18.6, -14.5, 24.2], [-27.3, -12.4, 24.5],
    [-36.3, -12.6, 26.1],
    # left eye
    [18.6, -14.5, 24.2], [27.0, -20.3, 24.4], [36.1, -20.3, 25.9], [45.0, -15.8, 30.2], [36.3, -12.6, 26.1],
    [27.3, -12.4, 24.5],
    # outer lips
    [-28.9, 51.0, 28.2], [-18.8, 45.6, 15.7], [-7.5, 42.8, 7.5], [0.0, 44.4, 6.8], [7.5, 42.8, 7.5],
    [18.8, 45.6, 15.7], [28.9, 51.0, 28.2], [19.5, 60.1, 19.7], [8.8, 65.1, 13.4], [0.0, 66.0, 12.3],
    [-8.8, 65.1, 13.4], [-19.5, 60.1, 19.7],
    # inner lips
    [-25.6, 51.3, 26.5], [-7.8, 48.7, 9.9], [0.0, 49.6, 8.8], [7.8, 48.7, 9.9], [25.6, 51.3, 26.5],
    [8.1, 56.7, 12.9], [0.0, 57.5, 11.8], [-8.1, 56.7, 12.9],
])  # (68, 3)
# fmt: on
# How far each point strays from the rigid face there, in mm, gives its weight: expressions move the mouth, and the jaw
# line follows the visible outline, not the bone. Nothing is trusted better than 1 mm.
# fmt: off
POINT_SPREAD_MM = np.array([
    3.9, 4.0, 4.2, 4.3, 4.1, 3.6, 3.0, 2.5, 2.5, 2.5, 3.0, 3.6, 4.1, 4.3, 4.2, 4.0, 3.9,
    1.7, 1.4, 1.4, 1.4, 1.4, 1.4, 1.4, 1.4, 1.4, 1.7, 1.0, 1.0, 1.0, 1.2, 1.0, 1.0, 1.0,
    1.0, 1.0, 1.1, 1.2, 1.1, 1.0, 1.0, 1.1, 1.0, 1.1, 1.2, 1.1, 1.1, 1.0, 2.6, 1.9, 1.4,
    1.4, 1.4, 1.9, 2.6, 1.9, 2.0, 2.0, 2.0, 1.9, 2.5, 1.5, 1.4, 1.5, 2.5, 1.9, 1.9, 1.9,
])  # (68,)
# fmt: on
POINT_WEIGHTS = 1 / POINT_SPREAD_MM**2

# Three steps come within 0.003 degrees on 3,000 synthetic faces 18 cm to 3 m away; real ones may need more. The
# number is fixed, so that a face's pose does not depend on which others are solved with it.
_STEPS = 6
_CHUNK = 1024  # faces at a time: bounds memory at about 20 MB


def head_pose(landmarks68: np.ndarray, *, image_size: tuple[int, int]) -> np.ndarray:
    """Return how each head is turned relative to the line from the camera to it.

    (0, 0, 0) looks straight into the camera wherever in the picture the face is. That is what a viewer sees, and
    unlike angles in the camera's frame it hardly depends on the focal length, which no video tells. In the middle of
    the picture both are the same.

    Parameters
    ----------
    landmarks68
        (N, 68, 2) float, px of the image, in the iBUG 300-W order.
    image_size
        (width, height) of the image in px. The focal length is taken as the longer side (a horizontal field of view
        of 53 degrees, between webcams and portrait lenses), the optical axis through the middle.

    Returns
    -------
    (N, 3) float32 degrees: pitch (up is positive), yaw (towards the image's right is positive), roll (clockwise in
        the image is positive); each in -180..180. The rotation is yaw after pitch after roll. NaN where a landmark is
        not finite or all of them coincide.

    Raises
    ------
    ValueError
        If the landmarks are not (N, 68, 2) or the image is empty.
    """
    points = np.asarray(landmarks68, np.float64)
    if points.ndim != 3 or points.shape[1:] != (NUM_LANDMARKS, 2):
        raise ValueError(f"head_pose: expected landmarks (N, {NUM_LANDMARKS}, 2), got {points.shape}")
    width, height = image_size
    if min(width, height) <= 0:
        raise ValueError(f"head_pose: expected an image size in px, got {image_size}")
    focal = float(max(width, height))
    # Unit focal length, optical axis at the origin.
    points = (points - np.array([width / 2, height / 2])) / focal
    pose = np.full((len(points), 3), np.nan, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        spread = np.ptp(points, axis=1).max(1)  # (N,)
        usable = np.isfinite(points).all((1, 2)) & (spread > 1e-6) & (np.abs(points).max((1, 2)) < 1e3)
    rows = np.flatnonzero(usable)
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        rotation, translation = _solve(points[chunk])
        pose[chunk] = _angles(_towards_camera(translation) @ rotation)
    return pose


def rotation_matrices(pose: np.ndarray) -> np.ndarray:
    """Return the rotations (N, 3, 3) of poses (N, 3) in degrees, from the head's axes to the camera's.

    Camera: x right, y down, z away from the camera. Head: the same axes when it looks into the camera.
    """
    pitch, yaw, roll = np.radians(np.asarray(pose, np.float64)).T
    zero, one = np.zeros_like(pitch), np.ones_like(pitch)

    def matrix(*rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    c, s = np.cos(yaw), np.sin(yaw)
    about_y = matrix((c, zero, -s), (zero, one, zero), (s, zero, c))
    c, s = np.cos(pitch), np.sin(pitch)
    about_x = matrix((one, zero, zero), (zero, c, s), (zero, -s, c))
    c, s = np.cos(roll), np.sin(roll)
    about_z = matrix((c, -s, zero), (s, c, zero), (zero, zero, one))
    turned: np.ndarray = about_y @ about_x @ about_z
    return turned


def _angles(rotation: np.ndarray) -> np.ndarray:
    """Return pitch, yaw, roll (N, 3) in degrees of rotations (N, 3, 3); the inverse of ``rotation_matrices``."""
    facing = -rotation[:, :, 2]  # where the nose points
    pitch = np.arcsin(np.clip(-facing[:, 1], -1, 1))
    yaw = np.arctan2(facing[:, 0], -facing[:, 2])
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1])
    return np.degrees(np.stack([pitch, yaw, roll], axis=1))


def _solve(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rotations (N, 3, 3) and translations (N, 3), mm, that project the mean face closest to the points."""
    rotation, translation = _weak_perspective(points)
    weights = np.repeat(POINT_WEIGHTS / POINT_WEIGHTS.sum(), 2)  # (136,)
    for _ in range(_STEPS):
        residual, jacobian = _linearise(points, rotation, translation)
        weighted = (jacobian * weights[:, None]).transpose(0, 2, 1)  # (N, 6, 136)
        normal = weighted @ jacobian  # (N, 6, 6)
        diagonal = np.einsum("nii->ni", normal)  # a view
        diagonal *= 1 + 1e-6
        step = np.linalg.solve(normal, weighted @ residual[..., None])[..., 0]  # (N, 6)
        turn = step[:, :3]
        angle = np.linalg.norm(turn, axis=1, keepdims=True)
        turn = turn * np.minimum(1, 0.5 / np.maximum(angle, 1e-12))  # at most half a radian a step
        rotation = _exponential(turn) @ rotation
        moved = translation + step[:, 3:]
        moved[:, 2] = np.maximum(moved[:, 2], 0.5 * translation[:, 2])  # stays in front of the camera
        translation = moved
    return rotation, translation


def _linearise(points: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the residuals (N, 136) and their derivatives (N, 136, 6) by a small turn (3) and a shift (3)."""
    turned = MEAN_FACE @ rotation.transpose(0, 2, 1)  # (N, 68, 3)
    seen = turned + translation[:, None]
    depth = seen[..., 2]
    projected = seen[..., :2] / depth[..., None]
    x, y, z = turned[..., 0], turned[..., 1], turned[..., 2]
    u, v = projected[..., 0], projected[..., 1]
    # d projected / d seen is [1, 0, -u; 0, 1, -v] / depth; d seen / d turn is the cross product with the turned point.
    jacobian = np.zeros((*u.shape, 2, 6))  # (N, 68, 2, 6); 0 where neither line below says otherwise
    for column, du in ((0, -u * y), (1, z + u * x), (2, -y), (3, 1), (5, -u)):
        jacobian[:, :, 0, column] = du
    for column, dv in ((0, -z - v * y), (1, v * x), (2, x), (4, 1), (5, -v)):
        jacobian[:, :, 1, column] = dv
    jacobian /= depth[..., None, None]
    return (points - projected).reshape(len(points), -1), jacobian.reshape(len(points), -1, 6)


def _weak_perspective(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rotations (N, 3, 3) and translations (N, 3) as if all of a face had one depth."""
    weights = POINT_WEIGHTS / POINT_WEIGHTS.sum()
    centre = weights @ MEAN_FACE  # (3,)
    model = MEAN_FACE - centre
    image_centre = np.einsum("p,npj->nj", weights, points)
    image = points - image_centre[:, None]
    moments = (model * weights[:, None]).T @ model  # (3, 3)
    affine = np.linalg.solve(moments, np.einsum("pi,npj->nij", model * weights[:, None], image))  # (N, 3, 2)
    left, scales, right = np.linalg.svd(affine.transpose(0, 2, 1), full_matrices=False)
    top = left @ right  # (N, 2, 3): the nearest pair of orthonormal rows
    rotation = np.concatenate([top, np.cross(top[:, 0], top[:, 1])[:, None]], axis=1)
    depth = 1 / np.maximum(scales.mean(1), 1e-9)
    translation = np.concatenate([image_centre * depth[:, None], depth[:, None]], axis=1)
    translation -= np.einsum("nij,j->ni", rotation, centre)
    # No part of the face lies behind the camera.
    translation[:, 2] = np.maximum(translation[:, 2], 2 * np.abs(MEAN_FACE).max())
    return rotation, translation


def _towards_camera(translation: np.ndarray) -> np.ndarray:
    """Return the smallest rotations (N, 3, 3) that turn the lines of sight to the faces into the optical axis."""
    sight = translation / np.linalg.norm(translation, axis=1, keepdims=True)
    axis = np.stack([sight[:, 1], -sight[:, 0], np.zeros(len(sight))], axis=1)  # sight x z, its length the sine
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(sine, sight[:, 2:])
    return _exponential(axis * angle / np.maximum(sine, 1e-12))


def _exponential(turn: np.ndarray) -> np.ndarray:
    """Return rotation matrices (N, 3, 3) of rotation vectors (N, 3) in radians (Rodrigues)."""
    angle = np.linalg.norm(turn, axis=1)
    x, y, z = (turn / np.maximum(angle, 1e-12)[:, None]).T
    cross = np.zeros((len(turn), 3, 3))
    cross[:, 2, 1], cross[:, 0, 2], cross[:, 1, 0] = x, y, z
    cross -= cross.transpose(0, 2, 1)
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    rotation: np.ndarray = np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
    return rotation
