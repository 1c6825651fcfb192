"""Whether a clip's picture lies on its side or stands on its head, though its file does not say so.

Faces are searched in a few frames turned into all four positions, in fewer where they are clearly upright. Frames at
keyframes cost least to read; where these show no face, frames spread over the whole video are searched.
"""

from __future__ import annotations

import numpy as np

from vidfer.errors import VidferError
from vidfer.pipeline.faces import FacesStage
from vidfer.video.probe import VideoProbe
from vidfer.video.pyav_reader import PyAVReader

NUM_FRAMES = 8  # looked at, at most
ENOUGH_FRAMES = 3  # with clearly upright faces and no doubt, and the fewest that turn a clip
STEP = 4  # frames from one to the next behind a keyframe
# Evidence is detector score * landmark score * how far the eyes are above the mouth, in face heights (see
# ``FacesStage.uprightness``). The best face of upright clips has 0.31 or more, of clips on their side 0.27 or less.
UPRIGHT = 0.28
SURE_FACE = 0.25
MARGIN = 1.1  # times the evidence of another position; the least that was measured for the right one is 1.17
MIN_AGREEING = 0.75  # of those with a face must agree


def find_turn(video: VideoProbe, stage: FacesStage) -> int:
    """Return by how many degrees clockwise the displayed picture is to be turned: 0, 90, 180 or 270.

    It depends on the video's content and the stage's settings only. A video that cannot be read is left as it is.
    """
    few = _cheap_frames(video)
    spread = np.unique(((np.arange(NUM_FRAMES) + 0.5) * video.num_frames / NUM_FRAMES).astype(np.int64))
    try:
        total, turns = _best_turn(video, stage, few)
        if total < ENOUGH_FRAMES * SURE_FACE and few[-1] < spread[-1]:
            turns = _best_turn(video, stage, spread)[1]
    except VidferError:
        return 0  # reading all frames will report what is wrong
    return 90 * turns


def turn_warning(degrees: int) -> str:
    """Return the warning about a clip that was turned."""
    how = "stands on its head" if degrees == 180 else "lies on its side"
    return f"the picture {how}: turned by {degrees} degrees clockwise; video.rotation=0 leaves it"


def _cheap_frames(video: VideoProbe) -> np.ndarray:
    """Return up to NUM_FRAMES frames at keyframes all over the video, or shortly behind them where these are few."""
    starts = np.zeros(1, np.int64)
    if video.mapping == "pts":
        pts = video.packets.pts[video.packets.is_keyframe]
        starts = np.union1d(starts, np.flatnonzero(np.isin(video.frame_pts, pts)))
    starts = starts[np.unique(np.linspace(0, len(starts) - 1, NUM_FRAMES).round().astype(np.int64))]
    behind = STEP * np.arange(-(-NUM_FRAMES // len(starts)))
    frames = np.unique(starts[:, None] + behind)
    return frames[frames < video.num_frames][:NUM_FRAMES]


def _best_turn(video: VideoProbe, stage: FacesStage, frames: np.ndarray) -> tuple[float, int]:
    """Return the evidence for the best position and how many quarter turns clockwise lead to it."""
    seen: list[list[np.ndarray]] = []  # by frame, then position: the evidence of each face
    doubt = False
    for batch in PyAVReader(video).read(frames, batch_size=1):
        upright, inverted = (_evidence(stage, batch.images, turns) for turns in (0, 2))
        if upright.max(initial=0) >= UPRIGHT and upright.sum() > MARGIN * inverted.sum():
            nobody = upright[:0]
            seen.append([upright, nobody, inverted, nobody])
            if len(seen) >= ENOUGH_FRAMES and not doubt:
                break
        else:
            doubt = True
            seen.append([upright, _evidence(stage, batch.images, 1), inverted, _evidence(stage, batch.images, 3)])
    return _best_position(seen)


def _best_position(seen: list[list[np.ndarray]]) -> tuple[float, int]:
    total = np.array([[faces.sum() for faces in positions] for positions in seen]).reshape(-1, 4)  # (F, 4)
    best_face = np.array([[faces.max(initial=0) for faces in positions] for positions in seen]).reshape(-1, 4)
    best = int(total.sum(0).argmax())
    sums = total.sum(0)
    wins = total[:, best] > MARGIN * total[:, 0]
    with_face = np.count_nonzero(total.max(1, initial=0) > 0)
    turned = (
        sums[best] > MARGIN * sums[0]
        and np.count_nonzero(wins) >= max(MIN_AGREEING * with_face, min(ENOUGH_FRAMES, len(seen)))
        and best_face[wins, best].mean() >= SURE_FACE
    )
    return float(sums[best]), best if turned else 0


def _evidence(stage: FacesStage, images: np.ndarray, turns: int) -> np.ndarray:
    """Return the evidence of each face for a picture (1, H, W, 3) turned by quarters, clockwise."""
    return stage.uprightness(np.ascontiguousarray(np.rot90(images, -turns, (1, 2))))
