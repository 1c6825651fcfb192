"""Faces drawn into the pictures of a video: box, landmarks, id, a bar per emotion; or the face made unrecognisable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTIONS, NUM_EMOTIONS, STATE_COLOURS, UNSURE, UNSURE_COLOUR, UNSURE_LABEL
from vidfer.people.by_person import by_person
from vidfer.report.wording import display_name
from vidfer.timeline.states import episode_labels
from vidfer.types import ClipResult

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

# Stretches of the 68 landmarks (iBUG 300-W): first, last, closed.
_PARTS = (
    *((0, 16, False), (17, 21, False), (22, 26, False), (27, 30, False), (31, 35, False)),
    *((36, 41, True), (42, 47, True), (48, 59, True), (60, 67, True)),
)
_IRIS = 0.042  # radius, in widths of the face's box: 5.9 mm of about 140
_BLUR_SECONDS = 0.5  # a face found once is hidden for so long before and after, where the detector may have missed it
_BLUR_MARGIN = 0.35  # of the box's size, on each side: hair and chin
_LABEL_LETTERS = 12  # of a name, beside the emotion
_BLUR_CELLS = 7  # what is left of a hidden face: so many flat squares across


class FacePainter:
    """Paints over the frames of one clip; call it with each frame and its time.

    Parameters
    ----------
    clip
        The finished clip.
    blur_faces
        Hide the faces: flat squares instead of skin, no landmarks. A face that was never found is not hidden.
    """

    def __init__(self, clip: ClipResult, *, blur_faces: bool = False) -> None:
        from PIL import ImageFont

        self._track_id, self._clip, self._blur = clip.timeline.track_id, by_person(clip), blur_faces
        self._held = episode_labels(clip.timeline, clip.frames, clip.segments)  # (N,)
        self._size = max(11.0, min(clip.info.height, clip.info.width) / 32)  # of text, px
        self._font = ImageFont.load_default(self._size)
        self._line = max(2, round(self._size / 7))

    def __call__(self, image: np.ndarray, seconds: float) -> np.ndarray:
        """Return the frame, (H, W, 3) uint8 RGB, with its faces painted."""
        from PIL import Image, ImageDraw

        canvas = self.hidden(image, seconds) if self._blur else np.array(image)
        rows = self._rows_at(seconds)
        for row in filter(self._counts, rows):
            self._lighten(canvas, self._panel(row, canvas.shape))
        picture = Image.fromarray(canvas)
        pen = ImageDraw.Draw(picture)
        for row in rows:
            if self._counts(row):
                self._draw(pen, row, canvas.shape)
            else:
                pen.rectangle(self._clip.faces.xyxy[row].tolist(), outline=UNSURE_COLOUR, width=max(1, self._line // 2))
        return np.asarray(picture)

    def _rows_at(self, seconds: float) -> list[int]:
        """Return the rows of faces of the last sampled frame at or before this time."""
        frame = int(np.searchsorted(self._clip.frames.pts_seconds, seconds + 1e-6, side="right")) - 1
        first, last = np.searchsorted(self._clip.faces.frame_row, [frame, frame + 1])
        return [row for row in range(first, last) if self._track_id[row] >= 0]

    def _counts(self, row: int) -> bool:
        """Return whether the person of a row counts; of the others only a thin box is drawn."""
        return bool(self._clip.timeline.track_id[row] >= 0)

    def hidden(self, image: np.ndarray, seconds: float) -> np.ndarray:
        """Return the frame with every face hidden that is found around this time, dropped ones too."""
        canvas = np.array(image)
        pts = self._clip.frames.pts_seconds
        first = int(np.searchsorted(pts, seconds - _BLUR_SECONDS))
        last = int(np.searchsorted(pts, seconds + _BLUR_SECONDS, side="right"))
        first = min(first, max(0, int(np.searchsorted(pts, seconds + 1e-6, side="right")) - 1))  # sampled sparsely
        last = min(max(last, first + 2), len(pts))
        rows = np.arange(*np.searchsorted(self._clip.faces.frame_row, [first, last]))
        height, width = canvas.shape[:2]
        for left, top, right, bottom in self._areas(rows):
            grow = _BLUR_MARGIN * max(right - left, bottom - top)
            x0, x1 = max(0, int(left - grow)), min(width, int(right + grow))
            y0, y1 = max(0, int(top - grow)), min(height, int(bottom + grow))
            if x1 > x0 and y1 > y0:
                _flatten(canvas[y0:y1, x0:x1])
        return canvas

    def _areas(self, rows: np.ndarray) -> list[list[float]]:
        """Return one box around all that these rows show of a person, and the boxes of dropped faces."""
        tracks, xyxy = self._track_id[rows], self._clip.faces.xyxy[rows]
        boxes: list[list[float]] = xyxy[tracks < 0].tolist()
        for track in np.unique(tracks[tracks >= 0]).tolist():
            mine = xyxy[tracks == track]
            boxes.append([*mine[:, :2].min(axis=0).tolist(), *mine[:, 2:].max(axis=0).tolist()])
        return boxes

    def _panel(self, row: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Return where a face's bars stand, left, top, right, bottom: beside its box, wherever there is room."""
        left, top, right, _ = self._clip.faces.xyxy[row].tolist()
        width, height = round(9.6 * self._size), round((NUM_EMOTIONS + 1.6) * 1.15 * self._size)
        gap = self._line * 3
        x = right + gap if right + gap + width <= shape[1] else left - gap - width
        x = min(max(0, x), max(0, shape[1] - width))
        y = min(max(0, top), max(0, shape[0] - height))
        return round(x), round(y), min(shape[1], round(x) + width), min(shape[0], round(y) + height)

    def _lighten(self, canvas: np.ndarray, panel: tuple[int, int, int, int]) -> None:
        x0, y0, x1, y1 = panel
        canvas[y0:y1, x0:x1] = (canvas[y0:y1, x0:x1] * 0.25 + 190).astype(np.uint8)

    def _draw(self, pen: ImageDraw, row: int, shape: tuple[int, ...]) -> None:
        clip, size = self._clip, self._size
        probabilities = clip.timeline.probabilities[row]
        held = int(self._held[row])
        state = UNSURE if held == UNSURE_LABEL else EMOTIONS[held]
        colour = STATE_COLOURS[state]
        pen.rectangle(clip.faces.xyxy[row].tolist(), outline=colour, width=self._line)
        if not self._blur:
            self._draw_landmarks(pen, clip.faces.landmarks[row])
            self._draw_irises(pen, row)
        x, y, right, _ = self._panel(row, shape)
        text: dict[str, Any] = {"font": self._font, "anchor": "lm"}
        middle = y + 0.9 * size
        pen.text((x + 0.4 * size, middle), f"{self._label(row)}: {state}", fill="#000000", **text)
        start, room = x + 5.4 * size, right - x - 5.8 * size
        for label, name in enumerate(EMOTIONS):
            middle += 1.15 * size
            pen.text((x + 0.4 * size, middle), name, fill="#000000" if label == held else "#4a4a4a", **text)
            reach = start + room * float(probabilities[label])
            pen.rectangle((start, middle - 0.35 * size, reach, middle + 0.35 * size), fill=EMOTION_COLOURS[name])

    def _label(self, row: int) -> str:
        return display_name(self._clip.label(int(self._clip.timeline.track_id[row])), longest=_LABEL_LETTERS)

    def _draw_landmarks(self, pen: ImageDraw, landmarks: np.ndarray) -> None:
        for first, last, closed in _PARTS:
            points = [tuple(point) for point in landmarks[first : last + 1].tolist()]
            pen.line([*points, points[0]] if closed else points, fill="#ffffff", width=max(1, self._line // 2))

    def _draw_irises(self, pen: ImageDraw, row: int) -> None:
        """Draw a ring around each iris, as large as one is for a face of this size."""
        movements = self._clip.movements
        if movements is None:
            return
        left, _, right, _ = self._clip.faces.xyxy[row].tolist()
        radius = max(1.5, _IRIS * (right - left))
        for x, y in movements.iris[row].tolist():
            if x == x:  # known
                ring = (x - radius, y - radius, x + radius, y + radius)
                pen.ellipse(ring, outline="#22ddff", width=max(1, self._line // 2))


def _flatten(region: np.ndarray) -> None:
    """Replace a region, (h, w, 3) uint8, in place by the mean colours of a coarse grid over it."""
    from PIL import Image

    height, width = region.shape[:2]
    coarse = Image.fromarray(region).resize((_BLUR_CELLS, _BLUR_CELLS), Image.Resampling.BOX)
    region[:] = np.asarray(coarse.resize((width, height), Image.Resampling.NEAREST))
